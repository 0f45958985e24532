// blob_store.cc — see blob_store.h.
#include "node/blob/blob_store.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "node/blob/blob_rocks.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

using blob_rocks::BlobFamily;

constexpr size_t kAsidesMax = 65'536;

std::string Name(const Digest& digest) { return "chunk " + ToHex(digest); }

std::string SizeValue(uint64_t bytes) {
  std::string value;
  AppendBigEndian64(&value, bytes);
  return value;
}

rocksdb::Slice Key(const Digest& digest) { return rocksdb::Slice(AsBytes(digest)); }

}  // namespace

struct BlobStore::Rocks : blob_rocks::Database {};

// Holds names for the thread that writes them: two Puts of one chunk write it once, and the second
// answers only after the first is durable. All are taken at once, so threads never wait in a ring.
class BlobStore::Reservation {
 public:
  Reservation(BlobStore* store, std::set<Digest> names) : store_(store), names_(std::move(names)) {
    std::unique_lock lock(store_->mutex_);
    store_->free_.wait(lock, [this] {
      for (const Digest& name : names_) {
        if (store_->busy_.contains(name)) return false;
      }
      return true;
    });
    store_->busy_.insert(names_.begin(), names_.end());
  }
  ~Reservation() {
    {
      std::lock_guard lock(store_->mutex_);
      for (const Digest& name : names_) store_->busy_.erase(name);
    }
    store_->free_.notify_all();
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

 private:
  BlobStore* const store_;
  const std::set<Digest> names_;
};

BlobStore::BlobStore(std::unique_ptr<Rocks> rocks, uint64_t reserve_bytes)
    : rocks_(std::move(rocks)), reserve_bytes_(reserve_bytes), doubtful_(rocks_->lost_files()) {}

BlobStore::~BlobStore() = default;

Result<std::unique_ptr<BlobStore>> BlobStore::Open(const BlobStoreOptions& options) {
  auto rocks = std::make_unique<Rocks>();
  RETURN_IF_ERROR(rocks->Open(options));
  std::unique_ptr<BlobStore> store(new BlobStore(std::move(rocks), options.reserve_bytes));
  RETURN_IF_ERROR(store->CountAll().Prepend("open " + options.dir));
  return store;
}

// The index is small: some 50 bytes a chunk.
Status BlobStore::CountAll() {
  std::unique_ptr<rocksdb::Iterator> index(rocks_->Scan(BlobFamily::kIndex));
  for (index->SeekToFirst(); index->Valid(); index->Next()) {
    if (index->key().size() != sizeof(Digest) || index->value().size() != sizeof(uint64_t)) {
      return {Code::kCorrupt, "an entry of the index of chunks is malformed",
              blob_rocks::kDamagedHint};
    }
    ++chunks_;
    bytes_ += ReadBigEndian64(index->value().ToStringView());
  }
  RETURN_IF_ERROR(blob_rocks::Map(index->status(), "scan the index of chunks"));
  std::unique_ptr<rocksdb::Iterator> aside(rocks_->Scan(BlobFamily::kAside));
  for (aside->SeekToFirst(); aside->Valid(); aside->Next()) ++aside_;
  if (blob_rocks::IsDamage(aside->status())) return {};  // lost evidence keeps nothing from working
  return blob_rocks::Map(aside->status(), "scan the chunks set aside");
}

Status BlobStore::CheckSpace(size_t bytes) const {
  ASSIGN_OR_RETURN(const uint64_t free, rocks_->FreeBytes());
  // Twice: what is written to the write-ahead log goes to a blob file afterwards.
  if (free >= reserve_bytes_ + 2 * bytes) return {};
  return {Code::kFull,
          "the disk is nearly full: " + std::to_string(free) + " bytes free, " +
              std::to_string(reserve_bytes_) + " are reserved",
          "free some space where " + rocks_->dir() + " is"};
}

Result<std::vector<Digest>> BlobStore::Put(std::span<const std::string_view> chunks,
                                           uint64_t* fresh) {
  std::vector<Digest> digests;
  for (const std::string_view chunk : chunks) {
    if (chunk.empty() || chunk.size() > kChunkBytesMax) {
      return Status(Code::kInvalid, "a chunk of " + std::to_string(chunk.size()) +
                                        " bytes: must be 1 to " + std::to_string(kChunkBytesMax));
    }
    digests.push_back(Sha256({chunk}));
  }
  const Reservation reserved(this, {digests.begin(), digests.end()});
  RETURN_IF_ERROR(failure());
  ASSIGN_OR_RETURN(const std::vector<Digest> missing, Missing(digests));
  duplicates_ += digests.size() - missing.size();
  if (missing.empty()) return digests;

  rocksdb::WriteBatch batch;
  std::set<Digest> wanted(missing.begin(), missing.end());
  uint64_t bytes = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (wanted.erase(digests[i]) == 0) continue;
    bytes += chunks[i].size();
    batch.Put(rocks_->family(BlobFamily::kChunks), Key(digests[i]), rocksdb::Slice(chunks[i]));
    batch.Put(rocks_->family(BlobFamily::kIndex), Key(digests[i]), SizeValue(chunks[i].size()));
  }
  RETURN_IF_ERROR(CheckSpace(bytes));
  RETURN_IF_ERROR(Fail(rocks_->Write(&batch)));
  chunks_ += missing.size();
  bytes_ += bytes;
  put_chunks_ += missing.size();
  put_bytes_ += bytes;
  if (fresh != nullptr) *fresh += missing.size();
  if (stored_) stored_(missing);
  return digests;
}

Status BlobStore::Fail(const Status& status) {
  if (status.ok()) return status;
  std::lock_guard lock(mutex_);
  if (failed_.ok()) failed_ = status.Prepend("the store of chunks is closed after a failed write");
  return failed_;
}

