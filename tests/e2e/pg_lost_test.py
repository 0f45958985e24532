#!/usr/bin/env python3
"""Something between server and log was lost: a slot that somebody dropped, records by a failover with accepted
loss, days of the server by an old copy of it. The agent notices at its start, says so, and makes the log equal
to the database again; the history before is kept."""
import os
import shutil

from cluster import main, say
from pg_case import DATABASE, HERE, SLOT, PgTest
from spse_workload import Workload

CHANGES = ("DELETE FROM paket WHERE pkt_id IN (SELECT pkt_id FROM paket ORDER BY pkt_id LIMIT 5);"
           "UPDATE rekanan SET rkn_nama = 'sementara' WHERE rkn_id = 7; TRUNCATE coretan;"
           "INSERT INTO jejak_audit SELECT * FROM jejak_audit LIMIT 3")


class Lost(PgTest):
    def prepare(self, cluster):
        """A captured database: (server, agent); self.before and self.index are where it stood."""
        self.seed, _ = self.seeded()
        server = self.start_server()
        server.create_database(DATABASE)
        server.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        self.played = 0
        self.play(server)
        agent = self.start_agent(cluster, server)
        self.wait_captured(agent)
        self.before, self.index = server.checksum(DATABASE), cluster.status()["last_index"]
        return server, agent

    def play(self, server):
        Workload(server, DATABASE, 20, self.seed, first=1 + 10_000 * self.played).start().wait_done()
        self.played += 1

    def check_equal(self, cluster, server, agent, said):
        self.wait_captured(agent)
        self.restore(cluster, "jambi", server, "pulih")
        self.assert_same(server, DATABASE, server, "pulih", "after the loss")
        self.restore(cluster, "jambi", server, "dulu", "--as-of", str(self.index))
        self.assertEqual(server.checksum("dulu"), self.before, "history before the loss")
        with open(agent.log_path, encoding="utf-8") as log:
            lines = [line for line in log if said in line]
        self.assertTrue(lines, f"the agent did not say {said!r}")
        self.assertEqual(agent.metric("kembar_agent_slots_lost_total"), 1)

    def test_dropped_slot(self):
        cluster = self.start_cluster("tebo", "jambi")
        server, agent = self.prepare(cluster)
        agent.terminate()
        self.play(server)
        server.sql(DATABASE, CHANGES)
        server.sql(DATABASE, f"SELECT pg_drop_replication_slot('{SLOT}')")
        self.play(server)
        agent.start()
        self.check_equal(cluster, server, agent, "it is gone")
        say("slot dropped with changes in between: repaired, history kept")

    def test_failover_with_accepted_loss(self):
        cluster = self.make_cluster("tebo", "jambi")
        cluster.start()
        cluster.create_log("tebo", "--mode", "max-availability", "--solo-after", "1")
        server, agent = self.prepare(cluster)
        cluster["jambi"].kill9()
        self.play(server)
        server.sql(DATABASE, CHANGES)
        server.wait_confirmed(SLOT)  # solo: acknowledged at one site
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        cluster["jambi"].start()
        cluster.failover("jambi", "tebo", options=["--accept-loss"])
        self.play(server)
        cluster["tebo"].start()
        self.check_equal(cluster, server, agent, "beyond the log")
        say("failover lost what the slot had confirmed: repaired, history kept")

    def set_back(self, cluster, go_on):
        """An old copy of the server takes its place; `go_on(server)` before the agent comes back."""
        server, agent = self.prepare(cluster)
        agent.terminate()
        server.stop()
        copy = server.data + ".lama"
        shutil.copytree(server.data, copy)
        shutil.copystat(server.data, copy)
        for folder, names, files in os.walk(server.data):
            for path in [folder, *(os.path.join(folder, name) for name in names + files)]:
                stat = os.stat(path)
                os.chown(path.replace(server.data, copy, 1), stat.st_uid, stat.st_gid)
        server.start()
        agent.start()
        self.play(server)
        server.sql(DATABASE, CHANGES)
        self.wait_captured(agent)
        agent.terminate()
        server.stop()
        server.wipe()
        os.rename(copy, server.data)
        server.start()
        self.seed += 1
        go_on(server)
        agent.start()
        return server, agent

    def test_server_set_back(self):
        cluster = self.start_cluster("tebo", "jambi")
        server, agent = self.set_back(cluster, lambda server: None)
        self.check_equal(cluster, server, agent, "set back")
        say("an old copy of the server: repaired, history kept")

    def test_server_set_back_and_gone_on(self):
        """As before, but the server has written more than the log knows when the agent comes back."""
        cluster = self.start_cluster("tebo", "jambi")

        def go_on(server):
            self.play(server)
            self.play(server)
            server.sql(DATABASE, "CREATE TABLE lanjut AS SELECT n FROM generate_series(1, 300000) AS n; DROP TABLE lanjut")

        server, agent = self.set_back(cluster, go_on)
        self.check_equal(cluster, server, agent, "set back")
        say("an old copy of the server that went on: repaired, history kept")


if __name__ == "__main__":
    main()
