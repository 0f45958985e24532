// network.cc — see network.h.
#include "tests/sim/network.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr int64_t kReconnectUs = 10'000;  // after the death of the old link has been noticed

}  // namespace

void Network::Begin() { Review(); }

void Network::Review() {
  for (const auto& [a, node_a] : world_->nodes()) {
    for (const auto& [b, node_b] : world_->nodes()) {
      if (a < b) ReviewLink({a, b}, &links_[{a, b}]);
    }
  }
  world_->After(world_->Delay(100'000), [this] { Review(); });
}

void Network::ReviewLink(const Pair& pair, Link* link) {
  Node& a = world_->node(pair.first);
  Node& b = world_->node(pair.second);
  const uint64_t lives = a.incarnation() + b.incarnation();
  if (link->up && link->lives != lives && a.up() && b.up()) return Break(pair.first, pair.second);
  const bool passes = a.up() && b.up() && !a.paused() && !b.paused() &&
                      !IsCut(pair.first, pair.second) && !IsCut(pair.second, pair.first);
  if (passes) {
    link->bad_since_us = -1;
    if (link->up || world_->now_us() - link->down_us < kReconnectUs) return;
    link->up = true;
    ++link->session;
    link->lives = lives;
    if (world_->saying()) world_->Say("link " + pair.first + "-" + pair.second + " up");
    a.Post(Connected{pair.second});
    b.Post(Connected{pair.first});
    return;
  }
  if (link->bad_since_us < 0) link->bad_since_us = world_->now_us();
  if (link->up && world_->now_us() - link->bad_since_us >= world_->options().network.keepalive_us) {
    Break(pair.first, pair.second);
  }
}

void Network::Break(const std::string& a, const std::string& b) {
  Link& link = links_[PairOf(a, b)];
  if (!link.up) return;
  link.up = false;
  link.down_us = world_->now_us();
  if (world_->saying()) world_->Say("link " + a + "-" + b + " down");
  world_->After(world_->Delay(300), [this, a, b] { world_->node(a).Post(Disconnected{b}); });
  world_->After(world_->Delay(300), [this, a, b] { world_->node(b).Post(Disconnected{a}); });
}

void Network::OnDown(const std::string& node) {
  const bool noticed = !world_->options().chance || world_->random().Percent(60);
  for (auto& [pair, link] : links_) {
    if (!link.up || (pair.first != node && pair.second != node)) continue;
    const std::string other = pair.first == node ? pair.second : pair.first;
    if (noticed || world_->node(other).up() == false) Break(node, other);
    // Otherwise the machine vanished without a word; the keepalive will tell.
  }
}

void Network::Send(const std::string& from, const std::string& to, Message message) {
  const NetworkOptions& options = world_->options().network;
  if (!world_->nodes().contains(to)) return;
  const Link& link = links_[PairOf(from, to)];
  Random& random = world_->random();
  if (!link.up || IsCut(from, to)) return;
  if (!quiet_ && random.PerMille(options.loss_per_mille)) return;
  if (!quiet_ && random.PerMille(options.damage_per_mille)) Damage(&message);
  const int copies = !quiet_ && random.PerMille(options.double_per_mille) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    int64_t delay = world_->Delay(options.delay_us);
    if (!quiet_ && options.spike_us > 0 && random.PerMille(20)) {
      delay += random.Between(0, options.spike_us);
    }
    if (options.ordered || quiet_) {
      int64_t& last = last_arrival_us_[{from, to}];
      last = std::max(last, world_->now_us() + delay);
      delay = last - world_->now_us();
    }
    world_->After(delay, [this, from, to, session = link.session, message] {
      Deliver(from, to, session, message);
    });
  }
}

// Half the time the record's own checksum tells; else only the Merkle root can.
void Network::Damage(Message* message) {
  auto* entries = std::get_if<Entries>(message);
  if (entries == nullptr) return;
  Random& random = world_->random();
  FrameBatch batch = *entries->batch;
  std::string& frame = batch.frames[random.Below(batch.frames.size())];
  Result<Record> record = DecodeRecord(frame);
  if (record.ok() && !record->payload.empty() && random.Percent(50)) {
    char& victim = record->payload[random.Below(record->payload.size())];
    victim = static_cast<char>(victim ^ 1);
    frame = EncodeRecord(*record);
  } else {
    char& victim = frame[random.Below(frame.size())];
    victim = static_cast<char>(victim ^ (1 << random.Below(8)));
  }
  entries->batch = std::make_shared<const FrameBatch>(std::move(batch));
}

void Network::Deliver(const std::string& from, const std::string& to, uint64_t session,
                      Message message) {
  const Link& link = links_[PairOf(from, to)];
  if (IsCut(from, to)) return;
  // What is left of a dead link arrives before its end is noticed, or not at all.
  if (link.session != session && !(world_->options().chance && world_->random().Percent(30))) {
    return;
  }
  if (!link.up && world_->options().chance && world_->random().Percent(50)) return;
  if (world_->saying()) world_->Say(from + " -> " + to + " " + Describe(message));
  world_->node(to).Post(Received{from, std::move(message)});
}

}  // namespace kembar::sim
