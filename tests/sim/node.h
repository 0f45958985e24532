// node.h — one simulated node: a Replica, its MemoryStore, and a pump that does what the engine of
// kembard does: turns of events, writes in groups, reads beside them.
//
// What can happen to it: crash at any moment with any prefix of the unsynced writes kept, restart,
// a pause (SIGSTOP) after which everything arrives at once, a new empty disk, an old disk, a full
// disk, a failed write, a slow disk, a wall clock that jumps and clocks that run at different
// speeds.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "replicator/core/replica.h"
#include "replicator/log/memory_store.h"
#include "tests/sim/mutant.h"

namespace kembar::sim {

class World;

class Node : public LogReader {
 public:
  Node(World* world, std::string name);

  void Start();  // from what its disk holds; no-op when it is up
  // The process dies. The first `keep` unsynced writes happen to be on the disk.
  void Crash(size_t keep);
  void Wipe();         // only while it is down
  void SaveDisk();     // an image of what is durable now, over the one before
  void RestoreDisk();  // puts it back; only while it is down
  bool has_saved() const { return saved_ != nullptr; }
  // The image is of a time at which this node had promised the reign to itself.
  bool saved_own_reign() const { return saved_own_reign_; }
  void Pause();
  void Resume();

  void Post(Event event);  // lost when it is down; waits while it is paused
  // Asks for the status, as the Admin service does; unanswered when it is down.
  void PostQuery(std::function<void(const ReplicaStatus&)> answer);

  bool up() const { return replica_ != nullptr; }
  bool paused() const { return paused_; }
  bool stopped() const { return stopped_; }  // fail-stop after a failed write
  const std::string& name() const { return name_; }
  MemoryStore& store() { return store_; }
  size_t unsynced() const { return store_.unsynced(); }
  bool is_primary() const { return up() && replica_->is_primary(); }
  uint64_t incarnation() const { return incarnation_; }
  ReplicaStatus status() const { return replica_->status(now()); }

  void set_slow_disk(bool slow) { slow_disk_ = slow; }
  void set_clock(int64_t wall_offset_us) { wall_offset_us_ = wall_offset_us; }
  void set_drift(int64_t per_mille) { drift_per_mille_ = per_mille; }  // before Start
  void set_clients_cut(bool cut) { clients_cut_ = cut; }
  bool clients_cut() const { return clients_cut_; }

  Result<Digest> RootAt(uint64_t size) const override { return store_.RootAt(kLogName, size); }

 private:
  static constexpr char kLogName[] = "lpse-1";
  struct Reported {  // a write that is durable (or failed), to be told to the replica
    Status status;
    bool reload = false;
  };
  struct Job {
    LogWrite write;
    bool reported = false;  // by a mutant, before its time
  };
  using Query = std::function<void(const ReplicaStatus&)>;
  using Item = std::variant<Event, Query, Reported>;

  Now now() const;
  void PlanTurn();
  void Turn();
  void TakeItem(Item item, Actions* out);
  void Observe();
  void CarryOut(Actions actions);
  void OnPersist(LogWrite write);
  void OnReadAndSend(ReadAndSend order);
  void OnSend(Send send);
  void PlanDisk();
  void WriteGroup();
  void SyncGroup();
  void PlanTick();
  // Runs `action` later unless the process has ended by then.
  void Later(int64_t delay_us, std::function<void()> action);

  // Mutants.
  bool Mutated(Mutant mutant) const;
  void MutateMessage(Message* message);
  void MutateComparison(Message* message) const;
  void MutateRoot(Entries* entries, const Recovered& own) const;
  void MutateRecovered(Recovered* recovered) const;
  void MutateAppend(const AppendRequest& request, uint64_t last_before);
  void AckLocally();
  bool ReportsEarly(const LogWrite& write) const;
  void MutatePersist(const LogWrite& write);
  void TruncateWithoutQuarantine(LogWrite* write);

  World* const world_;
  const std::string name_;
  MemoryStore store_;
  std::unique_ptr<Replica> replica_;
  std::shared_ptr<const MemoryStore::Image> saved_;
  bool saved_own_reign_ = false;
  uint64_t incarnation_ = 0;
  std::deque<Item> inbox_;
  bool turn_planned_ = false;
  bool paused_ = false;
  bool stopped_ = false;
  bool slow_disk_ = false;
  bool clients_cut_ = false;
  std::deque<Job> queued_;   // persisted by the replica, not yet given to the store
  std::deque<Job> writing_;  // given to the store, not yet synced
  bool disk_planned_ = false;
  int64_t wall_offset_us_ = 0;
  int64_t drift_per_mille_ = 0;
  // As last shown in the trace.
  bool shown_primary_ = false;
  std::string shown_state_;
  std::vector<std::pair<Ticket, uint64_t>> local_acks_;  // kAckLocally: when durable up to there
  std::map<std::string, std::pair<uint64_t, uint64_t>> kept_positions_;
};

}  // namespace kembar::sim
