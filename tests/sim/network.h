// network.h — links between nodes: each message may be lost, late, doubled, overtaken, its frames
// damaged; a direction may be cut; a link breaks when a side dies or, after the keepalive time,
// when nothing comes through, and comes up again by itself.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "replicator/core/replica.h"

namespace kembar::sim {

class World;

struct NetworkOptions {
  uint32_t loss_per_mille = 0;
  uint32_t double_per_mille = 0;
  uint32_t damage_per_mille = 0;  // of Entries: a bit flips, or a record is another than was sent
  bool ordered = true;            // as in a gRPC stream; false: messages overtake each other
  int64_t delay_us = 500;
  int64_t spike_us = 0;  // now and then a message takes up to so long
  int64_t keepalive_us = 3'000'000;
};

class Network {
 public:
  explicit Network(World* world) : world_(world) {}

  void Begin();  // looks after the links from now on
  void Send(const std::string& from, const std::string& to, Message message);
  void Cut(const std::string& from, const std::string& to) { cut_.insert({from, to}); }
  void Heal(const std::string& from, const std::string& to) { cut_.erase({from, to}); }
  void HealAll() { cut_.clear(); }
  void set_quiet() { quiet_ = true; }  // no more loss, damage, doubling, overtaking or spikes
  bool IsCut(const std::string& from, const std::string& to) const {
    return cut_.contains({from, to});
  }
  // The link breaks now (and comes back when it can).
  void Break(const std::string& a, const std::string& b);
  // A node's process ended: its links break, sooner or later noticed by the others.
  void OnDown(const std::string& node);

 private:
  struct Link {
    bool up = false;
    uint64_t session = 0;
    uint64_t lives = 0;  // the sum of both incarnations: a process that restarted is another
    int64_t down_us = -1'000'000;
    int64_t bad_since_us = -1;  // nothing comes through since then
  };
  using Pair = std::pair<std::string, std::string>;  // in order of name

  static Pair PairOf(const std::string& a, const std::string& b) {
    return a < b ? Pair(a, b) : Pair(b, a);
  }
  void Review();
  void ReviewLink(const Pair& pair, Link* link);
  void Damage(Message* message);
  void Deliver(const std::string& from, const std::string& to, uint64_t session, Message message);

  World* const world_;
  std::map<Pair, Link> links_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::map<std::pair<std::string, std::string>, int64_t> last_arrival_us_;
  bool quiet_ = false;
};

}  // namespace kembar::sim
