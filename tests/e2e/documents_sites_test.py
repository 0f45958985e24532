#!/usr/bin/env python3
"""A package is complete when it is whole at both sites, not before: a mirror that has its records again
but not yet its documents keeps it at risk, also as the primary sees it.
"""
import os
import shutil

from cluster import main, say, wait_for
from documents_case import DocumentsCase

# So slow that no document of more than a piece arrives, and nothing else is held up.
HARDLY = """
[[link_limit]]
from = "00:00"
to = "00:00"
catch_up = "1TiB"
blobs = 1
"""
WHOLE = {"paket/berat": "complete", "paket/kosong": "complete", "test/1": "complete"}


class DocumentsSitesTest(DocumentsCase):
    def setUp(self):
        super().setUp()
        self.cluster = self.start_cluster("tebo", "jambi")
        self.tebo, self.jambi = self.cluster
        self.agent = self.start_agent(self.cluster)

    def states(self, site):
        return {p["package"]: p["state"] for p in self.cluster.packages(at=site)}

    def wait_states(self, site, states):
        wait_for(f"{site} to see {states}", lambda: self.states(site) == states)

    def wait_count(self, node, **counts):
        for state, count in counts.items():
            state = state.replace("_", "-")
            wait_for(f"{node.name} to count {count} packages {state}", lambda: node.labelled(
                "kembar_log_packages", state=state) == count)

    def restart_primary(self, limits):
        self.assertEqual(self.tebo.terminate(), 0)
        self.tebo.write_config([("jambi", self.jambi.address)], limits=limits)
        self.tebo.start()

    def test_the_primary_sees_what_the_mirror_lacks(self):
        self.write("paket/berat/dokumen.pdf", self.content(3_000_000))
        self.write("paket/kosong/dokumen.pdf", b"")  # a document without contents: never lost
        self.cluster.append("baris", "isi")
        self.identical(self.cluster)
        for node in self.cluster:
            self.wait_states(node.name, WHOLE)
        self.wait_count(self.tebo, complete=3, at_risk=0)

        self.assertEqual(self.jambi.terminate(), 0)
        wait_for("tebo to miss jambi", lambda: self.cluster.node_status("jambi")["reachable"] is False)
        self.assertEqual(self.states("tebo"), WHOLE)
        say("a mirror that is away: what it said still counts")

        shutil.rmtree(os.path.join(self.jambi.data, "blobs"))
        self.restart_primary(HARDLY)
        for package in ("paket/berat", "paket/kosong"):  # nobody has told it anything yet
            self.assertNotEqual(self.states("tebo").get(package), "complete")
        self.jambi.start()
        self.cluster.wait_level()
        self.wait_states("jambi", dict(WHOLE, **{"paket/berat": "incomplete"}))
        self.wait_states("tebo", dict(WHOLE, **{"paket/berat": "at-risk"}))
        shown = self.cluster.ctl_json("package", "show", "paket/berat")
        self.assertEqual((shown["state"], shown["missing_documents"]), ("at-risk", 0))
        self.assertEqual({s["name"]: s["state"] for s in shown["sites"]},
                         {"tebo": "at-risk", "jambi": "incomplete"})
        self.wait_count(self.tebo, complete=2, at_risk=1)
        say("level, but without a document: the primary says at-risk, the mirror incomplete")

        self.restart_primary("")
        for node in self.cluster:
            self.wait_states(node.name, WHOLE)
        self.wait_count(self.tebo, complete=3, at_risk=0)
        say("and complete at both once the document has come")


if __name__ == "__main__":
    main()
