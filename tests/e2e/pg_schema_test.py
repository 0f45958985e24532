#!/usr/bin/env python3
"""The schema changes while the database is captured: soon afterwards a restore gives the new schema with all
rows, and an earlier moment still gives the old one."""
import os

import pg_checksum
from cluster import LOG, main, say, wait_for
from pg_case import DATABASE, HERE, PgTest
from spse_workload import Workload

# Each step is a transaction of its own.
STEPS = [
    "ALTER TABLE rekanan ADD COLUMN rkn_catatan text DEFAULT 'bawaan'",
    "UPDATE rekanan SET rkn_catatan = NULL WHERE rkn_id < 20",
    "ALTER TABLE pegawai ADD COLUMN peg_uuid uuid NOT NULL DEFAULT gen_random_uuid()",
    "ALTER TABLE rekanan DROP COLUMN rkn_saldo_uji",
    "ALTER TABLE peserta ALTER COLUMN psr_harga_terkoreksi TYPE numeric(24, 4)",
    "ALTER TABLE konfigurasi ALTER COLUMN cfg_value TYPE character varying(200)",
    "ALTER TABLE kategori ALTER COLUMN keterangan TYPE integer USING length(keterangan)",
    "CREATE TABLE ekontrak.baru (id serial PRIMARY KEY, isi text); INSERT INTO ekontrak.baru (isi) VALUES ('a'), (NULL)",
    "INSERT INTO ekontrak.baru (isi) VALUES ('sesudah')",
    "CREATE TABLE tanpa_kunci (a integer, b text); INSERT INTO tanpa_kunci VALUES (1, 'x'), (1, 'x')",
    "DROP TABLE anggota_panitia",
    "ALTER TABLE ukpbj RENAME TO ukpbj_lama",
    "INSERT INTO ukpbj_lama VALUES (3, 'sesudah ganti nama')",
    "ALTER TABLE satuan_kerja RENAME COLUMN stk_nama TO stk_sebutan",
    "UPDATE satuan_kerja SET stk_sebutan = 'Dinas PUPR' WHERE stk_id = 105",
    "DROP TABLE ekontrak.baru; CREATE TABLE ekontrak.baru (kode text PRIMARY KEY, nilai numeric, isi jsonb);"
    "INSERT INTO ekontrak.baru VALUES ('1', 1.50, '{}')",
    "ALTER TABLE konfigurasi DROP CONSTRAINT konfigurasi_pkey;"
    "ALTER TABLE konfigurasi ADD COLUMN cfg_id integer GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (cfg_id)",
    "UPDATE konfigurasi SET cfg_value = 'baru' WHERE cfg_sub_category = 'kosong'",
    "ALTER TYPE jabatan_panitia ADD VALUE 'W' BEFORE 'A'",
    "CREATE TABLE log_aktivitas_2020 (LIKE log_aktivitas INCLUDING ALL);"
    "INSERT INTO log_aktivitas_2020 VALUES (1, '2021-05-05', NULL, 'lampiran', NULL);"
    "ALTER TABLE log_aktivitas ATTACH PARTITION log_aktivitas_2020 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
    "INSERT INTO log_aktivitas VALUES (2, '2021-06-06', NULL, 'lewat induk', NULL)",
    "ALTER TABLE log_aktivitas DETACH PARTITION log_aktivitas_2018",
    "CREATE SCHEMA arsip; ALTER TABLE coretan SET SCHEMA arsip",
    "ALTER TABLE paket ADD COLUMN pkt_lama numeric GENERATED ALWAYS AS (pkt_pagu * 2) STORED",
    "CREATE VIEW arsip.ringkas AS SELECT count(*) FROM paket; CREATE INDEX akhir ON paket (pkt_status)",
    "ALTER TABLE klien_log ALTER COLUMN nomor TYPE numeric",
]

# These change rows, but no column's name or type, and nothing of it is in the stream.
REWRITES = [
    "ALTER TABLE kategori ALTER COLUMN keterangan TYPE text USING upper(keterangan)",
    "ALTER TABLE tahapan DROP COLUMN thp_name; ALTER TABLE tahapan ADD COLUMN thp_name text DEFAULT 'ulang'",
    "CREATE TABLE ganti AS SELECT 1000 + n AS cfg_n, n::text AS isi FROM generate_series(1, 9) AS n;"
    "ALTER TABLE ganti ADD PRIMARY KEY (cfg_n)",
    "DROP TABLE ganti; CREATE TABLE ganti AS SELECT 2000 + n AS cfg_n, n::text AS isi FROM generate_series(1, 5) AS n;"
    "ALTER TABLE ganti ADD PRIMARY KEY (cfg_n)",
    "ALTER TYPE jabatan_panitia RENAME VALUE 'K' TO 'Ketua'",
]


class SchemaChanges(PgTest):
    def start_captured(self, packages, seed):
        """A database with so many packages, and its capture."""
        server = self.start_server()
        server.create_database(DATABASE)
        server.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        Workload(server, DATABASE, packages, seed).start().wait_done()
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster, server)
        self.wait_captured(agent)
        return server, cluster, agent

    def test_rewritten_rows(self):
        seed, _ = self.seeded()
        server, cluster, agent = self.start_captured(5, seed)
        for number, step in enumerate(REWRITES):
            if away := number % 2 == 1:
                agent.kill9()
            server.sql(DATABASE, step)
            if away:
                agent.start()
            self.wait_restored(cluster, server)
        say(f"{len(REWRITES)} rewrites outside of the stream: restored equal after each")

    def test_restore_follows(self):
        seed, rng = self.seeded()
        server, cluster, agent = self.start_captured(20, seed)
        before, index = server.checksum(DATABASE), cluster.status()["last_index"]
        work = Workload(server, DATABASE, 5_000, seed, clients=1, first=10_001, scratch=False).start()
        self.addCleanup(work.stop)
        for step in STEPS:
            work.wait_transactions(work.transactions + 5)
            # Some are made while the agent is away, some while it is on its way back.
            if rng.random() < 0.3 and agent.running():
                agent.kill9()
            server.sql(DATABASE, step)
            if not agent.running() and rng.random() < 0.6:
                agent.start(wait=rng.random() < 0.5)
        if not agent.running():
            agent.start()
        work.wait_transactions(work.transactions + 5)
        work.stop()
        self.wait_captured(agent)
        self.wait_restored(cluster, server)
        self.restore(cluster, "jambi", server, "dulu", "--as-of", str(index))
        self.assertEqual(pg_checksum.difference(before, server.checksum("dulu")), [], "as of before the changes")
        say(f"{len(STEPS)} schema changes during {work.transactions} transactions: restored equal, before and after")

    def wait_restored(self, cluster, server):
        """DDL is not in the stream: the agent looks every second and puts right what the stream could not say."""
        source = server.checksum(DATABASE)

        def equal():
            server.drop_database("pulih")
            dsn = server.create_database("pulih")
            done = cluster.try_ctl("--yes", "--log", LOG, "restore", "postgres", "--dsn", dsn, "--at", "jambi",
                                   seconds=120)
            self.seen = [str(done)] if done.code else pg_checksum.difference(source, server.checksum("pulih"))
            return not self.seen

        self.seen = None
        try:
            wait_for("a restore that equals the source", equal, 60)
        except AssertionError as late:
            self.fail(f"{late}\n" + "\n".join(self.seen[:30]))


if __name__ == "__main__":
    main()
