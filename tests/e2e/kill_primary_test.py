#!/usr/bin/env python3
"""The acknowledgement is honest: again and again the primary is killed (kill -9) at a random moment
under load from 16 clients, its data directory is deleted, the mirror takes over, and every append
that was acknowledged to a client is there, in order, once. The clients go on through the failover.

KEMBAR_ROUNDS sets how many rounds (20), KEMBAR_SEED repeats the choice of moments.
"""
import os
import random
import time

from cluster import ClusterTest, main, say
from load import CLIENTS, Load, check_acked

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "20"))


class KillPrimary(ClusterTest):
    def round(self, cluster, number, primary, mirror, rng):
        """Ends with the roles swapped. Returns what was acknowledged and how many."""
        start = cluster.status()["commit_index"] + 1
        load = Load(cluster, f"round{number}").start()
        self.addCleanup(load.stop)
        load.wait_acked(rng.randrange(1, 3_000))
        cluster[primary].kill9()
        at_kill = load.count()
        cluster[primary].wipe()
        result = cluster.failover(mirror, primary)
        self.assertEqual((result["primary"], result["lost"]), (mirror, "none"))
        load.wait_acked(at_kill + 10 * CLIENTS)  # they go on at the new primary by themselves
        load.stop()
        acked = load.acked()
        records = cluster.ctl("log", "read", "--at", mirror, "--from", start, seconds=120).json_lines()
        count = check_acked(self, acked, records, mirror)
        cluster[primary].start()
        cluster.wait_level()
        return acked, at_kill, count, result["seconds"]

    def test_no_acknowledged_append_is_lost(self):
        seed = int(os.environ.get("KEMBAR_SEED", random.SystemRandom().randrange(1 << 32)))
        say(f"seed {seed} (KEMBAR_SEED={seed} repeats the choices), {ROUNDS} rounds, {CLIENTS} clients")
        rng = random.Random(seed)
        cluster = self.start_cluster("tebo", "jambi")
        primary, mirror = "tebo", "jambi"
        everything, total = {}, 0
        for number in range(1, ROUNDS + 1):
            began = time.monotonic()
            acked, at_kill, count, seconds = self.round(cluster, number, primary, mirror, rng)
            everything.update(acked)
            total += count
            say(f"round {number}: {primary} killed after {at_kill} acknowledgements, failover "
                f"{seconds:.3f} s, {count} acknowledged, lost 0, doubled 0 "
                f"({time.monotonic() - began:.1f} s)")
            primary, mirror = mirror, primary
        for node in (primary, mirror):
            self.assertEqual(check_acked(self, everything, cluster.records(node), node), total)
        say(f"{ROUNDS} rounds: {total} acknowledged, lost 0, doubled 0, at both sites in the end")


if __name__ == "__main__":
    main()
