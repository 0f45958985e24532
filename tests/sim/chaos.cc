// chaos.cc — see chaos.h.
#include "tests/sim/chaos.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tests/sim/swarm.h"
#include "tests/sim/words.h"
#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kFaultEveryUs = 120 * kMs;

class Chaos {
 public:
  Chaos(uint64_t seed, Mutant mutant, Trace* trace)
      : draw_(seed ^ 0x6b656d626172ULL),
        options_(DrawWorld(&draw_, mutant)),
        faults_(DrawFaults(&draw_, options_.may_lose)),
        world_(seed, options_, trace),
        random_(world_.random()) {}

  void Run();
  void Fill(RunResult* result) const;

 private:
  void DrawClients();
  void SeeWhoIsLevel();
  void Disturb();
  void DisturbNode(const std::string& name);
  void DisturbNetwork();
  void DisturbOffice();
  void FailBack();
  bool DrawLostSite(OperatorOrder* order);
  std::vector<std::string> CutAllBut(const std::string& reigning, const std::string& name);
  void SendOperator();
  OperatorOrder DrawOrder();
  bool MayWipe(const std::string& name);
  void CrashNode(const std::string& name);
  void WipeNode(const std::string& name);
  bool MayRestore(const std::string& name);
  void RestoreNode(const std::string& name);
  void RestoreAtWorstTime(const std::string& name);
  std::string AlarmedNode();
  void EndAlarm(const std::string& alarmed);
  void WipeAtWorstTime(const std::string& name);
  void RestartLater(const std::string& name);
  int64_t Duration() { return random_.Between(faults_.down_us / 4, faults_.down_us * 2); }

  void Heal();
  bool AtRest();
  bool NeedsOperator();
  std::string WhyNotAtRest();
  void ComeToRest();
  void CheckEnd();

  Random draw_;
  const WorldOptions options_;
  const Faults faults_;
  World world_;
  Random& random_;
  bool disturbing_ = true;
  std::string wiped_;  // one at a time, until it holds everything again
  uint64_t wiped_needs_ = 0;
  uint64_t crashes_ = 0;
  uint64_t wipes_ = 0;
  uint64_t restores_ = 0;
  int orders_ = 0;
  std::map<std::string, size_t> quarantines_;  // of each node, when last looked at
};

void Chaos::DrawClients() {
  const int64_t count = random_.Between(1, 4);
  for (int64_t i = 0; i < count; ++i) {
    Client& client = world_.AddClient("s" + std::to_string(i + 1));
    client.set_window(1 + random_.Below(4));
    client.Generate(random_.Between(40, 600) * kMs);
  }
}

// ---- What goes wrong ---------------------------------------------------------------------------

void Chaos::Disturb() {
  if (!disturbing_) return;
  if (!wiped_.empty() && world_.truth().DurableIndex(wiped_) >= wiped_needs_) wiped_.clear();
  SeeWhoIsLevel();
  DisturbNode(random_.Pick(options_.nodes));
  DisturbNetwork();
  DisturbOffice();
  world_.After(world_.Delay(kFaultEveryUs), [this] { Disturb(); });
}

void Chaos::DisturbNode(const std::string& name) {
  Node& node = world_.node(name);
  if (!node.up()) return;
  if (random_.PerMille(faults_.crash)) return CrashNode(name);
  if (random_.PerMille(faults_.wipe)) {
    if (random_.Percent(50)) return WipeAtWorstTime(name);
    if (faults_.old_disk > 0 && random_.Percent(50)) return RestoreAtWorstTime(name);
    if (MayWipe(name)) return WipeNode(name);
  }
  if (random_.PerMille(faults_.save_disk)) node.SaveDisk();
  if (random_.PerMille(faults_.old_disk) && MayRestore(name)) return RestoreNode(name);
  if (node.stopped() && random_.Percent(20)) return CrashNode(name);
  if (random_.PerMille(faults_.pause)) {
    node.Pause();
    world_.After(Duration(), [&node] { node.Resume(); });
  }
  if (random_.PerMille(faults_.slow_disk)) {
    node.set_slow_disk(true);
    world_.After(Duration(), [&node] { node.set_slow_disk(false); });
  }
  if (random_.PerMille(faults_.disk_full)) {
    node.Post(DiskSpace{true});
    world_.After(Duration(), [&node] { node.Post(DiskSpace{false}); });
  }
  if (random_.PerMille(faults_.write_error)) {
    node.store().FailWrites(Status(Code::kIo, "injected: fsync failed"));
  }
  if (random_.PerMille(faults_.wall_jump)) {
    node.set_clock(random_.Between(-3'600, 3'600) * kSecond);
  }
  if (random_.PerMille(faults_.clients_cut)) {
    node.set_clients_cut(true);
    world_.After(Duration(), [&node] { node.set_clients_cut(false); });
  }
}

