// exchange_out.cc — see exchange.h: what goes out, and how much of it at a time.
#include <algorithm>

#include "node/blob/blob_store.h"
#include "node/blob/exchange.h"

namespace kembar::blob {
namespace {

constexpr size_t kQueueMax = 64;  // chunks asked by one peer; a peer asks for fewer
constexpr size_t kReadyMax = 2;   // one is being sent, the next is being read
constexpr size_t kPieceBytesMin = size_t{1} << 10;
constexpr size_t kDelays = 3;  // the least of so many counts: noise only adds
constexpr int64_t kQuietUs = 60'000'000;

}  // namespace

void Exchange::Take(const std::string& name, Peer* peer, Want& message) {
  Outgoing& out = peer->out;
  for (const Digest& digest : message.digests) {
    if (out.queue.size() >= kQueueMax) break;
    // One that is being sent was asked for again because a piece of it got lost.
    const bool waits = std::count(out.queue.begin(), out.queue.end(), digest) != 0 ||
                       out.loading.contains(digest) ||
                       std::any_of(out.ready.begin(), out.ready.end(), [&](const Ready& ready) {
                         return ready.digest == digest && ready.offset == 0;
                       });
    if (!waits) out.queue.push_back(digest);
  }
  Pump(name, peer);
}

void Exchange::On(Loaded& event) {
  Peer* peer = Find(event.peer);
  if (peer == nullptr || peer->out.loading.erase(event.digest) == 0) return;
  if (event.chunk == nullptr || event.chunk->empty()) {
    Emit(Send{event.peer, Lack{{event.digest}}});
  } else {
    peer->out.ready.push_back({event.digest, std::move(event.chunk), 0});
  }
  Pump(event.peer, peer);
}

// Sends what window and rate allow, and has the next chunk read meanwhile.
void Exchange::Pump(const std::string& name, Peer* peer) {
  Outgoing& out = peer->out;
  if (rate_ == 0) {
    while (MaySend(out)) SendPiece(name, &out);
  }
  LoadMore(name, &out);
  if (rate_ != 0) PumpInTurn();
}

// Under a rate all peers share the tokens: a piece each, beginning behind the one served last.
void Exchange::PumpInTurn() {
  auto next = peers_.upper_bound(served_);
  for (size_t passed = 0; passed < peers_.size();) {
    if (next == peers_.end()) next = peers_.begin();
    auto& [name, peer] = *next++;
    if (!MaySend(peer.out)) {
      ++passed;
      continue;
    }
    if (!TakeTokens(PieceBytes(peer.out))) return;  // and nobody goes before it
    SendPiece(name, &peer.out);
    LoadMore(name, &peer.out);
    served_ = name;
    passed = 0;
  }
}

void Exchange::SendPiece(const std::string& name, Outgoing* out) {
  Ready& ready = out->ready.front();
  const size_t bytes = PieceBytes(*out);
  Piece piece{.digest = ready.digest,
              .offset = ready.offset,
              .total = ready.chunk->size(),
              .data = ready.chunk->substr(ready.offset, bytes)};
  ready.offset += bytes;
  out->sent += bytes;
  piece.sent = out->sent;
  out->flights.emplace_back(out->sent, now_us_);
  counters_.sent_bytes += bytes;
  if (ready.offset == ready.chunk->size()) {
    ++counters_.sent_chunks;
    out->ready.pop_front();
  }
  Emit(Send{name, std::move(piece)});
}

void Exchange::LoadMore(const std::string& name, Outgoing* out) {
  while (!out->queue.empty() && out->ready.size() + out->loading.size() < kReadyMax) {
    const Digest digest = out->queue.front();
    out->queue.pop_front();
    out->loading.insert(digest);
    Emit(Load{name, digest});
  }
}

size_t Exchange::PieceBytes(const Outgoing& out) const {
  const Ready& ready = out.ready.front();
  // Several in a window, so that there is always one on the wire and its delay is measured often.
  const size_t most = std::clamp(out.window / 4, kPieceBytesMin, kPieceBytesMax);
  return std::min(most, ready.chunk->size() - ready.offset);
}

bool Exchange::MaySend(const Outgoing& out) const {
  if (out.ready.empty()) return false;
  const uint64_t under_way = out.sent - out.taken;
  return under_way == 0 || under_way + PieceBytes(out) <= out.window;
}

bool Exchange::TakeTokens(size_t bytes) {
  const auto per_s = static_cast<double>(rate_);
  // A bucket that holds a tenth of a second, or one piece.
  const double most = std::max(per_s / 10, static_cast<double>(kPieceBytesMax));
  tokens_ = std::min(most, tokens_ + per_s * static_cast<double>(now_us_ - tokens_at_us_) / 1e6);
  tokens_at_us_ = now_us_;
  if (tokens_ < static_cast<double>(bytes)) return false;
  tokens_ -= static_cast<double>(bytes);
  return true;
}

void Exchange::Take(const std::string& name, Peer* peer, Taken& message) {
  Outgoing& out = peer->out;
  if (message.sent <= out.taken || message.sent > out.sent) return;
  const size_t bytes = message.sent - out.taken;
  out.taken = message.sent;
  int64_t delay = -1;
  while (!out.flights.empty() && out.flights.front().first <= out.taken) {
    delay = now_us_ - out.flights.front().second;
    out.flights.pop_front();
  }
  if (delay >= 0) Adjust(&out, delay, bytes);
  Pump(name, peer);
}

void Exchange::Adjust(Outgoing* out, int64_t delay_us, size_t taken_bytes) {
  out->delays.push_back(delay_us);
  if (out->delays.size() > kDelays) out->delays.pop_front();
  // The least delay of one to two minutes is that of the quiet link.
  if (out->quiet_since == 0) {
    out->quiet_us = out->quiet_next_us = delay_us;
    out->quiet_since = now_us_;
  }
  if (now_us_ - out->quiet_since > kQuietUs) {
    out->quiet_us = out->quiet_next_us;
    out->quiet_next_us = delay_us;
    out->quiet_since = now_us_;
  }
  out->quiet_next_us = std::min(out->quiet_next_us, delay_us);
  out->quiet_us = std::min(out->quiet_us, out->quiet_next_us);

  const int64_t least = *std::min_element(out->delays.begin(), out->delays.end());
  const int64_t queueing = least - out->quiet_us;
  const int64_t target = std::max(options_.delay_target_us, out->quiet_us / 2);
  if (queueing <= target) {
    out->window = std::min(options_.window_max, out->window + taken_bytes / 8);
  } else if (now_us_ - out->shrunk_at > delay_us) {  // once for what is under way
    const size_t by = queueing > 2 * target ? 2 : 4;
    out->window = std::max(options_.window_min, out->window - out->window / by);
    out->shrunk_at = now_us_;
  }
}

// Taken that does not come any more: it, or its piece, got lost.
void Exchange::Unstall(Outgoing* out) {
  if (out->flights.empty() || now_us_ - out->flights.front().second <= options_.stall_us) return;
  out->flights.clear();
  out->taken = out->sent;
  out->queue.clear();
  out->ready.clear();
  out->loading.clear();
}

}  // namespace kembar::blob
