// failover_plan.cc — see failover_plan.h.
#include "tools/kembarctl/failover_plan.h"

#include <algorithm>
#include <tuple>

#include "replicator/log/epoch_history.h"

namespace kembar::ctl {
namespace {

// A site that is declared lost may hold a promise that nobody here knows of (a failover to it that
// was begun and cut off). Were the new epoch no higher, the site would depose the new primary when
// it comes back. So a reign that begins without a site leaves room.
constexpr uint64_t kEpochsForTheLost = 10 * kFirstEpoch;

const NodeFact* Find(const std::vector<NodeFact>& nodes, const std::string& name) {
  const auto it =
      std::find_if(nodes.begin(), nodes.end(), [&](const NodeFact& n) { return n.name == name; });
  return it == nodes.end() ? nullptr : &*it;
}

bool Answers(const NodeFact* node) { return node != nullptr && node->reachable; }

// More advanced: by epoch of the last record, then by how far it is durable.
bool IsAhead(const NodeFact& a, const NodeFact& b) {
  return std::tie(a.epoch, a.durable_index) > std::tie(b.epoch, b.durable_index);
}

Status Refuse(std::string why, std::string hint) {
  return Status(Code::kInvalid, std::move(why), std::move(hint));
}

// Its promise speaks for what it once acknowledged. A wiped or restored disk's does not.
bool Remembers(const NodeFact& node) {
  return node.holds_log && node.must_reach <= node.durable_index;
}

// Silent members that were not named in --without.
std::string SilentMembers(const std::vector<NodeFact>& nodes, const Config& next,
                          const std::string& flag) {
  std::string names;
  for (const Member& member : next.members) {
    if (Answers(Find(nodes, member.name))) continue;
    names += (names.empty() ? "" : " ") + flag + member.name;
  }
  return names;
}

Status CheckCandidate(const std::vector<NodeFact>& nodes, const FailoverRequest& request,
                      const Config& latest) {
  const NodeFact* candidate = Find(nodes, request.to);
  if (latest.Find(request.to) == nullptr) {
    return Refuse("node " + request.to + " does not belong to this log",
                  "see the names in kembarctl status");
  }
  if (!Answers(candidate)) {
    return Refuse("node " + request.to + " does not answer, so it cannot become primary",
                  "give its address with --node, or fail over to a node that answers");
  }
  if (!candidate->holds_log || candidate->durable_index == 0) {
    return Refuse("node " + request.to + " holds nothing of this log",
                  "fail over to a node that holds the log");
  }
  return Status::Ok();
}

Status CheckWithout(const std::vector<NodeFact>& nodes, const FailoverRequest& request,
                    const Config& latest) {
  for (const std::string& name : request.without) {
    if (latest.Find(name) == nullptr) {
      return Refuse("node " + name + " (--without) does not belong to this log",
                    "see the names in kembarctl status");
    }
    if (name == request.to) {
      return Refuse("node " + name + " cannot be both --to and --without", "name another --to");
    }
    if (Answers(Find(nodes, name))) {
      return Refuse("node " + name + " answers, so it must not be left out",
                    "use kembarctl switchover --to " + request.to + ", or drop --without " + name);
    }
  }
  return Status::Ok();
}

// The new primary must be able to acknowledge with the mirrors that answer.
Status CheckQuorum(const std::vector<NodeFact>& nodes, const FailoverRequest& request,
                   const Config& next) {
  uint32_t answering = 0;
  for (const Member& member : next.members) {
    if (member.name != request.to && Answers(Find(nodes, member.name))) ++answering;
  }
  const uint32_t required = next.RequiredMirrors();
  if (answering >= required) return Status::Ok();
  return Refuse("node " + request.to + " could not acknowledge anything: it needs " +
                    std::to_string(required) + " mirror(s) and " + std::to_string(answering) +
                    " answer (silent: " + SilentMembers(nodes, next, "") + ")",
                "if those sites are lost, add " + SilentMembers(nodes, next, "--without "));
}

// Members that gave no promise, or one that says nothing because their disk has forgotten.
std::string NamesWithoutPromise(const Config& config, const std::vector<NodeFact>& promises) {
  std::string names;
  for (const Member& member : config.members) {
    const NodeFact* node = Find(promises, member.name);
    if (node != nullptr && Remembers(*node)) continue;
    names += (names.empty() ? "" : " or ") + member.name;
  }
  return names;
}

void JudgePromises(const Config& config, const NodeFact& latest,
                   const std::vector<NodeFact>& promises, std::vector<std::string>* doubts) {
  uint32_t promised = 0;
  for (const NodeFact& node : promises) {
    if (config.HasMember(node.name) && Remembers(node)) ++promised;
  }
  if (promised < config.FenceQuorum()) {
    doubts->push_back("only " + std::to_string(promised) + " of the " +
                      std::to_string(config.FenceQuorum()) +
                      " promises that are needed (of nodes that hold what they acknowledged): the "
                      "others may have acknowledged more, and could go on without this one");
  }
  // Where a primary may acknowledge alone, any member that does not promise may have reigned alone
  // in an epoch that nobody else has heard of.
  const std::string without = NamesWithoutPromise(config, promises);
  if (without.empty()) return;
  if (config.mode != Mode::kMaxProtection) {
    doubts->push_back("in mode " + std::string(ModeName(config.mode)) +
                      " a primary may acknowledge records alone; what was acknowledged by " +
                      without + " alone is not to be had (the last primary known is " +
                      latest.control.primary + ")");
  } else if (config.RequiredMirrors() == 0) {
    doubts->push_back("primary " + latest.control.primary +
                      " acknowledges without a mirror; what was acknowledged by " + without +
                      " alone is not to be had");
  }
}

std::string Seconds(int64_t ms) { return std::to_string(ms / 1000) + " s ago"; }

std::string NodeLine(const NodeFact& node) {
  std::string line = node.name + " (" + node.address + "): ";
  if (!node.reachable) return line + "does not answer";
  if (!node.holds_log) return line + "answers, holds nothing of this log";
  line += node.is_primary ? "primary" : "mirror";
  line += ", epoch " + EpochText(node.epoch) + ", durable " + std::to_string(node.durable_index) +
          ", committed " + std::to_string(node.commit_index);
  if (!node.is_primary) {
    line += node.contact_ms_ago < 0
                ? ", no contact with a primary since it started"
                : ", last contact with its primary " + Seconds(node.contact_ms_ago);
    if (node.level_ms_ago >= 0) line += ", last level " + Seconds(node.level_ms_ago);
  }
  if (node.must_reach > node.durable_index) {
    line += "; HOLDS LESS than it once acknowledged (" + std::to_string(node.must_reach) + ")";
  }
  if (!node.alarm.empty()) line += "; STOPPED: " + node.alarm;
  return line;
}

}  // namespace

const NodeFact* LatestControl(const std::vector<NodeFact>& nodes) {
  const NodeFact* latest = nullptr;
  for (const NodeFact& node : nodes) {
    if (!node.reachable || !node.holds_log || node.control_index == 0) continue;
    if (latest == nullptr ||
        std::tie(node.epoch, node.control_index) > std::tie(latest->epoch, latest->control_index)) {
      latest = &node;
    }
  }
  return latest;
}

uint64_t NextEpoch(const std::vector<NodeFact>& nodes) {
  return kembar::NextEpoch(HighestEpoch(nodes));
}

uint64_t HighestEpoch(const std::vector<NodeFact>& nodes) {
  uint64_t highest = 0;
  for (const NodeFact& node : nodes) {
    if (!node.reachable) continue;
    highest = std::max({highest, node.promised_epoch, node.seen_epoch, node.epoch});
  }
  return highest;
}

Config NextConfig(const Config& latest, const FailoverRequest& request) {
  Config next = latest;
  next.solo = false;
  next.members.clear();
  next.left_out.clear();
  for (const auto* list : {&latest.members, &latest.left_out}) {
    for (const Member& member : *list) {
      const bool was_member = list == &latest.members;
      const bool stays =
          member.name == request.to || (was_member && !request.without.contains(member.name));
      (stays ? next.members : next.left_out).push_back(member);
    }
  }
  return next;
}

Completeness JudgeCompleteness(const std::string& candidate,
                               const std::vector<NodeFact>& promises) {
  Completeness result;
  const NodeFact* self = Find(promises, candidate);
  const NodeFact* latest = LatestControl(promises);
  if (self == nullptr || latest == nullptr) {
    result.doubts.push_back("node " + candidate + " has given no promise");
    return result;
  }
  JudgePromises(latest->control.config, *latest, promises, &result.doubts);
  const NodeFact* best = self;
  for (const NodeFact& node : promises) {
    if (node.holds_log && IsAhead(node, *best)) best = &node;
  }
  for (const NodeFact& node : promises) {
    if (node.seen_epoch <= best->epoch) continue;
    result.doubts.push_back("node " + node.name + " knows of a primary in epoch " +
                            EpochText(node.seen_epoch) +
                            ", of which no node that answers holds a record");
  }
  if (best != self) {
    result.better = best->name;
    result.doubts.push_back("node " + best->name + " holds more (epoch " + EpochText(best->epoch) +
                            ", record " + std::to_string(best->durable_index) + ") than " +
                            candidate + " (epoch " + EpochText(self->epoch) + ", record " +
                            std::to_string(self->durable_index) + ")");
  }
  // While two logs contradict each other, nobody can prove which one is whole.
  for (const NodeFact& node : promises) {
    if (node.alarm.empty()) continue;
    result.doubts.push_back("node " + node.name +
                            " has stopped this log, because its records and " +
                            "its primary's contradict each other: " + node.alarm);
  }
  for (const NodeFact& node : promises) {
    if (node.must_reach <= self->durable_index) continue;
    result.doubts.push_back("node " + node.name + " once acknowledged record " +
                            std::to_string(node.must_reach) + ", and " + candidate +
                            " holds only " + std::to_string(self->durable_index));
  }
  return result;
}

Result<FailoverPlan> PlanFailover(const std::vector<NodeFact>& nodes,
                                  const FailoverRequest& request) {
  const NodeFact* latest = LatestControl(nodes);
  if (latest == nullptr) {
    return Refuse("no node that answers holds this log", "check --node and --log");
  }
  FailoverPlan plan;
  plan.latest = latest->control;
  plan.old_primary = latest->control.primary;
  RETURN_IF_ERROR(CheckCandidate(nodes, request, plan.latest.config));
  RETURN_IF_ERROR(CheckWithout(nodes, request, plan.latest.config));
  plan.config = NextConfig(plan.latest.config, request);
  RETURN_IF_ERROR(CheckQuorum(nodes, request, plan.config));

  plan.reign = latest->epoch;
  plan.epoch = NextEpoch(nodes);
  if (!request.without.empty()) plan.epoch += kEpochsForTheLost;
  plan.to_fence.push_back(request.to);
  std::vector<NodeFact> expected;
  for (const NodeFact& node : nodes) {
    if (!node.reachable || plan.latest.config.Find(node.name) == nullptr) continue;
    expected.push_back(node);
    if (node.name != request.to) plan.to_fence.push_back(node.name);
  }
  const NodeFact* old_primary = Find(nodes, plan.old_primary);
  plan.old_primary_reachable = Answers(old_primary) && old_primary->is_primary;
  plan.candidate_stopped = !Find(nodes, request.to)->alarm.empty();
  if (plan.old_primary_reachable && plan.old_primary == request.to && request.without.empty()) {
    return Refuse("node " + request.to + " is the primary already", "nothing is to be done");
  }
  plan.outlook = JudgeCompleteness(request.to, expected);
  return plan;
}

std::vector<std::string> AccountLines(const std::vector<NodeFact>& nodes,
                                      const FailoverRequest& request, const FailoverPlan& plan) {
  std::vector<std::string> lines;
  for (const NodeFact& node : nodes) lines.push_back(NodeLine(node));
  lines.push_back("primary so far: " + plan.old_primary + ", epoch " + EpochText(plan.reign) +
                  ", mode " + std::string(ModeName(plan.latest.config.mode)));
  const NodeFact* candidate = Find(nodes, request.to);
  const std::string held =
      "node " + request.to + " holds records 1 to " + std::to_string(candidate->durable_index);
  if (plan.outlook.proven()) {
    lines.push_back("complete: " + held + ", which is everything that was acknowledged");
    if (!plan.old_primary_reachable && plan.old_primary != request.to) {
      lines.push_back("  provided that nobody has let " + plan.old_primary + " go on without " +
                      request.to + " since they last met (failover --without)");
    }
    return lines;
  }
  lines.push_back("NOT provably complete: " + held + ", and");
  for (const std::string& doubt : plan.outlook.doubts) lines.push_back("  - " + doubt);
  const int64_t since = candidate->level_ms_ago;
  lines.push_back(since < 0
                      ? "what may be lost: what was acknowledged after record " +
                            std::to_string(candidate->durable_index) + "; since when is not known"
                      : "what may be lost: what was acknowledged after record " +
                            std::to_string(candidate->durable_index) + ", in the last " +
                            std::to_string(since / 1000 + 1) + " s");
  return lines;
}

}  // namespace kembar::ctl
