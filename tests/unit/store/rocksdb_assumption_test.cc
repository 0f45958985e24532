// rocksdb_assumption_test.cc — what node/store believes of RocksDB, RocksDB alone. A new version of
// RocksDB that behaves otherwise fails here, and names the belief that no longer holds.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/wal_filter.h>
#include <rocksdb/write_batch.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replicator/base/bytes.h"
#include "tests/unit/store/rocks_test_util.h"

namespace kembar {
namespace {

using rocksdb::WALRecoveryMode;

constexpr size_t kBlock = 32768;  // of the log
constexpr size_t kRestOfBlock = SIZE_MAX;
using ::testing::HasSubstr;

// A database of two column families, opened and closed at will.
class Database {
 public:
  explicit Database(std::string dir) : dir_(std::move(dir)) {
    options_.create_if_missing = true;
    options_.create_missing_column_families = true;
    options_.wal_recovery_mode = WALRecoveryMode::kTolerateCorruptedTailRecords;
  }
  ~Database() { Close(); }

  rocksdb::Status Open() {
    rocksdb::DB* db = nullptr;
    rocksdb::Status s =
        rocksdb::DB::Open(options_, dir_, {{"default", {}}, {"second", {}}}, &handles_, &db);
    if (s.ok()) db_.reset(db);
    return s;
  }
  void Close() {
    if (db_ == nullptr) return;
    for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    handles_.clear();
    db_.reset();
  }
  rocksdb::DB* operator->() { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(size_t i) { return handles_[i]; }
  rocksdb::DBOptions& options() { return options_; }
  bool Has(size_t f, const std::string& key) {
    std::string value;
    return db_->Get({}, family(f), key, &value).ok();
  }
  // One synced batch over both families, its values `bytes` long.
  void Write(const std::string& key, size_t bytes = 100) {
    rocksdb::WriteBatch batch;
    batch.Put(family(0), key, std::string(bytes, 'v'));
    batch.Put(family(1), key, std::string(bytes, 'w'));
    rocksdb::WriteOptions sync;
    sync.sync = true;
    ASSERT_TRUE(db_->Write(sync, &batch).ok());
  }

 private:
  const std::string dir_;
  rocksdb::DBOptions options_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

// A closed database whose log holds the writes "a", "b" and "c"; damage is done to copies of it.
class WalRecovery : public testing::Test {
 protected:
  void Fill(std::vector<size_t> bytes) {
    Database db(original_.path() + "/db");
    ASSERT_TRUE(db.Open().ok());
    db.Write("first");  // the file is made with the first write
    const std::string file = OnlyWal(original_.path() + "/db");
    for (size_t i = 0; i < bytes.size(); ++i) {
      start_.push_back(std::filesystem::file_size(file));
      // Headers and keys of such a batch take 30 bytes.
      if (bytes[i] == kRestOfBlock) bytes[i] = (kBlock - start_.back() - 30) / 2;
      db.Write(std::string(1, static_cast<char>('a' + i)), bytes[i]);
    }
    db.Close();
    wal_ = ReadFile(file);
    wal_name_ = std::filesystem::path(file).filename();
  }
  // What is found when the log holds `wal` instead: the keys, or the failure.
  std::string Recover(const std::string& wal, WALRecoveryMode mode) {
    TempDir copy;
    const std::string dir = copy.path() + "/db";
    std::filesystem::copy(original_.path() + "/db", dir);
    WriteFile(dir + "/" + wal_name_, wal);
    Database db(dir);
    db.options().wal_recovery_mode = mode;
    const rocksdb::Status s = db.Open();
    if (!s.ok()) return s.IsCorruption() ? "corrupt" : s.ToString();
    std::string found;
    for (const char* key : {"a", "b", "c"}) {
      if (db.Has(0, key) != db.Has(1, key)) return "half a batch";
      if (db.Has(0, key)) found += key;
    }
    return found;
  }
  std::string Tolerate(const std::string& wal) {
    return Recover(wal, WALRecoveryMode::kTolerateCorruptedTailRecords);
  }
  std::string PointInTime(const std::string& wal) {
    return Recover(wal, WALRecoveryMode::kPointInTimeRecovery);
  }

  TempDir original_;
  std::string wal_;
  std::string wal_name_;
  std::vector<size_t> start_;  // where each write begins in the log
};

TEST_F(WalRecovery, ABatchOverFamiliesIsThereWhollyOrNotAtAll) {
  Fill({100, 100, 100});
  EXPECT_EQ(Tolerate(wal_), "abc");
  for (size_t size = start_[2]; size < wal_.size(); size += 23) {
    EXPECT_EQ(Tolerate(wal_.substr(0, size)), "ab") << size;
    EXPECT_EQ(PointInTime(wal_.substr(0, size)), "ab") << size;
  }
}

TEST_F(WalRecovery, TolerateRefusesDamageInTheMiddle) {
  Fill({100, 40000, 100});
  std::string damaged = wal_;
  damaged[start_[1] + 500] ^= 1;
  EXPECT_EQ(Tolerate(damaged), "corrupt");
  // Why point-in-time is not used for this: what follows the damage is dropped without a word.
  EXPECT_EQ(PointInTime(damaged), "a");
}

TEST_F(WalRecovery, TolerateRefusesATornWriteWhosePagesCameOutOfOrder) {
  Fill({100, 100, 40000});
  std::string torn = wal_;
  torn.replace((start_[2] / 4096 + 1) * 4096, 4096, 4096, '\0');
  // Why wal_check.h tells such a write apart, and opens with the other mode.
  EXPECT_EQ(Tolerate(torn), "corrupt");
  EXPECT_EQ(PointInTime(torn), "ab");
}

TEST_F(WalRecovery, TolerateTakesAWrongLengthInTheLastBlockForTheEnd) {
  Fill({100, 100, 100});
  std::string damaged = wal_;
  damaged[start_[1] + 5] ^= 0x40;  // the high byte of the length
  // Why wal_check.h looks at logs that RocksDB would accept: "b" and "c" were acknowledged.
  EXPECT_EQ(Tolerate(damaged), "a");
}

TEST_F(WalRecovery, TolerateStepsOverAZeroedStretch) {
  Fill({100, kRestOfBlock, 100});
  std::string damaged = wal_;
  damaged.replace(start_[1], kBlock - start_[1], kBlock - start_[1], '\0');
  // Why logs are checked beforehand, and WalContinuity counts: "b" was acknowledged.
  EXPECT_EQ(Tolerate(damaged), "ac");
}

// What WalContinuity stands on.
class SequenceFilter : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long, const std::string&,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch*,
                                     bool*) override {
    const uint64_t sequence = ByteReader(batch.Data()).U64();
    contiguous = contiguous && (next == 0 || sequence == next);
    next = sequence + batch.Count();
    ++batches;
    return refuse && batches == 2 ? WalProcessingOption::kCorruptedRecord
                                  : WalProcessingOption::kContinueProcessing;
  }
  const char* Name() const override { return "SequenceFilter"; }
  bool refuse = false;
  bool contiguous = true;
  uint64_t next = 0;
  int batches = 0;
};

TEST(RocksDbAssumption, BatchesInTheLogCarryContiguousSequenceNumbers) {
  TempDir dir;
  SequenceFilter filter;
  Database db(dir.path());
  db.options().wal_filter = &filter;
  ASSERT_TRUE(db.Open().ok());
  db.Write("a");
  rocksdb::WriteBatch batch;
  batch.DeleteRange(db.family(0), "a", "b");
  batch.PutLogData("not counted");
  batch.Delete(db.family(1), "a");
  ASSERT_TRUE(db->Write({}, &batch).ok());
  rocksdb::FlushOptions flush;
  ASSERT_TRUE(db->Flush(flush, db.family(0)).ok());  // a new file; the old one is still needed
  db.Write("b");
  db.Close();
  ASSERT_TRUE(db.Open().ok());
  EXPECT_EQ(filter.batches, 3);
  EXPECT_TRUE(filter.contiguous);
}

TEST(RocksDbAssumption, AFilterCanRefuseTheLog) {
  TempDir dir;
  SequenceFilter filter;
  filter.refuse = true;
  Database db(dir.path());
  db.options().wal_filter = &filter;
  for (auto mode : {WALRecoveryMode::kTolerateCorruptedTailRecords}) {
    db.options().wal_recovery_mode = mode;
    ASSERT_TRUE(db.Open().ok());
    for (const char* key : {"a", "b", "c"}) db.Write(key);
    db.Close();
    EXPECT_TRUE(db.Open().IsCorruption());
  }
}

TEST(RocksDbAssumption, DeleteRangeComesBeforeALaterPutOfTheSameBatch) {
  TempDir dir;
  Database db(dir.path());
  ASSERT_TRUE(db.Open().ok());
  for (const char* key : {"a", "b", "c", "d"}) db.Write(key);
  rocksdb::WriteBatch batch;
  batch.DeleteRange(db.family(0), "b", "d");
  batch.Put(db.family(0), "b", "again");
  ASSERT_TRUE(db->Write({}, &batch).ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(db.Has(0, "a"));
    EXPECT_TRUE(db.Has(0, "b"));
    EXPECT_FALSE(db.Has(0, "c"));
    EXPECT_TRUE(db.Has(0, "d"));
    EXPECT_TRUE(db.Has(1, "c"));
    db.Close();
    ASSERT_TRUE(db.Open().ok());
  }
}

TEST(RocksDbAssumption, SeeksStayWithinTheBounds) {
  TempDir dir;
  Database db(dir.path());
  ASSERT_TRUE(db.Open().ok());
  for (const char* key : {"a", "b1", "b2", "c"}) db.Write(key);
  rocksdb::ReadOptions options;
  const rocksdb::Slice lower("b");
  const rocksdb::Slice upper("c");
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options));
  it->SeekToLast();
  ASSERT_TRUE(it->Valid());
  EXPECT_EQ(it->key().ToString(), "b2");
  it->SeekForPrev("zzz");
  ASSERT_TRUE(it->Valid());
  EXPECT_EQ(it->key().ToString(), "b2");
  it->SeekForPrev("a");
  EXPECT_FALSE(it->Valid());
  it->Seek("a");
  ASSERT_TRUE(it->Valid());
  EXPECT_EQ(it->key().ToString(), "b1");
  it->Seek("c");
  EXPECT_FALSE(it->Valid());
  EXPECT_TRUE(it->status().ok());
}

