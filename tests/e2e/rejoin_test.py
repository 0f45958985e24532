#!/usr/bin/env python3
"""Old primaries that come back: paused ones, cut-off ones, and operators who act at the same moment.
None may acknowledge after it was replaced; what it held alone is kept in quarantine and can be
brought back, once."""
import os
import random
import threading

from cluster import ClusterTest, free_port, main, say, wait_for
from proxy import Proxy

SOURCE = "office"


class ProxiedTest(ClusterTest):
    def start_proxied(self, bytes_per_s=0):
        """tebo and jambi, whose only link goes through a proxy: jambi dials, so backward is tebo's."""
        cluster = self.make_cluster("tebo", "jambi")
        tebo, jambi = cluster["tebo"], cluster["jambi"]
        proxy = Proxy(free_port(), tebo.address)
        self.addCleanup(proxy.stop)
        proxy.forward.bytes_per_s = proxy.backward.bytes_per_s = bytes_per_s
        tebo.write_config([("jambi", "")])
        jambi.write_config([("tebo", proxy.address)])
        cluster.start()
        cluster.create_log("tebo")
        return cluster, proxy

    def append(self, cluster, position, seconds=20.0):
        return cluster.append(f"item-{position}", f"content {position}", "--source", SOURCE, "--position",
                              str(position), "--timeout", str(seconds))

    def positions(self, cluster, at=None):
        return [r["position"] for r in cluster.records(at) if r["source"] == SOURCE]

    def make_divergent(self, cluster, proxy, positions):
        """Records that tebo holds alone: nothing it sends gets through, and nothing is acknowledged."""
        proxy.backward.hold()
        for position in positions:
            done = self.append(cluster, position, seconds=1)
            self.assert_one_line_error(done, "jambi")
        return len(positions)



class Rejoin(ProxiedTest):
    def start_waiting_append(self, cluster, position):
        """A client whose append lies at tebo, durable there and not acknowledged."""
        held = cluster.node_status("tebo")["durable_index"]
        answers = []
        client = threading.Thread(target=lambda: answers.append(self.append(cluster, position, 60)))
        client.start()
        wait_for("tebo to hold the append", lambda: cluster.node_status("tebo")["durable_index"] > held)
        return client, answers

    def replace_paused(self, cluster):
        cluster["tebo"].pause()
        result = cluster.failover("jambi", "tebo")
        self.assertEqual((result["primary"], result["lost"]), ("jambi", "none"))
        return result["epoch"]

    def wake_and_heal(self, cluster, proxy):
        cluster["tebo"].resume()
        proxy.heal()
        cluster.wait_level()

    def test_paused_primary_steps_down_and_its_tail_is_kept(self):
        cluster, proxy = self.start_proxied()
        self.assertEqual(self.append(cluster, 1).json()["sites"], 2)
        held_alone = self.make_divergent(cluster, proxy, [2, 3]) + 1
        client, answers = self.start_waiting_append(cluster, 4)
        epoch = self.replace_paused(cluster)

        self.wake_and_heal(cluster, proxy)
        client.join()
        status = cluster.wait_level()
        self.assertEqual(answers[0].code, 0, str(answers[0]))
        self.assertEqual(answers[0].json()["epoch"], epoch, "acknowledged by the replaced primary")
        self.assertEqual((status["primary"], status["epoch"]), ("jambi", epoch))
        for node in ("tebo", "jambi"):
            self.assertEqual(self.positions(cluster, node), [1, 4])
        self.assertEqual(cluster.records("tebo"), cluster.records("jambi"))
        self.check_quarantine(cluster, held_alone)

    def check_quarantine(self, cluster, held_alone):
        entries = cluster.ctl_json("quarantine", "list")
        self.assertEqual(len(entries), 1, entries)
        entry = entries[0]
        self.assertEqual(entry["last_index"] - entry["first_index"] + 1, held_alone)
        which = ["--of", "tebo", "--id", entry["id"]]
        shown = cluster.ctl_json("quarantine", "show", *which)
        self.assertEqual([(r["package"], r["position"]) for r in shown],
                         [("test/1", 2), ("test/1", 3), ("test/1", 4)])
        # Its source has gone on with one of them: on top, the old one would undo that.
        newer = cluster.append("item-3", "newer 3", "--source", SOURCE, "--position", "5")
        self.assertEqual(newer.code, 0, str(newer))
        for resubmitted in (1, 0):  # once, however often the operator asks
            done = cluster.ctl_json("--yes", "quarantine", "resubmit", *which)
            self.assertEqual((done["resubmitted"], done["already_present"], done["superseded"]),
                             (resubmitted, 2 - resubmitted, 1))
        entry = cluster.ctl_json("quarantine", "list")[0]
        self.assertEqual((entry["records"], entry["resubmitted"], entry["superseded"]), (3, 2, 1))
        payloads = [r["payload"] for r in cluster.records() if r["package"] == "test/1"]
        self.assertEqual(payloads, ["content 1", "content 4", "newer 3", "content 2"])
        say(f"paused primary: divergent {held_alone}, quarantined {held_alone}; 1 sent again by its client, "
            "1 resubmitted, 1 superseded, doubled 0, acknowledged after it was replaced 0")

    def test_primary_that_was_down_rejoins_with_its_tail_kept(self):
        cluster, proxy = self.start_proxied()
        self.append(cluster, 1)
        held_alone = self.make_divergent(cluster, proxy, [2])
        cluster["tebo"].kill9()
        cluster.failover("jambi", "tebo")
        proxy.heal()
        cluster["tebo"].start()
        cluster.wait_level()
        self.assertEqual(self.append(cluster, 3).json()["sites"], 2)
        cluster.wait_level()  # a mirror learns what is committed a heartbeat later
        self.assertEqual(self.positions(cluster, "jambi"), [1, 3])
        # A mirror learns with the next heartbeat that what it holds is committed.
        wait_for("tebo to show what is committed",
                 lambda: self.positions(cluster, "tebo") == [1, 3])
        self.assertEqual(len(cluster.ctl_json("quarantine", "list")), held_alone)
        say("killed primary: rejoined, divergent 1, quarantined 1")


