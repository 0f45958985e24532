// operator.cc — see operator.h.
#include "tests/sim/operator.h"

#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr int64_t kAnswerUs = 600'000;  // how long the tool waits for answers
constexpr int64_t kInFlightUs = 1'500'000;
constexpr int kRoundsMax = 5;
constexpr uint64_t kEpochsAboveLost = 10 * kFirstEpoch;  // as kembarctl
constexpr int64_t kPauseMs = 8'000;

}  // namespace

Operator::Operator(World* world, OperatorOrder order)
    : world_(world), order_(std::move(order)), candidate_(order_.to) {}

void Operator::Say(const std::string& text) {
  if (world_->saying(true)) world_->Say(order_.name + ": " + text, true);
}

void Operator::Begin() {
  for (const std::string& name : order_.without) {
    if (world_->office().lost.try_emplace(name, UINT64_MAX).second) declared_ = true;
  }
  AskStatuses([this] { OnStatuses(); });
}

void Operator::Finish(bool succeeded, const std::string& outcome) {
  if (finished_) return;
  ++waiting_;
  succeeded_ = succeeded;
  outcome_ = outcome;
  Say(outcome);
  if (declared_ && !promote_sent_) {
    for (const std::string& name : order_.without) world_->office().lost.erase(name);
  }
  // What was sent may still arrive.
  world_->After(succeeded || !world_->options().chance ? 0 : kInFlightUs,
                [this] { finished_ = true; });
}

bool Operator::Dies() {
  if (step_++ != order_.dies_at) return false;
  Finish(false, "the tool dies");
  return true;
}

// ---- Asking ------------------------------------------------------------------------------------

void Operator::Ask(const std::string& node, std::function<Event(Ticket)> make,
                   std::function<void(const Reply&)> done) {
  if (!Reaches(node)) return;
  const Ticket ticket = world_->NewTicket(std::move(done));
  world_->After(world_->Delay(500), [this, node, event = make(ticket)]() mutable {
    world_->node(node).Post(std::move(event));
  });
}

void Operator::Await(int64_t us, std::function<bool()> ready, std::function<void()> then) {
  const uint64_t id = ++waiting_;
  ready_ = std::move(ready);
  then_ = std::move(then);
  world_->After(us, [this, id] {
    if (id != waiting_ || finished_) return;
    ++waiting_;
    ready_ = nullptr;
    const auto go_on = std::move(then_);
    go_on();
  });
  Look();
}

void Operator::Look() {
  if (finished_ || !ready_ || !ready_()) return;
  ready_ = nullptr;
  const uint64_t id = ++waiting_;
  // Not within the answer's own call.
  world_->After(0, [this, id, go_on = std::exchange(then_, nullptr)] {
    if (id == waiting_ && !finished_) go_on();
  });
}

void Operator::AskStatuses(std::function<void()> then) {
  if (Dies()) return;
  statuses_.clear();
  for (const auto& [name, node] : world_->nodes()) {
    if (!Reaches(name)) continue;
    world_->After(world_->Delay(500), [this, name = name] {
      world_->node(name).PostQuery([this, name](const ReplicaStatus& status) {
        world_->After(world_->Delay(500), [this, name, status] {
          statuses_[name] = status;
          Look();
        });
      });
    });
  }
  Await(
      kAnswerUs,
      [this] { return statuses_.size() + order_.unreachable.size() == world_->nodes().size(); },
      std::move(then));
}

// ---- Steps -------------------------------------------------------------------------------------

void Operator::OnStatuses() {
  if (Dies()) return;
  primary_.clear();
  uint64_t reign = 0;
  std::pair<uint64_t, uint64_t> most{0, 0};
  std::string most_advanced;
  for (const auto& [name, status] : statuses_) {
    if (status.role == Role::kPrimary && status.epoch >= reign) {
      reign = status.epoch;
      primary_ = name;
    }
    const std::pair<uint64_t, uint64_t> at{status.epoch, status.durable_index};
    if (status.durable_index > 0 && at > most) {
      most = at;
      most_advanced = name;
    }
  }
  switch (order_.kind) {
    case OperatorOrder::Kind::kSwitchover: return BeginSwitchover();
    case OperatorOrder::Kind::kChange:
    case OperatorOrder::Kind::kNote: return BeginChange();
    case OperatorOrder::Kind::kRepair: return BeginRepair();
    case OperatorOrder::Kind::kFailover: break;
  }
  if (candidate_.empty()) candidate_ = most_advanced;
  if (candidate_.empty() || !statuses_.contains(candidate_)) {
    return Finish(false, "failover refused: the candidate does not answer");
  }
  BeginFence();
}

