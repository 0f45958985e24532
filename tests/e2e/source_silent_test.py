#!/usr/bin/env python3
"""A capture that stops is seen at both sites, though both are level: Tebo's backup recorded nothing for
eleven days, and nobody knew. What has ended for good is retired, and counts again when it is heard.
"""
from cluster import main, say, wait_for
from documents_case import DocumentsCase

SOURCE = "documents/uji"
SILENT = "critical: a capture is silent: " + SOURCE


class SourceSilentTest(DocumentsCase):
    def check(self, cluster, node=None):
        return cluster.try_ctl("check", "--warn-source", "2", "--crit-source", "3", node=node)

    def wait_check(self, cluster, code):
        return wait_for(f"check to answer {code}",
                        lambda: (lambda done: done if done.code == code else None)(self.check(cluster)))

    def test_a_capture_that_stops_is_seen_everywhere(self):
        # Alarms after two seconds; the canary comes every second.
        cluster = self.start_cluster("tebo", "jambi", limits="source_silence_s = 2")
        self.assertEqual(self.check(cluster).code, 0)  # no capture, nothing to miss
        agent = self.start_agent(cluster, "canary_every_s = 1")
        self.write("paket/1/a.pdf", self.content(100))
        self.identical(cluster)
        wait_for("the canary", lambda: cluster.ctl_json("source", "list"))
        self.wait_check(cluster, 0)
        agent.kill9()
        seen = self.wait_check(cluster, 2)
        self.assertIn(f"{SOURCE} not heard for", seen.out)
        self.assertEqual(cluster.status()["state"], "protected")
        for node in cluster:
            wait_for(f"{node.name} to raise the alarm", lambda node=node: SILENT in node.get("/healthz")[1])
            self.assertGreater(node.labelled("kembar_log_source_age_seconds", source=SOURCE), 2)
            self.assertEqual(node.labelled("kembar_log_alarms", severity="critical"), 1)
            self.assertIn(SOURCE, node.get("/")[1])
        # The mirror says so too when the primary's site is gone.
        cluster["tebo"].kill9()
        self.assertIn(f"{SOURCE} not heard for", self.check(cluster, "jambi").out)
        cluster["tebo"].start()
        cluster.wait_level()
        self.retire(cluster)
        agent.start()
        wait_for("the capture to count again", lambda: not cluster.ctl_json("source", "list")[0]["retired"])
        say("silent capture: seen at both sites, by check, metrics, health and page; retired; heard again")

    def retire(self, cluster):
        unknown = cluster.try_ctl("source", "retire", "postgres/lain")
        self.assertEqual(unknown.code, 1)
        self.assertIn("no capture called postgres/lain", unknown.err)
        cluster.ctl("source", "retire", SOURCE, "--reason", "moved to another server")
        self.wait_check(cluster, 0)
        for node in cluster:
            wait_for(f"{node.name} to be content", lambda node=node: SILENT not in node.get("/healthz")[1])


if __name__ == "__main__":
    main()
