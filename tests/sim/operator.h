// operator.h — a person with the admin tool: fails over, switches over, changes membership and
// mode; from a place that reaches some nodes only, at any moment, perhaps while a colleague does
// the same, perhaps with a tool that dies half-way.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "replicator/core/replica.h"
#include "tests/sim/plan.h"

namespace kembar::sim {

class World;

struct OperatorOrder {
  enum class Kind : uint8_t { kFailover, kSwitchover, kChange, kNote, kRepair };
  Kind kind = Kind::kFailover;
  std::string name;  // of the operator, for the trace
  std::string to;    // failover: empty: whoever is the most advanced. repair: the node
  // failover: `to` and nobody else, because the operator takes its log for the truth
  bool insist = false;
  std::vector<std::string> without;  // sites declared lost
  bool accept_loss = false;
  std::set<std::string> unreachable;  // from where this operator sits
  int dies_at = -1;                   // the tool dies before this step
  std::function<void(Config*)> change;
};

class Operator {
 public:
  Operator(World* world, OperatorOrder order);
  void Begin();

  bool active() const { return !finished_; }
  bool succeeded() const { return succeeded_; }
  const std::string& outcome() const { return outcome_; }

 private:
  void Finish(bool succeeded, const std::string& outcome);
  bool Dies();
  bool Reaches(const std::string& node) const { return !order_.unreachable.contains(node); }
  void Say(const std::string& text);
  // Sends an order; `done` is called with the answer, if one comes.
  void Ask(const std::string& node, std::function<Event(Ticket)> make,
           std::function<void(const Reply&)> done);
  void AskStatuses(std::function<void()> then);
  // Calls `then` once: after `us`, or as soon as `ready` (looked at on each answer).
  void Await(int64_t us, std::function<bool()> ready, std::function<void()> then);
  void Look();

  void OnStatuses();
  void BeginSwitchover();
  void AwaitLevel(int polls);
  void BeginFence();
  void OnFenced();
  void ForgetVoidDeclarations(const std::vector<FenceReport>& reports);
  void BeginPromote(const Plan& plan);
  void SendPromote(const Plan& plan, int attempts);
  void BeginChange();
  void BeginRepair();

  World* const world_;
  OperatorOrder order_;
  std::map<std::string, ReplicaStatus> statuses_;
  std::map<std::string, FenceReport> reports_;
  size_t expected_ = 0;
  std::string primary_;
  std::string candidate_;
  uint64_t epoch_ = 0;
  uint64_t must_hold_ = 0;  // switchover: what the target must reach
  int rounds_ = 0;
  int step_ = 0;
  bool declared_ = false;  // `without` stands in the office's memory by our doing
  bool promote_sent_ = false;
  bool finished_ = false;
  bool succeeded_ = false;
  std::string outcome_;
  uint64_t waiting_ = 0;  // names the Await that is under way
  std::function<bool()> ready_;
  std::function<void()> then_;
};

}  // namespace kembar::sim
