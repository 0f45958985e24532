#!/usr/bin/env python3
"""A warm standby at the mirror's site, while tenders are played at the source: the sink, the standby's server
and the nodes are killed at random, the schema changes, the primary's site is lost. Whenever the sink is killed
the standby stands exactly at a transaction of the log; in the end it equals the source, its lag is 0, and SPSE
works on it."""
import collections
import os

import pg_checksum
from cluster import LOG, Awaited, Daemon, main, say, wait_for
from pg_case import DATABASE, HERE, SLOT, PgTest
from spse_workload import Workload

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "6"))
PACKAGES = int(os.environ.get("KEMBAR_PACKAGES", "60"))  # each time the clients are started
STANDBY = "epns_siaga"
# Each makes the sink fill the standby anew; the third needs SQL that the log has only after the rows.
CHANGES = [
    "ALTER TABLE rekanan ADD COLUMN rkn_catatan text DEFAULT 'bawaan'; UPDATE rekanan SET rkn_catatan = 'x' "
    "WHERE rkn_id < 20",
    "CREATE TABLE ekontrak.baru (id serial PRIMARY KEY, isi text);"
    "INSERT INTO ekontrak.baru (isi) VALUES ('a'), (NULL); CREATE INDEX akhir ON paket (pkt_status)",
    "ALTER TYPE jabatan_panitia ADD VALUE 'W' BEFORE 'A'",
]
USES_CHANGE = ("UPDATE anggota_panitia SET agp_jabatan = 'W' WHERE pnt_id = 1;"
               "INSERT INTO ekontrak.baru (isi) VALUES ('c')")
FILLED = "is filled from"


class SinkAgent(Daemon):
    """One kembar-agent with nothing but [sink]."""

    PROGRAM = "kembar-agent"

    def write_config(self, cluster, dsn, sink=""):
        nodes = ", ".join(f'"{node.address}"' for node in cluster)
        with open(self.config_path, "w", encoding="utf-8") as out:
            out.write(f'[agent]\nname = "{self.name}"\nnodes = [{nodes}]\nlog = "{cluster.log}"\n'
                      f'http = "127.0.0.1:{self.http_port}"\n[sink]\ndsn = "{dsn}"\nat = "jambi"\n{sink}\n')
        return self

    def state(self):
        for line in self.get("/metrics")[1].split("\n"):
            if line.startswith("kembar_agent_sink_state{") and line.endswith(" 1"):
                return line.split('state="')[1].split('"')[0]
        return None

    def sink_metric(self, name):
        return self.metric(f"kembar_agent_sink_{name}")

    def fillings(self):
        """Begun since the first start, by all its processes."""
        return self.log_tail(1_000_000).count(FILLED)


