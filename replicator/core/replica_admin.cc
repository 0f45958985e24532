// replica_admin.cc — an operator's orders: create, fence, promote, pause, change, note.
#include <algorithm>
#include <utility>

#include "replicator/base/check.h"
#include "replicator/core/replica.h"

namespace kembar {

void Replica::OnCreate(CreateLog order, Now now, Actions* out) {
  auto refuse = [&](Code code, const std::string& text, const std::string& hint) {
    Answer(order.ticket, Status(code, "log " + options_.log + ": " + text, hint), out);
  };
  if (!stopped_.ok()) return Answer(order.ticket, stopped_, out);
  if (last_index_ != 0 || hard_.promised_epoch != 0) {
    return refuse(Code::kExists, "exists on this node already", "see: kembarctl status");
  }
  const Config& config = order.state.config;
  if (order.state.log_uuid.empty() || !config.HasMember(options_.self)) {
    return refuse(Code::kInvalid, "the members must include " + options_.self,
                  "create the log on the node that is to be its primary");
  }
  hard_.promised_epoch = kFirstEpoch;
  hard_.promised_to = options_.self;
  BecomePrimary(kFirstEpoch, std::move(order.state), order.ticket, now, out);
}

// Phase 1 of flexible Paxos: the promise. It is answered when it is durable, and so is everything
// that was taken in before it.
void Replica::OnFence(const FenceRequest& order, Actions* out) {
  if (!stopped_.ok()) return Answer(order.ticket, stopped_, out);
  if (EpochRestarts(order.epoch) != 0 || order.epoch == 0 || order.candidate.empty()) {
    Answer(order.ticket, Status(Code::kInvalid, "not an epoch that a tool may begin"), out);
    return;
  }
  const bool same = order.epoch == hard_.promised_epoch && order.candidate == hard_.promised_to;
  if (order.epoch < hard_.promised_epoch || (order.epoch == hard_.promised_epoch && !same)) {
    Reply reply{.ticket = order.ticket,
                .status = Status(Code::kFenced, "node " + options_.self + " has promised epoch " +
                                                    EpochText(hard_.promised_epoch) + " to " +
                                                    hard_.promised_to)};
    reply.fence = MakeFenceAnswer();
    out->push_back(std::move(reply));
    return;
  }
  if (!same) {
    if (is_primary()) {
      StepDown(Status(Code::kUnavailable,
                      "fenced for epoch " + EpochText(order.epoch) + " of " + order.candidate,
                      "retry with the same position; clients find the new primary by themselves"),
               out);
    }
    hard_.promised_epoch = order.epoch;
    hard_.promised_to = order.candidate;
  }
  PersistHard({.fence_ticket = order.ticket}, out);
}

Status Replica::CheckPromote(const PromoteRequest& order) const {
  RETURN_IF_ERROR(stopped_);
  const std::string who = "node " + options_.self;
  if (hard_.promised_epoch != order.epoch || hard_.promised_to != options_.self) {
    return {Code::kFenced, who + " has promised epoch " + EpochText(hard_.promised_epoch) + " to " +
                               hard_.promised_to};
  }
  if (order.epoch <= history_.LastEpoch()) {
    return {
        Code::kFenced,
        who + " has reigned in epoch " + EpochText(order.epoch) + " already, before it restarted",
        "fail over again: a reign begins once"};
  }
  if (log_uuid_.empty()) {
    return {Code::kPrecondition, who + " holds nothing of log " + options_.log,
            "fail over to a node that holds the log"};
  }
  // Two logs contradict each other. Only an operator can say which one is the truth.
  if (!hard_.alarm.empty() && !order.state.lossy) {
    return {Code::kPrecondition, who + " is stopped: " + hard_.alarm,
            "fail over to another node, or take this node's log for the truth with --accept-loss"};
  }
  if (hard_.must_reach > durable_index_ && !order.state.lossy) {
    return {Code::kPrecondition,
            who + " once acknowledged record " + std::to_string(hard_.must_reach) +
                " and now holds " + std::to_string(durable_index_),
            "fail over to a node that holds more, or accept the loss with --accept-loss"};
  }
  if (!order.state.config.HasMember(options_.self)) {
    return {Code::kInvalid, "the members must include " + options_.self};
  }
  if (recovering_) {
    return {Code::kUnavailable, who + " is cutting a divergent tail off", "try again"};
  }
  return {};
}

void Replica::OnPromote(PromoteRequest order, Now now, Actions* out) {
  if (is_primary() && order.epoch == epoch_) {  // the tool asks again
    out->push_back(Reply{.ticket = order.ticket, .index = reign_start_, .epoch = epoch_});
    return;
  }
  if (Status status = CheckPromote(order); !status.ok()) {
    Answer(order.ticket, std::move(status), out);
    return;
  }
  if (last_batch_end_ < last_index_) {
    // Half of an atomic batch was never acknowledged to anyone; it must not become half a truth.
    if (durable_index_ < last_index_) {
      PersistHard({.again = std::move(order)}, out);
    } else {
      Truncate(last_batch_end_, "incomplete batch, set aside at promotion", std::move(order), now,
               out);
    }
    return;
  }
  const Ticket ticket = order.ticket;
  BecomePrimary(order.epoch, std::move(order.state), ticket, now, out);
}

// A primary that restarts goes on, but in a new epoch of its own (see kEpochRestartBits): its
// mirrors may hold records that it had sent and then lost with its unsynced writes, so the old
// epoch's indices beyond its durable index must not be given out twice. Its own promise is fence
// enough: every write quorum of its reign held it, and its disk is the one that counted. If another
// node was promised a later epoch meanwhile, this one is below it: the mirrors refuse it and
// nothing is acknowledged.
void Replica::ResumeReign(Actions* out) {
  resume_ = false;
  if (hard_.promised_to != options_.self || hard_.promised_epoch != history_.LastEpoch() ||
      !hard_.alarm.empty() || EpochRestarts(hard_.promised_epoch + 1) == 0) {
    return;
  }
  PromoteRequest order;
  order.epoch = hard_.promised_epoch + 1;
  order.state = control_;
  order.state.lossy = false;
  order.state.actor = "automatic";
  order.state.reason = "node " + options_.self + " restarted and goes on as primary";
  order.state.known.clear();
  hard_.promised_epoch = order.epoch;
  PersistHard({.again = std::move(order)}, out);
}

void Replica::OnPause(const PauseAppends& order, Now now, Actions* out) {
  if (!is_primary()) {
    return Answer(order.ticket, Status(Code::kNotPrimary, "not the primary"), out);
  }
  paused_until_ms_ = now.mono_ms + order.for_ms;
  CloseTurn(out);
  out->push_back(Reply{.ticket = order.ticket, .index = last_index_, .epoch = epoch_});
}

void Replica::OnChangeConfig(ChangeConfig order, Now now, Actions* out) {
  if (!stopped_.ok()) return Answer(order.ticket, stopped_, out);
  if (!is_primary()) {
    return Answer(order.ticket, Status(Code::kNotPrimary, "not the primary"), out);
  }
  if (control_index_ > commit_index_) {
    return Answer(order.ticket,
                  Status(Code::kUnavailable, "an earlier change is not yet committed", "try again"),
                  out);
  }
  const Config& now_in_force = control_.config;
  auto changed = [](const std::vector<Member>& a, const Config& b) {
    return std::count_if(a.begin(), a.end(), [&](const Member& m) { return !b.HasMember(m.name); });
  };
  const auto added = changed(order.config.members, now_in_force);
  const auto removed = changed(now_in_force.members, order.config);
  if (!order.config.HasMember(options_.self) || added + removed > 1) {
    // One at a time keeps every fence quorum of the old membership in touch with the new one.
    return Answer(order.ticket,
                  Status(Code::kInvalid,
                         "one member at a time can be added or removed, and not " + options_.self,
                         "to remove the primary, switch over first"),
                  out);
  }
  // Solo is the primary's own finding, not an order.
  order.config.solo = order.config.mode == Mode::kMaxAvailability && now_in_force.solo;
  AppendConfig(std::move(order.config), order.actor, order.reason, now);
  WaitForCommit(last_index_, {.ticket = order.ticket, .answer_index = last_index_}, out);
}

void Replica::OnNote(AppendNote order, Now now, Actions* out) {
  if (!stopped_.ok()) return Answer(order.ticket, stopped_, out);
  if (!is_primary()) {
    return Answer(order.ticket, Status(Code::kNotPrimary, "not the primary"), out);
  }
  AddRecord(Record{.kind = RecordKind::kNote, .item = "note", .payload = std::move(order.text)},
            now);
  WaitForCommit(last_index_, {.ticket = order.ticket, .answer_index = last_index_}, out);
}

Status Replica::CheckRepair(Now now) const {
  RETURN_IF_ERROR(stopped_);
  const std::string who = "node " + options_.self;
  if (is_primary()) {
    return {
        Code::kPrecondition,
        who + " is the primary of log " + options_.log + ": its log is what the others repair to",
        "to take another node's log for the truth: kembarctl failover --to NAME --accept-loss"};
  }
  if (hard_.alarm.empty()) {
    return {Code::kPrecondition,
            who + " has no alarm in log " + options_.log + ": there is nothing to repair",
            "for a damaged disk, restart the node with kembard --config FILE --rebuild"};
  }
  const bool heard = following_epoch_ != 0 && following_epoch_ == hard_.promised_epoch &&
                     following_contact_ms_ >= 0 && !following_history_.entries().empty() &&
                     now.mono_ms - following_contact_ms_ <= options_.silence_ms;
  if (!heard) {
    return {Code::kUnavailable, who + " hears no primary of log " + options_.log,
            "bring the primary back, or fail over, and repair then"};
  }
  if (recovering_ || durable_index_ < last_index_) {
    return {Code::kUnavailable, who + " is still writing", "try again"};
  }
  return {};
}

// Where the first differing record is known, what stands before it stays; the ordinary way of
// rejoining then proves by roots that it is equal, or raises the alarm again. Committed records may
// go too: that the primary's log is the truth is the operator's decision.
void Replica::OnRepair(const RepairRequest& order, Now now, Actions* out) {
  if (Status status = CheckRepair(now); !status.ok()) {
    return Answer(order.ticket, std::move(status), out);
  }
  uint64_t after = hard_.alarm_index == 0 ? 0 : std::min(hard_.alarm_index - 1, last_index_);
  after = std::min(after, EpochHistory::CommonIndex(history_, last_index_, following_history_,
                                                    following_last_index_));
  const std::string origin =
      "repair to the log of " + following_ + " epoch " + EpochText(following_epoch_) + " by " +
      order.actor + (order.reason.empty() ? "" : ": " + order.reason) + " (" + hard_.alarm + ")";
  // What the primary has committed must be here again before this node counts as a witness or may
  // reign; what it had acknowledged of another history no longer binds.
  hard_.must_reach = std::max(following_commit_index_, following_acked_);
  hard_.alarm.clear();
  hard_.alarm_index = 0;
  Reply reply{.ticket = order.ticket,
              .index = after + 1,
              .epoch = following_epoch_,
              .quarantined = last_index_ - after,
              .primary = following_};
  if (after == last_index_) return PersistHard({.reply = std::move(reply)}, out);
  Truncate(after, origin, std::nullopt, now, out);
  pending_.back().reply = std::move(reply);
}

}  // namespace kembar
