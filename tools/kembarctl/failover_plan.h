// failover_plan.h — what may be claimed and what must be refused at a failover, as pure functions
// of what the nodes said.
//
// The tool is the proposer of flexible Paxos. PlanFailover decides from Status, before anything is
// changed; JudgeCompleteness decides from the promises, and is what the claim "nothing lost" rests
// on. Both are conservative: what a silent node might know is never assumed away, only an
// operator's
// --accept-loss sets it aside.
//
// One thing no two nodes can know of each other: whether an operator has since let a silent node go
// on without the other (`failover --without`). The account says so.
//
// Pure; no I/O, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "replicator/log/control.h"

namespace kembar::ctl {

// What one node says of the log, in its Status or in its promise. Only `name` and `address` mean
// anything of a node that is not reachable.
struct NodeFact {
  std::string name;
  std::string address;
  bool reachable = false;
  bool holds_log = false;
  bool is_primary = false;
  uint64_t epoch = 0;  // in a promise: of its last durable record
  uint64_t last_index = 0;
  uint64_t durable_index = 0;
  uint64_t commit_index = 0;
  uint64_t promised_epoch = 0;
  std::string promised_to;
  uint64_t seen_epoch = 0;  // highest epoch in which it knows a primary to have reigned
  uint64_t must_reach = 0;  // what it once acknowledged
  std::string alarm;
  int64_t contact_ms_ago = -1;  // with its primary; -1: none since it started
  int64_t level_ms_ago = -1;    // since it last held everything
  uint64_t control_index = 0;
  ControlState control;
};

struct FailoverRequest {
  std::string to;
  std::set<std::string> without;
  bool accept_loss = false;
};

// Whether the candidate provably holds every acknowledged record.
struct Completeness {
  std::vector<std::string> doubts;  // each a reason why not; empty: proven
  std::string better;               // a node that holds more than the candidate; empty: none
  bool proven() const { return doubts.empty(); }
};

struct FailoverPlan {
  ControlState latest;  // the latest control record that any reachable node holds
  std::string old_primary;
  uint64_t reign = 0;                  // its epoch, as far as any reachable node knows
  uint64_t epoch = 0;                  // the first to propose
  std::vector<std::string> to_fence;   // reachable nodes, the candidate first
  Config config;                       // to promote with
  Completeness outlook;                // what the promises will show if nothing changes
  bool old_primary_reachable = false;  // it still calls itself primary: a switchover is the way
  bool candidate_stopped = false;      // by an alarm: it will never be level with that primary
};

// kInvalid with a hint when the request can't or must not be carried out. Loss that was not
// accepted is not an error here: see outlook.
Result<FailoverPlan> PlanFailover(const std::vector<NodeFact>& nodes,
                                  const FailoverRequest& request);

// `promises` are facts from nodes that have promised, the candidate's among them.
Completeness JudgeCompleteness(const std::string& candidate, const std::vector<NodeFact>& promises);

// The membership to promote with: the latest, without `without`, with `to`.
Config NextConfig(const Config& latest, const FailoverRequest& request);

// Of the reachable nodes that hold the log, the one with the latest control record; null if none.
const NodeFact* LatestControl(const std::vector<NodeFact>& nodes);
// The highest epoch that any reachable node has promised, seen or holds records of, and the first
// that a tool may propose above it.
uint64_t HighestEpoch(const std::vector<NodeFact>& nodes);
uint64_t NextEpoch(const std::vector<NodeFact>& nodes);

// The account for the operator: one line a node, then what is proven and what is in doubt.
std::vector<std::string> AccountLines(const std::vector<NodeFact>& nodes,
                                      const FailoverRequest& request, const FailoverPlan& plan);

}  // namespace kembar::ctl
