// tracker.h — which documents are not whole here: follows the committed records of every log and
// knows, for each version of a document, which of its chunks this node lacks.
//
// In memory and only what is missing: after a start the documents' records are read once in the
// background, then what is committed is followed. Until a record has been looked at, nothing is
// claimed of it: checked_to says how far that is. A log that was cut back (a failover with loss) is
// noticed by its Merkle root and read afresh.
//
// A chunk that was set aside may belong to any document: from then until all records have been
// looked at once more nothing is claimed either; nor while the store of chunks is doubtful.
//
// Bounded: beyond `missing_max` missing chunks of a log no further record of it is looked at until
// some have come; what lies behind counts as not checked. A record that cannot be read is a
// document that is not whole. A list of very many documents is made once in a while only.
//
// Thread-safety: every method from any thread; Start and Stop by one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "node/blob/blob_store.h"
#include "node/engine.h"

namespace kembar {

// The documents of one log as of one moment.
struct DocumentsHere {
  uint64_t checked_to = 0;  // records up to here have been looked at
  std::shared_ptr<const std::set<uint64_t>>
      missing;  // records of documents that are not whole here
};

struct TrackerStats {
  uint64_t checked_to = 0;
  uint64_t documents_missing = 0;  // versions of documents that are not whole here
};

struct TrackerOptions {
  size_t missing_max = 200'000;   // of one log
  int64_t ask_again_ms = 10'000;  // a chunk that is still missing is handed out again after so long
  int64_t turn_ms = 100;          // looks at what has been committed this often
  int64_t recheck_ms = 3'000;  // after a chunk was set aside all is looked at, at most this often
  size_t list_max = 1'000;     // a list of more missing documents is made anew …
  int64_t list_ms = 1'000;     // … at most this often
};

class BlobTracker {
 public:
  // Both outlive it.
  BlobTracker(Engine* engine, const BlobStore* blobs, TrackerOptions options = {});
  ~BlobTracker();  // stops

  void Start();
  void Stop();

  // Chunks that have become durable here.
  void OnStored(std::span<const Digest> digests);
  // A chunk was set aside here, and who refers to it is not known.
  void OnAside();

  // As of one moment, which is a little ago where very many are missing.
  DocumentsHere Documents(const std::string& log) const;
  std::map<std::string, TrackerStats> Stats() const;

  // Logs with missing chunks.
  std::vector<std::string> Lacking() const;
  // Up to `max` missing chunks of that log that were not handed out for it lately.
  std::vector<Digest> NextMissing(const std::string& log, size_t max);

 private:
  struct Chunk {
    std::set<uint64_t> documents;
    int64_t handed_ms = 0;
  };
  struct Log {
    bool listed = false;
    bool doubtful = false;  // a chunk was set aside since
    int64_t listed_ms = 0;
    std::vector<uint64_t> todo;  // records of documents, descending, that were there when listed
    uint64_t listed_to = 0;
    uint64_t checked_to = 0;
    Digest root{};  // of the log up to listed_to or checked_to, whichever is later
    std::map<uint64_t, std::set<Digest>> missing;     // empty set: the record cannot be read
    bool changed = false;                             // `missing`, since it was shown
    std::shared_ptr<const std::set<uint64_t>> shown;  // null: to be made
    uint64_t shown_to = 0;                            // checked_to as of then
    int64_t shown_ms = 0;
    std::map<Digest, Chunk> chunks;  // those of `missing`
    Digest next{};                   // where NextMissing goes on
    std::string told;                // the trouble that was logged last
  };

  void Run();
  // One turn for one log; true: there is more to do at once.
  Result<bool> Turn(const std::string& name);
  Status List(const std::string& name, uint64_t commit);
  Status CheckListed(const std::string& name);
  Status Follow(const std::string& name, uint64_t commit);
  Status FollowSingly(const std::string& name, uint64_t from, uint64_t commit);
  Status CheckContinues(const std::string& name, uint64_t commit);
  Status CheckAt(const std::string& name, uint64_t index);
  Status CheckFrames(const std::string& name, const std::vector<std::string>& frames);
  Status CheckRecord(const std::string& name, const Record& record);
  // mutex_ is held.
  static void Forget(Log* log);
  static void Drop(Log* log, uint64_t index);
  bool Doubtful(const Log& log) const { return log.doubtful || blobs_->doubtful(); }

  Engine* const engine_;
  const BlobStore* const blobs_;
  const TrackerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  mutable std::map<std::string, Log> logs_;
  std::thread thread_;
};

}  // namespace kembar
