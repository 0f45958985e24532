// replica.cc — what both roles share: events in, writes and their completion, status.
#include "replicator/core/replica.h"

#include <algorithm>
#include <utility>

#include "replicator/base/check.h"

namespace kembar {
namespace {

// Visits a variant with one lambda per alternative.
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

constexpr int64_t kHardStateLazyMs =
    1'000;  // bookkeeping that may lag is written at least so often

}  // namespace

std::string_view LogStateName(LogState state) {
  switch (state) {
    case LogState::kProtected: return "protected";
    case LogState::kCatchingUp: return "catching-up";
    case LogState::kStalled: return "stalled";
    case LogState::kSolo: return "solo";
    case LogState::kNoPrimary: return "no-primary";
  }
  return "unknown";
}

Replica::Replica(ReplicaOptions options, const LogReader* reader, Recovered recovered, Now now)
    : options_(std::move(options)), reader_(reader) {
  hard_ = recovered.hard;
  hard_written_ = hard_;
  hard_written_ms_ = now.mono_ms;
  durable_promise_ = hard_.promised_epoch;
  commit_index_ = std::min(hard_.commit_index, recovered.last_index);
  Reload(std::move(recovered));
  resume_ = last_index_ != 0 && hard_.promised_to == options_.self &&
            hard_.promised_epoch == history_.LastEpoch();
}

Replica::~Replica() = default;

void Replica::Reload(Recovered recovered) {
  last_index_ = recovered.last_index;
  last_batch_end_ = recovered.last_batch_end;
  frontier_ = std::move(recovered.frontier);
  CHECK(frontier_.size() == last_index_);
  history_ = std::move(recovered.history);
  log_uuid_ = std::move(recovered.log_uuid);
  control_ = std::move(recovered.control);
  control_index_ = recovered.control_index;
  positions_ = std::move(recovered.positions);
  durable_index_ = last_index_;
  durable_root_ = frontier_.Root();
  verified_index_ = 0;
  // A repair may cut through a batch that was committed whole.
  commit_index_ = std::min(commit_index_, last_batch_end_);
  batch_ends_.clear();
  if (last_batch_end_ > commit_index_) batch_ends_.push_back(last_batch_end_);
}

void Replica::Step(Event event, Now now, Actions* out) {
  std::visit(Overloaded{
                 [&](AppendRequest& e) { OnAppend(std::move(e), now, out); },
                 [&](Connected& e) {
                   links_[e.peer] = true;
                   if (auto it = peers_.find(e.peer); it != peers_.end()) {
                     it->second.connected = true;
                     ResetPeer(&it->second, now);
                     SendHeartbeat(e.peer, &it->second, now, out);
                   }
                 },
                 [&](Disconnected& e) {
                   links_[e.peer] = false;
                   if (auto it = peers_.find(e.peer); it != peers_.end()) {
                     it->second.connected = false;
                     ResetPeer(&it->second, now);
                   }
                 },
                 [&](Received& e) { OnMessage(e.peer, std::move(e.message), now, out); },
                 [&](Persisted& e) { OnPersisted(e, now, out); },
                 [&](ReadDone& e) { OnReadDone(e, now); },
                 [&](Tick&) { OnTick(now, out); },
                 [&](DiskSpace& e) { disk_full_ = e.full; },
                 [&](CreateLog& e) { OnCreate(std::move(e), now, out); },
                 [&](FenceRequest& e) { OnFence(e, out); },
                 [&](PromoteRequest& e) { OnPromote(std::move(e), now, out); },
                 [&](PauseAppends& e) { OnPause(e, now, out); },
                 [&](ResumeAppends& e) {
                   paused_until_ms_ = 0;
                   Answer(e.ticket, {}, out);
                 },
                 [&](ChangeConfig& e) { OnChangeConfig(std::move(e), now, out); },
                 [&](AppendNote& e) { OnNote(std::move(e), now, out); },
                 [&](RepairRequest& e) { OnRepair(e, now, out); },
             },
             event);
}

void Replica::Flush(Now now, Actions* out) {
  if (!stopped_.ok() || !is_primary()) return;
  CloseTurn(out);
  AdvanceCommit(out);
  for (auto& [name, peer] : peers_) Ship(name, &peer, now, out);
}

void Replica::OnMessage(const std::string& from, Message message, Now now, Actions* out) {
  if (!stopped_.ok()) return;  // silence is how the others notice
  std::visit(Overloaded{
                 [&](const Heartbeat& m) { OnHeartbeat(from, m, now, out); },
                 [&](const Position& m) { OnPosition(from, m, now, out); },
                 [&](const Entries& m) { OnEntries(from, m, now, out); },
                 [&](const Ack& m) {
                   if (is_primary() && m.epoch == epoch_) {
                     OnAck(from, m.durable_index, m.durable_root, now, out);
                   }
                 },
                 [&](const Refusal& m) { OnRefusal(from, m, out); },
             },
             message);
}

void Replica::OnTick(Now now, Actions* out) {
  if (!stopped_.ok()) return;
  if (resume_) ResumeReign(out);
  if (is_primary()) TickPrimary(now, out);
  hard_.commit_index = commit_index_;
  if (!recovering_ && hard_ != hard_written_ &&
      now.mono_ms - hard_written_ms_ >= kHardStateLazyMs) {
    hard_written_ms_ = now.mono_ms;
    PersistHard({}, out);
  }
}

// ---- Writes ------------------------------------------------------------------------------------

void Replica::PersistHard(PendingWrite then, Actions* out) {
  PersistWrite(LogWrite{}, std::move(then), out);
}

void Replica::PersistWrite(LogWrite write, PendingWrite then, Actions* out) {
  write.log = options_.log;
  hard_.commit_index = commit_index_;
  if (hard_ != hard_written_) {
    write.hard = hard_;
    hard_written_ = hard_;
  }
  then.promised_epoch = hard_.promised_epoch;
  then.promised_to = hard_.promised_to;
  pending_.push_back(std::move(then));
  out->push_back(Persist{std::move(write)});
}

void Replica::OnPersisted(const Persisted& event, Now now, Actions* out) {
  if (!stopped_.ok()) return;
  CHECK(!pending_.empty());
  if (!event.status.ok()) {
    Stop(event.status, out);
    return;
  }
  PendingWrite done = std::move(pending_.front());
  pending_.pop_front();
  CompleteWrite(std::move(done), now, out);
}

void Replica::CompleteWrite(PendingWrite done, Now now, Actions* out) {
  if (done.reloads) recovering_ = false;  // Reload has been called
  durable_promise_ = done.promised_epoch;
  if (done.last_index != 0) {
    CHECK(done.last_index > durable_index_ && done.last_index <= last_index_);
    const bool begins = durable_index_ < reign_start_ && done.last_index >= reign_start_;
    durable_index_ = done.last_index;
    durable_root_ = done.root;
    if (is_primary()) {
      for (auto& [name, peer] : peers_) {
        if (begins) SendHeartbeat(name, &peer, now, out);
      }
      TrimTail();
      AdvanceCommit(out);
    } else if (done.ack_epoch != 0 && done.ack_epoch == hard_.promised_epoch &&
               done.ack_epoch == following_epoch_) {
      // A promise to a higher epoch since then forbids the acknowledgement.
      out->push_back(Send{following_, Ack{done.ack_epoch, durable_index_, durable_root_}});
    }
  }
  if (done.fence_ticket != 0) {
    // Only what is on the disk is promised: a later promise may be on its way there.
    Reply reply{.ticket = done.fence_ticket, .epoch = done.promised_epoch};
    reply.fence = MakeFenceAnswer();
    reply.fence->promised_epoch = done.promised_epoch;
    reply.fence->promised_to = done.promised_to;
    out->push_back(std::move(reply));
  }
  if (done.reply) out->push_back(*std::move(done.reply));
  if (done.again) Step(*std::move(done.again), now, out);
  // What came while the tail was cut off was dropped: ask for it.
  if (done.reloads && following_epoch_ != 0) SendPosition(following_, 0, out);
}

// A failed write says nothing about what is on the disk: this replica ends here, and the process
// restarts from what is durable.
void Replica::Stop(const Status& why, Actions* out) {
  stopped_ = why.Prepend("log " + options_.log + " is closed for writing");
  for (PendingWrite& write : pending_) {
    Answer(write.fence_ticket, stopped_, out);
    if (write.reply) Answer(write.reply->ticket, stopped_, out);
    if (!write.again) continue;
    if (auto* order = std::get_if<PromoteRequest>(&*write.again)) {
      Answer(order->ticket, stopped_, out);
    }
  }
  pending_.clear();
  FailWaiters(stopped_, out);
}

void Replica::Answer(Ticket ticket, Status status, Actions* out) {
  if (ticket != 0) out->push_back(Reply{.ticket = ticket, .status = std::move(status)});
}

// ---- Records -----------------------------------------------------------------------------------

// Takes one frame into memory: index, positions, control. The caller has checked it and has added
// it to the tree.
void Replica::ApplyFrame(std::string_view frame, const FrameHeader& header) {
  CHECK(header.index == last_index_ + 1 && frontier_.size() >= header.index);
  last_index_ = header.index;
  ++met_records_;
  met_bytes_ += frame.size();
  if (!header.source.empty()) {
    positions_[std::string(header.source)] = {header.position, header.index};
  }
  if (IsControl(header.kind)) {
    Result<Record> record = DecodeRecord(frame);
    CHECK(record.ok());
    ApplyControl(*record);
  }
  if (header.batch_end) {
    last_batch_end_ = header.index;
    batch_ends_.push_back(header.index);
  }
}

void Replica::ApplyControl(const Record& record) {
  Result<ControlState> state = DecodeControl(record.payload);
  CHECK(state.ok());
  control_before_ = std::move(control_.config);
  control_ = *std::move(state);
  control_index_ = record.index;
  if (log_uuid_.empty()) log_uuid_ = control_.log_uuid;
  if (record.kind == RecordKind::kEpochStart) {
    history_.Append({record.epoch, record.index, control_.primary, control_.lossy});
  }
}

// Moves the commit index to the last end of a batch at or below `limit`.
void Replica::SetCommit(uint64_t limit) {
  while (!batch_ends_.empty() && batch_ends_.front() <= limit) {
    commit_index_ = batch_ends_.front();
    batch_ends_.pop_front();
  }
}

// The Merkle root of our first `index` records, where it can be had at once.
std::optional<Digest> Replica::OwnRoot(uint64_t index) const {
  if (index == 0) return merkle::EmptyRoot();
  if (index == durable_index_) return durable_root_;
  if (index == last_index_) return frontier_.Root();
  if (index < durable_index_) {
    Result<Digest> root = reader_->RootAt(index);
    if (root.ok()) return *root;
    return std::nullopt;
  }
  for (const SharedBatch& batch : tail_) {
    if (batch->last_index() == index) return batch->root;
    if (batch->first_index == index + 1) return batch->prev_root;
  }
  return std::nullopt;
}

FenceAnswer Replica::MakeFenceAnswer() const {
  FenceAnswer answer;
  answer.promised_epoch = hard_.promised_epoch;
  answer.promised_to = hard_.promised_to;
  answer.last_epoch = history_.EpochOf(durable_index_);
  answer.seen_epoch = hard_.seen_epoch;
  answer.durable_index = durable_index_;
  answer.root = durable_root_;
  answer.commit_index = commit_index_;
  answer.must_reach = hard_.must_reach;
  answer.config_index = control_index_;
  answer.control = control_;
  answer.alarm = hard_.alarm;
  return answer;
}

// ---- Status ------------------------------------------------------------------------------------

ReplicaStatus Replica::status(Now now) const {
  auto ago = [&](int64_t since) { return since < 0 ? int64_t{-1} : now.mono_ms - since; };
  ReplicaStatus s;
  s.role = role_;
  s.state = is_primary() ? PrimaryState(now) : MirrorState(now);
  s.epoch = is_primary() ? epoch_ : std::max(following_epoch_, history_.LastEpoch());
  s.primary = is_primary() ? options_.self : following_;
  s.primary_address = is_primary() ? options_.address : following_address_;
  s.last_index = last_index_;
  s.durable_index = durable_index_;
  s.commit_index = commit_index_;
  s.durable_root = durable_root_;
  s.primary_last_index = is_primary() ? last_index_ : following_last_index_;
  s.primary_contact_ms_ago = is_primary() ? 0 : ago(following_contact_ms_);
  s.level_ms_ago = is_primary() ? 0 : ago(following_level_ms_);
  s.control = control_;
  s.control_index = control_index_;
  s.hard = hard_;
  s.paused = is_primary() && now.mono_ms < paused_until_ms_;
  s.trouble = !stopped_.ok() ? stopped_.ToString() : trouble_;
  if (s.trouble.empty()) s.trouble = hard_.alarm;
  if (s.trouble.empty() && disk_full_) s.trouble = "disk nearly full: nothing more is taken";
  for (const auto& [name, peer] : peers_) {
    const Member* member = control_.config.Find(name);
    s.peers.push_back({.name = name,
                       .address = member ? member->address : "",
                       .member = control_.config.HasMember(name),
                       .connected = peer.connected,
                       .durable_index = peer.match,
                       .commit_index = peer.commit,
                       .level_ms_ago = ago(peer.level_ms),
                       .contact_ms_ago = ago(peer.contact_ms),
                       .lag_bytes = LagBytes(peer.match),
                       .trouble = peer.trouble});
  }
  return s;
}

}  // namespace kembar
