// engine.h — the threads around the replicas of one node.
//
// One thread (engine) owns all replicas and steps them from one queue. One thread (writer) turns
// all Persists that are waiting, over all logs, into one Store::Write (group commit) while the next
// group gathers. One thread (reader) serves ReadAndSend, so that a mirror that catches up does not
// hold up live appends. gRPC threads only post here and get called back.
//
// Thread-safety: every public method may be called from any thread. Callbacks run on the engine's
// thread (or on the caller's when the engine is stopping) and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replicator/core/replica.h"

namespace kembar {

struct EngineOptions {
  std::string node;     // this node's name
  std::string address;  // where clients reach it
  // Whether a log that a peer announces and this node does not hold yet may be mirrored here.
  std::function<bool(const std::string& log, const std::string& peer)> accept_log;
  int64_t heartbeat_ms = 200;
  int64_t silence_ms = 2'000;
  size_t queue_max = 65'536;  // events waiting; beyond, appends are refused as kUnavailable
};

class Engine {
 public:
  // Hands a message to the link layer; must not block. Messages to an unlinked peer are dropped.
  using SendFn = std::function<void(const std::string& peer, const std::string& log, Message)>;
  using ReplyFn = std::function<void(const Reply&)>;

  // `store` outlives the engine.
  Engine(EngineOptions options, Store* store, SendFn send);
  ~Engine();  // stops

  // Recovers every log in the store and starts the threads.
  Status Start();
  // Refuses new work, lets what is being written finish, answers everyone else with kCancelled,
  // joins.
  void Stop();

  // The request's ticket is set here and returned. `done` is called exactly once.
  Ticket Append(const std::string& log, AppendRequest request, ReplyFn done);
  // Gives up waiting for an append: `done` gets kTimeout with a text that says what is missing. The
  // record may still be committed; the client retries with the same position.
  void GiveUp(const std::string& log, Ticket ticket);
  // An admin order (any Event with a ticket, CreateLog included).
  void Order(const std::string& log, Event order, ReplyFn done);

  void PeerConnected(const std::string& peer);
  void PeerDisconnected(const std::string& peer);
  void PeerMessage(const std::string& peer, const std::string& log, Message message);
  void SetDiskFull(bool full);

  // Fresh status of one log, or of all when `log` is empty; kNotFound for an unknown one.
  Result<std::map<std::string, ReplicaStatus>> ReadStatus(const std::string& log);
  // The commit index as of the last turn; 0 for an unknown log.
  uint64_t CommitIndex(const std::string& log) const;
  std::vector<std::string> Logs() const;
  // Calls `wake` once, when the log's commit index is above `index` (at once if it is already) or
  // the engine stops. Returns an id for CancelWait.
  uint64_t WaitCommit(const std::string& log, uint64_t index, std::function<void()> wake);
  void CancelWait(uint64_t id);

  Store* store() const;

  // Counters since start, for metrics.
  struct Stats {
    uint64_t appended_records = 0, appended_bytes = 0, acknowledged_batches = 0;
    uint64_t refused_appends = 0, write_groups = 0, write_group_logs = 0;
    uint64_t write_micros = 0;  // time in Store::Write
    uint64_t catch_up_bytes = 0;
    std::string store_error;  // not empty: the store is closed for writing (fail-stop)
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
