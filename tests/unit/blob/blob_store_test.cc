// blob_store_test.cc — BlobStore: names, reopening, many threads, damage of every kind, crashes, a
// full disk, a failing one.
#include "node/blob/blob_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <thread>

#include "replicator/base/bytes.h"
#include "tests/unit/blob/damage.h"
#include "tests/unit/blob/noise.h"
#include "tests/unit/store/crash_child.h"
#include "tests/unit/store/rocks_test_util.h"

extern char** environ;

namespace {
std::atomic<int> syncs{0};
std::atomic<bool> fail_syncs{false};
}  // namespace

// Stands before the C library's, also for the shared RocksDB.
extern "C" int fdatasync(int fd) {
  ++syncs;
  if (fail_syncs) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace kembar {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

#define ASSERT_FINE(expr)                            \
  do {                                               \
    const Status status_ = (expr);                   \
    ASSERT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreOptions Options(const std::string& dir) {
    BlobStoreOptions options;
    options.dir = dir;
    options.create_if_missing = true;
    options.write_buffer_bytes = 4 << 20;
    options.warn = [this](std::string_view line) {
      std::lock_guard lock(mutex_);
      warnings_ += std::string(line) + "\n";
    };
    return options;
  }
  std::unique_ptr<BlobStore> Open() {
    auto store = BlobStore::Open(Options(dir()));
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  std::string dir() const { return temp_.path() + "/blobs"; }
  std::string Warnings() {
    std::lock_guard lock(mutex_);
    return warnings_;
  }
  // A closed store whose chunks have reached blob files: opening writes out what the write-ahead
  // log held.
  std::vector<Digest> Fill(uint64_t first, uint64_t count) {
    std::vector<Digest> digests;
    auto store = Open();
    for (uint64_t i = first; i < first + count; ++i) {
      const std::string chunk = Noise(i, 200'000);
      digests.push_back(store->Put(std::vector<std::string_view>{chunk})->front());
    }
    store.reset();
    Open().reset();
    return digests;
  }
  std::vector<std::string> Files(const std::string& extension) {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(dir())) {
      if (entry.path().extension() == extension && entry.file_size() > 0) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  TempDir temp_;
  std::mutex mutex_;
  std::string warnings_;
};

Result<Digest> PutOne(BlobStore& store, std::string_view chunk, uint64_t* fresh = nullptr) {
  auto digests = store.Put(std::vector<std::string_view>{chunk}, fresh);
  if (!digests.ok()) return digests.status();
  return digests->front();
}

TEST_F(BlobStoreTest, WhatIsPutIsThereAfterReopening) {
  const std::vector<std::string> chunks = {"a", Noise(1, 5000), Noise(2, kChunkBytesMax), "a"};
  {
    auto store = Open();
    uint64_t fresh = 0;
    auto digests = store->Put(std::vector<std::string_view>(chunks.begin(), chunks.end()), &fresh);
    ASSERT_FINE(digests.status());
    EXPECT_EQ(fresh, 3u);
    EXPECT_EQ(digests->at(1), Sha256({chunks[1]}));
    EXPECT_EQ(digests->at(0), digests->at(3));
  }
  auto store = Open();
  EXPECT_FALSE(store->doubtful());
  for (const std::string& chunk : chunks) EXPECT_EQ(*store->Get(Sha256({chunk})), chunk);
  EXPECT_EQ(store->Stats().chunks, 3u);
  EXPECT_EQ(store->Stats().bytes, 1 + 5000 + kChunkBytesMax);
  uint64_t fresh = 0;
  ASSERT_FINE(PutOne(*store, "a", &fresh).status());
  EXPECT_EQ(fresh, 0u);
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(BlobStoreTest, MissingTellsEachOnceInOrder) {
  auto store = Open();
  ASSERT_FINE(PutOne(*store, "here").status());
  const Digest here = Sha256({"here"}), x = Sha256({"x"}), y = Sha256({"y"});
  EXPECT_THAT(*store->Missing(std::vector<Digest>{y, here, x, y}), ElementsAre(y, x));
  EXPECT_THAT(*store->Missing({}), IsEmpty());
  EXPECT_EQ(store->Get(x).status().code(), Code::kNotFound);
  EXPECT_THAT(store->Get(x).status().message(), HasSubstr(ToHex(x)));
}

TEST_F(BlobStoreTest, WhatIsNoChunkIsRefused) {
  auto store = Open();
  EXPECT_EQ(PutOne(*store, "").status().code(), Code::kInvalid);
  EXPECT_EQ(PutOne(*store, std::string(kChunkBytesMax + 1, 'x')).status().code(), Code::kInvalid);
  EXPECT_EQ(store->Stats().chunks, 0u);
}

TEST_F(BlobStoreTest, ThreadsThatPutTheSameStoreItOnceAndAreToldWhenItIsDurable) {
  auto store = Open();
  std::atomic<uint64_t> told{0};
  store->OnStored([&](std::span<const Digest> digests) { told += digests.size(); });
  std::vector<std::thread> threads;
  std::atomic<uint64_t> fresh{0};
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      uint64_t mine = 0;
      for (uint64_t i = 0; i < 40; ++i) {
        const std::string a = Noise(i, 3000), b = Noise(i + 1, 3000);
        const bool swap = i % 2 == 0;
        EXPECT_TRUE(
            store->Put(std::vector<std::string_view>{swap ? b : a, swap ? a : b}, &mine).ok());
        EXPECT_THAT(*store->Missing(std::vector<Digest>{Sha256({a}), Sha256({b})}), IsEmpty());
      }
      fresh += mine;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fresh, 41u);
  EXPECT_EQ(told, 41u);
  EXPECT_EQ(store->Stats().chunks, 41u);
}

TEST_F(BlobStoreTest, EveryPutIsSyncedOnce) {
  auto store = Open();
  for (uint64_t i = 0; i < 4; ++i) {
    const int before = syncs;
    ASSERT_FINE(PutOne(*store, Noise(i, 9000)).status());
    EXPECT_EQ(syncs, before + 1);
  }
}

TEST_F(BlobStoreTest, OneDirectoryServesOneStore) {
  auto store = Open();
  EXPECT_EQ(BlobStore::Open(Options(dir())).status().code(), Code::kUnavailable);
}

TEST_F(BlobStoreTest, NothingIsMadeUnasked) {
  BlobStoreOptions options = Options(dir());
  options.create_if_missing = false;
  EXPECT_EQ(BlobStore::Open(options).status().code(), Code::kNotFound);
}

// ---- Damage ----

// Flips a bit in the middle of what the file holds of `chunk`.
void FlipIn(const std::string& file, const std::string& chunk) {
  std::string bytes = ReadFile(file);
  const size_t at = bytes.find(chunk);
  ASSERT_NE(at, std::string::npos);
  bytes[at + chunk.size() / 2] = static_cast<char>(bytes[at + chunk.size() / 2] ^ 1);
  WriteFile(file, bytes);
}

TEST_F(BlobStoreTest, AFlippedBitIsFoundNamedAndRepaired) {
  const std::vector<Digest> digests = Fill(0, 5);
  ASSERT_EQ(Files(".blob").size(), 1u);
  const std::string chunk = Noise(3, 200'000);
  FlipIn(Files(".blob").front(), chunk);
  auto store = Open();
  const Status status = store->Get(digests[3]).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(ToHex(digests[3])));
  std::vector<Digest> bad;
  uint64_t seen = 0;
  ASSERT_FINE(store->Verify([&](const Digest& digest, uint64_t bytes, const Status& found) {
    ++seen;
    EXPECT_EQ(bytes, 200'000u);
    if (!found.ok()) bad.push_back(digest);
    return true;
  }));
  EXPECT_EQ(seen, 5u);
  EXPECT_THAT(bad, ElementsAre(digests[3]));
  // Set aside it is missing; given again it is whole; the evidence stays.
  int told = 0;
  store->OnAside([&] { ++told; });
  ASSERT_FINE(store->SetAside(digests[3]));
  ASSERT_FINE(store->SetAside(digests[3]));
  EXPECT_EQ(told, 1);
  EXPECT_THAT(store->TakeAside(digests[3]), HasSubstr("is altered"));
  EXPECT_THAT(store->TakeAside(digests[3]), IsEmpty());
  EXPECT_THAT(*store->Missing(digests), ElementsAre(digests[3]));
  EXPECT_EQ(store->Stats().chunks, 4u);
  EXPECT_EQ(store->Stats().aside, 1u);
  ASSERT_FINE(PutOne(*store, chunk).status());
  EXPECT_EQ(*store->Get(digests[3]), chunk);
  store.reset();
  store = Open();
  EXPECT_EQ(*store->Get(digests[3]), chunk);
  EXPECT_EQ(store->Stats().aside, 1u);
  EXPECT_EQ(store->Stats().chunks, 5u);
}

TEST_F(BlobStoreTest, AChunkThatIsSoundByNowIsNotSetAside) {
  const std::vector<Digest> digests = Fill(0, 2);
  const std::string chunk = Noise(1, 200'000);
  auto store = Open();
  FlipInBlobFile(dir(), chunk, 100'000);
  ASSERT_EQ(store->Get(digests[1]).status().code(), Code::kCorrupt);
  std::string flipped = chunk;
  flipped[100'000] = static_cast<char>(flipped[100'000] ^ 1);
  FlipInBlobFile(dir(), flipped, 100'000);  // back again
  store->OnAside([] { ADD_FAILURE() << "nothing was set aside"; });
  ASSERT_FINE(store->SetAside(digests[1]));
  EXPECT_THAT(*store->Missing(digests), IsEmpty());
  EXPECT_EQ(store->Stats().aside, 0u);
  EXPECT_EQ(*store->Get(digests[1]), chunk);
}

// What is kept of a chunk that was set aside; the store is closed.
std::string EvidenceOf(const std::string& dir, const Digest& digest) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : {"default", "index", "chunks", "aside"}) {
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  EXPECT_TRUE(rocksdb::DB::Open(rocksdb::DBOptions(), dir, families, &handles, &db).ok());
  std::string evidence;
  EXPECT_TRUE(
      db->Get(rocksdb::ReadOptions(), handles[3], rocksdb::Slice(AsBytes(digest)), &evidence).ok());
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  delete db;
  return evidence;
}

TEST_F(BlobStoreTest, TheFirstEvidenceStays) {
  const Digest digest = Fill(0, 1).front();
  FlipInBlobFile(dir(), Noise(0, 200'000), 50'000);
  ASSERT_FINE(Open()->SetAside(digest));
  Open().reset();
  const std::vector<std::string> before = Files(".blob");  // the evidence's, too
  Fill(0, 1);
  for (const std::string& file : Files(".blob")) {
    if (std::find(before.begin(), before.end(), file) == before.end()) fs::remove(file);
  }
  ASSERT_FINE(Open()->SetAside(digest));
  EXPECT_THAT(EvidenceOf(dir(), digest), HasSubstr("altered"));
}

TEST_F(BlobStoreTest, LostEvidenceDoesNotKeepTheStoreFromOpening) {
  const Digest digest = Fill(0, 1).front();
  FlipInBlobFile(dir(), Noise(0, 200'000), 50'000);
  ASSERT_FINE(Open()->SetAside(digest));
  Open().reset();
  for (const std::string& file : Files(".blob")) fs::remove(file);
  ASSERT_NE(Open(), nullptr);
}

TEST_F(BlobStoreTest, AChunkThatComesWhileItIsReadIsNotTakenForDamaged) {
  auto store = Open();
  std::atomic<uint64_t> done{0};
  std::thread reader([&] {
    for (uint64_t i = 0; i < 300; ++i) {
      const Digest digest = Sha256({Noise(i, 100)});
      while (done <= i) EXPECT_NE(store->Get(digest).status().code(), Code::kCorrupt) << i;
    }
  });
  for (; done < 300; ++done) EXPECT_TRUE(PutOne(*store, Noise(done, 100)).ok());
  reader.join();
}

TEST_F(BlobStoreTest, ATruncatedOrMissingBlobFileIsToldOfAndRepaired) {
  for (const bool gone : {false, true}) {
    SCOPED_TRACE(gone);
    const std::vector<Digest> digests = Fill(gone ? 100 : 0, 4);
    const std::string file = Files(".blob").back();
    gone ? static_cast<void>(fs::remove(file)) : fs::resize_file(file, 500'000);
    auto store = Open();
    ASSERT_NE(store, nullptr);
    EXPECT_THAT(Warnings(), HasSubstr(gone ? "is missing" : "is cut short"));
    EXPECT_TRUE(store->doubtful());
    std::vector<Digest> bad;
    ASSERT_FINE(store->Verify([&](const Digest& digest, uint64_t, const Status& status) {
      EXPECT_TRUE(status.ok() || status.code() == Code::kCorrupt) << status.ToString();
      if (status.ok()) return true;
      EXPECT_THAT(status.message(), HasSubstr(gone ? "missing" : "truncated"));
      bad.push_back(digest);
      return true;
    }));
    EXPECT_EQ(bad.size(), 4u);  // RocksDB reads nothing of a blob file without its end
    for (const Digest& digest : bad) ASSERT_FINE(store->SetAside(digest));
    EXPECT_THAT(*store->Missing(digests), UnorderedElementsAreArray(bad));
    for (uint64_t i = 0; i < 4; ++i) {
      ASSERT_FINE(PutOne(*store, Noise(i + (gone ? 100 : 0), 200'000)).status());
    }
    for (const Digest& digest : digests) EXPECT_TRUE(store->Get(digest).ok());
    store.reset();
    EXPECT_THAT(*Open()->Missing(digests), IsEmpty());
  }
}

TEST_F(BlobStoreTest, AFlippedBitInASmallChunkDoesNotStopCompaction) {
  const std::string small = Noise(7, 300);
  ASSERT_FINE(PutOne(*Open(), small).status());
  Open().reset();  // moves what the write-ahead log holds into files
  ASSERT_EQ(Files(".blob").size(), 1u);
  FlipIn(Files(".blob").back(), small);
  for (uint64_t i = 0; i < 12; ++i) {  // every opening makes a table: enough for a compaction
    auto store = Open();
    ASSERT_NE(store, nullptr);
    // Tables that overlap: others would be moved to the next level as they are.
    for (uint64_t j = 0; j < 8; ++j) {
      ASSERT_FINE(PutOne(*store, Noise(100 + 8 * i + j, 300)).status());
    }
    EXPECT_EQ(store->Get(Sha256({small})).status().code(), Code::kCorrupt);
  }
  auto store = Open();
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Files(".sst").size() >= 12 && std::chrono::steady_clock::now() < patience) {
    EXPECT_EQ(store->Get(Sha256({small})).status().code(), Code::kCorrupt);
  }
  EXPECT_LT(Files(".sst").size(), 12u);
  ASSERT_FINE(store->SetAside(Sha256({small})));
  ASSERT_FINE(PutOne(*store, small).status());
  EXPECT_EQ(*store->Get(Sha256({small})), small);
}

TEST_F(BlobStoreTest, ADamagedWriteAheadLogIsRefused) {
  {
    auto store = Open();
    for (uint64_t i = 0; i < 3; ++i) ASSERT_FINE(PutOne(*store, Noise(i, 50'000)).status());
  }
  FlipIn(OnlyWal(dir()), Noise(1, 50'000).substr(0, 1000));
  const Status status = BlobStore::Open(Options(dir())).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
  EXPECT_THAT(status.hint(), HasSubstr("another node"));
}

TEST_F(BlobStoreTest, ADirectoryWithoutItsManifestIsRefused) {
  Fill(0, 3);
  fs::remove(dir() + "/CURRENT");
  const Status status = BlobStore::Open(Options(dir())).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
  EXPECT_FALSE(status.hint().empty());
}

TEST_F(BlobStoreTest, AMissingTableIsRefused) {
  Fill(0, 3);
  ASSERT_FALSE(Files(".sst").empty());
  fs::remove(Files(".sst").front());
  const Status status = BlobStore::Open(Options(dir())).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
  EXPECT_FALSE(status.hint().empty());
}

// ---- Crashes ----

TEST_F(BlobStoreTest, ATornLastPutIsDroppedWholly) {
  {
    auto store = Open();
    ASSERT_FINE(PutOne(*store, Noise(0, 50'000)).status());
    const std::string a = Noise(1, 50'000), b = Noise(2, 50'000);
    ASSERT_FINE(store->Put(std::vector<std::string_view>{a, b}).status());
  }
  const std::string name = fs::path(OnlyWal(dir())).filename();
  const std::string wal = ReadFile(dir() + "/" + name);
  for (size_t cut : {1u, 20'000u, 60'000u, 99'000u}) {
    TempDir copy;
    fs::copy(dir(), copy.path() + "/blobs");
    WriteFile(copy.path() + "/blobs/" + name, wal.substr(0, wal.size() - cut));
    auto store = BlobStore::Open(Options(copy.path() + "/blobs"));
    ASSERT_FINE(store.status());
    EXPECT_EQ((*store)->Stats().chunks, 1u) << cut;
    EXPECT_TRUE((*store)->Get(Sha256({Noise(0, 50'000)})).ok());
  }
}

std::vector<std::string> Round(uint64_t round) {
  std::mt19937_64 random(round);
  std::vector<std::string> chunks;
  for (uint64_t i = 0; i <= random() % 4; ++i) {
    chunks.push_back(Noise(round * 10 + i, 1 + random() % 300'000));
  }
  return chunks;
}

// Run by the test below in a process of its own; writes the number of each round that returned.
TEST(BlobCrashChild, DISABLED_PutsUntilKilled) {
  const char* dir = std::getenv("KEMBAR_CRASH_DIR");
  ASSERT_NE(dir, nullptr);
  BlobStoreOptions options;
  options.dir = dir;
  options.create_if_missing = true;
  options.write_buffer_bytes = 4 << 20;
  auto store = BlobStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  for (uint64_t round = 1;; ++round) {
    const auto chunks = Round(round);
    ASSERT_TRUE((*store)->Put(std::vector<std::string_view>(chunks.begin(), chunks.end())).ok());
    ASSERT_EQ(::write(3, &round, sizeof(round)), static_cast<ssize_t>(sizeof(round)));
  }
}

TEST_F(BlobStoreTest, AKilledProcessLosesNothingThatPutAnswered) {
  for (uint64_t rounds : {1u, 9u, 60u}) {
    TempDir temp;
    const uint64_t answered = RunCrashChild("BlobCrashChild.*", temp.path() + "/blobs", rounds);
    auto store = BlobStore::Open(Options(temp.path() + "/blobs"));
    ASSERT_FINE(store.status());
    for (uint64_t round = 1; round <= answered + 1; ++round) {
      size_t held = 0;
      const auto chunks = Round(round);
      for (const std::string& chunk : chunks) {
        auto got = (*store)->Get(Sha256({chunk}));
        if (got.ok()) {
          ++held;
          EXPECT_EQ(*got, chunk);
        }
      }
      EXPECT_TRUE(held == chunks.size() || (round > answered && held == 0)) << round;
    }
  }
}

TEST_F(BlobStoreTest, AFailedSyncClosesTheStore) {
  auto store = Open();
  ASSERT_FINE(PutOne(*store, "before").status());
  fail_syncs = true;
  const Status failed = PutOne(*store, "lost").status();
  fail_syncs = false;
  EXPECT_EQ(failed.code(), Code::kIo) << failed.ToString();
  EXPECT_EQ(PutOne(*store, "after").status().ToString(), failed.ToString());
  EXPECT_EQ(store->SetAside(Sha256({"before"})).ToString(), failed.ToString());
  EXPECT_EQ(store->failure().ToString(), failed.ToString());
  EXPECT_EQ(*store->Get(Sha256({"before"})), "before");
  store.reset();
  EXPECT_EQ(*Open()->Get(Sha256({"before"})), "before");
}

TEST_F(BlobStoreTest, ANearlyFullDiskIsRefusedBeforeWriting) {
  BlobStoreOptions options = Options(dir());
  options.reserve_bytes = uint64_t{1} << 62;
  auto store = BlobStore::Open(options);
  ASSERT_FINE(store.status());
  const Status status = PutOne(**store, "chunk").status();
  EXPECT_EQ(status.code(), Code::kFull) << status.ToString();
  EXPECT_TRUE((*store)->failure().ok());
  EXPECT_EQ((*store)->Stats().chunks, 0u);
}

}  // namespace
}  // namespace kembar
