// tracker.h — which documents are not whole here: follows the committed records of every log and
// knows, for each version of a document, which of its chunks this node lacks.
//
// In memory and only what is missing: after a start the documents' records are read once in the
// background, then what is committed is followed. Until a record has been looked at, nothing is
// claimed of it: checked_to says how far that is. A log that was cut back (a failover with loss) is
// noticed by its Merkle root and read afresh.
//
// Bounded: beyond `missing_max` missing chunks no further record is looked at until some have come;
// what lies behind counts as not checked.
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
  size_t missing_max = 200'000;
  int64_t ask_again_ms = 10'000;  // a chunk that is still missing is handed out again after so long
  int64_t turn_ms = 100;          // looks at what has been committed this often
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
  // Looks again at one document's record: a chunk of it was set aside.
  void Recheck(const std::string& log, uint64_t index);
  // Looks again at all of them: a chunk was set aside, and who refers to it is not known.
  void RecheckAll();

  DocumentsHere Documents(const std::string& log) const;
  std::map<std::string, TrackerStats> Stats() const;

  struct Missing {
    std::string log;
    std::vector<Digest> digests;
  };
  // Up to `max` missing chunks that were not handed out lately, by log.
  std::vector<Missing> NextMissing(size_t max);

 private:
  struct Log {
    bool listed = false;
    std::vector<uint64_t> todo;  // records of documents, descending, that were there at first
    uint64_t listed_to = 0;
    uint64_t checked_to = 0;
    Digest root{};  // of the log up to listed_to or checked_to, whichever is later
    std::map<uint64_t, std::set<Digest>> missing;     // empty set: the record cannot be read
    std::shared_ptr<const std::set<uint64_t>> shown;  // null: to be made
    std::string told;                                 // the trouble that was logged last
  };
  struct Chunk {
    std::set<std::pair<std::string, uint64_t>> documents;
    int64_t handed_ms = 0;
  };

  void Run();
  // One turn for one log; true: there is more to do at once.
  Result<bool> Turn(const std::string& name);
  Status List(const std::string& name, uint64_t commit);
  Status CheckListed(const std::string& name);
  Status Follow(const std::string& name, uint64_t commit);
  Status CheckContinues(const std::string& name, uint64_t commit);
  Status CheckRecord(const std::string& name, const Record& record);
  void Forget(const std::string& name);  // mutex_ is held
  void Drop(const std::string& name, Log* log, uint64_t index);

  Engine* const engine_;
  const BlobStore* const blobs_;
  const TrackerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  mutable std::map<std::string, Log> logs_;
  std::map<Digest, Chunk> chunks_;
  Digest next_;  // where NextMissing goes on
  std::thread thread_;
};

}  // namespace kembar
