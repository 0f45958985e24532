// epoch_history.h — which epoch began at which index: the skeleton by which two nodes find how far
// their logs agree (the idea of KIP-101 / Raft's log matching; each answer is then confirmed by the
// Merkle root).
//
// Pure value type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kembar {

// An epoch as it is stored and compared: the high bits count the reigns that operators began
// (create, failover, switchover), the low kEpochRestartBits count restarts of that reign's primary,
// which goes on under a new epoch of its own. So a restarted primary never outbids a new one.
// People and JSON see the high bits: EpochNumber.
inline constexpr unsigned kEpochRestartBits = 20;
inline constexpr uint64_t kFirstEpoch = uint64_t{1} << kEpochRestartBits;
constexpr uint64_t EpochNumber(uint64_t epoch) { return epoch >> kEpochRestartBits; }
constexpr uint64_t EpochRestarts(uint64_t epoch) { return epoch & (kFirstEpoch - 1); }
// The lowest epoch that an operator can begin above `epoch`.
constexpr uint64_t NextEpoch(uint64_t epoch) {
  return (EpochNumber(epoch) + 1) << kEpochRestartBits;
}
// "2", or "2.1" after one restart: for messages.
std::string EpochText(uint64_t epoch);

struct EpochEntry {
  uint64_t epoch = 0;
  uint64_t first_index = 0;  // index of its EpochStart record
  std::string primary;
  bool lossy = false;  // see ControlState::lossy
  bool operator==(const EpochEntry&) const = default;
};

class EpochHistory {
 public:
  EpochHistory() = default;
  explicit EpochHistory(std::vector<EpochEntry> entries);

  // `entry` must be later than all before, in epoch and in index (CHECKed).
  void Append(EpochEntry entry);
  uint64_t LastEpoch() const { return entries_.empty() ? 0 : entries_.back().epoch; }
  // 0 for an index before the first epoch.
  uint64_t EpochOf(uint64_t index) const;
  const std::vector<EpochEntry>& entries() const { return entries_; }
  // True when a reign that begins after `index` was entered with accepted loss.
  bool LossyAfter(uint64_t index) const;

  // The highest index up to which two logs with these histories and these ends can agree.
  static uint64_t CommonIndex(const EpochHistory& a, uint64_t a_last, const EpochHistory& b,
                              uint64_t b_last);
  // True when the entries can stand in a log: growing epochs and indices. For input from outside.
  static bool WellFormed(const std::vector<EpochEntry>& entries);

  bool operator==(const EpochHistory&) const = default;

 private:
  std::vector<EpochEntry> entries_;
};

}  // namespace kembar
