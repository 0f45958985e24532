#!/usr/bin/env python3
"""What is wrong around a captured database is said in one clear line, with an exit code, and nothing is
half done: settings of the server, configuration, mapping, another database under the same name, a restore
over rows, a restore that is killed."""
import signal
import subprocess

import spse_workload
from cluster import die_with_parent, main, program, say, wait_for
from pg_case import DATABASE, SLOT, PgTest

SMALL = ("CREATE TABLE t (id integer PRIMARY KEY, isi text); INSERT INTO t SELECT n, md5(n::text) "
         "FROM generate_series(1, 5000) AS n")


class BadInput(PgTest):
    def small(self, sql=SMALL, **settings):
        server = self.start_server(**settings)
        server.create_database(DATABASE)
        server.sql(DATABASE, sql)
        return server

    def refused(self, agent, *words):
        self.assert_one_line_error(agent.start_refused(30), *words)

    def nothing_written(self, cluster):
        self.assertEqual([r["item"] for r in cluster.records() if r["source"]], [])

    def test_server_and_configuration(self):
        cluster = self.start_cluster("tebo", "jambi")
        server = self.small(wal_level="replica")
        self.refused(self.make_agent(cluster, server, mapping=""), "wal_level", "logical")
        server.set(wal_level="logical")
        server.restart()
        agent = self.make_agent(cluster, server, mapping="")
        agent.write_config(cluster, "hots=127.0.0.1 dbname=epns_prod")
        self.refused(agent, "DSN", "connection option")  # may hold a password: not repeated
        agent.write_config(cluster, server.dsn(DATABASE), postgres='slotname = "x"')
        self.refused(agent, agent.config_path, "slotname")
        self.check_mappings(cluster, server)
        self.nothing_written(cluster)
        say("wal_level, DSN, configuration, mapping: refused in one line, nothing in the log")

    def check_mappings(self, cluster, server):
        member = '[[member]]\ntable = "public.a"\ncolumn = "x"\nparent = "{}"\n'
        package = '[[package]]\ntable = "public.p"\nprefix = "p/"\n'
        for text, words in [
                (package + 'titel = "x"\n', ["titel"]), ("[[packet]]\n", ["packet"]),
                (member.format("public.b"), ["public.b"]), (member.format("public.a"), ["public.a"]),
                (package + package, ["public.p"]), ('[[package]]\ntable = "paket"\nprefix = "p/"\n', ["paket"]),
                ('[[package]\n', [":1"]), ('[[package]]\nprefix = "p/"\n', ["table"])]:
            path = self.path("salah.toml", text)
            self.refused(self.make_agent(cluster, server, mapping=path), "salah.toml", *words)
        self.refused(self.make_agent(cluster, server, mapping="/tidak/ada.toml"), "/tidak/ada.toml")

    def test_table_without_key(self):
        cluster = self.start_cluster("tebo", "jambi")
        server = self.small(SMALL + "; CREATE TABLE lama (a integer, b text)")
        self.refused(self.make_agent(cluster, server, mapping="", set_replica_identity="false"),
                     "public.lama", "REPLICA IDENTITY FULL")
        self.nothing_written(cluster)
        self.assertIsNone(server.slot(SLOT), "a slot was left behind")
        server.sql(DATABASE, "UPDATE lama SET b = ''; DELETE FROM lama")
        agent = self.start_agent(cluster, server, mapping="", set_replica_identity="false",
                                 exclude='["public.lama"]')
        self.wait_captured(agent)
        say("a table without key: refused by name; left out when told")

    def test_other_database_under_the_same_name(self):
        cluster = self.start_cluster("tebo", "jambi")
        server = self.small()
        agent = self.start_agent(cluster, server, mapping="")
        self.wait_captured(agent)
        agent.terminate()
        before = cluster.status()["last_index"]
        other = self.small("CREATE TABLE lain (id integer PRIMARY KEY)")
        self.refused(self.make_agent(cluster, other, mapping=""), "epns")
        self.assertEqual(cluster.status()["last_index"], before)
        agent.start()
        server.sql(DATABASE, "INSERT INTO t VALUES (0, 'lagi')")
        self.wait_captured(agent)
        say("another server's database under the same name: refused, nothing ended in the log")

    def test_restore(self):
        cluster = self.start_cluster("tebo", "jambi")
        server = self.small()

        def restore(dsn, *options):
            return cluster.try_ctl("--yes", "restore", "postgres", "--dsn", dsn, *options)

        dsn = server.create_database("pulih")
        self.assert_one_line_error(restore(dsn), "database")  # the log holds none
        agent = self.start_agent(cluster, server, mapping="")
        self.wait_captured(agent)
        server.sql("pulih", "CREATE TABLE t (id integer)")
        before = server.checksum("pulih")
        self.assert_one_line_error(restore(dsn), "public.t")
        self.assertEqual(server.checksum("pulih"), before)
        server.sql("pulih", "DROP TABLE t")
        for bad, words in [(server.dsn("tidak_ada"), ["tidak_ada"]), ("hots=1", ["DSN"]),
                           ("host=127.0.0.1 port=1 dbname=x", ["port"])]:
            self.assert_one_line_error(restore(bad), *words)
        for options, words in [(["--as-of", "99999999"], ["99999999"]), (["--as-of", "kemarin"], ["kemarin"]),
                               (["--package", "paket/404"], ["paket/404"]), (["--nonsense"], ["--nonsense"])]:
            self.assert_one_line_error(restore(dsn, *options), *words)
        self.assertEqual(server.sql("pulih", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0")
        done = restore(dsn)
        self.assertEqual(done.code, 0, str(done))
        self.assert_same(server, DATABASE, server, "pulih")
        say("restore over something, from nothing, to nowhere, of an unknown moment: refused, nothing written")

    def test_killed_restore_leaves_nothing(self):
        cluster = self.start_cluster("tebo", "jambi")
        server = self.start_server()
        server.create_database(DATABASE)
        spse_workload.fill(server, DATABASE, 300, 1)
        agent = self.start_agent(cluster, server)
        self.wait_captured(agent)
        dsn = server.create_database("pulih")
        process = subprocess.Popen(
            [program("kembarctl"), "--node", cluster.addresses, "--yes", "restore", "postgres", "--dsn", dsn],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        copying = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'pulih' AND backend_xid IS NOT NULL"
        wait_for("the restore to write", lambda: process.poll() is not None or
                 server.sql("postgres", copying) != "0")
        self.assertIsNone(process.poll(), "the restore was over before it could be killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for("its connection to end", lambda: server.sql("postgres", copying) == "0")
        self.assertEqual(server.sql("pulih", "SELECT count(*) FROM pg_class WHERE relname = 'paket'"), "0")
        done = cluster.try_ctl("--yes", "restore", "postgres", "--dsn", dsn)
        self.assertEqual(done.code, 0, str(done))
        self.assert_same(server, DATABASE, server, "pulih")
        say("a restore killed in the middle left nothing; repeated it is whole")


if __name__ == "__main__":
    main()