void Chaos::DisturbNetwork() {
  const std::string& a = random_.Pick(options_.nodes);
  const std::string& b = random_.Pick(options_.nodes);
  if (a == b) return;
  if (random_.PerMille(faults_.break_link)) world_.network().Break(a, b);
  if (!random_.PerMille(faults_.cut)) return;
  std::vector<std::pair<std::string, std::string>> cuts;
  const uint64_t shape = random_.Below(3);
  for (const std::string& other : options_.nodes) {
    if (other == a || (shape != 2 && other != b)) continue;
    cuts.emplace_back(a, other);                  // 0: one way
    if (shape != 0) cuts.emplace_back(other, a);  // 1: both ways; 2: `a` from everybody
  }
  if (world_.saying(true)) {
    world_.Say("cut " + a + (shape == 2 ? " off" : (shape == 0 ? "->" : "-") + b), true);
  }
  for (const auto& [from, to] : cuts) world_.network().Cut(from, to);
  world_.After(Duration(), [this, cuts] {
    for (const auto& [from, to] : cuts) world_.network().Heal(from, to);
  });
}

void Chaos::CrashNode(const std::string& name) {
  ++crashes_;
  world_.node(name).Crash(random_.Below(world_.node(name).unsynced() + 1));
  RestartLater(name);
}

void Chaos::RestartLater(const std::string& name) {
  world_.After(Duration(), [this, name] { world_.node(name).Start(); });
}

// A disk may be destroyed where the protocol claims to survive it: nobody reigns in a past epoch,
// everything committed is on another disk, and the last one to be destroyed is whole again.
bool Chaos::MayWipe(const std::string& name) {
  if (world_.truth().FullCopiesBeside(name) == 0) return false;
  if (options_.may_lose) return wiped_.empty() || wiped_ == name;
  if (!wiped_.empty() || !world_.office().lost.empty()) return false;
  for (const auto& op : world_.operators()) {
    if (op->active()) return false;
  }
  const std::string reigning = world_.ReigningNode();
  if (reigning.empty()) return false;
  const ReplicaStatus top = world_.node(reigning).status();
  if (top.commit_index < top.control_index) return false;
  for (const auto& [other, node] : world_.nodes()) {
    if (other == name) continue;
    if (!node->up() || node->paused() || node->stopped()) return false;
    const ReplicaStatus status = node->status();
    if (status.epoch != top.epoch || status.hard.promised_epoch != top.epoch) return false;
    // The others know the reign by its records, not by hearsay.
    if (world_.truth().DurableIndex(other) < top.control_index) return false;
  }
  return true;
}

void Chaos::WipeNode(const std::string& name) {
  ++crashes_;
  ++wipes_;
  wiped_ = name;
  wiped_needs_ = world_.truth().LongestDisk();
  world_.node(name).Crash(0);
  world_.node(name).Wipe();
  RestartLater(name);
}

void Chaos::SeeWhoIsLevel() {
  const std::string reigning = world_.ReigningNode();
  std::erase_if(world_.office().old_disks, [&](const std::string& name) {
    if (!options_.may_lose) return world_.truth().HoldsAllCommitted(name);
    // There may be several histories: that of the reigning primary counts.
    if (reigning.empty() || !world_.node(name).up()) return false;
    const ReplicaStatus top = world_.node(reigning).status();
    const ReplicaStatus status = world_.node(name).status();
    return status.epoch == top.epoch && status.durable_index >= top.last_index &&
           status.hard.alarm.empty();
  });
}

// An old disk may be put back where a disk may be destroyed. A primary's makes two histories, which
// only a run with accepted losses may contain.
bool Chaos::MayRestore(const std::string& name) {
  const Node& node = world_.node(name);
  if (!node.has_saved() || !MayWipe(name)) return false;
  return options_.may_lose || (name != world_.ReigningNode() && !node.saved_own_reign());
}

void Chaos::RestoreNode(const std::string& name) {
  ++crashes_;
  ++restores_;
  wiped_ = name;
  wiped_needs_ = world_.truth().LongestDisk();
  world_.node(name).Crash(0);
  world_.node(name).RestoreDisk();
  world_.office().old_disks.insert(name);
  RestartLater(name);
}

