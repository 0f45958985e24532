// swarm.h — what kind of world a seed makes and which faults it has, at which rates.
#pragma once

#include <cstdint>

#include "tests/sim/random.h"
#include "tests/sim/world.h"

namespace kembar::sim {

// How often each fault happens, in this run, per mille of the moments at which one may.
struct Faults {
  uint32_t crash = 0, cut = 0, pause = 0, break_link = 0, slow_disk = 0, disk_full = 0;
  uint32_t write_error = 0, wall_jump = 0, wipe = 0, clients_cut = 0;
  uint32_t save_disk = 0, old_disk = 0, repair = 0;
  uint32_t failover = 0, switchover = 0, change = 0, note = 0;
  int64_t down_us = 2'000'000;  // how long a fault lasts, about
  bool accept_loss = false;
};

WorldOptions DrawWorld(Random* random, Mutant mutant);
Faults DrawFaults(Random* random, bool may_lose);

}  // namespace kembar::sim
