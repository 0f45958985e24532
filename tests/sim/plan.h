// plan.h — what the operator's tool concludes from the answers to its fence: who is the most
// advanced, and is it proven to hold everything that was ever acknowledged? The rules of
// docs/protocol.md, the same as in kembarctl. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "replicator/core/replica.h"
#include "tests/sim/mutant.h"

namespace kembar::sim {

// Sites that were declared lost, with the epoch that began without them: until such a node has
// rejoined, its word counts for nothing. (The people in the office know this, not the program.)
struct OfficeMemory {
  std::map<std::string, uint64_t> lost;
  // Nodes whose old disk was put back, until they were seen to be level again: what such a disk has
  // forgotten, no program can know before it hears from the primary.
  std::set<std::string> old_disks;
  bool Counts(const std::string& node, const FenceAnswer& answer) const;
};

struct FenceReport {
  std::string node;
  bool promised = false;
  FenceAnswer answer;
};

struct Plan {
  std::string best;       // the most advanced; empty: nobody holds the log
  bool complete = false;  // provably nothing acknowledged is missing there
  std::string why_not;
  ControlState control;  // as the best node has it
};

// `wanted` is preferred among equally advanced nodes.
Plan MakePlan(const std::vector<FenceReport>& reports, const std::string& wanted,
              const OfficeMemory& office, Mutant mutant);

// The EpochStart's content: the sites in `without` are left out of the membership.
ControlState NextControl(const Plan& plan, const std::vector<std::string>& without);

}  // namespace kembar::sim