TEST(RocksDbAssumption, ASnapshotIsOneMomentOfAllFamilies) {
  TempDir dir;
  Database db(dir.path());
  ASSERT_TRUE(db.Open().ok());
  db.Write("a");
  rocksdb::ReadOptions then;
  then.snapshot = db->GetSnapshot();
  db.Write("b");
  rocksdb::WriteBatch batch;
  batch.DeleteRange(db.family(0), "a", "b");
  ASSERT_TRUE(db->Write({}, &batch).ok());
  std::string value;
  EXPECT_TRUE(db->Get(then, db.family(0), "a", &value).ok());
  EXPECT_TRUE(db->Get(then, db.family(1), "b", &value).IsNotFound());
  db->ReleaseSnapshot(then.snapshot);
}

TEST(RocksDbAssumption, ASecondOpenIsRefusedInThisProcessAndInAnother) {
  TempDir dir;
  Database first(dir.path());
  ASSERT_TRUE(first.Open().ok());
  Database second(dir.path());
  const rocksdb::Status s = second.Open();
  EXPECT_TRUE(s.IsIOError()) << s.ToString();
  EXPECT_THAT(s.ToString(), HasSubstr("lock"));
  // The other process only tries the lock: RocksDB's threads do not survive a fork.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    const int fd = ::open((dir.path() + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
    ::_exit(fd >= 0 && ::fcntl(fd, F_SETLK, &lock) == -1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "another process could take the lock";
}

TEST(RocksDbAssumption, WithoutCurrentADatabaseStartsAfreshBesideItsData) {
  TempDir dir;
  Database db(dir.path());
  ASSERT_TRUE(db.Open().ok());
  db.Write("a");
  for (size_t f : {0u, 1u}) ASSERT_TRUE(db->Flush({}, db.family(f)).ok());
  db.Close();
  std::filesystem::remove(dir.path() + "/CURRENT");
  for (const std::string& file : WalFiles(dir.path(), /*empty_too=*/true)) {
    std::filesystem::remove(file);
  }
  // Why the engine looks for data first.
  const rocksdb::Status s = db.Open();
  ASSERT_TRUE(s.ok()) << s.ToString();
  EXPECT_FALSE(db.Has(0, "a"));
}

TEST(RocksDbAssumption, ALostLogFileIsNoticedWhenLogsAreTracked) {
  for (const bool track : {false, true}) {
    TempDir dir;
    Database db(dir.path());
    db.options().track_and_verify_wals_in_manifest = track;
    ASSERT_TRUE(db.Open().ok());
    db.Write("a");
    rocksdb::FlushOptions flush;
    ASSERT_TRUE(db->Flush(flush, db.family(0)).ok());
    db.Write("b");  // in a second file; the first still holds "a" of the second family
    db.Close();
    const std::vector<std::string> files = WalFiles(dir.path());
    ASSERT_EQ(files.size(), 2u);
    std::filesystem::remove(files[0]);
    EXPECT_EQ(db.Open().ok(), !track);
  }
}

}  // namespace
}  // namespace kembar