Status BlobStore::failure() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

Status BlobStore::Read(const Digest& digest, std::string* chunk) const {
  rocksdb::Status read = rocks_->Get(BlobFamily::kChunks, Key(digest), chunk);
  if (read.ok() && Sha256({*chunk}) == digest) return {};
  // Once more before judging, and both as of one moment: a Put may have come in between.
  rocksdb::ManagedSnapshot moment = rocks_->Moment();
  read = rocks_->Get(BlobFamily::kChunks, Key(digest), chunk, &moment);
  if (read.ok() && Sha256({*chunk}) == digest) return {};
  if (!read.ok()) chunk->clear();  // RocksDB leaves its own in it
  std::string size;
  const rocksdb::Status known = rocks_->Get(BlobFamily::kIndex, Key(digest), &size, &moment);
  if (known.IsNotFound()) return {Code::kNotFound, Name(digest) + " is not held here"};
  RETURN_IF_ERROR(blob_rocks::Map(known, "look up " + Name(digest)));
  if (read.ok() || read.IsNotFound() || blob_rocks::IsDamage(read)) {
    return {Code::kCorrupt, Name(digest) + " is " +
                                (read.ok() ? "altered: its bytes are not what its name says"
                                           : blob_rocks::DamageText(read))};
  }
  return blob_rocks::Map(read, "read " + Name(digest));
}

Result<std::string> BlobStore::Get(const Digest& digest) const {
  std::string chunk;
  const Status status = Read(digest, &chunk);
  if (status.ok()) return chunk;
  if (status.code() == Code::kCorrupt) ++failed_checks_;
  return status;
}

Result<std::vector<Digest>> BlobStore::Missing(std::span<const Digest> digests) const {
  std::vector<rocksdb::Slice> keys;
  std::vector<Digest> asked;
  std::set<Digest> seen;
  for (const Digest& digest : digests) {
    if (seen.insert(digest).second) asked.push_back(digest);
  }
  keys.reserve(asked.size());
  for (const Digest& digest : asked) keys.push_back(Key(digest));
  std::vector<rocksdb::PinnableSlice> sizes(asked.size());
  std::vector<rocksdb::Status> found(asked.size());
  rocks_->MultiGet(BlobFamily::kIndex, keys, &sizes, &found);
  std::vector<Digest> missing;
  for (size_t i = 0; i < asked.size(); ++i) {
    if (found[i].IsNotFound()) {
      missing.push_back(asked[i]);
    } else {
      RETURN_IF_ERROR(blob_rocks::Map(found[i], "look up " + Name(asked[i])));
    }
  }
  return missing;
}

Status BlobStore::SetAside(const Digest& digest) {
  const Reservation reserved(this, {digest});
  RETURN_IF_ERROR(failure());
  std::string evidence;
  const Status status = Read(digest, &evidence);
  if (status.ok() || status.code() == Code::kNotFound) return {};
  if (status.code() != Code::kCorrupt) return status;
  if (evidence.empty()) evidence = status.message();  // all that there is to keep
  std::string size, before;
  const rocksdb::Status known = rocks_->Get(BlobFamily::kIndex, Key(digest), &size);
  RETURN_IF_ERROR(blob_rocks::Map(known, "look up " + Name(digest)));
  const rocksdb::Status kept = rocks_->Get(BlobFamily::kAside, Key(digest), &before);
  rocksdb::WriteBatch batch;
  if (!kept.ok()) batch.Put(rocks_->family(BlobFamily::kAside), Key(digest), evidence);
  batch.Delete(rocks_->family(BlobFamily::kChunks), Key(digest));
  batch.Delete(rocks_->family(BlobFamily::kIndex), Key(digest));
  RETURN_IF_ERROR(Fail(rocks_->Write(&batch)));
  --chunks_;
  if (size.size() == sizeof(uint64_t)) bytes_ -= ReadBigEndian64(size);
  if (kept.IsNotFound()) ++aside_;
  {
    std::lock_guard lock(mutex_);
    if (asides_.size() < kAsidesMax) asides_[digest] = status.message();
  }
  if (told_aside_) told_aside_();
  return {};
}

std::string BlobStore::TakeAside(const Digest& digest) {
  std::lock_guard lock(mutex_);
  const auto taken = asides_.extract(digest);
  return taken ? taken.mapped() : std::string();
}

Status BlobStore::Verify(const Visitor& each) const {
  std::unique_ptr<rocksdb::Iterator> index(rocks_->Scan(BlobFamily::kIndex));
  for (index->SeekToFirst(); index->Valid(); index->Next()) {
    if (index->key().size() != sizeof(Digest) || index->value().size() != sizeof(uint64_t)) {
      return {Code::kCorrupt, "an entry of the index of chunks is malformed"};
    }
    const Digest digest = DigestFromBytes(index->key().ToStringView());
    const Status status = Get(digest).status();
    if (status.code() == Code::kNotFound) continue;  // set aside since this began
    if (!each(digest, ReadBigEndian64(index->value().ToStringView()), status)) return {};
  }
  return blob_rocks::Map(index->status(), "scan the index of chunks");
}

BlobStats BlobStore::Stats() const {
  return {.chunks = chunks_,
          .bytes = bytes_,
          .aside = aside_,
          .put_chunks = put_chunks_,
          .put_bytes = put_bytes_,
          .duplicates = duplicates_,
          .failed_checks = failed_checks_};
}

uint64_t BlobStore::DiskBytes() const {
  uint64_t sum = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(rocks_->dir(), error)) {
    const uintmax_t bytes = entry.file_size(error);
    if (!error) sum += bytes;  // files come and go while we look
  }
  return sum;
}

}  // namespace kembar
