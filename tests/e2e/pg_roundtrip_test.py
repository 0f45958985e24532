#!/usr/bin/env python3
"""A database goes into the log and comes back from the mirror, equal by the checksum of every table,
sequence and definition: SPSE's tables under a workload, pgbench's, and every type and name there is."""
import os
import signal

from cluster import main, say, wait_for
from pg_case import DATABASE, HERE, PgTest
from spse_workload import Workload

PACKAGES = int(os.environ.get("KEMBAR_PACKAGES", "300"))


class Roundtrip(PgTest):
    def prepare(self, server, *files):
        server.create_database(DATABASE)
        for name in files:
            server.file(DATABASE, os.path.join(HERE, name))

    def test_tenders(self):
        seed, _ = self.seeded()
        server = self.start_server()
        self.prepare(server, "spse_schema.sql")
        Workload(server, DATABASE, PACKAGES // 3, seed).start().wait_done()
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.make_agent(cluster, server)
        # One part is there before, one comes during the first copy, one by the stream.
        work = Workload(server, DATABASE, PACKAGES // 3, seed, first=10_001).start()
        self.addCleanup(work.stop)
        agent.start()
        work.wait_done()
        work = Workload(server, DATABASE, PACKAGES // 3, seed, first=20_001).start()
        self.addCleanup(work.stop)
        wait_for("the first copy", lambda: agent.tail.update().json("transaction/postgres/epns"), 120)
        self.check_audit(cluster.ctl_json("audit", "--dsn", server.dsn(DATABASE), seconds=120))
        work.wait_done()
        self.wait_captured(agent)
        agent.process.send_signal(signal.SIGUSR1)  # one of its own
        wait_for("the agent's audit", lambda: agent.tail.update().latest.get("audit/postgres/epns"))
        self.check_audit(cluster.ctl_json("audit"))
        done = self.restore(cluster, "jambi", server, "pulih")
        tables, objects = self.assert_same(server, DATABASE, server, "pulih", "tenders")
        say(f"{PACKAGES} tenders played: {tables} tables, {objects} objects equal, audits too, restored in {done['seconds']:.1f} s")

    def check_audit(self, audit):
        self.assertEqual([t for t in audit["tables"] if not t["equal"]], [])
        self.assertGreaterEqual(len(audit["tables"]), 38)

    def test_pgbench(self):
        server = self.start_server()
        self.prepare(server)
        server.pgbench(DATABASE, "-i", "-s", "1", "--foreign-keys", "-q")
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster, server, mapping="")
        said = server.pgbench(DATABASE, "-T", "5", "-c", "4", "-n")
        self.wait_captured(agent)
        self.restore(cluster, "jambi", server, "pulih")
        self.assert_same(server, DATABASE, server, "pulih", "pgbench")
        rows = server.sql("pulih", "SELECT count(*) FROM pgbench_history")
        self.assertGreater(int(rows), 0, said)
        say(f"pgbench: 100000 accounts, {rows} transactions without key, equal")

    def test_every_type_and_name(self):
        server = self.start_server()
        self.prepare(server, "pg_types.sql")
        server.sql(DATABASE, "SELECT jenis.isi(100); SELECT jenis.isi(200)")
        server.sql(DATABASE, "SELECT lo_from_bytea(700001, decode(repeat('00ff5c', 900000), 'hex')); "
                             "SELECT lo_from_bytea(700002, '')")
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster, server, mapping="")
        self.wait_captured(agent)
        server.sql(DATABASE, STREAM)
        self.wait_captured(agent)
        wait_for("a new large object to be in the log",
                 lambda: agent.tail.update().latest.get("large-object/700003/0"))
        cluster.wait_level()
        self.restore(cluster, "jambi", server, "pulih")
        tables, objects = self.assert_same(server, DATABASE, server, "pulih", "types and names")
        types = server.sql(DATABASE, "SELECT count(DISTINCT atttypid) FROM pg_attribute "
                                     "WHERE attrelid = 'jenis.semua'::regclass AND attnum > 0")
        self.assertGreaterEqual(int(types), 30)
        say(f"{types} column types, {tables} tables, {objects} objects equal")


# What the stream must carry: the same rows again, big values that do not change beside some that do,
# changes of keys, rows without key, rows that go from one partition to another, truncates.
STREAM = """
SELECT lo_unlink(700002), lo_put(700001, 1048570, '\\x0102030405060708090a'), lo_from_bytea(700003, '\\x00');
SELECT jenis.isi(300); SELECT jenis.isi(400);
UPDATE jenis.semua SET c_smallint = 5, c_enum = 'bi''ru' WHERE id % 100 = 3;
UPDATE jenis.semua SET c_bytea = NULL WHERE id = 203;
UPDATE jenis.semua SET id = id + 10000 WHERE id IN (103, 402);
UPDATE jenis.semua SET c_text = '', c_jsonb = 'null' WHERE id = 300;
DELETE FROM jenis.semua WHERE id IN (101, 301);
UPDATE jenis.tanpa_kunci SET c = '' WHERE a = 1;
DELETE FROM jenis.tanpa_kunci WHERE ctid IN (SELECT ctid FROM jenis.tanpa_kunci WHERE a = 2 LIMIT 3);
UPDATE "Skema Aneh"."Weird ""Table"" . name" SET "a""b" = '~' || "a""b", "select" = NULL WHERE "a""b" = '/N';
UPDATE "Skema Aneh"."Weird ""Table"" . name" SET "é ü" = 'NaN' WHERE "a""b" = 'A';
DELETE FROM "Skema Aneh"."Weird ""Table"" . name" WHERE "a""b" = '~' AND "KOLOM Besar" LIKE '2%';
UPDATE "Skema Aneh".bagian SET wilayah = 'selatan' WHERE kode % 7 = 0;
UPDATE "Skema Aneh".bagian SET kode = kode + 5 WHERE wilayah = 'utara' AND kode % 11 = 0;
TRUNCATE "Skema Aneh".lain;
TRUNCATE "Skema Aneh".bagian_utara;
INSERT INTO "Skema Aneh".bagian VALUES (1, 'utara', NULL), (2, 'utara', ''), (3, 'barat', 'lain');
UPDATE "Skema Aneh".induk SET t = t || '!';
DELETE FROM "Skema Aneh".lingkar WHERE id > 400;
BEGIN; INSERT INTO jenis.semua (id) VALUES (1); SAVEPOINT s; INSERT INTO jenis.semua (id) VALUES (2);
ROLLBACK TO s; INSERT INTO jenis.semua (id) VALUES (3); COMMIT;
BEGIN; INSERT INTO jenis.semua (id) VALUES (4); ROLLBACK;
BEGIN; TRUNCATE jenis.tanpa_kunci; INSERT INTO jenis.tanpa_kunci VALUES (1, 2, 'sesudah', NULL), (1, 2, 'sesudah', NULL); COMMIT;
INSERT INTO jenis.semua (id, c_text) SELECT 100000 + n, repeat('x', n % 50) FROM generate_series(1, 9000) AS n;
"""

if __name__ == "__main__":
    main()
