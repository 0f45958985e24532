// rocks_engine.h — the RocksDB database under RocksStore: opened, tuned, its errors put into our
// words.
//
// Owned by RocksStore; the only place that chooses RocksDB options. Everything here may be called
// from any thread. rocksdb_assumption_test.cc holds what this file believes of RocksDB.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/wal_filter.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "node/store/rocks_store.h"
#include "replicator/base/status.h"

namespace kembar {

enum class Family : uint8_t { kMeta, kLog, kTree, kPositions, kItems, kQuarantine };
inline constexpr size_t kFamilyCount = 6;

// Refuses a write-ahead log in which a batch is missing. RocksDB itself replays what follows a
// zeroed stretch or a lost file as if nothing had been there; each batch carries the sequence
// number that its predecessor leaves, so a hole shows.
class WalContinuity : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& file,
                                     const rocksdb::WriteBatch& batch,
                                     rocksdb::WriteBatch* new_batch, bool* batch_changed) override;
  const char* Name() const override { return "kembar.WalContinuity"; }
  // What was found missing; empty if nothing.
  const std::string& hole() const { return hole_; }

 private:
  uint64_t next_sequence_ = 0;
  std::string hole_;
};

class BackgroundErrors;
class View;

class RocksEngine {
 public:
  static Result<std::unique_ptr<RocksEngine>> Open(const RocksOptions& options);
  ~RocksEngine();
  RocksEngine(const RocksEngine&) = delete;
  RocksEngine& operator=(const RocksEngine&) = delete;

  rocksdb::DB* db() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(Family f) const { return families_[static_cast<size_t>(f)]; }
  const std::string& dir() const { return dir_; }
  const std::string& node_uuid() const { return node_uuid_; }
  int64_t born_us() const { return born_us_; }
  std::string BackgroundError() const;

  // Our Status for RocksDB's, saying what was being done.
  static Status Map(const rocksdb::Status& status, std::string_view doing);

 private:
  explicit RocksEngine(std::string dir) : dir_(std::move(dir)) {}
  Status OpenDatabase(const RocksOptions& options);
  rocksdb::Status TryOpen(const RocksOptions& options, rocksdb::WALRecoveryMode mode);
  Status CheckIdentity(const RocksOptions& options, bool is_new);
  Status CheckFormat(const std::string& format) const;
  Status CheckName(const View& view, const RocksOptions& options);

  const std::string dir_;
  std::unique_ptr<WalContinuity> continuity_;  // outlives db_
  std::shared_ptr<BackgroundErrors> background_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> all_handles_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> families_{};
  std::string node_uuid_;
  int64_t born_us_ = 0;
};

// One moment of the database: everything read through a View is of that moment.
class View {
 public:
  explicit View(const RocksEngine& engine);
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  // Null when there is no such key.
  Result<std::optional<std::string>> Get(Family family, const std::string& key) const;
  const RocksEngine& engine() const { return engine_; }
  rocksdb::ReadOptions read_options() const;

 private:
  const RocksEngine& engine_;
  const rocksdb::Snapshot* const snapshot_;
};

// Walks the keys of one family that begin with a prefix, in order.
//
//   for (PrefixScan scan(view, Family::kLog, prefix); scan.Valid(); scan.Next()) …
//   RETURN_IF_ERROR(scan.status());
class PrefixScan {
 public:
  PrefixScan(const View& view, Family family, std::string prefix);

  void SeekToFirst() { Seek(prefix_); }
  void SeekToLast() { iterator_->SeekToLast(); }
  void Seek(const std::string& key) { iterator_->Seek(key); }
  void SeekForPrev(const std::string& key) { iterator_->SeekForPrev(key); }
  void Next() { iterator_->Next(); }
  void Prev() { iterator_->Prev(); }
  bool Valid() const { return iterator_->Valid(); }
  std::string_view key() const { return iterator_->key().ToStringView(); }
  std::string_view value() const { return iterator_->value().ToStringView(); }
  Status status() const;

 private:
  const std::string prefix_;
  const std::string end_;
  rocksdb::Slice lower_;
  rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace kembar
