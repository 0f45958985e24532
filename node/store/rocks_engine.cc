// rocks_engine.cc — see rocks_engine.h.
#include "node/store/rocks_engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <mutex>
#include <system_error>

#include "node/store/keys.h"
#include "node/store/rocks_open.h"
#include "node/store/wal_check.h"
#include "replicator/base/bytes.h"
#include "replicator/base/check.h"

namespace kembar {
namespace {

namespace fs = std::filesystem;

constexpr char kPartHint[] = "it was copied or restored in part; bring it back whole, or ";

// Grows when an older program could no longer read the directory rightly.
constexpr uint64_t kFormatMax = 1;

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {"meta",      "log",   "tree",
                                                                "positions", "items", "quarantine"};

rocksdb::DBOptions DatabaseOptions(const RocksOptions& options, bool create) {
  rocksdb::DBOptions db = CommonDatabaseOptions(options.write_buffer_bytes, options.warn);
  db.create_if_missing = create;
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.max_open_files = 1024;
  return db;
}

rocksdb::CompressionType BestCompression() {
  const auto supported = rocksdb::GetSupportedCompressions();
  for (auto type : {rocksdb::kZSTD, rocksdb::kLZ4Compression}) {
    if (std::find(supported.begin(), supported.end(), type) != supported.end()) return type;
  }
  return rocksdb::kNoCompression;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const RocksOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           const std::string& name) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = options.write_buffer_bytes / 2;
  family.level_compaction_dynamic_level_bytes = true;
  // The young levels are rewritten soon; hashes do not compress at all.
  family.compression = rocksdb::kNoCompression;
  if (name != kFamilyNames[static_cast<size_t>(Family::kTree)]) {
    family.bottommost_compression = BestCompression();
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // so that their memory is bounded too
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = size_t{16} << 10;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

std::optional<int64_t> ParseNumber(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::string RandomUuid() {
  std::string raw(16, '\0');
  CHECK(::getrandom(raw.data(), raw.size(), 0) == static_cast<ssize_t>(raw.size()));
  raw[6] = static_cast<char>((raw[6] & 0x0f) | 0x40);  // RFC 9562: version 4, random
  raw[8] = static_cast<char>((raw[8] & 0x3f) | 0x80);
  std::string hex = ToHex(raw);
  for (size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, "-");
  return hex;
}

}  // namespace

// Keeps the first error that RocksDB meets when nobody is waiting for an answer.
class BackgroundErrors : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* error) override {
    std::lock_guard lock(mutex_);
    if (first_.empty()) first_ = RocksEngine::Map(*error, "RocksDB in the background").ToString();
  }
  std::string first() const {
    std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  mutable std::mutex mutex_;
  std::string first_;
};

std::string RocksEngine::BackgroundError() const { return background_->first(); }

rocksdb::WalFilter::WalProcessingOption WalContinuity::LogRecordFound(
    unsigned long long /*log_number*/, const std::string& file, const rocksdb::WriteBatch& batch,
    rocksdb::WriteBatch* /*new_batch*/, bool* /*batch_changed*/) {
  // A batch begins with the sequence number of its first operation, little-endian.
  const uint64_t sequence = ByteReader(batch.Data()).U64();
  if (next_sequence_ != 0 && sequence != next_sequence_) {
    if (hole_.empty()) {
      hole_ = "write-ahead log " + file + " goes on at operation " + std::to_string(sequence) +
              ", but " + std::to_string(next_sequence_) + " was to come";
    }
    return WalProcessingOption::kCorruptedRecord;
  }
  next_sequence_ = sequence + batch.Count();
  return WalProcessingOption::kContinueProcessing;
}

Status RocksEngine::Map(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return {};
  Code code = Code::kIo;
  if (status.IsNoSpace()) {
    code = Code::kFull;
  } else if (status.IsCorruption()) {
    code = Code::kCorrupt;
  } else if (status.IsBusy() || status.IsTryAgain()) {
    code = Code::kUnavailable;
  } else if (status.IsNotFound()) {
    code = Code::kNotFound;
  } else if (status.IsInvalidArgument() || status.IsNotSupported()) {
    code = Code::kInternal;
  }
  return {code, std::string(doing) + ": " + status.ToString(),
          code == Code::kCorrupt ? kRebuildHint : ""};
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::Open(const RocksOptions& options) {
  auto engine = std::unique_ptr<RocksEngine>(new RocksEngine(options.dir));
  ASSIGN_OR_RETURN(const bool exists,
                   HoldsDatabase(options.dir, std::string(kPartHint) + kRebuildHint));
  if (!exists) {
    if (!options.create_if_missing) {
      return Status(Code::kNotFound, "data directory " + options.dir + " holds no store",
                    "check the path; a new node's directory must be created explicitly");
    }
    RETURN_IF_ERROR(CreateDirectoryDurably(options.dir));
  }
  RETURN_IF_ERROR(CheckDirectoryFree(options.dir));
  RETURN_IF_ERROR(engine->OpenDatabase(options).Prepend("open data directory " + options.dir));
  RETURN_IF_ERROR(engine->CheckIdentity(options, !exists));
  return engine;
}

// The lock is held over the renaming: nobody opens the directory meanwhile.
Status RocksStore::MoveAside(const std::string& dir, const std::string& to) {
  std::error_code error;
  if (fs::is_symlink(dir, error)) {
    return {Code::kInvalid, "data directory " + dir + " is a symbolic link",
            "name the directory itself in node.data"};
  }
  if (!fs::is_directory(dir, error)) {
    return {Code::kNotFound, "data directory " + dir + " does not exist",
            "nothing is to be rebuilt; without --rebuild the node starts as an empty mirror"};
  }
  if (fs::exists(to, error)) return {Code::kExists, to + " is there already", "try again"};
  RETURN_IF_ERROR(CheckDirectoryFree(dir));
  rocksdb::Env* env = rocksdb::Env::Default();
  rocksdb::FileLock* lock = nullptr;
  RETURN_IF_ERROR(RocksEngine::Map(env->LockFile(dir + "/LOCK", &lock), "lock " + dir));
  fs::rename(dir, to, error);
  const Status unlocked = RocksEngine::Map(env->UnlockFile(lock), "unlock " + dir);
  if (error) return FileError("rename " + dir + " to " + to, error);
  RETURN_IF_ERROR(unlocked);
  return SyncParentDirectory(to);
}

Status RocksEngine::OpenDatabase(const RocksOptions& options) {
  ASSIGN_OR_RETURN(const WalState wal, CheckWals(options.dir));
  // wal_check.h says why each mode is right only for its case.
  const auto mode = wal == WalState::kTorn
                        ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                        : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  const rocksdb::Status opened = TryOpen(options, mode);
  if (!continuity_->hole().empty()) {
    return {
        Code::kCorrupt,
        continuity_->hole() + ": a write-ahead log file is missing or was restored from elsewhere",
        kRebuildHint};
  }
  return Map(opened, "RocksDB");
}

rocksdb::Status RocksEngine::TryOpen(const RocksOptions& options, rocksdb::WALRecoveryMode mode) {
  continuity_ = std::make_unique<WalContinuity>();
  rocksdb::DBOptions db_options = DatabaseOptions(options, options.create_if_missing);
  db_options.wal_recovery_mode = mode;
  db_options.wal_filter = continuity_.get();
  background_ = std::make_shared<BackgroundErrors>();
  db_options.listeners.push_back(background_);
  std::vector<std::string> names = {rocksdb::kDefaultColumnFamilyName};
  names.insert(names.end(), kFamilyNames.begin(), kFamilyNames.end());
  if (fs::exists(dir_ + "/CURRENT")) {
    // Families of a newer format must be opened too, if only to read which format it is.
    std::vector<std::string> there;
    rocksdb::Status s = rocksdb::DB::ListColumnFamilies(db_options, dir_, &there);
    if (!s.ok()) return s;
    for (const std::string& name : there) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(names.size());
  for (const std::string& name : names) {
    families.emplace_back(name, FamilyOptions(options, cache, name));
  }
  rocksdb::DB* db = nullptr;
  rocksdb::Status s = rocksdb::DB::Open(db_options, dir_, families, &all_handles_, &db);
  if (!s.ok()) return s;
  db_.reset(db);
  for (size_t i = 0; i < kFamilyCount; ++i) families_[i] = all_handles_[i + 1];
  return s;
}

Status RocksEngine::CheckFormat(const std::string& format) const {
  const std::optional<int64_t> number = ParseNumber(format);
  if (!number || *number <= 0) {
    return {Code::kCorrupt, "data directory " + dir_ + " has no readable format number",
            kRebuildHint};
  }
  if (static_cast<uint64_t>(*number) > kFormatMax) {
    return {Code::kInvalid,
            "data directory " + dir_ + " has format " + format + ", this program knows up to " +
                std::to_string(kFormatMax),
            "a newer kembard wrote it; install that version again"};
  }
  return {};
}

// A directory from before names were kept takes the one it is opened under.
Status RocksEngine::CheckName(const View& view, const RocksOptions& options) {
  ASSIGN_OR_RETURN(const auto name, view.Get(Family::kMeta, keys::NodeKey("node_name")));
  ASSIGN_OR_RETURN(const auto born, view.Get(Family::kMeta, keys::NodeKey("born_us")));
  born_us_ = ParseNumber(born.value_or("0")).value_or(0);
  if (options.node_name.empty() || name == options.node_name) return {};
  if (name) {
    return {
        Code::kPrecondition,
        "data directory " + dir_ + " belongs to node " + *name + ", not to " + options.node_name,
        "set node.data to the directory of " + options.node_name +
            ", or to an empty one; a node's name does not change"};
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return Map(db_->Put(synced, family(Family::kMeta), keys::NodeKey("node_name"), options.node_name),
             "write the node's name into " + dir_);
}

Status RocksEngine::CheckIdentity(const RocksOptions& options, bool is_new) {
  const View view(*this);
  ASSIGN_OR_RETURN(const auto format, view.Get(Family::kMeta, keys::NodeKey("format")));
  ASSIGN_OR_RETURN(const auto uuid, view.Get(Family::kMeta, keys::NodeKey("node_uuid")));
  if (format && uuid) {
    RETURN_IF_ERROR(CheckFormat(*format));
    node_uuid_ = *uuid;
    return CheckName(view, options);
  }
  // A creation that was cut short left an empty database; identity is its first write.
  PrefixScan any(view, Family::kMeta, "");
  any.SeekToFirst();
  RETURN_IF_ERROR(any.status());
  if (!is_new && (any.Valid() || db_->GetLatestSequenceNumber() != 0)) {
    return {Code::kCorrupt, "data directory " + dir_ + " holds data but not a store's identity",
            "it belongs to another program, or files are missing"};
  }
  node_uuid_ = RandomUuid();
  born_us_ = options.now_us;
  rocksdb::WriteBatch batch;
  const auto put = [&](const char* name, const std::string& value) {
    batch.Put(family(Family::kMeta), keys::NodeKey(name), value);
  };
  put("format", std::to_string(kFormatMax));
  put("node_uuid", node_uuid_);
  put("born_us", std::to_string(born_us_));
  if (!options.node_name.empty()) put("node_name", options.node_name);
  rocksdb::WriteOptions write_options;
  write_options.sync = true;
  return Map(db_->Write(write_options, &batch), "write the identity of " + dir_);
}

RocksEngine::~RocksEngine() {
  if (db_ == nullptr) return;
  for (auto* handle : all_handles_) db_->DestroyColumnFamilyHandle(handle);
  // Every Write was synced, so nothing is lost if closing fails.
  db_->Close().PermitUncheckedError();
}

View::View(const RocksEngine& engine) : engine_(engine), snapshot_(engine.db()->GetSnapshot()) {}
View::~View() { engine_.db()->ReleaseSnapshot(snapshot_); }

rocksdb::ReadOptions View::read_options() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  return options;
}

Result<std::optional<std::string>> View::Get(Family family, const std::string& key) const {
  std::string value;
  rocksdb::Status s = engine_.db()->Get(read_options(), engine_.family(family), key, &value);
  if (s.IsNotFound()) return std::optional<std::string>();
  if (!s.ok()) return RocksEngine::Map(s, "read " + engine_.dir());
  return std::optional<std::string>(std::move(value));
}

PrefixScan::PrefixScan(const View& view, Family family, std::string prefix)
    : prefix_(std::move(prefix)),
      end_(prefix_.empty() ? std::string() : keys::PrefixEnd(prefix_)),
      lower_(prefix_),
      upper_(end_) {
  rocksdb::ReadOptions options = view.read_options();
  options.iterate_lower_bound = &lower_;
  if (!end_.empty()) options.iterate_upper_bound = &upper_;
  iterator_.reset(view.engine().db()->NewIterator(options, view.engine().family(family)));
}

Status PrefixScan::status() const { return RocksEngine::Map(iterator_->status(), "scan"); }

}  // namespace kembar
