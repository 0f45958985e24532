// runner.h — the exchange of chunks at work: one thread that steps it, a few that read and write
// chunks for it, and what joins it to the engine, the store of chunks, the tracker and the links.
//
// Order of life: engine, blob store, tracker, then this, then the links (which call Receive). Stop
// answers everybody who waits with kCancelled.
//
// Thread-safety: every method from any thread; Start and Stop by one. `done` of Ensure is called
// exactly once, on one of the runner's threads or by Stop, and must not block.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "node/blob/blob_store.h"
#include "node/blob/exchange.h"
#include "node/blob/tracker.h"
#include "node/engine.h"
#include "node/rpc/workers.h"

namespace kembar {

struct BlobRunnerOptions {
  std::string node;  // this node's name
  // Hands a message to the link layer; must not block. To an unlinked peer it is dropped.
  std::function<void(const std::string& peer, blob::Message message)> send;
  // Bytes of chunks a second that all links together may carry now; 0: no limit. May be empty.
  std::function<uint64_t()> rate;
  int64_t refresh_ms = 1'000;   // how often the mirrors of a waiting Ensure are asked for again
  int64_t fetch_ms = 250;       // how often missing chunks are looked for
  int64_t recheck_ms = 60'000;  // a damaged store that could not be checked is tried again then
};

class BlobRunner {
 public:
  // All outlive it. `tracker` may be null: then nothing is fetched on this node's own account.
  BlobRunner(BlobRunnerOptions options, Engine* engine, BlobStore* blobs, BlobTracker* tracker);
  ~BlobRunner();  // stops

  void Start();
  void Stop();

  // From the links.
  void PeerConnected(const std::string& peer) { Post(blob::PeerUp{peer}); }
  void PeerDisconnected(const std::string& peer) { Post(blob::PeerDown{peer}); }
  void Receive(const std::string& peer, blob::Message message) {
    Post(blob::Received{peer, std::move(message)});
  }
  // From the store: durable here.
  void Stored(std::span<const Digest> digests) {
    Post(blob::Stored{{digests.begin(), digests.end()}});
  }

  // How many sites hold all of these chunks, once as many mirrors hold them as an append to `log`
  // needs. kNotPrimary: this node is not the log's primary. kPrecondition: some are not here.
  // kTimeout, after GiveUp: which node lacks how many.
  using Done = std::function<void(Result<uint32_t>)>;
  uint64_t Ensure(const std::string& log, std::vector<Digest> digests, Done done);
  void GiveUp(uint64_t id);

  blob::ExchangeCounters counters() const;
  // Chunks that are on their way here.
  size_t wanted() const;

 private:
  struct Waiting {
    std::string log;
    Done done;
    bool begun = false;  // the exchange knows of it
    bool given_up = false;
    std::vector<std::string> mirrors;
    size_t need = 0;
  };

  void Post(blob::Event event);
  bool Queue(blob::Event event);  // mutex_ is held; true: wake the runner's thread
  void Run();
  void Carry(blob::Action action);
  void Do(blob::Send& action);
  void Do(blob::Look& action);
  void Do(blob::Load& action);
  void Do(blob::Save& action);
  void Do(blob::Ensured& action);
  void Do(blob::GaveUp& action);
  void Finish(uint64_t id, Result<uint32_t> result);
  // On workers.
  void BeginEnsure(uint64_t id, const std::vector<Digest>& digests);
  void Refresh();
  // Chunks that each linked peer may still be asked for; those without room are not in it.
  using Room = std::map<std::string, size_t>;
  static Room RoomOf(const std::map<std::string, size_t>& wanted_of);
  void FetchMissing(Room room);
  // Hands on a log's share; false: it has no more to ask for now.
  bool FetchSome(const std::string& log, Room* room);
  // Where to ask for chunks of that log now.
  std::vector<std::string> SourcesOf(const std::string& log, const Room& room);
  // On checker_.
  void CheckStore();
  Result<ReplicaStatus> AsPrimary(const std::string& log) const;
  void RunTimely(int64_t now_us);

  const BlobRunnerOptions options_;
  Engine* const engine_;
  BlobStore* const blobs_;
  BlobTracker* const tracker_;

  // The runner's thread.
  int64_t refreshed_us_ = 0, fetched_us_ = 0, ticked_us_ = 0;

  std::string served_;  // the log that chunks were asked for last; FetchMissing's own

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable stopped_;
  std::vector<blob::Event> events_;
  bool stopping_ = false;
  bool busy_refreshing_ = false, busy_fetching_ = false;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Waiting> waiting_;
  blob::ExchangeCounters counters_;  // copied after each turn
  size_t wanted_ = 0;

  blob::Exchange exchange_;  // the runner's thread
  Workers workers_{"kembar-blob", 2};
  Workers checker_{"kembar-blob-chk", 1};  // of a store that was found damaged
  std::thread thread_;
};

}  // namespace kembar
