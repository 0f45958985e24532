#!/usr/bin/env python3
"""The agent as the server's synchronous standby: a COMMIT returns when both sites hold the transaction. The
server and the primary node are killed at a random moment and their directories deleted; in the database
restored from the mirror is every transaction that a client saw committed."""
import os

from cluster import main, say, wait_for
from pg_case import DATABASE, HERE, PgTest
from spse_workload import Workload

ROUNDS = int(os.environ.get("KEMBAR_ROUNDS", "3"))


class Sync(PgTest):
    def test_seen_committed_is_kept(self):
        seed, rng = self.seeded()
        for round_number in range(ROUNDS):
            self.lose_site(seed + round_number, rng)

    def start_synchronous(self):
        server = self.start_server()
        server.create_database(DATABASE)
        server.file(DATABASE, os.path.join(HERE, "spse_schema.sql"))
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster, server)
        self.wait_captured(agent)
        server.set(synchronous_standby_names=agent.name)
        server.reload()
        wait_for("the server to count the agent as synchronous", lambda: server.sql(
            "postgres", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'epns'") == "sync")
        return server, cluster, agent

    def lose_site(self, seed, rng):
        server, cluster, agent = self.start_synchronous()
        work = Workload(server, DATABASE, 2_000, seed).start()
        self.addCleanup(work.stop)
        work.wait_transactions(rng.randrange(1, 600), seconds=120)
        for kill in rng.sample([server.kill9, cluster["tebo"].kill9], 2):
            kill()
        server.wipe()
        cluster["tebo"].wipe()
        work.stop()
        agent.kill9()
        cluster.failover("jambi", "tebo")
        other = self.start_server("lain")
        done = self.restore(cluster, "jambi", other, "pulih")
        there = {int(number) for number in other.sql("pulih", "SELECT nomor FROM klien_log").split()}
        lost = sorted(work.seen - there)
        self.assertEqual(lost, [], f"seed {seed}: {len(lost)} of {len(work.seen)} seen committed are lost")
        # What nobody saw committed may be there, at most one of each client, whole.
        self.assertLessEqual(len(there - work.seen), 4)
        say(f"site destroyed after {len(work.seen)} transactions seen committed: lost 0, unseen "
            f"{len(there - work.seen)}, restored in {done['seconds']:.1f} s")
        other.destroy()
        cluster.stop()

    def test_commit_waits_for_the_mirror(self):
        server, cluster, _ = self.start_synchronous()
        cluster["jambi"].kill9()
        work = Workload(server, DATABASE, 10, 1, clients=1).start()
        self.addCleanup(work.stop)
        wait_for("a COMMIT that waits", lambda: server.sql(
            "postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1")
        self.assertEqual(work.transactions, 0)
        cluster["jambi"].start()
        work.wait_transactions(1)
        self.assertGreaterEqual(work.transactions, 1)
        say("without the mirror no COMMIT returned; with it they went on")


if __name__ == "__main__":
    main()
