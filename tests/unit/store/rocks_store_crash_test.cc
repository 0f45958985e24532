// rocks_store_crash_test.cc — RocksStore after crashes, full disks and damaged files: what was
// acknowledged is there, what cannot be trusted is refused.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "node/store/rocks_store.h"
#include "node/store/wal_check.h"
#include "tests/unit/store/crash_child.h"
#include "tests/unit/store/rocks_test_util.h"
#include "tests/unit/store/store_test_log.h"

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

using ::testing::HasSubstr;

RocksOptions CrashOptions(const std::string& dir) {
  return {.dir = dir,
          .create_if_missing = true,
          .block_cache_bytes = 1 << 20,
          .write_buffer_bytes = 4 << 20,
          .quarantine_chunk_bytes = 2000};
}

std::vector<std::string> Frames(const Store& store, const std::string& log) {
  auto batch = store.Read(log, 1, UINT64_MAX, SIZE_MAX);
  if (batch.status().code() == Code::kNotFound) return {};
  EXPECT_TRUE(batch.ok()) << batch.status().ToString();
  return batch.ok() ? batch->frames : std::vector<std::string>();
}

// ---- A damaged write-ahead log ----

// A closed store whose log file holds writes of the given payload sizes, one record each.
class DamagedWal : public testing::Test {
 protected:
  void Fill(const std::vector<size_t>& payloads) {
    auto store = RocksStore::Open(CrashOptions(original()));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const std::string file = OnlyWal(original());
    // Unlike zeros, as text is.
    for (size_t payload : payloads) {
      start_.push_back(std::filesystem::file_size(file));
      ASSERT_OK(WriteOne(**store, log_.Append({Put("a", "b", std::string(payload, 'x'))})));
    }
    store->reset();
    wal_ = ReadFile(file);
    name_ = std::filesystem::path(file).filename();
  }
  std::string original() const { return dir_.path() + "/original"; }

  // How many records a store finds whose log file holds `wal`; it must also be able to go on.
  size_t Recovered(const std::string& wal) {
    TempDir copy;
    auto store = OpenCopy(copy, wal);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    if (!store.ok()) return SIZE_MAX;
    const size_t count = Frames(**store, "tebo").size();
    EXPECT_EQ((*store)->Recover("tebo")->last_index, count);
    TestLog log("tebo");
    for (size_t i = 0; i < count; ++i) log.Append({*DecodeRecord(log_.frames()[i])});
    EXPECT_TRUE(WriteOne(**store, log.Append(Puts(2))).ok());
    store->reset();
    store = RocksStore::Open(CrashOptions(copy.path() + "/db"));
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    if (store.ok()) {
      EXPECT_EQ(Frames(**store, "tebo"), log.frames());
    }
    return count;
  }
  void ExpectRefused(const std::string& wal) {
    TempDir copy;
    for (int attempt = 0; attempt < 2; ++attempt) {  // and again, and again
      const Status status = OpenCopy(copy, wal).status();
      EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
      EXPECT_THAT(status.message(), HasSubstr(name_));
      EXPECT_THAT(status.hint(), HasSubstr("--rebuild"));
    }
  }
  Result<std::unique_ptr<RocksStore>> OpenCopy(const TempDir& copy, const std::string& wal) {
    const std::string dir = copy.path() + "/db";
    if (!std::filesystem::exists(dir)) std::filesystem::copy(original(), dir);
    WriteFile(dir + "/" + name_, wal);
    return RocksStore::Open(CrashOptions(dir));
  }
  static std::string Zeroed(std::string wal, size_t from, size_t size) {
    wal.replace(from, size, std::string(std::min(size, wal.size() - from), '\0'));
    return wal;
  }

  TempDir dir_;
  TestLog log_{"tebo"};
  std::string wal_;
  std::string name_;
  std::vector<size_t> start_;
};

TEST_F(DamagedWal, ATornLastWriteIsDropped) {
  Fill({100, 100, 100});
  EXPECT_EQ(Recovered(wal_), 3u);
  for (size_t size = start_[2]; size < wal_.size(); size += 19) {
    EXPECT_EQ(Recovered(wal_.substr(0, size)), 2u) << size;
  }
}

