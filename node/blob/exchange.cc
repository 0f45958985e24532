// exchange.cc — see exchange.h: what comes here, and promises.
#include "node/blob/exchange.h"

#include <algorithm>
#include <utility>

#include "node/blob/blob_store.h"

namespace kembar::blob {
namespace {

constexpr int64_t kTickUs = 1'000'000;

}  // namespace

Actions Exchange::Step(Event event, int64_t now_us) {
  now_us_ = std::max(now_us_, now_us);
  actions_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  return std::move(actions_);
}

Exchange::Peer* Exchange::Find(const std::string& name) {
  const auto it = peers_.find(name);
  return it == peers_.end() ? nullptr : &it->second;
}

// ---- Links -------------------------------------------------------------------------------------

void Exchange::On(PeerUp& event) {
  PeerDown before{
      event.peer};  // a new link is a new beginning, also when the old one's end is late
  On(before);
  Peer& peer = peers_[event.peer];
  peer.out.window = options_.window_min;
  peer.in.heard_us = now_us_;
  for (auto& [id, promise] : promises_) {
    const auto target = promise.mirrors.find(event.peer);
    if (target == promise.mirrors.end()) continue;
    // All, not only what it has not answered: it may have come back without its chunks.
    target->second.todo.assign(promise.digests.begin(), promise.digests.end());
    target->second.offered.clear();
    OfferMore(event.peer, &target->second);
  }
}

void Exchange::On(PeerDown& event) {
  const auto it = peers_.find(event.peer);
  if (it == peers_.end()) return;
  const std::set<Digest> lost = std::move(it->second.in.assigned);
  peers_.erase(it);
  for (const Digest& digest : lost) Failed(digest, event.peer);
}

void Exchange::On(Received& event) {
  Peer* peer = Find(event.peer);
  if (peer == nullptr) return;
  std::visit([&](auto& message) { Take(event.peer, peer, message); }, event.message);
}

// ---- What comes here ---------------------------------------------------------------------------

// What finds no room is dropped: offers come again.
void Exchange::Take(const std::string& name, Peer* peer, Offer& message) {
  std::vector<Digest>& offered = peer->in.offered;
  const size_t room = kDigestsMax - std::min(kDigestsMax, offered.size());
  const auto count = static_cast<std::ptrdiff_t>(std::min(room, message.digests.size()));
  offered.insert(offered.end(), message.digests.begin(), message.digests.begin() + count);
  LookMore(name, &peer->in);
}

void Exchange::LookMore(const std::string& name, Incoming* in) {
  if (in->looking || in->offered.empty()) return;
  in->looking = true;
  Emit(Look{name, std::exchange(in->offered, {})});
}

void Exchange::On(Looked& event) {
  Peer* peer = Find(event.peer);
  if (peer == nullptr) return;
  peer->in.looking = false;
  LookMore(event.peer, &peer->in);
  if (!event.held.empty()) Emit(Send{event.peer, Have{std::move(event.held)}});
  for (const Digest& digest : event.missing) AddWanted(digest, {event.peer}, event.peer);
  AskMore(event.peer, peer);
}

void Exchange::On(Fetch& event) {
  for (const Digest& digest : event.digests) AddWanted(digest, event.sources, {});
  for (auto& [name, peer] : peers_) AskMore(name, &peer);
}

void Exchange::AddWanted(const Digest& digest, const std::vector<std::string>& sources,
                         const std::string& tell) {
  auto it = wanted_.find(digest);
  if (it == wanted_.end()) {
    it = wanted_.emplace(digest, Wanted{.sources = sources}).first;
  } else {
    for (const std::string& source : sources) {
      Wanted& wanted = it->second;
      const bool known = wanted.assigned == source ||
                         std::count(wanted.sources.begin(), wanted.sources.end(), source) != 0;
      if (!known) wanted.sources.push_back(source);
    }
  }
  if (!tell.empty()) it->second.tell.insert(tell);
  if (it->second.assigned.empty()) Assign(digest);
}

// Gives a chunk to the next source that is linked and has room; forgets it when there is none.
void Exchange::Assign(const Digest& digest) {
  const auto it = wanted_.find(digest);
  Wanted& wanted = it->second;
  if (Peer* before = Find(wanted.assigned)) before->in.assigned.erase(digest);
  wanted.assigned.clear();
  while (!wanted.sources.empty()) {
    const std::string source = wanted.sources.front();
    wanted.sources.erase(wanted.sources.begin());
    Peer* peer = Find(source);
    if (peer == nullptr || peer->in.assigned.size() >= options_.wanted_max) continue;
    wanted.assigned = source;
    peer->in.assigned.insert(digest);
    peer->in.pending.push_back(digest);
    return;
  }
  wanted_.erase(it);
}

void Exchange::Failed(const Digest& digest, const std::string& name) {
  if (Peer* peer = Find(name)) {
    Unask(&peer->in, digest);
  }
  const auto it = wanted_.find(digest);
  if (it == wanted_.end() || it->second.saving || it->second.assigned != name) return;
  Assign(digest);
  const auto left = wanted_.find(digest);
  if (left == wanted_.end()) return;
  const std::string next = left->second.assigned;
  AskMore(next, Find(next));
}

void Exchange::Finished(const Digest& digest) {
  const auto it = wanted_.find(digest);
  if (it == wanted_.end()) return;
  const Wanted wanted = std::move(it->second);
  wanted_.erase(it);
  for (const std::string& peer : wanted.tell) {
    if (Find(peer) != nullptr) Emit(Send{peer, Have{{digest}}});
  }
  Peer* peer = Find(wanted.assigned);
  if (peer == nullptr) return;
  Unask(&peer->in, digest);
  peer->in.assigned.erase(digest);
  AskMore(wanted.assigned, peer);
}

void Exchange::AskMore(const std::string& name, Peer* peer) {
  Incoming& in = peer->in;
  if (now_us_ < full_until_us_) return;
  Want want;
  while (in.asked.size() < options_.asked_max && !in.pending.empty()) {
    const Digest digest = in.pending.front();
    in.pending.pop_front();
    const auto it = wanted_.find(digest);
    if (it == wanted_.end() || it->second.assigned != name || it->second.saving) continue;
    if (!in.asked.insert(digest).second) continue;
    want.digests.push_back(digest);
  }
  if (want.digests.empty()) return;
  if (in.asked.size() == want.digests.size()) in.heard_us = now_us_;
  Emit(Send{name, std::move(want)});
}

void Exchange::Unask(Incoming* in, const Digest& digest) {
  in->asked.erase(digest);
  in->asked_again.erase(digest);
  in->partials.erase(digest);
}

void Exchange::Take(const std::string& name, Peer* /*peer*/, Lack& message) {
  for (const Digest& digest : message.digests) Failed(digest, name);
  if (Peer* peer = Find(name)) AskMore(name, peer);
}

void Exchange::Take(const std::string& name, Peer* peer, Piece& piece) {
  Incoming& in = peer->in;
  // The first of its numbering: what came before was numbered for a link that this one replaced.
  if (piece.sent == piece.data.size()) in.seen = 0;
  in.seen = std::max(in.seen, piece.sent);
  Emit(Send{name, Taken{in.seen}});
  counters_.received_bytes += piece.data.size();
  const bool sound = !piece.data.empty() && piece.data.size() <= kPieceBytesMax &&
                     piece.total <= kChunkBytesMax && piece.offset < piece.total &&
                     piece.data.size() <= piece.total - piece.offset;
  const auto it = wanted_.find(piece.digest);
  if (!sound || !in.asked.contains(piece.digest) || it == wanted_.end() || it->second.saving) {
    return;  // late or repeated
  }
  const auto [partial, is_new] = in.partials.try_emplace(piece.digest);
  if (is_new) {
    partial->second.data.resize(piece.total);
    partial->second.end_sent = piece.sent + piece.total - piece.offset - piece.data.size();
    in.asked_again.erase(piece.digest);
  }
  if (partial->second.data.size() != piece.total) return;
  in.heard_us = now_us_;
  Add(piece, &partial->second);
  const auto& covered = partial->second.covered;
  if (covered.size() == 1 && covered.begin()->first == 0 &&
      covered.begin()->second == piece.total) {
    std::string data = std::move(partial->second.data);
    in.partials.erase(partial);
    return Complete(name, piece.digest, std::move(data));
  }
  FindLost(name, peer);
}

// Pieces mostly come in order, each once; then there is one stretch, which grows.
void Exchange::Add(const Piece& piece, Partial* partial) {
  std::copy(piece.data.begin(), piece.data.end(),
            partial->data.begin() + static_cast<std::ptrdiff_t>(piece.offset));
  uint64_t begin = piece.offset;
  uint64_t end = piece.offset + piece.data.size();
  auto next = partial->covered.upper_bound(begin);
  if (next != partial->covered.begin() && std::prev(next)->second >= begin) --next;
  while (next != partial->covered.end() && next->first <= end) {
    begin = std::min(begin, next->first);
    end = std::max(end, next->second);
    next = partial->covered.erase(next);
  }
  partial->covered.emplace(begin, end);
}

// So far behind what was sent later that its missing pieces will not come.
void Exchange::FindLost(const std::string& name, Peer* peer) {
  Incoming& in = peer->in;
  for (auto it = in.partials.begin(); it != in.partials.end();) {
    const bool lost = in.seen > it->second.end_sent + 2 * options_.window_max;
    if (lost && in.asked_again.insert(it->first).second) Emit(Send{name, Want{{it->first}}});
    it = lost ? in.partials.erase(it) : std::next(it);
  }
}

void Exchange::Complete(const std::string& name, const Digest& digest, std::string data) {
  auto chunk = std::make_shared<const std::string>(std::move(data));
  if (Sha256({*chunk}) != digest) {
    ++counters_.bad_chunks;
    Failed(digest, name);
    if (Peer* peer = Find(name)) AskMore(name, peer);
    return;
  }
  ++counters_.received_chunks;
  wanted_.at(digest).saving = true;
  Emit(Save{digest, std::move(chunk)});
}

void Exchange::On(Saved& event) {
  if (event.ok) return Finished(event.digest);
  ++counters_.unsaved_chunks;
  full_until_us_ = now_us_ + options_.full_wait_us;
  const auto it = wanted_.find(event.digest);
  if (it == wanted_.end()) return;
  if (Peer* peer = Find(it->second.assigned)) {
    Unask(&peer->in, event.digest);
    peer->in.assigned.erase(event.digest);
  }
  wanted_.erase(it);  // whoever needs it says so again
}

void Exchange::On(Stored& event) {
  for (const Digest& digest : event.digests) {
    const auto it = wanted_.find(digest);
    if (it != wanted_.end() && !it->second.saving) Finished(digest);
  }
}

// ---- Promises ----------------------------------------------------------------------------------

void Exchange::On(Ensure& event) {
  Promise& promise = promises_[event.id];
  std::set<Digest> seen;
  for (const Digest& digest : event.digests) {
    if (seen.insert(digest).second) promise.digests.push_back(digest);
  }
  promise.need = event.need;
  SetMirrors(&promise, event.mirrors);
  CheckDone(event.id);
}

void Exchange::On(EnsureChanged& event) {
  const auto it = promises_.find(event.id);
  if (it == promises_.end()) return;
  it->second.need = event.need;
  SetMirrors(&it->second, event.mirrors);
  CheckDone(event.id);
}

void Exchange::SetMirrors(Promise* promise, const std::vector<std::string>& mirrors) {
  for (auto it = promise->mirrors.begin(); it != promise->mirrors.end();) {
    const bool stays = std::count(mirrors.begin(), mirrors.end(), it->first) != 0;
    it = stays ? std::next(it) : promise->mirrors.erase(it);
  }
  for (const std::string& mirror : mirrors) {
    const auto [it, is_new] = promise->mirrors.emplace(mirror, Target());
    if (!is_new) continue;
    it->second.todo.assign(promise->digests.begin(), promise->digests.end());
    OfferMore(mirror, &it->second);
  }
}

void Exchange::OfferMore(const std::string& name, Target* target) {
  if (Find(name) == nullptr || target->offered.size() > options_.offered_max / 2) return;
  Offer offer;
  while (target->offered.size() < options_.offered_max && !target->todo.empty()) {
    offer.digests.push_back(target->todo.front());
    target->offered.insert(target->todo.front());
    target->todo.pop_front();
  }
  if (offer.digests.empty()) return;
  target->progress_us = now_us_;
  Emit(Send{name, std::move(offer)});
}

void Exchange::Take(const std::string& name, Peer* /*peer*/, Have& message) {
  std::vector<uint64_t> touched;
  for (auto& [id, promise] : promises_) {
    const auto target = promise.mirrors.find(name);
    if (target == promise.mirrors.end()) continue;
    size_t erased = 0;
    for (const Digest& digest : message.digests) erased += target->second.offered.erase(digest);
    if (erased == 0) continue;
    target->second.progress_us = now_us_;
    OfferMore(name, &target->second);
    touched.push_back(id);
  }
  for (const uint64_t id : touched) CheckDone(id);
}

void Exchange::CheckDone(uint64_t id) {
  const Promise& promise = promises_.at(id);
  size_t done = 0;
  for (const auto& [name, target] : promise.mirrors) {
    if (target.done()) ++done;
  }
  if (done < promise.need) return;
  Emit(Ensured{id, static_cast<uint32_t>(done + 1)});
  promises_.erase(id);
}

void Exchange::On(GiveUp& event) {
  const auto it = promises_.find(event.id);
  if (it == promises_.end()) return;
  const Promise& promise = it->second;
  std::string lacking;
  for (const auto& [name, target] : promise.mirrors) {
    if (target.done()) continue;
    if (!lacking.empty()) lacking += ", ";
    lacking += "node " + name + " lacks " +
               std::to_string(target.todo.size() + target.offered.size()) + " of " +
               std::to_string(promise.digests.size()) + " chunks" +
               (Find(name) == nullptr ? " and is not linked" : "");
  }
  if (lacking.empty()) lacking = "the log has too few mirrors";
  Emit(GaveUp{event.id, std::move(lacking)});
  promises_.erase(it);
}

// ---- Time --------------------------------------------------------------------------------------

void Exchange::On(SetRate& event) {
  if (rate_ == event.bytes_per_s) return;
  rate_ = event.bytes_per_s;
  tokens_ = 0;
  tokens_at_us_ = now_us_;
  for (auto& [name, peer] : peers_) Pump(name, &peer);
}

void Exchange::On(Tick& /*event*/) {
  std::vector<std::pair<std::string, Digest>> lost;
  for (auto& [name, peer] : peers_) {
    Unstall(&peer.out);
    Pump(name, &peer);
    if (!peer.in.asked.empty() && now_us_ - peer.in.heard_us > options_.stall_us) {
      for (const Digest& digest : peer.in.asked) lost.emplace_back(name, digest);
      peer.in.heard_us = now_us_;
    }
    AskMore(name, &peer);
  }
  for (const auto& [name, digest] : lost) Failed(digest, name);
  for (auto& [id, promise] : promises_) {
    for (auto& [name, target] : promise.mirrors) {
      if (target.offered.empty() || Find(name) == nullptr ||
          now_us_ - target.progress_us < options_.offer_again_us) {
        continue;
      }
      target.progress_us = now_us_;
      Emit(Send{name, Offer{{target.offered.begin(), target.offered.end()}}});
    }
  }
}

std::map<std::string, size_t> Exchange::wanted_of() const {
  std::map<std::string, size_t> wanted;
  for (const auto& [name, peer] : peers_) wanted[name] = peer.in.assigned.size();
  return wanted;
}

int64_t Exchange::WakeAt(int64_t now_us) const {
  int64_t wake = now_us + kTickUs;
  if (rate_ == 0) return wake;
  // When the bucket holds a piece again, if that is what somebody waits for.
  const auto per_s = static_cast<double>(rate_);
  const double tokens = tokens_ + per_s * static_cast<double>(now_us - tokens_at_us_) / 1e6;
  for (const auto& [name, peer] : peers_) {
    if (!MaySend(peer.out)) continue;
    const double lacking = std::max(0.0, static_cast<double>(PieceBytes(peer.out)) - tokens);
    const auto wait = static_cast<int64_t>(lacking * 1e6 / per_s);
    wake = std::min(wake, now_us + std::max<int64_t>(wait, 1'000));
  }
  return wake;
}

}  // namespace kembar::blob
