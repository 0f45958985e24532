#!/usr/bin/env python3
"""Documents end to end: a real directory, kembar-agent, two real nodes, and the files back again, equal
by content, mode and time, while everything is killed at random.

KEMBAR_DOCUMENTS: how many files (default 300; 20000 for the large run). KEMBAR_DOCUMENTS_MB: size of
the largest ones (default 20).
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request

from cluster import PATIENCE, ClusterTest, die_with_parent, free_port, main, program, say, wait_for

FILES = int(os.environ.get("KEMBAR_DOCUMENTS", "300"))
LARGE = int(os.environ.get("KEMBAR_DOCUMENTS_MB", "20")) * 1_000_000
KILLS = 10  # at least; more while files are still being written
MAPPING = """
[[document]]
path = "paket/{key}/**"
package = "paket/{key}"
"""


class Agent:
    """One kembar-agent with a source `documents` only."""

    def __init__(self, folder, uploads, nodes, more=""):
        self.folder, self.process = folder, None
        self.http_port = free_port()
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "mapping.toml"), "w", encoding="utf-8") as out:
            out.write(MAPPING)
        self.config = os.path.join(folder, "agent.toml")
        listed = ", ".join(f'"{node}"' for node in nodes.split(","))
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(f'[agent]\nname = "uji"\nnodes = [{listed}]\n'
                      f'http = "127.0.0.1:{self.http_port}"\n'
                      f'[documents]\nname = "uji"\ndir = "{uploads}"\nsettle_ms = 200\n'
                      f'mapping = "mapping.toml"\n{more}\n')

    def start(self):
        with open(os.path.join(self.folder, "agent.log"), "ab") as log:
            self.process = subprocess.Popen(
                [program("kembar-agent"), "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=die_with_parent)
        return self

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20 * PATIENCE)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as a:
                return a.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def metric(self, name):
        for line in self.get("/metrics").splitlines():
            if line.startswith(f"kembar_agent_documents_{name}{{"):
                return float(line.rsplit(" ", 1)[1])
        return None


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


class DocumentsTest(ClusterTest):
    def setUp(self):
        super().setUp()
        self.agents = []
        self.addCleanup(self.stop_agents)
        self.random = random.Random(2019)
        self.uploads = self.path("uploads")
        os.mkdir(self.uploads)

    def stop_agents(self):
        for agent in self.agents:
            if agent.running():
                agent.kill9()
            if os.environ.get("KEMBAR_SHOW_LOGS"):
                with open(os.path.join(agent.folder, "agent.log"), encoding="utf-8") as log:
                    print("--- agent log\n" + log.read()[-4000:], flush=True)

    def start_agent(self, cluster, more="canary_every_s = 0"):
        agent = Agent(self.path(f"agent{len(self.agents)}"), self.uploads, cluster.addresses, more)
        self.agents.append(agent)
        return agent.start()

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

    def identical(self, cluster, seconds=60):
        """Until the directory and the log are the same."""
        seen = {}

        def same():
            done = cluster.try_ctl("--output", "json", "compare", "documents", "--dir", self.uploads,
                                   seconds=300)
            if done.out.strip():
                seen.update(json.loads(done.out))
            return done.code == 0

        try:
            wait_for("directory and log to be the same", same, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(seen)[:1500]}") from error

    def restore(self, cluster, *options, name="restored"):
        target = self.path(name)
        done = cluster.try_ctl("--output", "json", "restore", "documents", "--to", target, *options,
                               seconds=900)
        self.assertEqual(done.code, 0, str(done))
        return target, done.json()

    def test_the_life_of_files(self):
        cluster = self.start_cluster("tebo", "jambi")
        self.write("paket/1/empty", b"")
        self.write("paket/1/one", b"1", mode=0o600)
        self.write("paket/1/large.rhs", self.content(3_500_000))
        self.write(b"lain/\xff\xfe name", b"x")
        os.link(os.path.join(self.uploads, "paket/1/one"),
                os.path.join(self.uploads, "paket/1/linked"))
        os.symlink("/etc/passwd", os.path.join(self.uploads, "passwd"))
        os.symlink("/etc", os.path.join(self.uploads, "etc"))
        agent = self.start_agent(cluster)
        self.identical(cluster)
        self.assertEqual(agent.metric("files"), 5)
        self.assertEqual(agent.metric("symlinks"), 2)
        sent = agent.metric("bytes_sent_total")

        # A moved directory and an identical upload move no content.
        os.rename(os.path.join(self.uploads, "paket/1"), os.path.join(self.uploads, "paket/2"))
        self.write("paket/3/copy.rhs", read(os.path.join(self.uploads, "paket/2/large.rhs")))
        self.identical(cluster)
        self.assertEqual(agent.metric("bytes_sent_total"), sent)
        packages = {p["package"]: p for p in cluster.packages()}
        self.assertEqual(packages["paket/2"]["documents"], 4)
        self.assertEqual(packages["paket/3"]["documents"], 1)

        # A file that grows is recorded once, when it rests.
        index = cluster.status()["last_index"]
        with open(os.path.join(self.uploads, "growing"), "wb") as out:
            for _ in range(20):
                out.write(self.content(50_000))
                out.flush()
                self.assertNotIn("document/growing", self.items(cluster, "-"))
        self.identical(cluster)
        self.assertEqual(cluster.status()["last_index"], index + 1)

        # A deletion is a version: the file is still there as of before.
        before = cluster.status()["last_index"]
        gone = os.path.join(self.uploads, "growing")
        content = read(gone)
        os.remove(gone)
        self.identical(cluster)
        target, report = self.restore(cluster, "--as-of", before, name="before")
        self.assertEqual(report["missing"], [])
        self.assertEqual(read(os.path.join(target, "growing")), content)
        self.check_restore(cluster)
        self.assertEqual(agent.terminate(), 0)
        say("files of all kinds: recorded, moved, grown, deleted, restored")

    def items(self, cluster, package):
        done = cluster.try_ctl("--output", "json", "package", "show", package)
        return [item["item"] for item in done.json()["items"]] if done.code == 0 else []

    def check_restore(self, cluster):
        target, report = self.restore(cluster)
        expected = snapshot(self.uploads)
        self.assertEqual(snapshot(target), expected)
        self.assertEqual(report["files"], len(expected))
        _, again = self.restore(cluster)
        self.assertEqual((again["files"], again["skipped"]), (0, len(expected)))
        one, only = self.restore(cluster, "--package", "paket/3", name="one-package")
        self.assertEqual((only["files"], list(snapshot(one))), (1, [b"paket/3/copy.rhs"]))
        damaged = os.path.join(target, "paket/3/copy.rhs")
        os.chmod(damaged, 0o600)
        with open(damaged, "r+b") as file:
            file.write(b"!")
        done = cluster.try_ctl("--output", "json", "compare", "documents", "--dir", target)
        self.assertEqual(done.code, 1)
        self.assertEqual([p["package"] for p in done.json()["missing"] + done.json()["differing"]],
                         ["paket/3"])
        done = cluster.try_ctl("--output", "json", "restore", "documents", "--to", target)
        self.assertEqual((done.code, len(done.json()["refused"])), (1, 1))
        self.restore(cluster, "--overwrite")
        self.assertEqual(snapshot(target), expected)

    def test_an_empty_mount_is_no_deletion(self):
        cluster = self.start_cluster("tebo", "jambi")
        for i in range(20):
            self.write(f"paket/{i}/a", self.content(100))
        agent = self.start_agent(cluster, "canary_every_s = 3600")
        wait_for("the canary", lambda: agent.metric("canary_age_seconds") not in (None, float("inf")))
        self.identical(cluster)
        agent.kill9()
        away = self.path("away")
        os.rename(self.uploads, away)
        os.mkdir(self.uploads)
        agent.start()
        wait_for("the deletions to be held", lambda: agent.metric("held_deletions") == 21)
        self.assertIn("critical: ", agent.get("/healthz"))
        agent.kill9()
        os.rmdir(self.uploads)
        os.rename(away, self.uploads)
        agent.start()
        self.identical(cluster)
        wait_for("nothing to be held", lambda: agent.metric("held_deletions") == 0)
        self.assertTrue(agent.get("/healthz").startswith("ok"), agent.get("/healthz"))
        say("an empty directory in the uploads' place: held, told, and nothing lost")

    def test_killed_at_random(self):
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster)
        done = threading.Event()
        writer = threading.Thread(target=self.write_many, args=(done,))
        writer.start()
        chaos = random.Random(int(os.environ.get("KEMBAR_SEED", "1")))
        chaos_pause = threading.Event()  # never set
        kills = 0
        while (not done.is_set() or kills < KILLS) and kills < 200:
            chaos_pause.wait(chaos.uniform(0.2, 1.2))
            victim = chaos.choice(["agent", "agent", "tebo", "jambi"])
            kills += 1
            if victim == "agent":
                agent.kill9()
                agent.start()
            else:
                cluster[victim].kill9()
                cluster[victim].start()
        writer.join()
        self.identical(cluster, seconds=120 + FILES / 20)
        expected = snapshot(self.uploads)
        target, report = self.restore(cluster)
        self.assertEqual(snapshot(target), expected)
        # The mirror alone has it all.
        cluster.wait_level()
        wait_for("the mirror to have every chunk", lambda: all(
            p["missing_documents"] == 0 for p in cluster.packages(at="jambi")), seconds=120)
        agent.kill9()
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        cluster.failover("jambi", "tebo")
        shutil.rmtree(target)
        target, report = self.restore(cluster)
        self.assertEqual(snapshot(target), expected)
        self.assertEqual(report["missing"], [])
        # Exit code 1: the destroyed site cannot be checked, and a check that cannot run has failed.
        verified = cluster.try_ctl("--output", "json", "verify", seconds=300).json()
        self.assertEqual([n["errors"] for n in verified["nodes"] if n["name"] == "jambi"], [[]])
        say(f"{len(expected)} files, {report['bytes'] / 1e6:.0f} MB, {kills} kills: restored equal from "
            "the mirror alone")

    def write_many(self, done):
        """Files of mixed sizes; some are moved, changed and deleted meanwhile."""
        made = []
        for i in range(FILES):
            kind = i % 100
            size = LARGE if i % 150 == 149 else 1_000_000 if kind == 50 else kind if kind < 5 else (
                self.random.randrange(1, 60_000))
            made.append(self.write(f"paket/{i % 40}/{i:05}.bin", self.content(size)))
            if kind == 30:
                os.remove(made.pop(self.random.randrange(len(made))))
            if kind == 60:
                self.write(os.path.relpath(made[0], os.fsencode(self.uploads)), self.content(2_000))
            if kind == 70:
                source = os.path.dirname(made[-1])
                target = source + b"-moved"
                if not os.path.exists(target):
                    os.rename(source, target)
                    made = [path for path in made if not path.startswith(source + b"/")]
        done.set()


if __name__ == "__main__":
    main()
