// snapshot.h — one moment of a node, rendered three ways: health, metrics, status page. And what
// in it must alarm somebody, decided in one place for all three.
//
// Pure: value types and functions over them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "node/blob/blob_store.h"
#include "node/blob/exchange.h"
#include "node/blob/tracker.h"
#include "node/engine.h"
#include "node/package_counts.h"
#include "node/sources.h"
#include "replicator/core/replica.h"

namespace kembar {

// Contents of documents.
struct BlobSnapshot {
  BlobStats store;
  uint64_t disk_bytes = 0;
  blob::ExchangeCounters exchange;
  uint64_t wanted = 0;  // chunks on their way here
  std::map<std::string, TrackerStats> logs;
};

struct NodeSnapshot {
  std::string node;
  std::string node_uuid;
  std::string version;
  std::string address;
  int64_t wall_us = 0;
  int64_t uptime_ms = 0;
  std::map<std::string, ReplicaStatus> logs;
  std::map<std::string, uint64_t> quarantines;  // number of them, by log
  std::string unreadable;                       // why `logs` could not be read; empty: it could
  std::vector<std::string> peers;               // as configured
  std::vector<std::string> linked;              // with a live link
  // Why a peer is refused, or refuses this node: it is not who it should be. By name.
  std::map<std::string, std::string> refused_links;
  Engine::Stats stats;
  uint64_t store_bytes = 0;
  BlobSnapshot blobs;
  std::map<std::string, PackageCounts> packages;           // by log
  std::map<std::string, std::vector<SourceSeen>> sources;  // by log
  int64_t source_silence_ms = 0;  // a source not heard for so long alarms; 0: none does
  uint64_t disk_free_bytes = 0;
  uint64_t disk_reserve_bytes = 0;
  bool disk_full = false;  // appends are refused
  bool stopping = false;
};

enum class AlarmKind : uint8_t {
  kStopped,  // the log or the store stopped: divergence, corruption, a failed write
  kNoPrimary,
  kStalled,  // appends are not acknowledged
  kSolo,
  kCatchingUp,
  kPeerTrouble,
  kLossy,      // the present reign began with accepted loss
  kHoldsLess,  // this node holds less than it once acknowledged
  kQuarantine,
  kPaused,
  kSourceSilent,  // a capture has stopped, or its data does not get here
};

struct Alarm {
  AlarmKind kind = AlarmKind::kStopped;
  bool critical = false;  // otherwise a warning
  std::string detail;     // names, indices, the program's own words; may be empty
};

// What is wrong with one log, the worst first. Empty: nothing is.
std::vector<Alarm> LogAlarms(const NodeSnapshot& snapshot, const std::string& log);
// In English, as one line.
std::string AlarmText(const Alarm& alarm);

// How many sets of divergent records are kept apart.
uint64_t Quarantines(const NodeSnapshot& snapshot, const std::string& log);
// How long a source has not been heard.
int64_t SilentMs(const NodeSnapshot& snapshot, const SourceSeen& source);

// Why the process itself is unwell: answered as 503. A log without primary is not among them: it
// does not get better by restarting this process.
std::vector<std::string> Unhealthy(const NodeSnapshot& snapshot);

// How far a node is behind in time: 0 when it holds everything, the time since it last did, -1 when
// it never did or nobody knows.
int64_t LagMs(uint64_t held_index, uint64_t last_index, int64_t level_ms_ago);
// Likewise for this node as a mirror of the log.
int64_t MirrorLagMs(const ReplicaStatus& status);
uint64_t MirrorLagRecords(const ReplicaStatus& status);

}  // namespace kembar
