// blob_store.h — the chunks of documents on a node: named by their SHA-256, each stored once.
//
// A RocksDB of its own in DATA/blobs, so that large contents bloat neither the log's write-ahead
// log nor its compactions: contents go to blob files, which compaction never rewrites; a small
// index names what is held. Chunks are never deleted: every version of a document stays readable.
//
// Crash contract: what Put was given is durable when it returns OK. After a crash, the chunks of a
// Put that did not return are there all or none. After a failed write the store is closed for
// writing: every later Put and SetAside answers that same error, because nobody knows what a failed
// fsync left behind.
//
// Damage: Get re-hashes what it reads and answers kCorrupt for a chunk whose bytes are not what its
// name says, whatever the cause: altered, truncated, or its blob file gone. Such damage does not
// keep the store from opening, because every chunk proves itself and other nodes hold copies:
// SetAside makes the chunk count as missing, so that it is fetched again, and remembers it until a
// verification has named it (TakeAside). A damaged index or write-ahead log, which would make
// chunks vanish unseen, is refused on Open.
//
// Thread-safety: every method from any thread. Puts of several threads share their fsyncs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar {

inline constexpr size_t kChunkBytesMax = size_t{1} << 20;

struct BlobStoreOptions {
  std::string dir;
  bool create_if_missing = false;
  size_t block_cache_bytes = size_t{16} << 20;
  size_t write_buffer_bytes = size_t{32} << 20;
  uint64_t reserve_bytes = 0;  // a Put that would leave less free is refused
  // Given warnings (RocksDB's, and blob files that are not whole), a line each, from any thread.
  std::function<void(std::string_view line)> warn = nullptr;
};

struct BlobStats {
  uint64_t chunks = 0;         // held
  uint64_t bytes = 0;          // of their contents
  uint64_t aside = 0;          // kept apart: they failed their check
  uint64_t put_chunks = 0;     // since start, new ones
  uint64_t put_bytes = 0;      // of these
  uint64_t duplicates = 0;     // since start, given again
  uint64_t failed_checks = 0;  // since start, by Get and Verify
};

class BlobStore {
 public:
  // kNotFound: none there and not to be created. kUnavailable: in use. kCorrupt: see above.
  // kInvalid: a newer format.
  static Result<std::unique_ptr<BlobStore>> Open(const BlobStoreOptions& options);
  ~BlobStore();

  // Told of chunks that have become durable, by the thread that put them. Set before use.
  using Stored = std::function<void(std::span<const Digest>)>;
  void OnStored(Stored stored) { stored_ = std::move(stored); }
  // Told that a chunk has been set aside; of one chunk, all this is told in order. Set before use.
  void OnAside(std::function<void()> aside) { told_aside_ = std::move(aside); }

  // Stores what is not held yet and answers the names, in order; durable when it returns. The
  // number of new ones is added to `*fresh` (may be null). kInvalid: empty or larger than
  // kChunkBytesMax. kFull: too little space; nothing was written.
  Result<std::vector<Digest>> Put(std::span<const std::string_view> chunks,
                                  uint64_t* fresh = nullptr);

  // kNotFound: not held. kCorrupt: see above. Each names the chunk.
  Result<std::string> Get(const Digest& digest) const;

  // Those of `digests` that are not held, in order, each once.
  Result<std::vector<Digest>> Missing(std::span<const Digest> digests) const;

  // For a chunk that failed its check: keeps what can still be read of it apart, as evidence, and
  // lets it count as missing. Looks once more first: a chunk that is sound by now stays, since
  // peers have been told of it. A chunk that is not held is no error.
  Status SetAside(const Digest& digest);
  // What was wrong with a chunk that was set aside since the start; empty: it was not, or this has
  // been asked already. Damage mended since is told so, too.
  std::string TakeAside(const Digest& digest);
  // Whether files were found damaged on Open: chunks that count as held may be lost. Until all have
  // been checked and what failed is set aside, which ClearDoubt says.
  bool doubtful() const { return doubtful_; }
  void ClearDoubt() { doubtful_ = false; }

  // Re-reads every chunk that is held when it begins, in order of name; `each` gets what Get says
  // of it, and returns false to stop.
  using Visitor = std::function<bool(const Digest& digest, uint64_t bytes, const Status& status)>;
  Status Verify(const Visitor& each) const;

  // Why the store is closed for writing; OK: it is not.
  Status failure() const;
  BlobStats Stats() const;
  // Size of its files.
  uint64_t DiskBytes() const;

 private:
  struct Rocks;
  class Reservation;
  explicit BlobStore(std::unique_ptr<Rocks> rocks, uint64_t reserve_bytes);
  Status CheckSpace(size_t bytes) const;
  // kCorrupt: `*chunk` is what can still be read of it.
  Status Read(const Digest& digest, std::string* chunk) const;
  Status CountAll();
  Status Fail(const Status& status);

  const std::unique_ptr<Rocks> rocks_;
  const uint64_t reserve_bytes_;
  std::atomic<bool> doubtful_;
  Stored stored_;
  std::function<void()> told_aside_;

  mutable std::mutex mutex_;
  std::condition_variable free_;
  std::set<Digest> busy_;  // names that a thread is writing: others wait for its outcome
  Status failed_;
  std::map<Digest, std::string> asides_;  // not yet taken: what is wrong
  std::atomic<uint64_t> chunks_{0}, bytes_{0}, aside_{0}, put_chunks_{0}, put_bytes_{0},
      duplicates_{0};
  mutable std::atomic<uint64_t> failed_checks_{0};
};

}  // namespace kembar
