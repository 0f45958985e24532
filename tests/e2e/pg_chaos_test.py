#!/usr/bin/env python3
"""Tenders are played while the agent and both nodes are killed and the server is restarted like after a
crash, at random moments: in the end the database restored from the mirror equals the source, and nothing
is in the log twice."""
import collections
import os

from cluster import LOG, main, say
from pg_case import DATABASE, HERE, PgTest
from spse_workload import Workload

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "12"))
PACKAGES = int(os.environ.get("KEMBAR_PACKAGES", "150"))  # each time the clients are started


class Chaos(PgTest):
    def test_killed_at_random(self):
        self.seed, self.rng = self.seeded()
        self.server = self.start_server()
        self.server.create_database(DATABASE)
        self.server.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        self.cluster = self.start_cluster("tebo", "jambi")
        self.agent = self.make_agent(self.cluster, self.server)
        self.works = []
        self.play()
        self.agent.start()
        faults = [self.kill_agent, self.kill_node, self.kill_both_nodes, self.restart_server, self.kill_all, self.switch_over]
        counts = collections.Counter()
        for round_number in range(ROUNDS):
            if not self.works[-1].running():
                self.play()
            work = self.works[-1]
            work.wait_transactions(work.transactions + self.rng.randrange(10, 250))
            # Each fault at least once, then at random.
            fault = faults[round_number] if round_number < len(faults) else self.rng.choice(faults)
            fault()
            counts[fault.__name__] += 1
        for work in self.works:
            work.wait_done()
        self.wait_captured(self.agent)
        parts = self.check_log()
        self.restore(self.cluster, "jambi", self.server, "pulih")
        tables, objects = self.assert_same(self.server, DATABASE, self.server, "pulih", f"seed {self.seed}")
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"{sum(work.transactions for work in self.works)} transactions ({parts} parts of large ones), {said}: {tables} tables, "
            f"{objects} objects equal, nothing doubled")

    def play(self):
        first = 1 + 10_000 * len(self.works)
        work = Workload(self.server, DATABASE, PACKAGES, self.seed, clients=3, first=first, big=True).start()
        self.addCleanup(work.stop)
        self.works.append(work)

    def kill_agent(self):
        self.agent.kill9()
        self.go_on()
        self.agent.start()

    def kill_node(self):
        node = self.cluster[self.rng.choice(["tebo", "jambi"])]
        node.kill9()
        self.go_on()
        node.start()

    def kill_both_nodes(self):
        for node in self.cluster:
            node.kill9()
        self.go_on()
        self.cluster.start()

    def restart_server(self):
        self.rng.choice([self.server.kill9, lambda: self.server.stop("immediate")])()
        self.server.start()

    def kill_all(self):
        self.cluster["tebo"].kill9()
        self.agent.kill9()
        self.server.stop("immediate")
        self.cluster["jambi"].kill9()
        self.server.start()
        self.cluster.start()
        self.agent.start()

    def switch_over(self):
        """The other node becomes the primary while the agent writes."""
        self.cluster.wait_level()
        primary = self.cluster.status()["primary"]
        self.cluster.ctl("--yes", "--log", LOG, "switchover", "--to", "jambi" if primary == "tebo" else "tebo")

    def go_on(self):
        """The clients are not stopped by a missing agent or node."""
        work = self.works[-1]
        work.wait_transactions(work.transactions + self.rng.randrange(0, 60))

    def check_log(self):
        """Each transaction's own row was written once; the markers go forward."""
        records = self.cluster.records("jambi")
        puts = collections.Counter(r["item"] for r in records if r["item"].startswith("row/public.klien_log/"))
        doubled = [item for item, count in puts.items() if count != 1]
        self.assertEqual(doubled, [], "rows that never change are in the log more than once")
        numbers = {int(item.rsplit("/", 1)[1]) for item in puts}
        seen = set().union(*(work.seen for work in self.works))
        self.assertEqual(sorted(seen - numbers)[:10], [], "committed, but not in the log")
        rows = int(self.server.sql(DATABASE, "SELECT count(*) FROM klien_log"))
        self.assertEqual(len(numbers), rows)
        positions = [r["position"] for r in records if r["source"] == f"postgres/{self.agent.name}"]
        self.assertEqual(positions, sorted(positions))
        return sum(1 for r in records if r["item"].startswith("transaction-part/"))


if __name__ == "__main__":
    main()
