// replica_mirror.cc — the mirror's half: whom to follow, what to take in, when to cut a tail off.
//
// A mirror never repairs, skips or trims by guess. What does not continue its log is answered with
// its position; what contradicts a committed record stops the log with an alarm.
#include <algorithm>
#include <utility>

#include "replicator/base/check.h"
#include "replicator/core/replica.h"

namespace kembar {

// Decides whether the sender's reign is to be followed, and follows it. False: the message is done
// with (refused, or put off until a promise is durable).
bool Replica::Follow(const std::string& from, const Reign& reign, const Message& message, Now now,
                     Actions* out) {
  auto refuse = [&](Refusal::Why why, const std::string& text) {
    out->push_back(Send{from, Refusal{why, hard_.promised_epoch, hard_.promised_to, 0, text}});
    return false;
  };
  if (!log_uuid_.empty() && reign.log_uuid != log_uuid_) {
    trouble_ = "node " + from + " has another log by this name (recreated?): identity " +
               reign.log_uuid + ", ours is " + log_uuid_;
    return refuse(Refusal::Why::kOtherLog,
                  "this node holds another log by this name: identity " + log_uuid_);
  }
  const bool known = reign.epoch == hard_.promised_epoch && reign.primary == hard_.promised_to;
  if (reign.epoch < hard_.promised_epoch || (reign.epoch == hard_.promised_epoch && !known)) {
    return refuse(Refusal::Why::kFenced,
                  "promised epoch " + EpochText(hard_.promised_epoch) + " to " + hard_.promised_to);
  }
  if (is_primary()) {
    if (reign.epoch == epoch_) return false;  // an echo of ourselves
    StepDown(
        Status(Code::kUnavailable,
               "node " + reign.primary + " became primary with epoch " + EpochText(reign.epoch),
               "retry with the same position; clients find the new primary by themselves"),
        out);
  }
  if (!known || hard_.seen_epoch < reign.epoch) {
    hard_.promised_epoch = reign.epoch;
    hard_.promised_to = reign.primary;
    hard_.seen_epoch = reign.epoch;
    // Nothing is said to a new primary before the promise to it is durable.
    PersistHard({.again = Received{from, message}}, out);
    return false;
  }
  if (durable_promise_ != reign.epoch) return false;  // said again by the next heartbeat
  if (following_epoch_ != reign.epoch) {
    following_epoch_ = reign.epoch;
    following_ = reign.primary;
    following_level_ms_ = -1;
    following_last_index_ = following_commit_index_ = following_acked_ = 0;
    following_history_ = EpochHistory();
    verified_index_ = 0;
    trouble_.clear();
  }
  following_contact_ms_ = now.mono_ms;
  return true;
}

void Replica::OnHeartbeat(const std::string& from, const Heartbeat& heartbeat, Now now,
                          Actions* out) {
  const Reign reign{heartbeat.epoch, heartbeat.primary, heartbeat.log_uuid};
  if (!Follow(from, reign, heartbeat, now, out)) return;
  following_address_ = heartbeat.primary_address;
  following_last_index_ = std::max(following_last_index_, heartbeat.last_index);
  following_commit_index_ = std::max(following_commit_index_, heartbeat.commit_index);
  following_acked_ = std::max(following_acked_, heartbeat.peer_acked);
  following_history_ = heartbeat.history;
  if (!hard_.alarm.empty()) {
    out->push_back(Send{from, Refusal{Refusal::Why::kDiverged, hard_.promised_epoch,
                                      hard_.promised_to, hard_.alarm_index, hard_.alarm}});
    return;
  }
  Position position;
  position.epoch = following_epoch_;
  position.seq = heartbeat.seq;
  position.busy = recovering_;
  if (!recovering_) {
    if (heartbeat.peer_acked > durable_index_ && heartbeat.peer_acked > hard_.must_reach) {
      // The primary remembers more of us than we hold: this disk lost something.
      hard_.must_reach = heartbeat.peer_acked;
      PersistHard({}, out);
    }
    position.probe_index = heartbeat.probe_index;
    if (heartbeat.probe_index <= durable_index_ &&
        OwnRoot(heartbeat.probe_index) == heartbeat.probe_root) {
      position.probe_match = true;
      verified_index_ = std::max(verified_index_, heartbeat.probe_index);
    }
    SetCommit(std::min({heartbeat.commit_index, verified_index_, durable_index_}));
    if (verified_index_ >= heartbeat.last_index && durable_index_ >= heartbeat.last_index) {
      following_level_ms_ = now.mono_ms;
    }
  }
  position.log_uuid = log_uuid_;
  position.history = history_;
  position.received_index = last_index_;
  position.durable_index = durable_index_;
  position.durable_root = durable_root_;
  position.commit_index = commit_index_;
  out->push_back(Send{from, std::move(position)});
}

void Replica::SendPosition(const std::string& to, uint64_t seq, Actions* out) {
  out->push_back(Send{to, Position{.epoch = following_epoch_,
                                   .seq = seq,
                                   .log_uuid = log_uuid_,
                                   .history = history_,
                                   .received_index = last_index_,
                                   .durable_index = durable_index_,
                                   .durable_root = durable_root_,
                                   .commit_index = commit_index_,
                                   .busy = recovering_}});
}

void Replica::OnEntries(const std::string& from, const Entries& entries, Now now, Actions* out) {
  CHECK(entries.batch != nullptr && !entries.batch->frames.empty());
  const Reign reign{entries.epoch, entries.primary, entries.log_uuid};
  if (!Follow(from, reign, entries, now, out)) return;
  if (recovering_ || !hard_.alarm.empty()) return;  // the next heartbeat's answer says so
  if (disk_full_) {
    out->push_back(Send{from, Refusal{Refusal::Why::kStopped, hard_.promised_epoch,
                                      hard_.promised_to, 0, "disk nearly full"}});
    return;
  }
  const uint64_t prev = entries.batch->first_index - 1;
  following_last_index_ = std::max(following_last_index_, entries.batch->last_index());
  const uint64_t common =
      EpochHistory::CommonIndex(history_, last_index_, entries.history, UINT64_MAX);
  if (prev > last_index_ || (common < last_index_ && prev != common)) {
    SendPosition(from, 0, out);
  } else if (common < last_index_) {
    // Our tail after `common` is not in the primary's log. It goes to quarantine.
    if (common > durable_index_ || OwnRoot(common) != entries.batch->prev_root) {
      SendPosition(from, 0, out);
    } else if (common < commit_index_ && !entries.history.LossyAfter(common)) {
      RaiseAlarm("primary " + entries.primary + " epoch " + EpochText(entries.epoch) +
                     " lacks committed records " + std::to_string(common + 1) + " to " +
                     std::to_string(commit_index_) + "; refused to cut them off",
                 common + 1, out);
    } else {
      Truncate(common, "replaced by " + entries.primary + " epoch " + EpochText(entries.epoch),
               Received{from, entries}, now, out);
    }
  } else if (entries.batch->last_index() <= last_index_) {
    OnOverlap(from, entries, now, out);
  } else {
    AppendEntries(from, entries, out);
  }
}

// Everything in it is here already: a repetition, if the roots agree.
void Replica::OnOverlap(const std::string& from, const Entries& entries, Now now, Actions* out) {
  (void)now;
  const uint64_t last = entries.batch->last_index();
  if (last > durable_index_) return;  // acknowledged when it becomes durable
  if (OwnRoot(last) == entries.batch->root) {
    verified_index_ = std::max(verified_index_, last);
    if (hard_.promised_epoch != entries.epoch) return;
    out->push_back(Send{from, Ack{entries.epoch, durable_index_, durable_root_}});
  } else {
    SendPosition(from, 0, out);
  }
}

// Takes in the frames beyond our end, if with them our root becomes the primary's: that one
// comparison proves that everything before is equal too.
void Replica::AppendEntries(const std::string& from, const Entries& entries, Actions* out) {
  const FrameBatch& batch = *entries.batch;
  const size_t skip = last_index_ + 1 - batch.first_index;
  auto fresh = std::make_shared<FrameBatch>();
  fresh->first_index = last_index_ + 1;
  fresh->prev_root = frontier_.Root();
  fresh->frames.assign(batch.frames.begin() + static_cast<ptrdiff_t>(skip), batch.frames.end());

  std::vector<FrameHeader> headers;
  merkle::Frontier after = frontier_;
  std::vector<merkle::Node> nodes;
  uint64_t epoch = history_.LastEpoch();
  for (size_t i = 0; i < fresh->frames.size(); ++i) {
    const std::string& frame = fresh->frames[i];
    Result<FrameHeader> header = PeekFrame(frame);
    bool good = header.ok() && header->index == fresh->first_index + i &&
                header->epoch <= entries.epoch && header->epoch >= epoch;
    // Whole frames are decoded, so that a malformed one is refused here and not by the store.
    const Result<Record> record = DecodeRecord(frame);
    good = good && record.ok();
    if (good && IsControl(header->kind)) good = DecodeControl(record->payload).ok();
    if (good && header->kind == RecordKind::kEpochStart) good = header->epoch > epoch;
    if (!good) {
      trouble_ = "node " + from + " sent a malformed record " +
                 std::to_string(fresh->first_index + i) + "; not taken";
      return;
    }
    epoch = header->epoch;
    headers.push_back(*header);
    fresh->bytes += frame.size();
    after.Append(merkle::HashLeaf(frame), &nodes);
  }
  if (after.Root() != batch.root) {
    // Either the frames are damaged or what we hold differs: the primary finds out which by our
    // root.
    SendPosition(from, 0, out);
    return;
  }
  trouble_.clear();
  frontier_ = std::move(after);
  for (size_t i = 0; i < headers.size(); ++i) ApplyFrame(fresh->frames[i], headers[i]);
  fresh->root = batch.root;
  verified_index_ = last_index_;
  SetCommit(std::min(entries.commit_index, durable_index_));
  PendingWrite then{.last_index = last_index_, .root = fresh->root, .ack_epoch = following_epoch_};
  PersistWrite(LogWrite{.batch = std::move(fresh), .nodes = std::move(nodes)}, std::move(then),
               out);
}

void Replica::Truncate(uint64_t after, const std::string& origin, std::optional<Event> again,
                       Now now, Actions* out) {
  CHECK(after < last_index_ && after <= durable_index_);
  Truncation cut;
  cut.after = after;
  cut.origin = options_.self + " epoch " + EpochText(history_.EpochOf(last_index_)) + ", " + origin;
  cut.time_us = now.wall_us;
  if (commit_index_ > after) cut.acknowledged_to = commit_index_;
  commit_index_ = std::min(commit_index_, after);
  recovering_ = true;
  PersistWrite(LogWrite{.truncate = std::move(cut)}, {.reloads = true, .again = std::move(again)},
               out);
}

void Replica::RaiseAlarm(const std::string& text, uint64_t first_differing, Actions* out) {
  hard_.alarm = text;
  hard_.alarm_index = first_differing;
  PersistHard({}, out);
}

LogState Replica::MirrorState(Now now) const {
  if (!stopped_.ok() || !hard_.alarm.empty()) return LogState::kStalled;
  if (following_contact_ms_ < 0 || now.mono_ms - following_contact_ms_ > options_.silence_ms ||
      following_epoch_ < hard_.promised_epoch) {
    return LogState::kNoPrimary;
  }
  const bool level =
      following_level_ms_ >= 0 && now.mono_ms - following_level_ms_ <= options_.silence_ms;
  if (!level || recovering_) return LogState::kCatchingUp;
  const Config& config = control_.config;
  if (config.solo || !config.HasMember(options_.self)) return LogState::kSolo;
  return LogState::kProtected;
}

}  // namespace kembar