// Cuts the primary off from all mirrors but `name`; gives those it cut.
std::vector<std::string> Chaos::CutAllBut(const std::string& reigning, const std::string& name) {
  std::vector<std::string> others;
  for (const std::string& other : options_.nodes) {
    if (other != name && other != reigning) others.push_back(other);
  }
  for (const std::string& other : others) world_.network().Cut(reigning, other);
  return others;
}

// Somebody who can reach every node fails over.
void Chaos::SendOperator() {
  OperatorOrder order = DrawOrder();
  order.unreachable.clear();
  world_.AddOperator(std::move(order)).Begin();
}

// A mirror's disk is destroyed while another mirror lags; then the primary goes down and somebody
// fails over. What was acknowledged may now be on the primary's disk only: the tool must see it.
void Chaos::WipeAtWorstTime(const std::string& name) {
  const std::string reigning = world_.ReigningNode();
  if (reigning.empty() || reigning == name) return;
  const std::vector<std::string> others = CutAllBut(reigning, name);
  world_.After(world_.Delay(400 * kMs), [this, name, reigning, others] {
    const bool may = disturbing_ && world_.node(name).up() && MayWipe(name);
    if (may) WipeNode(name);
    if (may && world_.node(reigning).up()) CrashNode(reigning);
    for (const std::string& other : others) world_.network().Heal(reigning, other);
  });
  world_.After(world_.Delay(2 * kSecond), [this] {
    if (!disturbing_) return;
    SendOperator();
  });
}

// A mirror acknowledges while the others lag, forgets it with its disk, and the primary dies before
// it can say so. Somebody fails over: the old disk's word must not count.
void Chaos::RestoreAtWorstTime(const std::string& name) {
  const std::string reigning = world_.ReigningNode();
  if (reigning.empty() || reigning == name) return;
  const std::vector<std::string> others = CutAllBut(reigning, name);
  world_.node(name).SaveDisk();
  world_.After(world_.Delay(700 * kMs), [this, name, reigning, others] {
    const bool may = disturbing_ && world_.node(name).up() && MayRestore(name);
    if (may && world_.node(reigning).up()) {
      ++crashes_;
      world_.node(reigning).Crash(0);
      world_.After(4 * kSecond, [this, reigning] { world_.node(reigning).Start(); });
    }
    if (may) {
      RestoreNode(name);
      world_.node(name).Start();
    }
    for (const std::string& other : others) world_.network().Heal(reigning, other);
    if (!may) return;
    SendOperator();
  });
}

// ---- The office --------------------------------------------------------------------------------

OperatorOrder Chaos::DrawOrder() {
  OperatorOrder order;
  order.name = "op" + std::to_string(++orders_);
  order.to = random_.Percent(50) ? random_.Pick(options_.nodes) : "";
  order.accept_loss = faults_.accept_loss && random_.Percent(50);
  for (const std::string& name : options_.nodes) {
    if (random_.Percent(15)) order.unreachable.insert(name);
  }
  if (random_.Percent(15)) order.dies_at = static_cast<int>(random_.Below(6));
  return order;
}

// A site may be declared lost when it is down and nobody else is at work; one site at a time.
bool Chaos::DrawLostSite(OperatorOrder* order) {
  for (const auto& op : world_.operators()) {
    if (op->active()) return false;
  }
  auto& lost = world_.office().lost;
  for (auto it = lost.begin(); it != lost.end();) {
    const ReplicaStatus* status = nullptr;
    ReplicaStatus copy;
    if (Node& node = world_.node(it->first); node.up()) {
      copy = node.status();
      status = &copy;
    }
    const bool back = status != nullptr && status->epoch >= it->second &&
                      status->control.config.HasMember(it->first) &&
                      status->commit_index >= status->control_index;
    it = back ? lost.erase(it) : std::next(it);
  }
  if (!lost.empty()) return false;
  for (const std::string& name : options_.nodes) {
    if (world_.node(name).up() || name == order->to) continue;
    order->without = {name};
    return true;
  }
  return false;
}

// A node that has just had its tail cut off is made primary again: what it forgot must be forgotten
// wholly.
void Chaos::FailBack() {
  for (const auto& [name, node] : world_.nodes()) {
    const size_t count = node->store().Quarantines(kLog)->size();
    const bool more = count > std::exchange(quarantines_[name], count);
    if (!more || !random_.Percent(40)) continue;
    world_.After(random_.Between(5, 400) * kMs, [this, to = name] {
      OperatorOrder order = DrawOrder();
      order.to = to;
      order.unreachable.clear();
      if (disturbing_) world_.AddOperator(std::move(order)).Begin();
    });
  }
}

