"""What the tests about PostgreSQL share: a server, a cluster of two nodes and an agent between them.

    class MyTest(PgTest):
        def test_it(self):
            server = self.start_server()
            cluster = self.start_cluster("tebo", "jambi")
            agent = self.start_agent(cluster, server, "epns_prod")
            self.wait_captured(agent)
            self.restore(cluster, "jambi", server, "pulih")
            self.assert_same(server, "epns_prod", server, "pulih")
"""
import json
import os
import random
import unittest

import pg_checksum
import pg_server
from cluster import LOG, SOURCE, Agent, Awaited, ClusterTest, payload_of, say, wait_for
from pg_server import PgServer

HERE = os.path.dirname(os.path.abspath(__file__))
MAPPINGS = [os.path.join(SOURCE, "deploy", "config", "spse-mapping.toml"),
            os.path.join(HERE, "spse-test-mapping.toml")]
SLOT, PUBLICATION = "kembar_uji", "kembar_uji"
DATABASE = "epns_prod"
# What the agent does now and then, it does all the time here.
OFTEN = {"slot": f'"{SLOT}"', "publication": f'"{PUBLICATION}"', "set_replica_identity": "true",
         "canary_every_s": "1", "sequences_every_s": "1", "schema_check_every_s": "1",
         "large_objects_every_s": "1"}


class LogTail:
    """Reads a log on and on; keeps the newest payload of every item that is not a row."""

    def __init__(self, cluster):
        self.cluster, self.next, self.latest = cluster, 1, {}

    def update(self):
        done = self.cluster.try_ctl("--output", "json", "--log", LOG, "log", "read", "--from",
                                    str(self.next), seconds=120)
        if done.code != 0:
            return self
        for record in done.json_lines():
            self.next = record["index"] + 1
            item = record["item"]
            if not item.startswith("row/"):
                self.latest[item] = None if record["kind"] == "delete" else payload_of(record)
        return self

    def json(self, item):
        payload = self.latest.get(item)
        return json.loads(payload) if payload else None


def _encoded(name):
    """As in item names: docs/capture.md."""
    return "".join(c if c.isalnum() or c in "_-" or ord(c) > 127 else f"%{ord(c):02X}" for c in name)


SEQUENCES = """SELECT coalesce(json_agg(json_build_array(nspname, relname, format('%I.%I', nspname, relname))), '[]')
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'S' AND nspname <> 'kembar'"""


class PgTest(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if pg_server.absent():
            raise unittest.SkipTest(pg_server.absent())

    def setUp(self):
        super().setUp()
        self.servers, self.agents = [], []
        self.addCleanup(self._clean_up_servers)

    def seeded(self):
        seed = int(os.environ.get("KEMBAR_SEED", random.SystemRandom().randrange(1 << 32)))
        say(f"seed {seed} (KEMBAR_SEED={seed} repeats the choices)")
        return seed, random.Random(seed)

    def start_server(self, name="postgres", **settings):
        server = PgServer(name, settings)
        self.servers.append(server)
        return server.start()

    def mapping(self):
        """Path of the mapping that users get, with the tests' own tables behind it."""
        text = ""
        for path in MAPPINGS:
            with open(path, encoding="utf-8") as handle:
                text += handle.read() + "\n"
        return self.path("mapping.toml", text)

    def make_agent(self, cluster, server, database=DATABASE, mapping=None, name="epns", **settings):
        """`settings`: lines of [postgres], as TOML."""
        agent = Agent(name, os.path.join(self.folder, f"agent{len(self.agents)}"))
        self.agents.append(agent)
        agent.server, agent.database, agent.cluster = server, database, cluster
        agent.write_config(
            cluster, server.dsn(database), self.mapping() if mapping is None else mapping,
            "".join(f"{key} = {value}\n" for key, value in {**OFTEN, **settings}.items()))
        agent.tail = LogTail(cluster)
        return agent

    def start_agent(self, *args, **options):
        return self.make_agent(*args, **options).start()

    def wait_captured(self, agent, seconds=120):
        """Until the log has committed everything that is committed at the server now, sequences too, and
        both nodes know it."""
        server, database = agent.server, agent.database

        def made():
            if not agent.running():
                raise Awaited(f"the agent ended with {agent.process.returncode}:\n{agent.log_tail()}")
            return agent.tail.update().json(f"transaction/postgres/{agent.name}")

        wait_for("the agent's first copy", made, seconds)
        server.sql(database, "SELECT pg_logical_emit_message(true, 'uji', '')")
        server.wait_confirmed(SLOT, seconds)
        wait_for("the sequences to be in the log", lambda: not self._sequences_missing(agent), seconds)
        agent.cluster.wait_level()

    def _sequences_missing(self, agent):
        agent.tail.update()
        missing = []
        for schema, name, quoted in json.loads(agent.server.sql(agent.database, SEQUENCES)):
            now = agent.server.sql(agent.database, f"SELECT last_value, is_called FROM {quoted}").split("|")
            seen = agent.tail.json(f"sequence/{_encoded(schema)}.{_encoded(name)}")
            if seen is None or [str(seen["last_value"]), "t" if seen["is_called"] else "f"] != now:
                missing.append((schema, name, now, seen))
        return missing

    def restore(self, cluster, node, server, database, *options, seconds=300):
        """Into a new database of that server, from that node. Returns what kembarctl says as JSON."""
        dsn = server.create_database(database)
        return cluster.ctl_json("--yes", "--log", LOG, "restore", "postgres", "--dsn", dsn, "--at", node,
                                *options, seconds=seconds)

    def assert_same(self, one, one_database, other, other_database, what=""):
        """Equal by the checksum of every table, sequence and definition. Returns (tables, objects)."""
        before, after = one.checksum(one_database), other.checksum(other_database)
        lines = pg_checksum.difference(before, after)
        self.assertEqual(lines, [], f"{what}: {one_database} / {other_database} differ in {len(lines)}:\n" +
                         "\n".join(lines[:30]))
        return sum(1 for kind, _ in before if kind == "rows"), len(before)

    def _clean_up_servers(self):
        show = self.show_logs()
        for agent in self.agents:
            agent.stop()
            if show:
                print(f"--- log of the agent {agent.name}\n{agent.log_tail(40)}", flush=True)
        for server in self.servers:
            if show:
                print(f"--- log of {server.name}\n{server.log_tail()}", flush=True)
            if os.environ.get("KEMBAR_KEEP"):
                print(f"kept: {server.folder}", flush=True)
                if server.running():
                    server.stop("immediate")
            else:
                server.destroy()