TEST_F(DamagedWal, ALastWriteWithMissingPagesIsDropped) {
  Fill({100, 100, 100'000});
  const size_t page = start_[2] / 4096 + 1;
  for (size_t missing : {page, page + 5, wal_.size() / 4096 - 1, wal_.size() / 4096}) {
    EXPECT_EQ(Recovered(Zeroed(wal_, missing * 4096, 4096)), 2u) << missing;
  }
  EXPECT_EQ(Recovered(Zeroed(wal_, start_[2], 4096 - start_[2] % 4096)), 2u) << "its first page";
}

TEST_F(DamagedWal, SpaceSetAsideBehindTheLastWriteIsNoDamage) {
  Fill({100, 100});
  EXPECT_EQ(Recovered(wal_ + std::string(100'000, '\0')), 2u);
}

TEST_F(DamagedWal, AFlippedBitIsRefusedWhereverItIs) {
  Fill({3000, 40'000, 3000});
  for (size_t at = start_[0]; at < wal_.size(); at += 1771) {
    std::string damaged = wal_;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    ExpectRefused(damaged);
  }
}

TEST_F(DamagedWal, AFlippedBitInAHeaderIsRefused) {
  Fill({100, 100, 100});
  for (size_t at = start_[1]; at < start_[1] + 7; ++at) {
    std::string damaged = wal_;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    ExpectRefused(damaged);
  }
}

TEST_F(DamagedWal, MissingPagesBeforeTheLastWriteAreRefused) {
  Fill({100, 100, 100'000, 100, 100});
  ExpectRefused(Zeroed(wal_, 512 * (start_[2] / 512 + 1), 4096));
  ExpectRefused(Zeroed(wal_, start_[1], 32768 - start_[1]));
  ExpectRefused(Zeroed(wal_, 32768, 32768));
  ExpectRefused(wal_.substr(0, start_[1]) + wal_.substr(start_[2]));
}

TEST_F(DamagedWal, AMissingFileIsRefused) {
  RocksOptions options = CrashOptions(original());
  auto store = RocksStore::Open(options);
  ASSERT_TRUE(store.ok());
  // Until there are several files that are all still needed.
  for (int i = 0; i < 400 && WalFiles(original()).size() < 3; ++i) {
    ASSERT_OK(WriteOne(**store, log_.Append({Put("a", "b", std::string(60'000, 'x'))})));
  }
  store->reset();
  const std::vector<std::string> files = WalFiles(original());
  ASSERT_GE(files.size(), 2u);
  for (size_t i = 0; i + 1 < files.size(); ++i) {
    TempDir copy;
    std::filesystem::copy(original(), copy.path() + "/db");
    std::filesystem::remove(copy.path() + "/db/" +
                            std::filesystem::path(files[i]).filename().string());
    EXPECT_EQ(RocksStore::Open(CrashOptions(copy.path() + "/db")).status().code(), Code::kCorrupt)
        << i;
  }
}

// ---- A process that is killed ----

// What a log must hold after round `round` of the child below, and how to get there.
LogWrite Round(uint64_t round, TestLog* log) {
  std::mt19937_64 random(round);
  const std::string mark = std::to_string(round);
  const auto records = Puts(1 + random() % 20, mark + std::string(random() % 2000, 'k'));
  if (log->last() > 0 && random() % 6 == 0) return log->Replace(random() % log->last(), records);
  return log->Append(records);
}

// Run by the test below in a process of its own; writes the number of each round that returned.
TEST(CrashChild, DISABLED_WritesUntilKilled) {
  const char* dir = std::getenv("KEMBAR_CRASH_DIR");
  ASSERT_NE(dir, nullptr);
  auto store = RocksStore::Open(CrashOptions(dir));
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  TestLog a("a");
  TestLog b("b");
  for (uint64_t round = 1;; ++round) {
    std::vector<LogWrite> writes = {Round(round, &a), Round(round + 1000, &b)};
    writes[0].hard = Promise(round, "x");
    ASSERT_OK((*store)->Write(writes));
    ASSERT_EQ(::write(3, &round, sizeof(round)), static_cast<ssize_t>(sizeof(round)));
  }
}

TEST(RocksStoreCrashTest, AKilledProcessLosesNothingAcknowledged) {
  for (uint64_t rounds : {1u, 7u, 40u, 111u, 300u}) {
    TempDir dir;
    const uint64_t acknowledged = RunCrashChild("CrashChild.*", dir.path() + "/db", rounds);
    auto store = RocksStore::Open(CrashOptions(dir.path() + "/db"));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    // Each round writes its number, so we know whether the one under way came to be.
    const uint64_t reached = (*store)->Recover("a")->hard.promised_epoch;
    EXPECT_GE(reached, acknowledged);
    EXPECT_LE(reached, acknowledged + 1);
    TestLog a("a");
    TestLog b("b");
    for (uint64_t round = 1; round <= reached; ++round) {
      Round(round, &a);
      Round(round + 1000, &b);
    }
    EXPECT_EQ(Frames(**store, "a"), a.frames());
    EXPECT_EQ(Frames(**store, "b"), b.frames());
    EXPECT_EQ((*store)->Recover("b")->frontier.Root(), b.Root(b.last()));
  }
}

// ---- Syncs ----

TEST(RocksStoreCrashTest, EveryWriteIsSyncedBeforeItReturns) {
  TempDir dir;
  auto store = RocksStore::Open(CrashOptions(dir.path() + "/db"));
  ASSERT_TRUE(store.ok());
  TestLog log("tebo");
  for (int i = 0; i < 5; ++i) {
    const int before = syncs;
    ASSERT_OK(WriteOne(**store, i % 2 == 0 ? log.Append(Puts(2)) : HardWrite("tebo", {})));
    EXPECT_EQ(syncs, before + 1);
  }
}

TEST(RocksStoreCrashTest, AFailedSyncClosesTheStore) {
  TempDir dir;
  TestLog log("tebo");
  std::vector<std::string> acknowledged;
  {
    auto store = RocksStore::Open(CrashOptions(dir.path() + "/db"));
    ASSERT_TRUE(store.ok());
    ASSERT_OK(WriteOne(**store, log.Append(Puts(3))));
    acknowledged = log.frames();
    fail_syncs = true;
    const Status failed = WriteOne(**store, log.Append(Puts(1)));
    fail_syncs = false;
    EXPECT_EQ(failed.code(), Code::kIo) << failed.ToString();
    // The disk works again, but nobody knows what the failed sync left behind.
    EXPECT_EQ(WriteOne(**store, HardWrite("other", {})).ToString(), failed.ToString());
    EXPECT_EQ(Frames(**store, "tebo"), acknowledged);
  }
  auto store = RocksStore::Open(CrashOptions(dir.path() + "/db"));
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const auto frames = Frames(**store, "tebo");
  EXPECT_TRUE(frames == acknowledged || frames == log.frames()) << frames.size();
  EXPECT_THAT(*(*store)->Logs(), ::testing::ElementsAre("tebo"));
}

// ---- A full disk ----

// A small file system of its own, if we may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    mounted_ = ::mount("kembar_test", path().c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  const std::string& path() const { return dir_.path(); }
  void Grow(const std::string& size) {
    EXPECT_EQ(::mount("", path().c_str(), "", MS_REMOUNT, ("size=" + size).c_str()), 0);
  }

 private:
  TempDir dir_;
  bool mounted_;
};

std::string Noise(uint64_t seed, size_t bytes) {
  std::mt19937_64 random(seed);
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

// Writes until the disk is full; returns the frames of the Writes that returned OK.
std::vector<std::string> FillUp(const std::string& dir, TestLog* log) {
  auto store = RocksStore::Open(CrashOptions(dir));
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  if (!store.ok()) return {};
  std::vector<std::string> acknowledged;
  const uint64_t free_at_first = *(*store)->FreeBytes();
  Status status;
  for (uint64_t i = 0; i < 5000 && status.ok(); ++i) {
    status = WriteOne(**store, log->Append({Put("a", std::to_string(i), Noise(i, 30'000))}));
    if (status.ok()) acknowledged = log->frames();
  }
  EXPECT_EQ(status.code(), Code::kFull) << status.ToString();
  EXPECT_LT(*(*store)->FreeBytes(), free_at_first);
  EXPECT_EQ(WriteOne(**store, HardWrite("tebo", {})).ToString(), status.ToString());
  EXPECT_EQ(Frames(**store, "tebo"), acknowledged) << "a closed store can still be read";
  return acknowledged;
}

TEST(RocksStoreCrashTest, AFullDiskClosesTheStoreAndLosesNothingAcknowledged) {
  for (const char* size : {"8m", "11m", "14m"}) {
    SCOPED_TRACE(size);
    SmallDisk disk(size);
    if (!disk.mounted()) {
      GTEST_SKIP() << "needs the right to mount a small tmpfs: " << std::strerror(errno);
    }
    const std::string dir = disk.path() + "/db";
    TestLog log("tebo");
    const std::vector<std::string> acknowledged = FillUp(dir, &log);
    EXPECT_GT(acknowledged.size(), 50u);
    // Still full: it opens, or says why it cannot.
    const Status full = RocksStore::Open(CrashOptions(dir)).status();
    EXPECT_TRUE(full.ok() || full.code() == Code::kFull) << full.ToString();
    disk.Grow("64m");
    auto store = RocksStore::Open(CrashOptions(dir));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const auto frames = Frames(**store, "tebo");
    // The Write that failed is there wholly or not at all.
    EXPECT_TRUE(frames == acknowledged || frames == log.frames()) << frames.size();
    EXPECT_EQ((*store)->Recover("tebo")->last_index, frames.size());
    EXPECT_TRUE(WriteOne(**store, HardWrite("tebo", {})).ok());
  }
}

}  // namespace
}  // namespace kembar
