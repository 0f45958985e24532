#!/usr/bin/env python3
"""Documents end to end: a real directory, kembar-agent, two real nodes, and the files back again, equal
by content, mode and time, while everything is killed at random.

The large run (20,000 files, 2 GB): KEMBAR_DOCUMENTS=20000 KEMBAR_DOCUMENTS_MB=200
KEMBAR_DOCUMENTS_KILLS=100 python3 tests/e2e/documents_test.py DocumentsTest.test_killed_at_random

KEMBAR_DOCUMENTS: how many files. KEMBAR_DOCUMENTS_MB: size of the largest ones. KEMBAR_DOCUMENTS_KILLS:
kills at least; more while files are still being written. KEMBAR_DOCUMENTS_PAUSE: seconds between them at
most.
"""
import os
import random
import shutil
import threading
import time

from cluster import main, say, wait_for
from documents_case import DocumentsCase, read, snapshot

FILES = int(os.environ.get("KEMBAR_DOCUMENTS", "300"))
LARGEST = int(os.environ.get("KEMBAR_DOCUMENTS_MB", "20")) * 1_000_000
KILLS = int(os.environ.get("KEMBAR_DOCUMENTS_KILLS", "10"))
PAUSE_S = float(os.environ.get("KEMBAR_DOCUMENTS_PAUSE", "1.2"))


class DocumentsTest(DocumentsCase):
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
        self.assertEqual(agent.documents("files"), 5)
        self.assertEqual(agent.documents("symlinks"), 2)
        sent = agent.documents("bytes_sent_total")

        # A moved directory and an identical upload move no content.
        os.rename(os.path.join(self.uploads, "paket/1"), os.path.join(self.uploads, "paket/2"))
        self.write("paket/3/copy.rhs", read(os.path.join(self.uploads, "paket/2/large.rhs")))
        self.identical(cluster)
        self.assertEqual(agent.documents("bytes_sent_total"), sent)
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
        target, report = self.restore_documents(cluster, "--as-of", before, name="before")
        self.assertEqual(report["missing"], [])
        self.assertEqual(read(os.path.join(target, "growing")), content)
        self.check_restore(cluster)
        self.assertEqual(agent.terminate(), 0)
        say("files of all kinds: recorded, moved, grown, deleted, restored")

    def items(self, cluster, package):
        done = cluster.try_ctl("--output", "json", "package", "show", package)
        return [item["item"] for item in done.json()["items"]] if done.code == 0 else []

    def check_restore(self, cluster):
        target, report = self.restore_documents(cluster)
        expected = snapshot(self.uploads)
        self.assertEqual(snapshot(target), expected)
        self.assertEqual(report["files"], len(expected))
        _, again = self.restore_documents(cluster)
        self.assertEqual((again["files"], again["skipped"]), (0, len(expected)))
        one, only = self.restore_documents(cluster, "--package", "paket/3", name="one-package")
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
        self.restore_documents(cluster, "--overwrite")
        self.assertEqual(snapshot(target), expected)

    def test_an_empty_mount_is_no_deletion(self):
        cluster = self.start_cluster("tebo", "jambi")
        for i in range(20):
            self.write(f"paket/{i}/a", self.content(100))
        agent = self.start_agent(cluster, "canary_every_s = 3600")
        wait_for("the canary", lambda: agent.documents("canary_age_seconds") not in (None, float("inf")))
        self.identical(cluster)
        agent.kill9()
        away = self.path("away")
        os.rename(self.uploads, away)
        os.mkdir(self.uploads)
        agent.start()
        wait_for("the deletions to be held", lambda: agent.documents("held_deletions") == 21)
        self.assertIn("critical: ", agent.get("/healthz")[1])
        agent.kill9()
        os.rmdir(self.uploads)
        os.rename(away, self.uploads)
        agent.start()
        self.identical(cluster)
        wait_for("nothing to be held", lambda: agent.documents("held_deletions") == 0)
        self.assertEqual(agent.get("/healthz")[0], 200, agent.get("/healthz"))
        say("an empty directory in the uploads' place: held, told, and nothing lost")

    def test_killed_at_random(self):
        began = time.monotonic()
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster)
        done = threading.Event()
        writer = threading.Thread(target=self.write_many, args=(done,))
        writer.start()
        kills = self.kill_at_random(cluster, agent, done)
        writer.join()
        self.identical(cluster, seconds=120 + FILES / 20)
        level_s = time.monotonic() - began
        self.upload_again(cluster, agent)
        expected = snapshot(self.uploads)
        target, report = self.restore_documents(cluster)
        self.assertEqual(snapshot(target), expected)
        shutil.rmtree(target)
        restore_s = report["seconds"]
        report = self.check_mirror_alone(cluster, agent, expected)
        say(f"{len(expected)} files, {report['bytes'] / 1e6:.0f} MB, {kills} kills: in the log after "
            f"{level_s:.0f} s, restored equal in {restore_s:.0f} s, from the mirror alone in "
            f"{report['seconds']:.0f} s")

    def kill_at_random(self, cluster, agent, done):
        """Until everything is written, and `KILLS` times at least. Returns how often."""
        chaos = random.Random(self.random.randrange(1 << 32))
        pause = threading.Event()  # never set
        kills = 0
        while not done.is_set() or kills < KILLS:
            pause.wait(chaos.uniform(0.2, PAUSE_S))
            victim = chaos.choice([agent, agent, *cluster])
            victim.kill9()
            victim.start(wait=False)
            kills += 1
        for each in (agent, *cluster):
            wait_for(f"{each.name} to listen", each._listens)
        return kills

    def upload_again(self, cluster, agent):
        """The largest file once more, under another name: no content moves."""
        files = [os.path.join(folder, name) for folder, _, names in os.walk(self.uploads)
                 for name in names]
        largest = max(files, key=os.path.getsize)
        sent, known = agent.documents("bytes_sent_total"), agent.documents("chunks_known_total")
        self.write("paket/lagi/besar.bin", read(largest))
        self.identical(cluster)
        self.assertEqual(agent.documents("bytes_sent_total"), sent)
        self.assertGreater(agent.documents("chunks_known_total"), known)

    def check_mirror_alone(self, cluster, agent, expected):
        """The primary's site is destroyed: everything comes back from the mirror."""
        cluster.wait_level()
        wait_for("the mirror to have every chunk", lambda: all(
            p["missing_documents"] == 0 for p in cluster.packages(at="jambi")), seconds=120)
        agent.kill9()
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        cluster.failover("jambi", "tebo")
        target, report = self.restore_documents(cluster)
        self.assertEqual(snapshot(target), expected)
        self.assertEqual(report["missing"], [])
        # Exit code 1: the destroyed site cannot be checked, and a check that cannot run has failed.
        verified = cluster.try_ctl("--output", "json", "verify", seconds=600).json()
        self.assertEqual([n["errors"] for n in verified["nodes"] if n["name"] == "jambi"], [[]])
        return report

    def size_of(self, i):
        """1 byte to LARGEST; 100 KB on average."""
        if i % 5_000 == 299:
            return LARGEST
        if i % 100 == 50:
            return 1_000_000
        return i % 100 if i % 100 < 5 else self.random.randrange(1, 100_000)

    def write_many(self, done):
        """Files of mixed sizes; some are moved, changed and deleted meanwhile."""
        made = []
        for i in range(FILES):
            kind = i % 100
            made.append(self.write(f"paket/{i % 40}/{i:05}.bin", self.content(self.size_of(i))))
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