void Operator::BeginSwitchover() {
  if (primary_.empty() || candidate_ == primary_ || !statuses_.contains(candidate_) ||
      !statuses_[primary_].control.config.HasMember(candidate_)) {
    return Finish(false, "switchover refused: primary and target must answer");
  }
  Ask(
      primary_,
      [](Ticket ticket) {
        return PauseAppends{ticket, kPauseMs};
      },
      [this](const Reply& reply) {
        if (reply.status.ok()) must_hold_ = reply.index;
        Look();
      });
  Await(
      kAnswerUs, [this] { return must_hold_ > 0; },
      [this] {
        if (must_hold_ == 0) return Finish(false, "switchover refused: the primary cannot pause");
        Say("paused " + primary_ + " at " + std::to_string(must_hold_));
        AwaitLevel(10);
      });
}

void Operator::AwaitLevel(int polls) {
  AskStatuses([this, polls] {
    auto target = statuses_.find(candidate_);
    if (target != statuses_.end() && target->second.durable_index >= must_hold_) {
      return BeginFence();
    }
    if (polls > 0) {
      world_->After(200'000, [this, polls] { AwaitLevel(polls - 1); });
      return;
    }
    Ask(
        primary_, [](Ticket ticket) { return ResumeAppends{ticket}; }, [](const Reply&) {});
    Finish(false, "switchover given up: " + candidate_ + " does not become level; resumed");
  });
}

void Operator::BeginFence() {
  if (Dies()) return;
  uint64_t highest = epoch_;
  for (const auto& [name, status] : statuses_) {
    highest = std::max({highest, status.hard.promised_epoch, status.hard.seen_epoch, status.epoch});
  }
  for (const auto& [name, report] : reports_) {
    highest = std::max(highest, report.answer.promised_epoch);
  }
  // A site that is declared lost may come back, with promises that nobody here knows of: the reign
  // that begins without it must be above them all.
  const bool first = epoch_ == 0 && !order_.without.empty();
  epoch_ = first ? NextEpoch(highest + kEpochsAboveLost) : NextEpoch(highest);
  reports_.clear();
  expected_ = statuses_.size();
  for (const auto& [name, status] : statuses_) {
    Ask(
        name,
        [this](Ticket ticket) {
          return FenceRequest{ticket, epoch_, candidate_};
        },
        [this, name = name, epoch = epoch_](const Reply& reply) {
          if (epoch != epoch_ || !reply.fence) return;
          reports_[name] = {name, reply.status.ok(), *reply.fence};
          Look();
        });
  }
  Await(
      kAnswerUs, [this] { return reports_.size() == expected_; }, [this] { OnFenced(); });
}

void Operator::OnFenced() {
  if (Dies()) return;
  std::vector<FenceReport> reports;
  bool refused = false;
  for (const auto& [name, report] : reports_) {
    reports.push_back(report);
    refused |= !report.promised;
    Say((report.promised ? "fenced " : "refused by ") + name + " for epoch " + EpochText(epoch_) +
        " of " + candidate_ + ": holds " + EpochText(report.answer.last_epoch) + "/" +
        std::to_string(report.answer.durable_index));
  }
  ForgetVoidDeclarations(reports);
  const Mutant mutant = world_->options().mutant;
  Plan plan = MakePlan(reports, candidate_, world_->office(), mutant);
  if (auto chosen = reports_.find(candidate_);
      order_.insist && chosen != reports_.end() && chosen->second.promised &&
      chosen->second.answer.durable_index > 0 && !refused) {
    plan = {.best = candidate_,
            .complete = false,
            .why_not = plan.why_not,
            .control = chosen->second.answer.control};
    if (plan.why_not.empty()) plan.why_not = "the operator insists on " + candidate_;
  }
  if (plan.best.empty()) {
    return Finish(false, refused ? "failover given up: someone else is at it"
                                 : "failover refused: " + plan.why_not);
  }
  const bool again = (refused && mutant != Mutant::kCountRefusedFences) || plan.best != candidate_;
  if (again && order_.kind == OperatorOrder::Kind::kSwitchover) {
    return Finish(false, "switchover given up: someone else is at it");
  }
  if (again) {
    if (++rounds_ >= kRoundsMax) return Finish(false, "failover given up: someone else is at it");
    candidate_ = plan.best;
    return BeginFence();
  }
  if (!plan.control.config.HasMember(candidate_) && !order_.accept_loss) {
    return Finish(false, "failover refused: " + candidate_ + " is not a member");
  }
  if (!plan.complete && !order_.accept_loss) {
    return Finish(false, "failover refused: not provably complete: " + plan.why_not);
  }
  if (!plan.complete) Say("loss accepted: " + plan.why_not);
  BeginPromote(plan);
}

// With a promise of every node, and none that has seen the epoch that was to begin without a site,
// that epoch never began and never will: the site is not lost.
void Operator::ForgetVoidDeclarations(const std::vector<FenceReport>& reports) {
  auto& lost = world_->office().lost;
  if (!order_.without.empty() || reports.size() < world_->nodes().size()) return;
  std::erase_if(lost, [&](const auto& declared) {
    return std::all_of(reports.begin(), reports.end(), [&](const FenceReport& report) {
      return report.promised && report.answer.seen_epoch < declared.second;
    });
  });
}

void Operator::BeginPromote(const Plan& plan) {
  if (Dies()) return;
  promote_sent_ = true;
  if (declared_) {
    for (const std::string& name : order_.without) world_->office().lost[name] = epoch_;
  }
  SendPromote(plan, 3);
}

void Operator::SendPromote(const Plan& plan, int attempts) {
  ControlState state = NextControl(plan, order_.without);
  state.lossy = !plan.complete;
  auto result = std::make_shared<std::optional<Reply>>();
  Ask(
      plan.best,
      [this, state](Ticket ticket) {
        return PromoteRequest{ticket, epoch_, state};
      },
      [this, result](const Reply& reply) {
        *result = reply;
        Look();
      });
  Await(
      2 * kAnswerUs, [result] { return result->has_value(); },
      [this, result, plan, attempts] {
        if (result->has_value() && (*result)->status.ok()) {
          return Finish(true, "promoted " + plan.best + ", epoch " + EpochText(epoch_) +
                                  " from record " + std::to_string((*result)->index));
        }
        const bool retry = !result->has_value() || (*result)->status.code() == Code::kUnavailable;
        if (retry && attempts > 0) return SendPromote(plan, attempts - 1);
        Finish(false, "promotion failed: " +
                          (result->has_value() ? (*result)->status.message() : "no answer"));
      });
}

void Operator::BeginRepair() {
  if (primary_.empty() || primary_ == order_.to || !statuses_.contains(order_.to)) {
    return Finish(false, "repair refused: another node must reign, and the node must answer");
  }
  auto result = std::make_shared<std::optional<Reply>>();
  Ask(
      order_.to,
      [this](Ticket ticket) {
        return RepairRequest{ticket, order_.name, "sim"};
      },
      [this, result](const Reply& reply) {
        *result = reply;
        Look();
      });
  Await(
      2 * kAnswerUs, [result] { return result->has_value(); },
      [this, result] {
        if (!result->has_value()) return Finish(false, "repair not answered");
        const Reply& reply = **result;
        Finish(reply.status.ok(), reply.status.ok()
                                      ? "repaired " + order_.to + " from record " +
                                            std::to_string(reply.index) + " on, " +
                                            std::to_string(reply.quarantined) + " to quarantine"
                                      : "repair refused: " + reply.status.message());
      });
}

void Operator::BeginChange() {
  if (primary_.empty()) return Finish(false, "change refused: no primary answers");
  Config config = statuses_[primary_].control.config;
  if (order_.change) order_.change(&config);
  auto result = std::make_shared<std::optional<Reply>>();
  Ask(
      primary_,
      [this, config](Ticket ticket) -> Event {
        if (order_.kind == OperatorOrder::Kind::kNote) return AppendNote{ticket, "a note"};
        return ChangeConfig{ticket, config, order_.name, "asked for"};
      },
      [this, result](const Reply& reply) {
        *result = reply;
        Look();
      });
  Await(
      3 * kAnswerUs, [result] { return result->has_value(); },
      [this, result] {
        if (!result->has_value()) return Finish(false, "change not answered");
        const Status& status = (*result)->status;
        Finish(status.ok(), status.ok() ? "changed at " + std::to_string((*result)->index)
                                        : "change refused: " + status.message());
      });
}

}  // namespace kembar::sim
