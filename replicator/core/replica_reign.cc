// replica_reign.cc — the beginning and end of a reign, and what the primary changes by itself.
#include <algorithm>
#include <utility>

#include "replicator/base/check.h"
#include "replicator/core/replica.h"

namespace kembar {

void Replica::BecomePrimary(uint64_t epoch, ControlState state, Ticket ticket, Now now,
                            Actions* out) {
  CHECK(!is_primary() && epoch > history_.LastEpoch() && last_batch_end_ == last_index_);
  role_ = Role::kPrimary;
  resume_ = false;
  epoch_ = epoch;
  hard_.seen_epoch = std::max(hard_.seen_epoch, epoch);
  hard_.acked_by.clear();
  hard_.must_reach = 0;  // what was missing is now accepted as lost
  hard_.alarm.clear();   // and this log as the truth
  hard_.alarm_index = 0;
  following_epoch_ = 0;
  following_.clear();
  following_address_.clear();
  trouble_.clear();
  peers_.clear();
  tail_.clear();
  tail_bytes_ = 0;
  paused_until_ms_ = 0;
  reign_start_ms_ = enough_mirrors_ms_ = last_heartbeat_ms_ = now.mono_ms;
  if (!log_uuid_.empty()) state.log_uuid = log_uuid_;
  state.config.solo = false;
  state.primary = options_.self;
  AddRecord(
      Record{.kind = RecordKind::kEpochStart, .item = "epoch", .payload = EncodeControl(state)},
      now);
  reign_start_ = last_index_;
  CloseTurn(out);
  pending_.back().reply = Reply{.ticket = ticket, .index = reign_start_, .epoch = epoch_};
  SyncPeers(now);
}

// The caller says to whom it yields by setting promises or following. Records that were not
// committed stay where they are: the next primary's log decides about them.
void Replica::StepDown(const Status& why, Actions* out) {
  CHECK(is_primary());
  CloseTurn(out);
  role_ = Role::kMirror;
  FailWaiters(why, out);
  peers_.clear();
  tail_.clear();
  tail_bytes_ = 0;
  paused_until_ms_ = 0;
  following_epoch_ = 0;
  following_contact_ms_ = -1;
  verified_index_ = 0;
}

// Peers are the members and those left out who may come back.
void Replica::SyncPeers(Now now) {
  const Config& config = control_.config;
  std::erase_if(peers_, [&](const auto& entry) {
    const bool still_counts = ChangeIsOpen() && control_before_.HasMember(entry.first);
    return config.Find(entry.first) == nullptr && !still_counts;
  });
  for (const auto* group : {&config.members, &config.left_out}) {
    for (const Member& member : *group) {
      if (member.name == options_.self || peers_.contains(member.name)) continue;
      Peer& peer = peers_[member.name];
      auto link = links_.find(member.name);
      peer.connected = link != links_.end() && link->second;
      ResetPeer(&peer, now);
    }
  }
}

void Replica::AppendConfig(Config config, const std::string& actor, const std::string& reason,
                           Now now) {
  ControlState state = control_;
  state.config = std::move(config);
  state.actor = actor;
  state.reason = reason;
  state.known.clear();
  state.lossy = false;
  AddRecord(Record{.kind = RecordKind::kConfig, .item = "config", .payload = EncodeControl(state)},
            now);
  SyncPeers(now);
}

// What the primary changes by itself: a member that was left out and is level again comes back;
// in max-availability solo begins and ends.
void Replica::ReviewMembership(Now now) {
  if (control_index_ > commit_index_) return;  // one change at a time
  if (now.mono_ms < paused_until_ms_) return;  // a switchover waits for the log to stand still
  Config config = control_.config;
  for (const Member& member : config.left_out) {
    const Member back = member;
    auto it = peers_.find(back.name);
    if (it == peers_.end() || !it->second.connected || it->second.level_ms < 0 ||
        now.mono_ms - it->second.level_ms > options_.silence_ms) {
      continue;
    }
    std::erase(config.left_out, back);
    config.members.push_back(back);
    config.solo = false;
    AppendConfig(std::move(config), "automatic", back.name + " is level again", now);
    return;
  }
  if (config.mode != Mode::kMaxAvailability) return;
  const uint32_t wanted = config.MirrorsOfQuorum();
  if (wanted == 0) return;
  if (LevelMirrors(now, options_.silence_ms) >= wanted) {
    enough_mirrors_ms_ = now.mono_ms;
    if (config.solo) {
      config.solo = false;
      AppendConfig(std::move(config), "automatic", "enough mirrors are level again", now);
    }
  } else if (!config.solo && now.mono_ms - enough_mirrors_ms_ >= config.solo_after_ms) {
    config.solo = true;
    AppendConfig(std::move(config), "automatic",
                 "no mirror for " + std::to_string(now.mono_ms - enough_mirrors_ms_) + " ms", now);
  }
}

void Replica::TickPrimary(Now now, Actions* out) {
  SyncPeers(now);
  ReviewMembership(now);
  CloseTurn(out);
  if (now.mono_ms - last_heartbeat_ms_ < options_.heartbeat_ms) return;
  last_heartbeat_ms_ = now.mono_ms;
  for (auto& [name, peer] : peers_) SendHeartbeat(name, &peer, now, out);
}

}  // namespace kembar
