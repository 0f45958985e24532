#!/usr/bin/env python3
"""max-protection without its mirror: nothing is acknowledged, the error says why, and a retry after
the mirror's return is acknowledged, with one record and no double."""
from cluster import ClusterTest, main, say, wait_for

SOURCE = "office"


class MirrorStopped(ClusterTest):
    def append(self, cluster, position, seconds):
        return cluster.append(f"item-{position}", f"content {position}", "--source", SOURCE, "--position",
                              str(position), "--timeout", str(seconds))

    def records_of_source(self, cluster):
        return [r for r in cluster.records() if r["source"] == SOURCE]

    def check_refused(self, cluster, position):
        done = self.append(cluster, position, seconds=2)
        self.assert_one_line_error(done, "jambi")
        return done

    def test_without_the_mirror_nothing_is_acknowledged(self):
        cluster = self.start_cluster("tebo", "jambi")
        self.assertEqual(self.append(cluster, 1, 20).json()["sites"], 2)

        cluster["jambi"].kill9()
        refused = self.check_refused(cluster, 2)
        say(f"refused with: {refused.err.strip()}")
        cluster.wait_state("stalled")
        self.check_refused(cluster, 2)
        self.assertEqual([r["position"] for r in self.records_of_source(cluster)], [1])

        cluster["jambi"].start()
        again = self.append(cluster, 2, 20)
        self.assertEqual(again.code, 0, str(again))
        self.assertEqual(again.json()["sites"], 2)
        third = self.append(cluster, 2, 20)
        self.assertTrue(third.json()["duplicate"])
        self.assertEqual(third.json()["index"], again.json()["index"])

        cluster.wait_level()
        for node in ("tebo", "jambi"):
            found = [(r["position"], r["payload"]) for r in cluster.records(node)
                     if r["source"] == SOURCE]
            self.assertEqual(found, [(1, "content 1"), (2, "content 2")])
        say("acknowledged without the mirror: 0; after its return: 1; doubled: 0")

    def test_a_paused_mirror_counts_as_gone(self):
        cluster = self.start_cluster("tebo", "jambi")
        cluster["jambi"].pause()
        self.check_refused(cluster, 1)
        cluster["jambi"].resume()
        self.assertEqual(self.append(cluster, 1, 20).code, 0)
        wait_for("both to know it committed", lambda: all(
            len([r for r in cluster.records(n) if r["source"] == SOURCE]) == 1
            for n in ("tebo", "jambi")))
        say("refused while the mirror was paused, acknowledged once after it went on")

    def test_max_availability_goes_on_alone_and_says_so(self):
        cluster = self.make_cluster("tebo", "jambi")
        cluster.start()
        cluster.create_log("tebo", "--mode", "max-availability", "--solo-after", "1")
        cluster["jambi"].kill9()
        done = self.append(cluster, 1, 30)
        self.assertEqual(done.code, 0, str(done))
        self.assertEqual(done.json()["sites"], 1)
        self.assertEqual(cluster.status()["state"], "solo")
        check = cluster.try_ctl("check")
        self.assertEqual(check.code, 2, str(check))
        cluster["jambi"].start()
        cluster.wait_level()
        say("alone after 1 s: acknowledged at 1 site, state solo, check CRITICAL; protected again after")


if __name__ == "__main__":
    main()
