// blob_rocks.cc — see blob_rocks.h.
#include "node/blob/blob_rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <charconv>
#include <filesystem>
#include <system_error>

#include "node/store/rocks_open.h"
#include "node/store/wal_check.h"

namespace kembar::blob_rocks {
namespace {

constexpr uint64_t kFormatMax = 1;
constexpr char kFormatKey[] = "format";
constexpr std::array<const char*, kFamilies> kNames = {"default", "index", "chunks", "aside"};

rocksdb::DBOptions DatabaseOptions(const BlobStoreOptions& options) {
  rocksdb::DBOptions db = CommonDatabaseOptions(options.write_buffer_bytes, options.warn);
  db.create_if_missing = options.create_if_missing;
  db.max_open_files = 512;
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const BlobStoreOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           BlobFamily f) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = options.write_buffer_bytes / 2;
  family.level_compaction_dynamic_level_bytes = true;
  // Digests do not compress, and documents mostly are compressed already.
  family.compression = rocksdb::kNoCompression;
  if (f == BlobFamily::kChunks || f == BlobFamily::kAside) {
    family.enable_blob_files = true;
    // Small contents too: a flipped bit in a blob file concerns one chunk, but in a table it would
    // stop the next compaction, and with it the node.
    family.min_blob_size = 0;
    family.blob_file_size = uint64_t{128} << 20;
    family.enable_blob_garbage_collection = false;  // never rewrites what nobody changes
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

}  // namespace

Status Map(const rocksdb::Status& status, std::string_view doing) {
  Status mapped = RocksEngine::Map(status, doing);
  if (mapped.code() != Code::kCorrupt) return mapped;
  return {mapped.code(), mapped.message(), kDamagedHint};  // the log beside it may be whole
}

namespace {

bool IsFileGone(const rocksdb::Status& status) {
  return status.IsPathNotFound() ||
         (status.IsIOError() && status.ToString().find("No such file") != std::string::npos);
}

}  // namespace

bool IsDamage(const rocksdb::Status& status) { return status.IsCorruption() || IsFileGone(status); }

// RocksDB tells kinds of corruption apart in its texts only.
std::string DamageText(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (IsFileGone(status) || status.IsNotFound()) return "missing: " + text;
  for (const char* word : {"checksum", "CRC"}) {
    if (text.find(word) != std::string::npos) return "altered: " + text;
  }
  // The footer is looked for where the file ends.
  for (const char* word : {"alformed", "runcated", "size", "beyond", "short", "footer"}) {
    if (text.find(word) != std::string::npos) return "truncated: " + text;
  }
  return "altered: " + text;
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  // Every write was synced, so nothing is lost if closing fails.
  db_->Close().PermitUncheckedError();
}

Status Database::Open(const BlobStoreOptions& options) {
  dir_ = options.dir;
  ASSIGN_OR_RETURN(const bool exists, HoldsDatabase(dir_, kDamagedHint));
  if (!exists) {
    if (!options.create_if_missing) {
      return Status(Code::kNotFound, "directory " + dir_ + " holds no store of chunks");
    }
    RETURN_IF_ERROR(CreateDirectoryDurably(dir_));
  }
  RETURN_IF_ERROR(CheckDirectoryFree(dir_));
  Result<WalState> wal = CheckWals(dir_);
  if (!wal.ok()) return {wal.status().code(), wal.status().message(), kDamagedHint};
  // wal_check.h says why each mode is right only for its case. Puts of several threads reach the
  // log as one write, so it holds here too that at most one can be torn.
  const rocksdb::Status opened = TryOpen(
      options, *wal == WalState::kTorn ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                       : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  const std::string& hole = continuity_->hole();
  if (!hole.empty()) return {Code::kCorrupt, hole, kDamagedHint};
  if (!opened.ok()) {
    Status status = Map(opened, "open " + dir_);
    if (status.code() != Code::kCorrupt && !IsDamage(opened)) return status;
    return {Code::kCorrupt, status.message(), kDamagedHint};
  }
  RETURN_IF_ERROR(CheckFormat(!exists));
  CheckBlobFiles(options);
  return {};
}

rocksdb::Status Database::TryOpen(const BlobStoreOptions& options, rocksdb::WALRecoveryMode mode) {
  continuity_ = std::make_unique<WalContinuity>();
  rocksdb::DBOptions db_options = DatabaseOptions(options);
  db_options.wal_recovery_mode = mode;
  db_options.wal_filter = continuity_.get();
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (size_t i = 0; i < kFamilies; ++i) {
    families.emplace_back(kNames[i], FamilyOptions(options, cache, static_cast<BlobFamily>(i)));
  }
  rocksdb::DB* db = nullptr;
  rocksdb::Status s = rocksdb::DB::Open(db_options, dir_, families, &handles_, &db);
  db_.reset(db);
  return s;
}

Status Database::CheckFormat(bool is_new) {
  std::string format;
  const rocksdb::Status s = Get(BlobFamily::kDefault, kFormatKey, &format);
  if (!s.ok() && !s.IsNotFound()) return Map(s, "read the format of " + dir_);
  if (s.ok()) {
    uint64_t number = 0;
    const char* end = format.data() + format.size();
    const auto [stop, error] = std::from_chars(format.data(), end, number);
    if (error != std::errc() || stop != end || number == 0) {
      return {Code::kCorrupt, "directory " + dir_ + " has no readable format number"};
    }
    if (number > kFormatMax) {
      return {Code::kInvalid,
              "directory " + dir_ + " has format " + format + ", this program knows up to " +
                  std::to_string(kFormatMax),
              "a newer kembard wrote it; install that version again"};
    }
    return {};
  }
  // A creation that was cut short left an empty database; the format is its first write.
  if (!is_new && db_->GetLatestSequenceNumber() != 0) {
    return {Code::kCorrupt, "directory " + dir_ + " holds data but no format number",
            "it belongs to another program, or files are missing"};
  }
  rocksdb::WriteBatch batch;
  batch.Put(family(BlobFamily::kDefault), kFormatKey, std::to_string(kFormatMax));
  return Write(&batch).Prepend("write the format of " + dir_);
}

// Says at once what `verify` would find: blob files that are gone or too short.
void Database::CheckBlobFiles(const BlobStoreOptions& options) {
  std::vector<rocksdb::ColumnFamilyMetaData> all;
  db_->GetAllColumnFamilyMetaData(&all);
  for (const auto& family : all) {
    for (const auto& file : family.blob_files) {
      std::error_code error;
      std::string name = file.blob_file_name;
      if (!name.empty() && name.front() == '/') name.erase(0, 1);
      const uintmax_t bytes = std::filesystem::file_size(dir_ + "/" + name, error);
      if (!error && bytes >= file.blob_file_size) continue;
      lost_files_ = true;
      if (!options.warn) continue;
      options.warn("blob file " + dir_ + "/" + name + (error ? " is missing" : " is cut short") +
                   ": its chunks are fetched again; kembarctl verify names the documents");
    }
  }
}

rocksdb::Status Database::Get(BlobFamily f, const rocksdb::Slice& key, std::string* value,
                              rocksdb::ManagedSnapshot* moment) const {
  rocksdb::ReadOptions options;
  if (moment != nullptr) options.snapshot = moment->snapshot();
  options.fill_cache = f == BlobFamily::kIndex;
  return db_->Get(options, family(f), key, value);
}

void Database::MultiGet(BlobFamily f, const std::vector<rocksdb::Slice>& keys,
                        std::vector<rocksdb::PinnableSlice>* values,
                        std::vector<rocksdb::Status>* statuses) const {
  if (keys.empty()) return;
  db_->MultiGet(rocksdb::ReadOptions(), family(f), keys.size(), keys.data(), values->data(),
                statuses->data());
}

rocksdb::Iterator* Database::Scan(BlobFamily f) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  return db_->NewIterator(options, family(f));
}

Status Database::Write(rocksdb::WriteBatch* batch) {
  rocksdb::WriteOptions options;
  options.sync = true;
  return Map(db_->Write(options, batch), "write " + dir_);
}

Result<uint64_t> Database::FreeBytes() const { return FreeBytesAt(dir_); }

}  // namespace kembar::blob_rocks
