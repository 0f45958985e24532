// swarm.cc — see swarm.h.
#include "tests/sim/swarm.h"

#include <string>
#include <vector>

#include "tests/sim/words.h"

namespace kembar::sim {
namespace {

constexpr int64_t kSecond = 1'000'000;

uint32_t Rate(Random* random, uint32_t percent_of_runs, uint32_t high) {
  if (!random->Percent(percent_of_runs)) return 0;
  return 1 + static_cast<uint32_t>(random->Below(high));
}

}  // namespace

Faults DrawFaults(Random* random, bool may_lose) {
  Faults f;
  f.crash = Rate(random, 70, 40);
  f.cut = Rate(random, 60, 40);
  f.pause = Rate(random, 40, 20);
  f.break_link = Rate(random, 40, 40);
  f.slow_disk = Rate(random, 30, 20);
  f.disk_full = Rate(random, 20, 15);
  f.write_error = Rate(random, 20, 10);
  f.wall_jump = Rate(random, 30, 20);
  f.wipe = Rate(random, 40, 20);
  f.clients_cut = Rate(random, 20, 20);
  f.failover = Rate(random, 85, 70);
  f.switchover = Rate(random, 30, 20);
  f.change = Rate(random, 35, 25);
  f.note = Rate(random, 20, 10);
  f.old_disk = Rate(random, 40, 60);
  f.save_disk = f.old_disk > 0 ? 50 : 0;
  f.repair = f.old_disk > 0 ? 30 : 0;
  f.down_us = random->Between(300 * kMs, 6 * kSecond);
  f.accept_loss = may_lose && random->Percent(60);
  return f;
}

WorldOptions DrawWorld(Random* random, Mutant mutant) {
  WorldOptions o;
  static const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  static const std::vector<size_t> sizes = {2, 2, 2, 3, 3, 3, 4, 5};
  const size_t size = random->Pick(sizes);
  o.nodes.assign(names.begin(), names.begin() + static_cast<ptrdiff_t>(size));
  o.sync_mirrors = random->Percent(70) ? 1 : 1 + static_cast<uint32_t>(random->Below(size - 1));
  if (random->Percent(25)) {
    o.mode = random->Percent(60) ? Mode::kMaxAvailability : Mode::kMaxPerformance;
  }
  o.may_lose = o.mode != Mode::kMaxProtection || random->Percent(10);
  o.solo_after_ms = static_cast<uint32_t>(random->Between(500, 4'000));
  o.network.loss_per_mille = Rate(random, 50, 60);
  o.network.double_per_mille = Rate(random, 30, 80);
  o.network.damage_per_mille = Rate(random, 30, 60);
  o.network.ordered = random->Percent(60);
  o.network.delay_us = random->Between(200, 20'000);
  o.network.spike_us = random->Percent(40) ? random->Between(50 * kMs, 2 * kSecond) : 0;
  o.network.keepalive_us = random->Between(500 * kMs, 4 * kSecond);
  o.replica.heartbeat_ms = 200;
  o.replica.silence_ms = 1'500;
  o.replica.resend_ms = random->Between(400, 3'000);
  o.replica.batch_bytes_max = static_cast<size_t>(random->Between(200, 4'000));
  o.replica.window_bytes = static_cast<size_t>(random->Between(500, 20'000));
  o.replica.tail_bytes = static_cast<size_t>(random->Between(0, 8'000));
  o.replica.read_bytes = static_cast<size_t>(random->Between(200, 4'000));
  o.replica.pending_bytes_max = static_cast<size_t>(random->Between(2'000, 100'000));
  o.mutant = mutant;
  return o;
}

}  // namespace kembar::sim
