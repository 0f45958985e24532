#!/usr/bin/env python3
"""First copies and reconciliations while clients commit without pause: no transaction is lost between the
snapshot and the stream, none is taken back, none is there twice."""
import collections
import os

import spse_tenders
from cluster import LOG, main, say
from pg_case import DATABASE, HERE, SLOT, PgTest
from spse_workload import Workload

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "4"))
ITEM = "row/public.klien_log/"


class Snapshot(PgTest):
    def prepare(self):
        self.seed, self.rng = self.seeded()
        server = self.start_server()
        server.create_database(DATABASE)
        server.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        cluster = self.start_cluster("tebo", "jambi")
        self.next_index, self.versions = 1, collections.defaultdict(list)
        return server, cluster, self.make_agent(cluster, server)

    def play(self, server, packages, number):
        work = Workload(server, DATABASE, packages, self.seed + number, clients=5, scratch=False,
                        chances=spse_tenders.NEVER, first=1 + 10_000 * number).start()
        self.addCleanup(work.stop)
        return work

    def check(self, server, cluster, what):
        """Every transaction's own row is in the log, and was never ended there."""
        for record in cluster.ctl("--output", "json", "--log", LOG, "log", "read", "--from", str(self.next_index),
                                  seconds=120).json_lines():
            self.next_index = record["index"] + 1
            if record["item"].startswith(ITEM):
                self.versions[int(record["item"][len(ITEM):])].append(record["kind"])
        there = {int(number) for number in server.sql(DATABASE, "SELECT nomor FROM klien_log").split()}
        lost = sorted(number for number in there if self.versions[number][-1:] != ["put"])
        taken_back = sorted(number for number in there if "delete" in self.versions[number])
        self.assertEqual((lost[:20], taken_back[:20]), ([], []),
                         f"{what} (seed {self.seed}): lost {len(lost)}, taken back {len(taken_back)} of {len(there)}")
        return len(there)

    def test_copies(self):
        """Each round the slot is lost and everything is copied anew, under load."""
        server, cluster, agent = self.prepare()
        for number in range(ROUNDS):
            work = self.play(server, 60, number)
            if server.slot(SLOT):
                server.sql(DATABASE, f"SELECT pg_drop_replication_slot('{SLOT}')")
            work.wait_transactions(self.rng.randrange(1, 100))
            agent.start()
            work.wait_done()
            self.wait_captured(agent)
            count = self.check(server, cluster, f"copy {number + 1}")
            agent.terminate()
        say(f"{ROUNDS} copies of everything during {count} transactions: lost 0, taken back 0")

    def test_reconciliations(self):
        """Tables are changed again and again, each time reconciled under load."""
        server, cluster, agent = self.prepare()
        agent.start()
        self.wait_captured(agent)
        before = agent.metric("kembar_agent_reconciliations_total")
        work = self.play(server, 60 * ROUNDS, 0)
        changes = 0
        while work.running():
            changes += 1
            server.sql(DATABASE, f"ALTER TABLE klien_log ADD COLUMN c{changes} integer DEFAULT {changes}")
            work.wait_transactions(work.transactions + 150)
        work.wait_done()
        self.wait_captured(agent)
        made = agent.metric("kembar_agent_reconciliations_total") - before
        self.assertGreaterEqual(made, 1)
        count = self.check(server, cluster, "reconciliations")
        say(f"{made:.0f} reconciliations after {changes} changes of a table during {count} transactions: lost 0, "
            "taken back 0")


if __name__ == "__main__":
    main()
