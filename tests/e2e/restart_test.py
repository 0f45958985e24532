#!/usr/bin/env python3
"""Nodes that are killed or stopped and started again, without a failover: the log goes on by itself,
and everything acknowledged is there, once. SIGTERM ends a node cleanly."""
import os
import random

from cluster import ClusterTest, main, say
from load import CLIENTS, Load, check_acked

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "4"))


class Restart(ClusterTest):
    def run_under_load(self, name, stop):
        """`stop(node)` ends a node; it is started again and the clients go on."""
        seed = int(os.environ.get("KEMBAR_SEED", random.SystemRandom().randrange(1 << 32)))
        say(f"seed {seed} (KEMBAR_SEED={seed} repeats the choices)")
        rng = random.Random(seed)
        cluster = self.start_cluster("tebo", "jambi")
        load = Load(cluster, "load").start()
        self.addCleanup(load.stop)
        for _ in range(ROUNDS):
            load.wait_acked(load.count() + rng.randrange(1, 1_500))
            stop(cluster[name])
            cluster[name].start()
            load.wait_acked(load.count() + 10 * CLIENTS)
        load.stop()
        status = cluster.wait_level()
        self.assertEqual((status["primary"], status["epoch"]), ("tebo", 1))
        acked = load.acked()
        counts = {check_acked(self, acked, cluster.records(node), node) for node in ("tebo", "jambi")}
        self.assertEqual(counts, {sum(len(appends) for appends in acked.values())})
        say(f"{name} ended and restarted {ROUNDS} times under load: {counts.pop()} acknowledged, lost 0, "
            "doubled 0")

    def test_killed_primary_goes_on(self):
        self.run_under_load("tebo", lambda node: node.kill9())

    def test_killed_mirror_catches_up(self):
        self.run_under_load("jambi", lambda node: node.kill9())

    def test_stopped_primary_goes_on(self):
        self.run_under_load("tebo", self.stop_cleanly)

    def stop_cleanly(self, node):
        self.assertEqual(node.terminate(), 0, node.log_tail())

    def test_both_killed_at_once(self):
        cluster = self.start_cluster("tebo", "jambi")
        load = Load(cluster, "load").start()
        self.addCleanup(load.stop)
        load.wait_acked(500)
        cluster["tebo"].kill9()
        cluster["jambi"].kill9()
        load.stop()
        cluster.start()
        cluster.wait_level()
        acked = load.acked()
        for node in ("tebo", "jambi"):
            count = check_acked(self, acked, cluster.records(node), node)
        say(f"both killed at once: {count} acknowledged, lost 0, doubled 0")

    def test_idle_nodes_stop_cleanly(self):
        cluster = self.start_cluster("tebo", "jambi")
        for node in cluster:
            self.assertEqual(node.terminate(), 0, node.log_tail())
        cluster.start()
        cluster.wait_level()
        say("SIGTERM: exit code 0 from both, started again, level")


if __name__ == "__main__":
    main()
