// truth.h — what is really so, kept beside the nodes: the contents of each disk, the one committed
// history, what was promised and what was acknowledged. Every promise of the protocol that can be
// broken by a single step is checked at that step; a breach throws Violation.
//
//   P1  an acknowledged batch is in the committed history, at the index that was told, and durable
//       on as many disks as the configuration demands
//   P2  one node acknowledges in an epoch; a promise that was answered is never broken, also across
//       crashes; an acknowledgement between nodes never speaks of what is not on the disk
//   P3  all committed logs are one history, byte for byte, with equal Merkle roots
//   P4  a record that was durable is in the log or in quarantine, as long as the disk lives
//   P6  in the committed history each source's batches stand once, whole, in order, without gaps
//
// A failover with accepted loss begins a branch of the history: what the new primary holds is what
// remains. So does a primary whose disk was put back to an earlier state and that reigns on. Runs
// in which neither happens know one branch only; a mirror may get an old disk in those too.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replicator/core/replica.h"
#include "replicator/log/memory_store.h"
#include "tests/sim/trace.h"

namespace kembar::sim {

inline constexpr char kLog[] = "lpse-1";

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t value = 0;
    for (size_t i = 0; i < sizeof(value); ++i) value = value << 8 | digest[i];
    return value;
  }
};

// What a source has ever asked to append: one atomic batch per position.
struct SourceBatch {
  uint64_t position = 0;
  std::vector<std::string> payloads;
};
using SourceBook = std::map<std::string, std::vector<SourceBatch>>;

class Truth {
 public:
  // `book` outlives the truth. `one_history`: no operator of this run accepts a loss.
  Truth(const SourceBook* book, bool one_history) : book_(book), one_history_(one_history) {}

  // ---- Disks: told at each sync, restart and wipe ----
  void OnSynced(const std::string& node, const LogWrite& write, const Store& store);
  void OnRestart(const std::string& node, const Recovered& recovered);
  void OnWiped(const std::string& node);
  void OnSaved(const std::string& node);     // an image of the disk was made
  void OnRestored(const std::string& node);  // and put back

  // ---- What nodes say and show ----
  void OnSend(const std::string& node, const Message& message) const;
  void OnFenceAnswered(const std::string& node, uint64_t epoch, const std::string& candidate);
  void OnCommit(const std::string& node, uint64_t commit, bool primary, const Config& config);
  void OnStatus(const std::string& node, const ReplicaStatus& status) const;

  // `batch` counts from 0 in the source's book. Index 0: look it up, as a client would.
  void OnAcknowledged(const std::string& node, uint64_t epoch, const std::string& source,
                      size_t batch, uint64_t index);

  // ---- At the end, or when the world wants to know ----
  // The node's whole store, read back, against the model and the history.
  void CheckStore(const std::string& node, const Store& store) const;
  // Every acknowledged batch is in the history that `node` holds, or was given up by an operator.
  void CheckAcknowledged(const std::string& node) const;
  size_t CommittedLength(const std::string& node) const;
  uint64_t DurableIndex(const std::string& node) const;
  uint64_t LongestDisk() const;
  // Whom the promise on its disk is to.
  const std::string& PromisedTo(const std::string& node) const {
    return DiskOf(node).hard.promised_to;
  }
  // How many disks other than `node`'s hold the whole committed history.
  size_t FullCopiesBeside(const std::string& node) const;
  bool HoldsAllCommitted(const std::string& node) const;
  bool HasLog(const std::string& node) const { return DurableIndex(node) > 0; }
  size_t acknowledged() const { return acknowledged_.size(); }
  size_t given_up() const;
  size_t quarantined() const { return quarantined_; }

 private:
  struct RecordInfo {
    uint64_t index = 0;
    uint64_t epoch = 0;
    RecordKind kind = RecordKind::kPut;
    bool batch_end = true;
    std::string source;
    uint64_t position = 0;
    std::string payload;
    ControlState control;  // of control records
  };
  using ReignId = uint32_t;  // an EpochStart
  struct Entry {
    Digest leaf{};
    ReignId reign = 0;
  };
  struct Disk {
    std::vector<Entry> log;                           // log[i] has index i + 1
    std::vector<std::pair<uint64_t, ReignId>> lossy;  // reigns entered with accepted loss
    HardState hard;
    std::vector<Entry> before_wipe;  // what a destroyed disk held: acks of it may be on their way
    size_t quarantines = 0;
    bool forks = false;           // an old disk of a primary: when it reigns on, a branch begins
    uint64_t answered_epoch = 0;  // the highest promise that was answered
    std::string answered_to;
    uint64_t commit = 0;  // as last shown by the running replica
    ReignId commit_branch = 0;
  };
  struct SourceState {
    size_t batch = 0;  // the next record of the source is this one
    size_t offset = 0;
  };
  struct Branch {
    std::vector<Digest> leaves;
    std::map<std::string, SourceState> sources;
    std::string open_source;  // inside a batch of this source
  };
  struct Acknowledged {
    std::string source;
    size_t batch = 0;
    uint64_t index = 0;
    Digest leaf{};
  };

  const RecordInfo& Learn(const std::string& frame, const Digest& leaf);
  ReignId ReignOf(const RecordInfo& start, const Digest& leaf);
  void AppendToDisk(const std::string& node, Disk* disk, const LogWrite& write);
  void CheckQuarantine(const std::string& node, const Disk& disk, uint64_t after,
                       const Store& store) const;
  void CheckHardGrows(const std::string& node, const HardState& before,
                      const HardState& after) const;
  ReignId BranchOf(const Disk& disk, uint64_t index) const;
  ReignId BranchOfMirror(const Disk& disk, uint64_t commit) const;
  void Extend(Branch* branch, const Digest& leaf);
  bool Holds(const std::string& node, uint64_t index, const Digest& leaf) const;
  void CheckHolders(const std::string& node, uint64_t index, const Config& config) const;
  const Disk& DiskOf(const std::string& node) const;

  const SourceBook* const book_;
  const bool one_history_;
  std::map<std::string, Disk> disks_;
  std::unordered_map<Digest, RecordInfo, DigestHash> records_;
  std::map<std::string, Disk> saved_;
  std::map<std::pair<uint64_t, std::string>, std::map<Digest, ReignId>> reigns_;
  ReignId last_reign_ = 0;
  std::set<ReignId> forks_;  // reigns of primaries with an old disk
  std::map<std::pair<ReignId, uint64_t>, Digest> leaf_at_;
  std::map<std::pair<ReignId, uint64_t>, Digest> root_at_;
  std::map<ReignId, Branch> branches_;            // 0: the history that no loss has cut
  std::map<uint64_t, std::string> acknowledges_;  // who, by epoch
  std::map<std::pair<std::string, size_t>, Acknowledged> acknowledged_;
  size_t quarantined_ = 0;
};

}  // namespace kembar::sim