// A node whose log is stopped, if there is one.
std::string Chaos::AlarmedNode() {
  for (const auto& [name, node] : world_.nodes()) {
    if (node->up() && !node->is_primary() && !node->status().hard.alarm.empty()) return name;
  }
  return "";
}

// Which of the two logs is the truth? The operator says: the primary's, or the stopped node's.
void Chaos::EndAlarm(const std::string& alarmed) {
  OperatorOrder order;
  order.name = "op" + std::to_string(++orders_);
  order.to = alarmed;
  order.kind = OperatorOrder::Kind::kRepair;
  if (options_.may_lose && random_.Percent(30)) {
    order.kind = OperatorOrder::Kind::kFailover;
    order.accept_loss = order.insist = true;
  }
  world_.AddOperator(std::move(order)).Begin();
}

void Chaos::DisturbOffice() {
  FailBack();
  if (random_.PerMille(faults_.repair)) {
    const std::string alarmed = AlarmedNode();
    EndAlarm(alarmed.empty() ? random_.Pick(options_.nodes) : alarmed);
  }
  const bool no_primary = world_.ReigningNode().empty();
  if (random_.PerMille(no_primary ? faults_.failover * 4 : faults_.failover)) {
    OperatorOrder order = DrawOrder();
    if (random_.Percent(40)) DrawLostSite(&order);
    world_.AddOperator(std::move(order)).Begin();
    if (random_.Percent(10)) world_.AddOperator(DrawOrder()).Begin();
  }
  if (random_.PerMille(faults_.switchover)) {
    OperatorOrder order = DrawOrder();
    order.kind = OperatorOrder::Kind::kSwitchover;
    if (order.to.empty()) order.to = random_.Pick(options_.nodes);
    order.accept_loss = false;
    world_.AddOperator(std::move(order)).Begin();
  }
  if (random_.PerMille(faults_.note)) {
    OperatorOrder order = DrawOrder();
    order.kind = OperatorOrder::Kind::kNote;
    world_.AddOperator(std::move(order)).Begin();
  }
  if (!random_.PerMille(faults_.change)) return;
  OperatorOrder order = DrawOrder();
  order.kind = OperatorOrder::Kind::kChange;
  const std::string who = random_.Pick(options_.nodes);
  const uint64_t what = random_.Below(options_.may_lose ? 4 : 3);
  const uint64_t number = random_.Next();
  order.change = [who, what, number](Config* config) {
    auto& members = config->members;
    auto named = [&](const Member& member) { return member.name == who; };
    if (what == 0 && members.size() > 2) {
      std::erase_if(members, named);
    } else if (what <= 1 && config->Find(who) == nullptr) {
      members.push_back({who, who + ":7000"});
    } else if (what == 3) {
      config->mode = static_cast<Mode>(number % 3);
    } else {
      config->sync_mirrors = 1 + static_cast<uint32_t>(number % (members.size()));
    }
  };
  world_.AddOperator(std::move(order)).Begin();
}

// ---- Peace -------------------------------------------------------------------------------------

void Chaos::Heal() {
  disturbing_ = false;
  world_.Say("everything is healed", true);
  world_.network().HealAll();
  world_.network().set_quiet();
  for (const auto& [name, node] : world_.nodes()) {
    if (node->stopped()) CrashNode(name);
    if (!node->up()) node->Start();
    node->Resume();
    node->set_slow_disk(false);
    node->set_clients_cut(false);
    // A write error that has not shown itself yet: the disk is replaced, the node restarts.
    if (faults_.write_error > 0) CrashNode(name);
    node->Start();
    node->Post(DiskSpace{false});
  }
  for (auto& client : world_.clients()) {
    client->Stop();
    client->Submit(1);
  }
}