class SinkTest(PgTest):
    def test_standby(self):
        self.seed, self.rng = self.seeded()
        self.prepare()
        self.refuses_what_is_not_empty()
        self.follows_through_faults()
        self.follows_changes_of_the_schema()
        self.follows_after_failover()
        self.serves_afterwards()

    def prepare(self):
        self.source, self.standby = self.start_server("sumber"), self.start_server("siaga")
        self.source.create_database(DATABASE)
        self.source.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        self.cluster = self.start_cluster("tebo", "jambi")
        self.works = []
        self.play()
        self.agent = self.start_agent(self.cluster, self.source)
        self.wait_captured(self.agent)
        self.sink = self.make_sink("siaga", self.standby.create_database(STANDBY)).start()
        self.agents.append(self.sink)  # whose last words are shown
        self.wait_state("following")

    def make_sink(self, name, dsn):
        return SinkAgent(name, os.path.join(self.folder, f"sink-{name}")).write_config(self.cluster, dsn)

    def play(self):
        first = 1 + 10_000 * len(self.works)
        work = Workload(self.source, DATABASE, PACKAGES, self.seed, clients=1, first=first).start()
        self.addCleanup(work.stop)
        self.works.append(work)

    def go_on(self, least, most):
        """The clients commit some more transactions."""
        if not self.works[-1].running():
            self.play()
        work = self.works[-1]
        work.wait_transactions(work.transactions + self.rng.randrange(least, most))

    def refuses_what_is_not_empty(self):
        dsn = self.standby.create_database("lain")
        self.standby.sql("lain", "CREATE TABLE paket (milik text); INSERT INTO paket VALUES ('orang lain')")
        done = self.make_sink("lain", dsn).start_refused()
        self.assert_one_line_error(done, "lain", "is not empty", "public.paket", code=1)
        self.assertEqual(self.standby.sql("lain", "SELECT milik FROM paket"), "orang lain")

    def follows_through_faults(self):
        faults = [self.kill_sink, self.crash_standby, self.kill_mirror, self.kill_primary, self.kill_all]
        counts = collections.Counter()
        for number in range(ROUNDS):
            self.go_on(20, 100)
            # Each fault at least once, then at random.
            fault = faults[number] if number < len(faults) else self.rng.choice(faults)
            fault()
            counts[fault.__name__] += 1
        self.wait_applied()
        self.assertEqual(self.sink.fillings(), 1, "filled anew, though only transactions were to be applied")
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"{self.transactions()} transactions, {said}: filled once, and killed the standby stood at a transaction")

    def kill_sink(self):
        self.sink.kill9()
        self.check_stands_at_a_transaction()
        self.sink.start()

    def crash_standby(self):
        self.standby.stop("immediate")
        self.go_on(0, 60)
        self.standby.start()

    def kill_mirror(self):
        """The sink asks the primary until the mirror is back; or nobody, since nothing is committed alone."""
        self.cluster["jambi"].kill9()
        self.go_on(0, 60)
        self.cluster["jambi"].start()

    def kill_primary(self):
        self.cluster["tebo"].kill9()
        self.go_on(0, 60)
        self.cluster["tebo"].start()

    def kill_all(self):
        for node in self.cluster:
            node.kill9()
        self.sink.kill9()
        self.standby.stop("immediate")
        self.cluster.start()
        self.standby.start()
        self.sink.start()

    def check_stands_at_a_transaction(self):
        index = self.standby.sql(STANDBY, "SELECT log_index FROM kembar.sink_position")
        done = self.cluster.try_ctl("--log", LOG, "compare", "postgres", "--dsn", self.standby.dsn(STANDBY), "--at",
                                    "jambi", "--as-of", index, seconds=120)
        self.assertEqual(done.code, 0, f"standby at index {index} (seed {self.seed}): {done}")

    def follows_changes_of_the_schema(self):
        for change in CHANGES:
            self.go_on(5, 50)
            self.source.sql(DATABASE, change)
        self.source.sql(DATABASE, USES_CHANGE)
        if self.rng.random() < 0.5:  # perhaps while it fills
            self.sink.kill9()
            self.sink.start()
        self.wait_applied()
        say(f"{len(CHANGES)} schema changes: filled anew {self.sink.fillings() - 1} times")

    def follows_after_failover(self):
        self.go_on(20, 100)
        self.cluster["tebo"].kill9()
        self.cluster["tebo"].wipe()
        self.cluster.failover("jambi", "tebo")
        self.go_on(20, 100)
        self.works[-1].wait_done()
        self.wait_equal()
        wait_for("a lag of 0", lambda: self.sink.sink_metric("lag_seconds") == 0)
        self.assertEqual(self.sink.get("/healthz")[0], 200, self.sink.get("/healthz")[1])
        tables, objects = self.assert_same(self.source, DATABASE, self.standby, STANDBY, f"seed {self.seed}")
        say(f"{self.transactions()} transactions, failed over: {tables} tables, {objects} objects equal, lag 0")

    def wait_equal(self):
        """DDL comes a little later than rows."""
        def equal():
            self.seen = pg_checksum.difference(self.source.checksum(DATABASE), self.standby.checksum(STANDBY))
            return not self.seen

        try:
            wait_for("the standby to equal the source", equal, 60)
        except Awaited as late:
            health = self.sink.get("/healthz")[1]
            self.fail(f"{late} (seed {self.seed})\n{health}" + "\n".join(self.seen[:30]))

    def serves_afterwards(self):
        """SPSE is pointed at the standby: the sink lets go of it, and triggers and sequences work."""
        self.standby.sql(STANDBY, "DROP TABLE kembar.sink_position")
        wait_for("the sink to end", lambda: not self.sink.running())
        self.assertEqual(self.sink.process.returncode, 1)
        self.assertIn("it was taken away from the sink", self.sink.log_tail(1))
        before = int(self.standby.sql(STANDBY, "SELECT count(*) FROM jejak_audit"))
        work = Workload(self.standby, STANDBY, 20, self.seed, clients=2, first=900_001).start()
        self.addCleanup(work.stop)
        work.wait_done()
        self.assertGreater(int(self.standby.sql(STANDBY, "SELECT count(*) FROM jejak_audit")), before)
        self.assert_one_line_error(self.sink.start_refused(), STANDBY, "is not empty", code=1)
        say(f"{work.transactions} transactions on the standby afterwards")

    def transactions(self):
        return sum(work.transactions for work in self.works)

    def wait_state(self, state):
        wait_for(f"the sink to be {state}", lambda: self.sink.state() == state, 60)

    def wait_applied(self):
        """Until everything that is committed now is in the log, and from there in the standby."""
        self.source.sql(DATABASE, "SELECT pg_logical_emit_message(true, 'uji', '')")
        self.source.wait_confirmed(SLOT)
        end = self.cluster.status()["last_index"]

        def applied():
            index = self.sink.sink_metric("applied_index")
            return (index or 0) >= end or None

        try:
            wait_for(f"index {end} in the standby", applied, 90)
        except Awaited as late:
            self.fail(f"{late} (seed {self.seed})\n{self.sink.get('/healthz')[1]}")


if __name__ == "__main__":
    main()
