// store.h — where a node keeps its logs: an interface with a crash contract and two
// implementations, RocksStore (node/store) and MemoryStore (memory_store.h, for tests and the
// simulator), held to the same conformance suite.
//
// Crash contract: Write is atomic over all its parts and all logs, and durable when it returns OK.
// After a crash each Write that did not return is there wholly or not at all, and if a Write is
// there so are all Writes before it. After a Write has failed the store is closed for writing:
// every later Write returns that same error, because nobody knows what a failed fsync left behind.
//
// Thread-safety: Write by one thread at a time; all reads from any thread, also during a Write.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"
#include "replicator/log/control.h"
#include "replicator/log/epoch_history.h"
#include "replicator/log/merkle.h"
#include "replicator/log/record.h"

namespace kembar {

// What a node must remember of a log beside its records. Small; written whole.
struct HardState {
  uint64_t promised_epoch = 0;  // follows no epoch below this
  std::string promised_to;      // the one candidate that may reign in promised_epoch
  uint64_t seen_epoch = 0;      // highest epoch in which a primary is known to have reigned
  uint64_t commit_index = 0;    // a lower bound, written along with other changes
  uint64_t must_reach = 0;      // what this node once acknowledged, as a peer remembers it
  std::string alarm;            // why the log stopped here (divergence), empty if it did not
  uint64_t alarm_index = 0;     // the first record that differs from the primary's; 0: not known
  std::map<std::string, uint64_t> acked_by;  // last acknowledged index of each peer
  bool operator==(const HardState&) const = default;
};
std::string EncodeHardState(const HardState& state);
Result<HardState> DecodeHardState(std::string_view bytes);

// Moves all records after `after` to quarantine, then removes them with everything derived from
// them (items, positions, tree nodes, control records).
struct Truncation {
  uint64_t after = 0;
  std::string origin;            // why and whence, e.g. "tebo epoch 1"
  int64_t time_us = 0;           // wall clock
  uint64_t acknowledged_to = 0;  // records up to here had been committed (a lossy failover)
};

// One log's part of an atomic Write. Order of effect: truncate, append, hard state.
struct LogWrite {
  std::string log;
  std::optional<Truncation> truncate;
  SharedBatch batch;                // null: none. Must continue the log (CHECKed)
  std::vector<merkle::Node> nodes;  // tree nodes that `batch` completes
  std::optional<HardState> hard;
};

// Everything a replica needs to go on after a restart.
struct Recovered {
  HardState hard;
  uint64_t last_index = 0;
  uint64_t last_batch_end = 0;  // last index whose record ends its batch; 0 for an empty log
  merkle::Frontier frontier;
  EpochHistory history;
  std::string log_uuid;  // empty for an empty log
  ControlState control;  // the latest control record's content
  uint64_t control_index = 0;
  // For each source its last position and the last index of that batch.
  std::map<std::string, std::pair<uint64_t, uint64_t>> positions;
};

// One version of an item, without its payload.
struct ItemVersion {
  std::string package;
  std::string item;
  uint64_t index = 0;
  int64_t time_us = 0;
  RecordKind kind = RecordKind::kPut;
  uint64_t payload_bytes = 0;
  Digest payload_sha256{};
  std::string title;
  std::string value;
  std::string unit;
};

struct QuarantineInfo {
  uint64_t id = 0;  // 1, 2, … per log
  std::string origin;
  int64_t time_us = 0;
  uint64_t first_index = 0;
  uint64_t last_index = 0;
  uint64_t acknowledged_to = 0;
};

// Which versions of items are visited. Empty: no condition.
struct ItemRange {
  std::string package;          // exactly this one
  std::string item_prefix;      // items whose name begins so
  uint64_t as_of = UINT64_MAX;  // versions up to this index
};
// What a visitor wants to see next.
enum class Visit : uint8_t { kNext, kNextItem, kNextPackage, kStop };

class Store {
 public:
  virtual ~Store() = default;

  virtual Status Write(std::span<const LogWrite> writes) = 0;

  virtual Result<std::vector<std::string>> Logs() const = 0;
  // An unknown log recovers as empty.
  virtual Result<Recovered> Recover(const std::string& log) const = 0;

  // Frames from..to, at least one if there is one, stopping after `bytes_max` bytes. prev_root and
  // root are filled in. kNotFound when `from` is beyond the end; kCorrupt names log and index.
  virtual Result<FrameBatch> Read(const std::string& log, uint64_t from, uint64_t to,
                                  size_t bytes_max) const = 0;
  virtual Result<Digest> RootAt(const std::string& log, uint64_t size) const = 0;
  virtual Result<Digest> TreeNode(const std::string& log, uint8_t level, uint64_t offset) const = 0;
  // The last index of the batch that `source` appended at exactly `position`; 0 if none.
  virtual Result<uint64_t> FindPosition(const std::string& log, const std::string& source,
                                        uint64_t position) const = 0;

  // The versions of items in `range`, in order of package, item and then newest first. What a visit
  // passes over costs little, however much it is.
  using ItemVisitor = std::function<Visit(const ItemVersion&)>;
  virtual Status VisitItems(const std::string& log, const ItemRange& range,
                            const ItemVisitor& each) const = 0;

  virtual Result<std::vector<QuarantineInfo>> Quarantines(const std::string& log) const = 0;
  virtual Result<std::vector<std::string>> QuarantinedFrames(const std::string& log, uint64_t id,
                                                             uint64_t from,
                                                             size_t bytes_max) const = 0;

  // This data directory's identity: made at creation, never changed.
  virtual const std::string& node_uuid() const = 0;
};

}  // namespace kembar
