// chaos.h — one run from one seed: the seed chooses what kind of world it is and what goes wrong in
// it (a swarm: each run has some of the faults, at its own rates), then everything is healed and
// the world must come to rest with nothing lost.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/mutant.h"
#include "tests/sim/trace.h"

namespace kembar::sim {

struct RunResult {
  bool ok = true;
  std::string failure;
  uint64_t hash = 0;
  uint64_t steps = 0;
  uint64_t acknowledged = 0;
  uint64_t quarantined = 0;
  uint64_t given_up = 0;  // acknowledged, then lost with an operator's consent
  uint64_t crashes = 0;
  uint64_t wipes = 0;
  uint64_t restores = 0;   // old disks put back
  uint64_t failovers = 0;  // successful ones
  std::string kind;        // "3 nodes, k=1, max-protection"
};

RunResult RunSeed(uint64_t seed, Mutant mutant, Trace* trace);

}  // namespace kembar::sim