std::string Chaos::WhyNotAtRest() {
  const std::string reigning = world_.ReigningNode();
  if (reigning.empty()) return "no primary";
  const ReplicaStatus top = world_.node(reigning).status();
  for (const auto& client : world_.clients()) {
    if (!client->idle()) {
      return "source " + client->source() + " waits at " + reigning + ": " + client->last_failure();
    }
  }
  if (top.commit_index != top.last_index) return "not all is committed on " + reigning;
  for (const auto& [name, node] : world_.nodes()) {
    if (!node->up()) return name + " is down";
    if (top.control.config.Find(name) == nullptr) continue;
    const ReplicaStatus status = node->status();
    if (status.durable_index != top.last_index || status.durable_root != top.durable_root) {
      return name + " is at " + std::to_string(status.durable_index) + " of " +
             std::to_string(top.last_index) + (status.trouble.empty() ? "" : ": " + status.trouble);
    }
    if (status.commit_index != top.commit_index) return name + " does not know what is committed";
    if (name != reigning && status.primary != reigning) return name + " does not follow";
  }
  const LogState state = top.state;
  const bool alone =
      top.control.config.members.size() == 1 || top.control.config.mode == Mode::kMaxPerformance;
  if (state != LogState::kProtected && !alone) {
    return reigning + " is " + std::string(LogStateName(state));
  }
  return "";
}

bool Chaos::AtRest() { return WhyNotAtRest().empty(); }

// No primary, or a member that refuses it: what an interrupted failover leaves behind. Both are
// shown by the status.
bool Chaos::NeedsOperator() {
  const std::string reigning = world_.ReigningNode();
  if (reigning.empty()) return true;
  for (const PeerStatus& peer : world_.node(reigning).status().peers) {
    if (!peer.trouble.empty()) return true;
  }
  return false;
}

// Within bounded time after the last fault the log is whole again; where the status asks for an
// operator, one failover is enough.
void Chaos::ComeToRest() {
  int64_t in_need_us = 0;
  for (int64_t waited_us = 0; waited_us < 90 * kSecond; waited_us += kSecond / 2) {
    world_.RunFor(kSecond / 2);
    SeeWhoIsLevel();
    if (AtRest()) return;
    in_need_us = NeedsOperator() ? in_need_us + kSecond / 2 : 0;
    bool busy = false;
    for (const auto& op : world_.operators()) busy |= op->active();
    if (in_need_us < 3 * kSecond || busy) continue;
    if (const std::string alarmed = AlarmedNode();
        !alarmed.empty() && !world_.ReigningNode().empty()) {
      EndAlarm(alarmed);
      continue;
    }
    OperatorOrder order;
    order.name = "op" + std::to_string(++orders_);
    order.accept_loss = options_.may_lose;
    world_.AddOperator(std::move(order)).Begin();
  }
  throw Violation{"liveness: 90 s after the last fault: " + WhyNotAtRest()};
}

void Chaos::CheckEnd() {
  const std::string reigning = world_.ReigningNode();
  for (const auto& [name, node] : world_.nodes()) world_.truth().CheckStore(name, node->store());
  world_.truth().CheckAcknowledged(reigning);
}

void Chaos::Run() {
  for (const auto& [name, node] : world_.nodes()) node->set_drift(random_.Between(-5, 5));
  world_.Begin();
  DrawClients();
  // A node that has not heard of the log cannot be told from one that was wiped.
  for (const auto& [name, node] : world_.nodes()) {
    for (int i = 0; i < 100 && !world_.truth().HasLog(name); ++i) world_.RunFor(200 * kMs);
  }
  world_.RunFor(random_.Between(100, 1'000) * kMs);
  Disturb();
  world_.RunFor(random_.Between(5, 25) * kSecond);
  Heal();
  ComeToRest();
  CheckEnd();
}

void Chaos::Fill(RunResult* result) const {
  result->steps = world_.steps();
  result->acknowledged = world_.truth().acknowledged();
  result->quarantined = world_.truth().quarantined();
  result->given_up = world_.truth().given_up();
  result->crashes = crashes_;
  result->wipes = wipes_;
  result->restores = restores_;
  for (const auto& op : world_.operators()) result->failovers += op->succeeded() ? 1U : 0U;
  result->kind = std::to_string(options_.nodes.size()) +
                 " nodes, k=" + std::to_string(options_.sync_mirrors) + ", " +
                 std::string(ModeName(options_.mode)) +
                 (options_.may_lose ? ", loss may be accepted" : "");
}

}  // namespace

RunResult RunSeed(uint64_t seed, Mutant mutant, Trace* trace) {
  RunResult result;
  Chaos chaos(seed, mutant, trace);
  try {
    chaos.Run();
  } catch (const Violation& violation) {
    result.ok = false;
    result.failure = violation.what;
  }
  chaos.Fill(&result);
  result.hash = trace->hash();
  return result;
}

}  // namespace kembar::sim
