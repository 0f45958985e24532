// rocks_damage_test.cc — real bits flipped in real files: a table file is damaged wherever it
// hurts, and each reader, the check of all files, and the compaction notice. (Write-ahead logs:
// rocks_store_crash_test.cc.) Also: whose directory it is, and moving it aside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <chrono>

#include "node/store/rocks_store.h"
#include "tests/unit/store/rocks_test_util.h"
#include "tests/unit/store/store_test_log.h"

namespace kembar {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr size_t kFooterBytes = 53;

RocksOptions DamageOptions(const std::string& dir) {
  return {.dir = dir, .create_if_missing = true, .block_cache_bytes = size_t{1} << 20};
}

Status WriteOne(RocksStore& store, const LogWrite& write) { return store.Write({&write, 1}); }

// 1,024 bytes that do not compress.
std::string Noise(int seed) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    text += AsBytes(Sha256({std::to_string(seed), "/", std::to_string(i)}));
  }
  return text;
}

// A closed store whose records lie in table files.
class DamagedTable : public testing::Test {
 protected:
  void SetUp() override {
    auto store = RocksStore::Open(DamageOptions(original()));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(WriteOne(
          **store, log_.Append({From("pg", static_cast<uint64_t>(i) + 1,
                                     Put("tender/" + std::to_string(i % 9), "row", Noise(i)))})));
    }
    store->reset();
    store = RocksStore::Open(DamageOptions(original()));  // replays into tables
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store->reset();
    for (const auto& entry : fs::directory_iterator(original())) {
      if (entry.path().extension() != ".sst") continue;
      tables_.push_back(entry.path().filename());
      if (entry.file_size() > fs::file_size(original() + "/" + largest_)) {
        largest_ = entry.path().filename();
      }
    }
    ASSERT_GE(tables_.size(), 4u);
  }
  std::string original() const { return dir_.path() + "/original"; }
  // Opens a copy of the store in which one bit of `file` at `offset` is another.
  Result<std::unique_ptr<RocksStore>> OpenDamaged(const std::string& file, size_t offset) {
    copy_ = std::make_unique<TempDir>();
    const std::string dir = copy_->path() + "/db";
    fs::copy(original(), dir);
    std::string bytes = ReadFile(dir + "/" + file);
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
    WriteFile(dir + "/" + file, bytes);
    return RocksStore::Open(DamageOptions(dir));
  }
  // The only table of a family.
  std::string TableOf(const std::string& family) const {
    std::vector<std::string> names;
    EXPECT_TRUE(rocksdb::DB::ListColumnFamilies({}, original(), &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names)
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    EXPECT_TRUE(rocksdb::DB::OpenForReadOnly({}, original(), families, &handles, &db).ok());
    std::vector<rocksdb::LiveFileMetaData> files;
    db->GetLiveFilesMetaData(&files);
    std::string found;
    for (const auto& file : files) {
      if (file.column_family_name == family) found = file.relative_filename;
    }
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
    delete db;
    return found;
  }
  size_t SizeOf(const std::string& file) const { return fs::file_size(original() + "/" + file); }
  static void ExpectCorrupt(const Status& status) {
    EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
    EXPECT_THAT(status.hint(), HasSubstr("--rebuild")) << status.ToString();
  }

  TempDir dir_;
  std::unique_ptr<TempDir> copy_;
  TestLog log_{"tebo"};
  std::vector<std::string> tables_;
  std::string largest_ = "CURRENT";  // holds the frames
};

TEST_F(DamagedTable, AReadNamesLogAndIndexAndSkipsNothing) {
  for (const size_t offset : {size_t{100}, SizeOf(largest_) / 4, SizeOf(largest_) / 2}) {
    auto store = OpenDamaged(largest_, offset);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const Status status = (*store)->Read("tebo", 1, 200, SIZE_MAX).status();
    ExpectCorrupt(status);
    EXPECT_THAT(status.message(), HasSubstr("log tebo index ")) << offset;
    // What is sound stays readable, up to the very record before the damage.
    uint64_t index = 1;
    while ((*store)->Read("tebo", index, index, 1).ok()) ++index;
    EXPECT_LE(index, 200u);
    ExpectCorrupt((*store)->Read("tebo", index, index, 1).status());
  }
}

TEST_F(DamagedTable, ADamagedIndexOrFooterIsRefusedAtOpenOrAtTheFirstRead) {
  const size_t size = SizeOf(largest_);
  // Index, filter and properties lie before the footer; its magic number ends the file.
  for (const size_t offset : {size - kFooterBytes - 40, size - kFooterBytes, size - 4, size - 1}) {
    auto store = OpenDamaged(largest_, offset);
    if (store.ok()) {
      Status status = (*store)->Read("tebo", 1, 200, SIZE_MAX).status();
      if (status.ok()) status = (*store)->CheckFiles();
      ExpectCorrupt(status);
    } else {
      ExpectCorrupt(store.status());
    }
  }
}

