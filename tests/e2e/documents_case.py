"""What the tests about documents share: an uploads directory, an agent that captures it, and the files
back again.

    class MyTest(DocumentsCase):
        def test_it(self):
            cluster = self.start_cluster("tebo", "jambi")
            agent = self.start_agent(cluster)
            self.write("paket/1/a.pdf", self.content(100))
            self.identical(cluster)
            target, report = self.restore_documents(cluster)
"""
import hashlib
import json
import os
import random

from cluster import ClusterTest, Daemon, say, wait_for

MAPPING = """
[[document]]
path = "paket/{key}/**"
package = "paket/{key}"
"""


class DocumentsAgent(Daemon):
    """One kembar-agent with a source `documents`, and a source `postgres` when it is given one."""

    PROGRAM = "kembar-agent"

    def write_config(self, cluster, uploads, documents="", mapping=MAPPING, postgres=""):
        """`documents`, `postgres`: lines of these sections."""
        with open(os.path.join(self.folder, "mapping.toml"), "w", encoding="utf-8") as out:
            out.write(mapping)
        nodes = ", ".join(f'"{node.address}"' for node in cluster)
        with open(self.config_path, "w", encoding="utf-8") as out:
            out.write(f'[agent]\nname = "{self.name}"\nnodes = [{nodes}]\nlog = "{cluster.log}"\n'
                      f'http = "127.0.0.1:{self.http_port}"\n{postgres}\n'
                      f'[documents]\nname = "{self.name}"\ndir = "{uploads}"\nsettle_ms = 200\n'
                      f'mapping = "mapping.toml"\n{documents}\n')
        return self

    def documents(self, name):
        """A metric of the source; None when nobody answers."""
        return self.metric(f"kembar_agent_documents_{name}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def snapshot(root):
    """Path (bytes) to content, mode and time of every regular file."""
    files = {}
    root = os.fsencode(root)
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            relative = os.path.relpath(path, root)
            facts = os.stat(path)
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[relative] = (digest, facts.st_mode & 0o7777, facts.st_mtime_ns)
    return files


class DocumentsCase(ClusterTest):
    def setUp(self):
        super().setUp()
        self.agents = []
        self.addCleanup(self.stop_agents)
        seed = int(os.environ.get("KEMBAR_SEED", random.SystemRandom().randrange(1 << 32)))
        say(f"seed {seed} (KEMBAR_SEED={seed} repeats the choices)")
        self.random = random.Random(seed)
        self.uploads = self.path("uploads")
        os.mkdir(self.uploads)

    def stop_agents(self):
        for agent in self.agents:
            agent.stop()
            if self.show_logs():
                print(f"--- log of the agent\n{agent.log_tail(40)}", flush=True)

    def start_agent(self, cluster, more="canary_every_s = 0", **options):
        agent = DocumentsAgent("uji", self.path(f"agent{len(self.agents)}"))
        self.agents.append(agent)
        return agent.write_config(cluster, self.uploads, more, **options).start()

    def write(self, path, content, mode=0o640):
        path = os.path.join(os.fsencode(self.uploads), os.fsencode(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, mode)
        moment = self.random.randrange(1_500_000_000, 1_700_000_000) * 10**9
        moment += self.random.randrange(10**9)
        os.utime(path, ns=(moment, moment))
        return path

    def content(self, size):
        return self.random.randbytes(size)

    def compare_documents(self, cluster, *options, seconds=300):
        return cluster.try_ctl("--output", "json", "compare", "documents", *options, seconds=seconds)

    def identical(self, cluster, seconds=60):
        """Until the directory and the log are the same."""
        seen = {}

        def same():
            done = self.compare_documents(cluster, "--dir", self.uploads)
            if done.out.strip():
                seen.update(json.loads(done.out))
            return done.code == 0

        try:
            wait_for("directory and log to be the same", same, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(seen)[:1500]}") from error

    def restore_documents(self, cluster, *options, name="restored"):
        target = self.path(name)
        done = cluster.try_ctl("--output", "json", "restore", "documents", "--to", target, *options,
                               seconds=900)
        self.assertEqual(done.code, 0, str(done))
        return target, done.json()