class Partition(ProxiedTest):
    def check_stalls_and_goes_on(self, direction, name):
        cluster, proxy = self.start_proxied()
        self.assertEqual(self.append(cluster, 1).code, 0)
        getattr(proxy, direction).hold()
        self.assert_one_line_error(self.append(cluster, 2, seconds=2), "jambi")
        cluster.wait_state("stalled", seconds=15)
        proxy.heal()
        self.assertEqual(self.append(cluster, 2).code, 0)
        self.assertEqual(self.append(cluster, 3).code, 0)
        cluster.wait_level()
        for node in ("tebo", "jambi"):
            self.assertEqual(self.positions(cluster, node), [1, 2, 3])
        say(f"one-way partition, {name}: stalled and said so; healed: acknowledged, doubled 0")

    def test_mirror_hears_nothing(self):
        self.check_stalls_and_goes_on("backward", "nothing from primary to mirror")

    def test_primary_hears_nothing(self):
        self.check_stalls_and_goes_on("forward", "nothing from mirror to primary")

    def test_link_is_cut_again_and_again(self):
        cluster, proxy = self.start_proxied()
        for position in range(1, 11):
            proxy.cut()
            proxy.heal()
            self.assertEqual(self.append(cluster, position).code, 0)
        cluster.wait_level()
        self.assertEqual(self.positions(cluster, "jambi"), list(range(1, 11)))
        say("link cut 10 times: 10 acknowledged, lost 0, doubled 0")

    def test_delayed_link(self):
        cluster, proxy = self.start_proxied()
        proxy.forward.delay_s = proxy.backward.delay_s = 0.1
        for position in range(1, 6):
            self.assertEqual(self.append(cluster, position).code, 0)
        self.assertEqual(self.positions(cluster), list(range(1, 6)))
        say("link with 0.1 s each way: 5 acknowledged")


class TwoOperators(ClusterTest):
    NAMES = ("tebo", "jambi", "batanghari")

    def failover_at_once(self, cluster, targets, lost):
        outcomes = {}
        start = threading.Barrier(len(targets))

        def act(to):
            start.wait()
            outcomes[to] = cluster.try_ctl("--output", "json", "--yes", "failover", "--to", to,
                                           "--without", lost)

        threads = [threading.Thread(target=act, args=(to,)) for to in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    def one_primary(self, cluster):
        status = cluster.status()
        primaries = [n["name"] for n in status["nodes"] if n["reachable"] and n["role"] == "primary"]
        return status if primaries == [status["primary"]] and status["state"] != "no-primary" else None

    def test_one_primary_results(self):
        rounds = int(os.environ.get("KEMBAR_ROUNDS", "5"))
        seed = int(os.environ.get("KEMBAR_SEED", random.SystemRandom().randrange(1 << 32)))
        say(f"seed {seed} (KEMBAR_SEED={seed} repeats the choices)")
        rng = random.Random(seed)
        cluster = self.start_cluster(*self.NAMES)
        won = 0
        for position in range(1, rounds + 1):
            lost = cluster.wait_level()["primary"]
            self.assertEqual(self.append(cluster, position).code, 0)
            cluster[lost].kill9()
            targets = [name for name in self.NAMES if name != lost]
            rng.shuffle(targets)
            outcomes = self.failover_at_once(cluster, targets, lost)
            won += sum(done.code == 0 for done in outcomes.values())
            for done in outcomes.values():
                self.assertIn(done.code, (0, 1), str(done))
            if all(done.code for done in outcomes.values()):
                # Each was outbidden by the other: the tool says so, and the operator repeats.
                cluster.failover(targets[0], lost)
            wait_for("exactly one primary", lambda: self.one_primary(cluster))
            self.assertEqual(self.append(cluster, 1000 + position).code, 0)
            cluster[lost].start()
        cluster.wait_level()
        self.check_log(cluster, rounds)
        say(f"{rounds} times two operators at once: {won} of {2 * rounds} failovers carried out, "
            "one primary each time, lost 0, doubled 0")

    def append(self, cluster, position):
        return cluster.append(f"item-{position}", f"content {position}", "--source", f"s{position}",
                              "--position", str(position), "--timeout", "20")

    def check_log(self, cluster, rounds):
        wanted = sorted([*range(1, rounds + 1), *range(1001, 1001 + rounds)])

        # The record that makes the last node a member again may still be on its way to the others.
        def equal_logs():
            logs = [cluster.records(name) for name in self.NAMES]
            return logs[0] if all(log == logs[0] for log in logs) else None

        log = wait_for("all logs to be equal", equal_logs)
        self.assertEqual(sorted(r["position"] for r in log if r["source"]), wanted)


if __name__ == "__main__":
    main()
