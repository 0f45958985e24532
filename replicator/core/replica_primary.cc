// replica_primary.cc — the primary's half: appends, shipping, commit, membership upkeep.
#include <algorithm>
#include <utility>

#include "replicator/base/check.h"
#include "replicator/core/replica.h"

namespace kembar {

// ---- Appends -----------------------------------------------------------------------------------

Status Replica::CheckAppend(const AppendRequest& request, Now now) const {
  RETURN_IF_ERROR(stopped_);
  if (!is_primary()) {
    return {Code::kNotPrimary, "node " + options_.self + " is not the primary of log " +
                                   options_.log +
                                   (following_.empty() ? "" : "; the primary is " + following_)};
  }
  if (now.mono_ms < paused_until_ms_) {
    return {Code::kUnavailable, "appends are paused for a switchover", "retry in a moment"};
  }
  if (disk_full_) {
    return {Code::kFull, "disk of node " + options_.self + " is nearly full",
            "free space on it; appends are taken again by themselves"};
  }
  if (waiting_bytes_ >= options_.pending_bytes_max) {
    return {Code::kUnavailable,
            std::to_string(waiting_bytes_ >> 20) + " MiB are waiting for a mirror already",
            "retry with the same position when the mirror is back"};
  }
  if (request.drafts.empty() || request.source.empty() || request.position == 0) {
    return {Code::kInvalid, "an append needs a source, a position above 0 and a draft"};
  }
  return {};
}

// True when the batch is here already; the waiter is answered once it is committed.
bool Replica::AnswerDuplicate(const AppendRequest& request, Actions* out) {
  auto it = positions_.find(request.source);
  if (it == positions_.end() || request.position > it->second.first) return false;
  const bool latest = request.position == it->second.first;
  WaitForCommit(
      it->second.second,
      {.ticket = request.ticket, .duplicate = true, .answer_index = latest ? it->second.second : 0},
      out);
  return true;
}

void Replica::OnAppend(AppendRequest request, Now now, Actions* out) {
  if (Status status = CheckAppend(request, now); !status.ok()) {
    Answer(request.ticket, std::move(status), out);
    return;
  }
  if (AnswerDuplicate(request, out)) return;
  auto it = positions_.find(request.source);
  const uint64_t last_position = it == positions_.end() ? 0 : it->second.first;
  if (request.after_position && *request.after_position != last_position) {
    Answer(request.ticket,
           Status(Code::kGap,
                  "source " + request.source + " is at position " + std::to_string(last_position) +
                      " here, not at " + std::to_string(*request.after_position),
                  "send everything after that position again"),
           out);
    return;
  }
  size_t bytes = 0;
  for (size_t i = 0; i < request.drafts.size(); ++i) {
    Draft& draft = request.drafts[i];
    bytes += draft.payload.size();
    AddRecord(Record{.kind = draft.kind,
                     .batch_end = i + 1 == request.drafts.size(),
                     .source = request.source,
                     .position = request.position,
                     .package = std::move(draft.package),
                     .item = std::move(draft.item),
                     .title = std::move(draft.title),
                     .value = std::move(draft.value),
                     .unit = std::move(draft.unit),
                     .payload = std::move(draft.payload)},
              now);
  }
  waiting_bytes_ += bytes;
  WaitForCommit(last_index_,
                {.ticket = request.ticket, .answer_index = last_index_, .bytes = bytes}, out);
  if (turn_bytes_ >= options_.batch_bytes_max) CloseTurn(out);
}

void Replica::AddRecord(Record record, Now now) {
  record.index = last_index_ + 1;
  record.epoch = epoch_;
  record.time_us = now.wall_us;
  std::string frame = EncodeRecord(record);
  if (turn_frames_.empty()) turn_prev_root_ = frontier_.Root();
  frontier_.Append(merkle::HashLeaf(frame), &turn_nodes_);
  Result<FrameHeader> header = PeekFrame(frame);
  CHECK(header.ok());
  ApplyFrame(frame, *header);
  turn_bytes_ += frame.size();
  turn_frames_.push_back(std::move(frame));
}

// All records since the last call become one batch, written and shipped as one.
void Replica::CloseTurn(Actions* out) {
  if (turn_frames_.empty()) return;
  auto batch = std::make_shared<FrameBatch>();
  batch->first_index = last_index_ + 1 - turn_frames_.size();
  batch->frames = std::move(turn_frames_);
  batch->bytes = turn_bytes_;
  batch->prev_root = turn_prev_root_;
  batch->root = frontier_.Root();
  turn_frames_.clear();
  turn_bytes_ = 0;
  tail_bytes_ += batch->bytes;
  tail_.push_back(batch);
  PendingWrite then{.last_index = last_index_, .root = batch->root};
  PersistWrite(LogWrite{.batch = std::move(batch), .nodes = std::move(turn_nodes_)},
               std::move(then), out);
  turn_nodes_.clear();
}

void Replica::WaitForCommit(uint64_t index, Waiter waiter, Actions* out) {
  waiters_.emplace(index, waiter);
  if (index <= commit_index_) AnswerCommitted(out);
}

void Replica::AnswerCommitted(Actions* out) {
  while (!waiters_.empty() && waiters_.begin()->first <= commit_index_) {
    const auto& [index, waiter] = *waiters_.begin();
    uint32_t sites = 1;
    for (const auto& [name, peer] : peers_) {
      if (control_.config.HasMember(name) && peer.match >= index) ++sites;
    }
    out->push_back(Reply{.ticket = waiter.ticket,
                         .index = waiter.answer_index,
                         .epoch = epoch_,
                         .duplicate = waiter.duplicate,
                         .sites = sites});
    waiting_bytes_ -= waiter.bytes;
    waiters_.erase(waiters_.begin());
  }
}

void Replica::FailWaiters(const Status& why, Actions* out) {
  for (const auto& [index, waiter] : waiters_) Answer(waiter.ticket, why, out);
  waiters_.clear();
  waiting_bytes_ = 0;
}

// ---- Peers -------------------------------------------------------------------------------------

void Replica::ResetPeer(Peer* peer, Now now) {
  peer->state = Peer::State::kProbe;
  ++peer->session;
  peer->inflight.clear();
  peer->inflight_bytes = 0;
  peer->reading = false;
  peer->match_below = peer->differ_above = 0;
  peer->probe_index = 0;
  peer->probe_seq = next_seq_;
  peer->level_target = last_index_;
  peer->progress_ms = now.mono_ms;
  peer->resend_ms = options_.resend_ms;
}

// The peer holds our first `match` records durably, root verified; go on from there.
void Replica::BeginReplicating(Peer* peer, uint64_t match, Now now) {
  const int64_t resend_ms = peer->resend_ms;
  ResetPeer(peer, now);
  peer->resend_ms = resend_ms;
  peer->state = Peer::State::kReplicating;
  peer->trouble.clear();
  peer->match = match;
  peer->next = match + 1;
}

void Replica::SendHeartbeat(const std::string& name, Peer* peer, Now now, Actions* out) {
  // Nobody hears of a reign before its EpochStart is on this disk: a mirror that has seen an epoch
  // which then is nowhere would cast doubt on every later failover.
  if (!peer->connected || durable_index_ < reign_start_) return;
  Heartbeat beat;
  beat.epoch = epoch_;
  beat.primary = options_.self;
  beat.primary_address = options_.address;
  beat.log_uuid = log_uuid_;
  beat.seq = next_seq_++;
  beat.history = history_;
  beat.last_index = last_index_;
  beat.commit_index = commit_index_;
  beat.wall_us = now.wall_us;
  beat.probe_index = peer->state == Peer::State::kReplicating ? peer->match : peer->probe_index;
  std::optional<Digest> root = OwnRoot(beat.probe_index);
  if (!root) {
    beat.probe_index = 0;
    root = merkle::EmptyRoot();
  }
  beat.probe_root = *root;
  auto acked = hard_.acked_by.find(name);
  beat.peer_acked = acked == hard_.acked_by.end() ? 0 : acked->second;
  peer->heartbeat_seq = beat.seq;
  peer->heartbeat_next = peer->next;
  peer->heartbeat_match = peer->match;
  out->push_back(Send{name, std::move(beat)});
}

void Replica::OnPosition(const std::string& from, const Position& position, Now now, Actions* out) {
  auto it = peers_.find(from);
  if (!is_primary() || it == peers_.end() || position.epoch != epoch_) return;
  Peer* peer = &it->second;
  peer->contact_ms = now.mono_ms;
  peer->commit = position.commit_index;
  if (!position.log_uuid.empty() && position.log_uuid != log_uuid_) {
    peer->trouble = "holds another log by this name (identity " + position.log_uuid + ")";
    return;
  }
  if (position.busy) return;
  if (peer->state == Peer::State::kDiverged) {
    // A mirror with an alarm refuses; this one answers. It was repaired, or our word that it
    // differs was lost: look again. (What it said before it could hear that says nothing.)
    if (position.seq < peer->probe_seq) return;
    ResetPeer(peer, now);
    peer->match = 0;
  }
  if (peer->state == Peer::State::kProbe) {
    OnProbeAnswer(from, peer, position, now, out);
    return;
  }
  if (position.seq == peer->heartbeat_seq && position.durable_index < peer->heartbeat_match) {
    // It holds less than it has acknowledged: its disk was replaced by an older one, or is failing.
    ResetPeer(peer, now);
    peer->match = 0;
    return;
  }
  OnAck(from, position.durable_index, position.durable_root, now, out);
  // Something that left before that heartbeat has not arrived, and nothing moves: send it again.
  // Without a heartbeat (seq 0) the mirror itself says that it misses what we sent.
  const bool asks = position.seq == 0;
  // (What it has beyond our common history is to be cut off and says nothing.)
  const uint64_t received =
      EpochHistory::CommonIndex(history_, last_index_, position.history, position.received_index);
  const bool lost = received + 1 < (asks ? peer->next : peer->heartbeat_next) &&
                    (asks || position.seq == peer->heartbeat_seq);
  const bool due = asks ? now.mono_ms - peer->asked_ms >= options_.heartbeat_ms
                        : now.mono_ms - peer->progress_ms >= peer->resend_ms;
  if (peer->state == Peer::State::kReplicating && lost && due) {
    if (asks) peer->asked_ms = now.mono_ms;
    peer->resend_ms = std::min(peer->resend_ms * 2, options_.resend_ms * 4);
    BeginReplicating(peer, std::min(peer->match, position.durable_index), now);
  }
}

// Finds how far the peer's log equals ours: by epoch history, confirmed by a root.
void Replica::OnProbeAnswer(const std::string& from, Peer* peer, const Position& position, Now now,
                            Actions* out) {
  const uint64_t mine = durable_index_;
  const uint64_t common =
      EpochHistory::CommonIndex(history_, mine, position.history, position.durable_index);
  if (peer->differ_above != 0) {
    if (position.seq < peer->probe_seq || position.probe_index != peer->probe_index ||
        position.durable_index < peer->probe_index) {
      return;
    }
    (position.probe_match ? peer->match_below : peer->differ_above) = position.probe_index;
    Bisect(from, peer, now, out);
    return;
  }
  const std::optional<Digest> own = OwnRoot(common);
  if (!own) {
    peer->trouble = "cannot read the tree node for record " + std::to_string(common) + " here";
    return;
  }
  if (common == position.durable_index && *own == position.durable_root) {
    BeginReplicating(peer, common, now);
    OnAck(from, common, position.durable_root, now, out);
    return;
  }
  const bool fresh = position.seq >= peer->probe_seq;
  const bool answered = fresh && position.probe_index == common && peer->probe_index == common &&
                        position.durable_index >= common;
  if (answered && position.probe_match) {
    BeginReplicating(peer, common, now);
  } else if (answered || common == position.durable_index) {
    // The histories agree up to `common`, the content does not: look for where it begins to differ.
    peer->match_below = 0;
    peer->differ_above = common;
    Bisect(from, peer, now, out);
  } else if (fresh && peer->probe_index != common) {
    Probe(from, peer, common, now, out);
  }
  // Otherwise the probe is on its way; each heartbeat repeats it. (Answering every position with a
  // heartbeat would never end.)
}

void Replica::Probe(const std::string& name, Peer* peer, uint64_t index, Now now, Actions* out) {
  peer->probe_index = index;
  peer->probe_seq = next_seq_;
  SendHeartbeat(name, peer, now, out);
}

void Replica::Bisect(const std::string& from, Peer* peer, Now now, Actions* out) {
  if (peer->differ_above - peer->match_below > 1) {
    Probe(from, peer, peer->match_below + (peer->differ_above - peer->match_below) / 2, now, out);
    return;
  }
  const std::string text = "log " + options_.log + " of " + from + " and of " + options_.self +
                           " differ from record " + std::to_string(peer->differ_above) +
                           " on, though they should be equal there";
  peer->state = Peer::State::kDiverged;
  peer->probe_seq = next_seq_;
  peer->trouble = text;
  out->push_back(Send{
      from, Refusal{Refusal::Why::kDiverged, epoch_, options_.self, peer->differ_above, text}});
}

void Replica::OnAck(const std::string& from, uint64_t durable_index, const Digest& root, Now now,
                    Actions* out) {
  auto it = peers_.find(from);
  if (it == peers_.end() || it->second.state != Peer::State::kReplicating) return;
  Peer* peer = &it->second;
  peer->contact_ms = now.mono_ms;
  if (durable_index < peer->match) return;  // an older acknowledgement, overtaken
  std::optional<Digest> own = OwnRoot(durable_index);
  if (durable_index > last_index_ || !own) return;  // cannot be compared yet; asked again soon
  if (*own != root) {
    ResetPeer(peer, now);
    SendHeartbeat(from, peer, now, out);
    return;
  }
  if (durable_index > peer->match) {
    peer->progress_ms = now.mono_ms;
    peer->resend_ms = options_.resend_ms;
    peer->match = durable_index;
    peer->next = std::max(peer->next, durable_index + 1);
    hard_.acked_by[from] = durable_index;
  }
  while (!peer->inflight.empty() && peer->inflight.front().first <= durable_index) {
    peer->inflight_bytes -= peer->inflight.front().second;
    peer->inflight.pop_front();
  }
  if (peer->match >= peer->level_target) {
    peer->level_ms = now.mono_ms;
    peer->level_target = last_index_;
  }
  AdvanceCommit(out);
}

void Replica::OnRefusal(const std::string& from, const Refusal& refusal, Actions* out) {
  if (is_primary()) {
    auto it = peers_.find(from);
    if (it == peers_.end()) return;
    it->second.trouble = refusal.text;
    if (refusal.why == Refusal::Why::kDiverged) {
      it->second.state = Peer::State::kDiverged;
      it->second.probe_seq = next_seq_;
    }
    return;
  }
  if (refusal.why == Refusal::Why::kDiverged && from == following_ &&
      refusal.promised_epoch == following_epoch_ && hard_.alarm.empty()) {
    RaiseAlarm(refusal.text, refusal.index, out);
  }
}

// ---- Shipping ----------------------------------------------------------------------------------

void Replica::Ship(const std::string& name, Peer* peer, Now now, Actions* out) {
  if (durable_index_ < reign_start_) return;  // see SendHeartbeat
  const uint64_t closed = tail_.empty() ? durable_index_ : tail_.back()->last_index();
  while (peer->connected && peer->state == Peer::State::kReplicating && !peer->reading &&
         peer->next <= closed && peer->inflight_bytes < options_.window_bytes) {
    if (peer->inflight.empty()) peer->progress_ms = now.mono_ms;
    Entries entries;
    entries.epoch = epoch_;
    entries.primary = options_.self;
    entries.log_uuid = log_uuid_;
    entries.history = history_;
    entries.commit_index = commit_index_;
    if (SharedBatch batch = FindInTail(peer->next)) {
      peer->next = batch->last_index() + 1;
      peer->inflight.emplace_back(batch->last_index(), batch->bytes);
      peer->inflight_bytes += batch->bytes;
      entries.batch = std::move(batch);
      out->push_back(Send{name, std::move(entries)});
      continue;
    }
    // Older than what is in memory. Stop short of the tail, so that the tail then fits on.
    uint64_t to = durable_index_;
    if (!tail_.empty() && peer->next < tail_.front()->first_index) {
      to = std::min(to, tail_.front()->first_index - 1);
    }
    if (peer->next > to) return;  // inside a batch that is not durable yet
    peer->reading = true;
    entries.catch_up = true;
    out->push_back(ReadAndSend{.peer = name,
                               .session = peer->session,
                               .first_index = peer->next,
                               .last_index = to,
                               .bytes_max = options_.read_bytes,
                               .header = std::move(entries)});
  }
}

void Replica::OnReadDone(const ReadDone& done, Now now) {
  auto it = peers_.find(done.peer);
  if (it == peers_.end() || it->second.session != done.session || !it->second.reading) return;
  Peer& peer = it->second;
  peer.reading = false;
  if (!done.status.ok()) {
    peer.trouble = done.status.ToString();
    ResetPeer(&peer, now);
    return;
  }
  if (done.last_index < peer.next) return;  // acknowledged meanwhile
  met_records_ += done.last_index + 1 - peer.next;
  met_bytes_ += done.bytes;
  peer.next = done.last_index + 1;
  peer.inflight.emplace_back(done.last_index, done.bytes);
  peer.inflight_bytes += done.bytes;
}

SharedBatch Replica::FindInTail(uint64_t first_index) const {
  auto it = std::lower_bound(
      tail_.begin(), tail_.end(), first_index,
      [](const SharedBatch& batch, uint64_t index) { return batch->first_index < index; });
  if (it == tail_.end() || (*it)->first_index != first_index) return nullptr;
  return *it;
}

// Batches stay in memory while they are not durable here, and the latest as long as there is room.
void Replica::TrimTail() {
  while (tail_.size() > 1 && tail_bytes_ > options_.tail_bytes &&
         tail_.front()->last_index() <= durable_index_) {
    tail_bytes_ -= tail_.front()->bytes;
    tail_.pop_front();
  }
}

uint64_t Replica::LagBytes(uint64_t match) const {
  if (match >= last_index_) return 0;
  uint64_t bytes = 0;
  uint64_t counted_from = last_index_ + 1;  // `bytes` covers this record and what follows
  auto add = [&](const std::vector<std::string>& frames) {
    for (size_t i = frames.size(); i > 0 && counted_from > match + 1; --i, --counted_from) {
      bytes += frames[i - 1].size();
    }
  };
  add(turn_frames_);
  for (auto batch = tail_.rbegin(); batch != tail_.rend(); ++batch) {
    if (counted_from <= match + 1) break;
    if ((*batch)->first_index > match) {
      bytes += (*batch)->bytes;
      counted_from = (*batch)->first_index;
    } else {
      add((*batch)->frames);
    }
  }
  const uint64_t older = counted_from - (match + 1);
  return bytes + older * (met_bytes_ / std::max<uint64_t>(met_records_, 1));
}

// ---- Commit ------------------------------------------------------------------------------------

// How far the log is durable here and on as many mirrors as `config` demands.
uint64_t Replica::HeldByQuorum(const Config& config) const {
  const uint32_t required = config.RequiredMirrors();
  if (required == 0) return durable_index_;
  std::vector<uint64_t> matches;
  for (const auto& [name, peer] : peers_) {
    if (config.HasMember(name)) matches.push_back(peer.match);
  }
  if (matches.size() < required) return 0;
  std::nth_element(matches.begin(), matches.begin() + (required - 1), matches.end(),
                   std::greater<>());
  return std::min(durable_index_, matches[required - 1]);
}

// A change that this primary made during its reign and that is not yet committed. (What an
// EpochStart changes was decided by the operator, with promises enough.)
bool Replica::ChangeIsOpen() const {
  return control_index_ > commit_index_ && control_index_ > reign_start_;
}

void Replica::AdvanceCommit(Actions* out) {
  const Config& config = control_.config;
  uint64_t limit = HeldByQuorum(config);
  // A changed configuration counts from the moment that the one before has committed the change:
  // otherwise nodes that have not heard of it could be taken for a fence quorum by the old count.
  // Solo alone is taken up without anyone's consent; max-availability says that it may be.
  const bool by_itself = config.solo && control_before_.mode == Mode::kMaxAvailability;
  if (ChangeIsOpen() && !by_itself) {
    const uint64_t before = HeldByQuorum(control_before_);
    if (before < control_index_) limit = std::min(limit, before);
  }
  // Records of earlier reigns are committed only through one of this reign (Raft, section 5.4.2).
  if (limit < reign_start_) return;
  SetCommit(limit);
  AnswerCommitted(out);
}

uint32_t Replica::LevelMirrors(Now now, int64_t within_ms) const {
  uint32_t count = 0;
  for (const auto& [name, peer] : peers_) {
    if (control_.config.HasMember(name) && peer.connected && peer.level_ms >= 0 &&
        now.mono_ms - peer.level_ms <= within_ms) {
      ++count;
    }
  }
  return count;
}

uint32_t Replica::ConnectedMirrors(Now now) const {
  uint32_t count = 0;
  for (const auto& [name, peer] : peers_) {
    if (control_.config.HasMember(name) && peer.connected && peer.contact_ms >= 0 &&
        peer.state != Peer::State::kDiverged &&
        now.mono_ms - peer.contact_ms <= options_.silence_ms) {
      ++count;
    }
  }
  return count;
}

LogState Replica::PrimaryState(Now now) const {
  if (!stopped_.ok()) return LogState::kStalled;
  const Config& config = control_.config;
  const uint32_t wanted = std::max(1U, config.MirrorsOfQuorum());
  const bool alone = config.solo || config.members.size() == 1;
  if (alone) return LogState::kSolo;
  if (LevelMirrors(now, options_.silence_ms) >= wanted) return LogState::kProtected;
  if (ConnectedMirrors(now) >= wanted) return LogState::kCatchingUp;
  return config.RequiredMirrors() == 0 ? LogState::kSolo : LogState::kStalled;
}

}  // namespace kembar
