// plan.cc — see plan.h.
#include "tests/sim/plan.h"

#include <algorithm>
#include <utility>

namespace kembar::sim {

bool OfficeMemory::Counts(const std::string& node, const FenceAnswer& answer) const {
  auto declared = lost.find(node);
  if (declared == lost.end()) return true;
  return answer.last_epoch >= declared->second && answer.control.config.HasMember(node);
}

namespace {

std::pair<uint64_t, uint64_t> Advance(const FenceReport& report) {
  return {report.answer.last_epoch, report.answer.durable_index};
}

std::string WhyIncomplete(const std::vector<FenceReport>& witnesses,
                          const std::vector<FenceReport>& reports, const FenceReport& best,
                          Mutant mutant) {
  const Config& config = best.answer.control.config;
  uint32_t counted = 0;
  for (const FenceReport& witness : witnesses) {
    const bool forgot = witness.answer.must_reach > witness.answer.durable_index;
    if (config.HasMember(witness.node) && !forgot) ++counted;
  }
  if (counted < config.FenceQuorum() && mutant != Mutant::kPromoteWithoutQuorum) {
    return std::to_string(counted) + " of " + std::to_string(config.FenceQuorum()) + " promises";
  }
  for (const FenceReport& report : reports) {
    if (!report.promised) continue;
    if (report.answer.seen_epoch > best.answer.last_epoch) {
      return report.node + " has seen epoch " + EpochText(report.answer.seen_epoch);
    }
    if (!report.answer.alarm.empty()) return report.node + " has an alarm";
    if (report.answer.must_reach > best.answer.durable_index) {
      return report.node + " once held " + std::to_string(report.answer.must_reach);
    }
  }
  // A primary may have acknowledged alone: only all together know everything.
  const bool alone = config.mode != Mode::kMaxProtection || config.solo;
  if (alone && counted < config.members.size()) {
    return "in mode " + std::string(ModeName(config.mode)) + " every member must promise";
  }
  return "";
}

}  // namespace

Plan MakePlan(const std::vector<FenceReport>& reports, const std::string& wanted,
              const OfficeMemory& office, Mutant mutant) {
  std::vector<FenceReport> witnesses;
  const FenceReport* best = nullptr;
  for (const FenceReport& report : reports) {
    const bool promised = report.promised || mutant == Mutant::kCountRefusedFences;
    const bool empty = report.answer.durable_index == 0 && mutant != Mutant::kCountEmptyNodes;
    const bool old = office.old_disks.contains(report.node) && mutant != Mutant::kCountOldDisks;
    if (promised && !empty && !old && office.Counts(report.node, report.answer)) {
      witnesses.push_back(report);
    }
  }
  for (const FenceReport& report : witnesses) {
    if (!report.promised || report.answer.durable_index == 0) continue;
    const bool ahead = best == nullptr || Advance(report) > Advance(*best) ||
                       (Advance(report) == Advance(*best) && report.node == wanted);
    if (ahead) best = &report;
  }
  if (mutant == Mutant::kPromoteAnyone) {
    for (const FenceReport& report : witnesses) {
      if (report.node == wanted && report.answer.durable_index > 0) best = &report;
    }
  }
  Plan plan;
  for (const FenceReport& report : reports) {
    if (best != nullptr || !report.promised || report.answer.durable_index == 0) continue;
    plan.best = report.node;
    plan.control = report.answer.control;
    plan.why_not = "only sites that were declared lost hold the log";
    return plan;
  }
  if (best == nullptr) {
    plan.why_not = "no reachable node holds the log";
    return plan;
  }
  plan.best = best->node;
  plan.control = best->answer.control;
  plan.why_not = WhyIncomplete(witnesses, reports, *best, mutant);
  plan.complete = plan.why_not.empty();
  return plan;
}

ControlState NextControl(const Plan& plan, const std::vector<std::string>& without) {
  ControlState next = plan.control;
  next.primary = plan.best;
  next.config.solo = false;
  next.lossy = false;
  next.reason = "failover";
  next.actor = "operator";
  auto& left_out = next.config.left_out;
  for (const Member& member : std::vector<Member>(left_out)) {
    if (member.name != plan.best) continue;
    next.config.members.push_back(member);
    std::erase(left_out, member);
  }
  for (const std::string& name : without) {
    auto& members = next.config.members;
    auto found = std::find_if(members.begin(), members.end(),
                              [&](const Member& member) { return member.name == name; });
    if (found == members.end() || name == plan.best) continue;
    next.config.left_out.push_back(*found);
    members.erase(found);
  }
  return next;
}

}  // namespace kembar::sim