TEST_F(DamagedTable, TheCheckOfAllFilesFindsABitWhereverItIs) {
  for (const std::string& table : tables_) {
    for (size_t offset = 3; offset < SizeOf(table); offset += SizeOf(table) / 5 + 1) {
      auto store = OpenDamaged(table, offset);
      const Status status = store.ok() ? (*store)->CheckFiles() : store.status();
      ExpectCorrupt(status);
      if (store.ok()) {
        EXPECT_THAT(status.message(), HasSubstr(table)) << offset;
      }
    }
  }
  auto sound = RocksStore::Open(DamageOptions(original()));
  ASSERT_TRUE(sound.ok());
  EXPECT_TRUE((*sound)->CheckFiles().ok());
}

TEST_F(DamagedTable, ACompactionThatMeetsItStopsTheStore) {
  // Keys of items are spread over all tables, so that these are merged. (Tables of frames follow
  // each other and are moved down unread: there, readers and the check of all files notice.)
  const std::string table = TableOf("items");
  auto whole = OpenDamaged(table, SizeOf(table) / 3);
  ASSERT_TRUE(whole.ok());
  whole->reset();
  RocksOptions options = DamageOptions(copy_->path() + "/db");
  options.write_buffer_bytes = size_t{256} << 10;  // many small tables: soon they are merged
  auto store = RocksStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  Status status;
  while (status.ok() && std::chrono::steady_clock::now() < until) {
    status = WriteOne(
        **store, log_.Append({Put("tender/0", "row", Noise(7)), Put("tender/8", "row", Noise(8))}));
  }
  ExpectCorrupt(status);
  EXPECT_THAT((*store)->BackgroundError(), HasSubstr("--rebuild"));
  // Fail-stop: it stays closed.
  TestLog other("other");
  ExpectCorrupt(WriteOne(**store, other.Append(Puts(1))));
}

TEST_F(DamagedTable, ADamagedDirectoryIsMovedAsideWhole) {
  auto store = OpenDamaged(largest_, 100);
  ASSERT_TRUE(store.ok());
  const std::string dir = copy_->path() + "/db";
  const std::string aside = dir + ".damaged";
  EXPECT_EQ(RocksStore::MoveAside(dir, aside).code(), Code::kUnavailable);  // in use
  store->reset();
  EXPECT_EQ(RocksStore::MoveAside(dir, original()).code(), Code::kExists);
  ASSERT_OK(RocksStore::MoveAside(dir, aside));
  EXPECT_FALSE(fs::exists(dir));
  EXPECT_EQ(ReadFile(aside + "/" + tables_[0]).size(), SizeOf(tables_[0]));
  EXPECT_EQ(RocksStore::MoveAside(dir, aside + "2").code(), Code::kNotFound);
  fs::create_directory_symlink(aside, dir);
  EXPECT_EQ(RocksStore::MoveAside(dir, aside + "2").code(), Code::kInvalid);
}

// ---- Identity ----------------------------------------------------------------------------------

TEST(StoreIdentity, ADirectoryBelongsToTheNodeItWasMadeFor) {
  TempDir dir;
  RocksOptions options = DamageOptions(dir.path() + "/data");
  options.node_name = "tebo";
  options.now_us = 1'700'000'000'000'000;
  auto store = RocksStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ((*store)->born_us(), 1'700'000'000'000'000);
  store->reset();
  options.node_name = "jambi";
  const Status refused = RocksStore::Open(options).status();
  EXPECT_EQ(refused.code(), Code::kPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("belongs to node tebo, not to jambi"));
  options.node_name = "tebo";
  options.now_us = 5;  // says nothing any more
  store = RocksStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ((*store)->born_us(), 1'700'000'000'000'000);
}

TEST(StoreIdentity, ADirectoryFromBeforeTakesTheNameItIsOpenedUnder) {
  TempDir dir;
  RocksOptions options = DamageOptions(dir.path() + "/data");
  ASSERT_TRUE(RocksStore::Open(options).ok());  // without a name, as older programs made it
  options.node_name = "tebo";
  ASSERT_TRUE(RocksStore::Open(options).ok());
  options.node_name = "jambi";
  EXPECT_EQ(RocksStore::Open(options).status().code(), Code::kPrecondition);
}

TEST(StoreIdentity, PeersAreRememberedAcrossRestarts) {
  TempDir dir;
  auto store = RocksStore::Open(DamageOptions(dir.path() + "/data"));
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE((*store)->Peers()->empty());
  ASSERT_OK((*store)->SavePeer("jambi", {"uuid-1", 7}));
  ASSERT_OK((*store)->SavePeer("bungo", {"uuid-2", 0}));
  ASSERT_OK((*store)->SavePeer("jambi", {"uuid-3", 9}));
  store->reset();
  store = RocksStore::Open(DamageOptions(dir.path() + "/data"));
  ASSERT_TRUE(store.ok());
  const std::map<std::string, PeerIdentity> want = {{"jambi", {"uuid-3", 9}},
                                                    {"bungo", {"uuid-2", 0}}};
  EXPECT_EQ(*(*store)->Peers(), want);
  EXPECT_TRUE((*store)->Logs()->empty());
}

}  // namespace
}  // namespace kembar
