// snapshot.cc — see snapshot.h.
#include "node/http/snapshot.h"

#include <algorithm>

namespace kembar {
namespace {

std::string_view Meaning(AlarmKind kind) {
  switch (kind) {
    case AlarmKind::kStopped: return "stopped";
    case AlarmKind::kNoPrimary: return "no primary is in contact";
    case AlarmKind::kStalled: return "appends are not acknowledged: too few mirrors are level";
    case AlarmKind::kSolo: return "the primary acknowledges without a mirror";
    case AlarmKind::kCatchingUp: return "a mirror is catching up";
    case AlarmKind::kPeerTrouble: return "trouble with a peer";
    case AlarmKind::kLossy: return "this reign began with accepted loss";
    case AlarmKind::kHoldsLess: return "this node holds less than it once acknowledged";
    case AlarmKind::kQuarantine: return "records are in quarantine";
    case AlarmKind::kPaused: return "appends are paused";
    case AlarmKind::kSourceSilent: return "a capture is silent";
  }
  return "unknown";
}

void AddStateAlarm(const ReplicaStatus& status, std::vector<Alarm>* alarms) {
  switch (status.state) {
    case LogState::kProtected: return;
    case LogState::kNoPrimary:
      alarms->push_back({AlarmKind::kNoPrimary, true, status.primary});
      return;
    case LogState::kStalled: alarms->push_back({AlarmKind::kStalled, true, {}}); return;
    case LogState::kSolo:
      alarms->push_back(
          {AlarmKind::kSolo, true, "since index " + std::to_string(status.control_index)});
      return;
    case LogState::kCatchingUp: alarms->push_back({AlarmKind::kCatchingUp, false, {}}); return;
  }
}

void AddSourceAlarms(const NodeSnapshot& snapshot, const std::string& log,
                     std::vector<Alarm>* alarms) {
  const auto sources = snapshot.sources.find(log);
  if (sources == snapshot.sources.end() || snapshot.source_silence_ms == 0) return;
  for (const SourceSeen& source : sources->second) {
    const int64_t silent_ms = SilentMs(snapshot, source);
    if (source.retired || silent_ms < snapshot.source_silence_ms) continue;
    alarms->push_back({AlarmKind::kSourceSilent, true,
                       source.source + ", for " + std::to_string(silent_ms / 60'000) + " min"});
  }
}

}  // namespace

uint64_t Quarantines(const NodeSnapshot& snapshot, const std::string& log) {
  const auto found = snapshot.quarantines.find(log);
  return found == snapshot.quarantines.end() ? 0 : found->second;
}

int64_t SilentMs(const NodeSnapshot& snapshot, const SourceSeen& source) {
  // The primary's clock may be ahead of this one.
  return std::max<int64_t>(snapshot.wall_us - source.time_us, 0) / 1000;
}

std::vector<Alarm> LogAlarms(const NodeSnapshot& snapshot, const std::string& log) {
  const ReplicaStatus& status = snapshot.logs.at(log);
  std::vector<Alarm> alarms;
  if (!status.hard.alarm.empty()) alarms.push_back({AlarmKind::kStopped, true, status.hard.alarm});
  if (!status.trouble.empty() && status.trouble != status.hard.alarm) {
    alarms.push_back({AlarmKind::kStopped, true, status.trouble});
  }
  AddStateAlarm(status, &alarms);
  for (const PeerStatus& peer : status.peers) {
    if (peer.trouble.empty()) continue;
    alarms.push_back({AlarmKind::kPeerTrouble, true, peer.name + ": " + peer.trouble});
  }
  if (status.hard.must_reach > status.durable_index) {
    alarms.push_back({AlarmKind::kHoldsLess, true,
                      "index " + std::to_string(status.durable_index) + " of " +
                          std::to_string(status.hard.must_reach)});
  }
  if (status.control.lossy) alarms.push_back({AlarmKind::kLossy, false, status.control.reason});
  if (const uint64_t quarantines = Quarantines(snapshot, log); quarantines > 0) {
    alarms.push_back({AlarmKind::kQuarantine, false, std::to_string(quarantines)});
  }
  AddSourceAlarms(snapshot, log, &alarms);
  if (status.paused) alarms.push_back({AlarmKind::kPaused, false, {}});
  std::stable_partition(alarms.begin(), alarms.end(),
                        [](const Alarm& alarm) { return alarm.critical; });
  return alarms;
}

std::string AlarmText(const Alarm& alarm) {
  std::string text(Meaning(alarm.kind));
  if (!alarm.detail.empty()) text += ": " + alarm.detail;
  return text;
}

std::vector<std::string> Unhealthy(const NodeSnapshot& snapshot) {
  std::vector<std::string> reasons;
  if (!snapshot.stats.store_error.empty()) {
    reasons.push_back("store closed: " + snapshot.stats.store_error);
  }
  if (!snapshot.unreadable.empty()) reasons.push_back("no status: " + snapshot.unreadable);
  if (snapshot.disk_full) {
    reasons.push_back("disk full: " + std::to_string(snapshot.disk_free_bytes) +
                      " bytes free, appends are refused below " +
                      std::to_string(snapshot.disk_reserve_bytes));
  }
  if (snapshot.stopping) reasons.emplace_back("stopping");
  return reasons;
}

int64_t LagMs(uint64_t held_index, uint64_t last_index, int64_t level_ms_ago) {
  return held_index >= last_index ? 0 : level_ms_ago;
}

int64_t MirrorLagMs(const ReplicaStatus& status) {
  // Out of contact nobody knows what the primary has got since: silence counts as lag.
  if (status.state == LogState::kNoPrimary) return status.level_ms_ago;
  return LagMs(status.durable_index, status.primary_last_index, status.level_ms_ago);
}

uint64_t MirrorLagRecords(const ReplicaStatus& status) {
  return status.primary_last_index > status.durable_index
             ? status.primary_last_index - status.durable_index
             : 0;
}

}  // namespace kembar
