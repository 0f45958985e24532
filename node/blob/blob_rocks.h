// blob_rocks.h — the RocksDB database under BlobStore: opened, tuned, its errors put into our
// words.
//
// Owned by BlobStore; the only place of node/blob that chooses RocksDB options. Families: `index`
// (digest → size), `chunks` (digest → content, in blob files), `aside` (digest → evidence), and
// RocksDB's own default family for the format number.
//
// Thread-safety: after Open every method from any thread.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/blob/blob_store.h"
#include "node/store/rocks_engine.h"

namespace kembar::blob_rocks {

enum class BlobFamily : uint8_t { kDefault, kIndex, kChunks, kAside };
inline constexpr size_t kFamilies = 4;

inline constexpr char kDamagedHint[] =
    "if another node holds these documents, move this directory away and start: the chunks are "
    "fetched again; if this is the only copy, keep it and restore it from a backup";

Status Map(const rocksdb::Status& status, std::string_view doing);
// Whether a failed read tells of damaged or missing files rather than of a failing disk.
bool IsDamage(const rocksdb::Status& status);
// "missing: …", "truncated: …" or "altered: …", for such a status.
std::string DamageText(const rocksdb::Status& status);

class Database {
 public:
  Database() = default;
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Status Open(const BlobStoreOptions& options);

  rocksdb::ColumnFamilyHandle* family(BlobFamily f) const {
    return handles_[static_cast<size_t>(f)];
  }
  const std::string& dir() const { return dir_; }
  // As of `moment`; null: now.
  rocksdb::Status Get(BlobFamily f, const rocksdb::Slice& key, std::string* value,
                      rocksdb::ManagedSnapshot* moment = nullptr) const;
  rocksdb::ManagedSnapshot Moment() const { return rocksdb::ManagedSnapshot(db_.get()); }
  void MultiGet(BlobFamily f, const std::vector<rocksdb::Slice>& keys,
                std::vector<rocksdb::PinnableSlice>* values,
                std::vector<rocksdb::Status>* statuses) const;
  rocksdb::Iterator* Scan(BlobFamily f) const;
  Status Write(rocksdb::WriteBatch* batch);  // synced
  Result<uint64_t> FreeBytes() const;
  // Whether blob files were gone or too short when it was opened.
  bool lost_files() const { return lost_files_; }

 private:
  rocksdb::Status TryOpen(const BlobStoreOptions& options, rocksdb::WALRecoveryMode mode);
  Status CheckFormat(bool is_new);
  void CheckBlobFiles(const BlobStoreOptions& options);

  std::string dir_;
  std::unique_ptr<WalContinuity> continuity_;  // outlives db_
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  bool lost_files_ = false;
};

}  // namespace kembar::blob_rocks
