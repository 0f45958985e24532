#!/usr/bin/env python3
"""What people and machines do wrong: each gets one clear line and a non-zero exit code, and nothing
that was acknowledged is lost."""
import os
import shutil
import socket
import subprocess

import rows
import wal
from cluster import ClusterTest, main, program, run, say, wait_for

GOOD = '{"id":%d,"nama":"Paket %d","total_pagu":1000000}'


class BadFiles(ClusterTest):
    def setUp(self):
        super().setUp()
        self.cluster = self.start_cluster("tebo", "jambi")

    def test_truncated_file_imports_nothing(self):
        text = rows.read_text(self.sample())
        path = self.path("cut.json", text[:len(text) // 2])
        done = self.cluster.try_ctl("--output", "json", "import", "rup", path)
        self.assert_one_line_error(done, path, "truncated", "nothing was imported", code=1)
        self.assertEqual(self.cluster.packages(), [])
        say("truncated file: refused as a whole, 0 packages")

    def test_one_broken_row_is_named_and_the_rest_goes_in(self):
        pieces = [GOOD % (n, n) for n in range(1, 11)]
        pieces[3] = '{"nama":"no id"}'
        path = self.path("one-broken.json", "[" + ",".join(pieces) + "]")
        done = self.cluster.try_ctl("--output", "json", "import", "rup", path)
        self.assertEqual(done.code, 1, str(done))
        result = done.json()
        self.assertEqual((result["read"], result["appended"]), (10, 9))
        self.assertEqual([(r["file"], r["row"]) for r in result["rejected"]], [(path, 4)])
        self.assertIn("id", result["rejected"][0]["reason"])
        self.assertIn("4", done.err)
        self.assertEqual(len(self.cluster.packages()), 9)
        say(f"one broken row of 10: 9 appended, row 4 rejected: {result['rejected'][0]['reason']}")

    def test_a_row_that_is_no_json_is_named_and_the_rest_goes_in(self):
        pieces = [GOOD % (1, 1), '{"id":2,"nama":tru}', GOOD % (3, 3)]
        path = self.path("bad-token.json", "[" + ",".join(pieces) + "]")
        done = self.cluster.try_ctl("--output", "json", "import", "rup", path)
        self.assertEqual(done.code, 1, str(done))
        self.assertEqual([r["row"] for r in done.json()["rejected"]], [2])
        self.assertEqual({p["package"] for p in self.cluster.packages()}, {"rup/1", "rup/3"})
        say("one row that is not JSON: 2 appended, row 2 rejected")

    def test_files_that_are_not_what_they_should_be(self):
        for name, content in (("empty.json", ""), ("object.json", "{}"), ("text.json", "hello")):
            done = self.cluster.try_ctl("import", "rup", self.path(name, content))
            self.assert_one_line_error(done, name)
        done = self.cluster.try_ctl("import", "rup", self.path("absent.json"))
        self.assert_one_line_error(done, "absent.json")
        self.assertEqual(self.cluster.packages(), [])
        say("empty, other JSON, text, absent: 4 refused")


class BadOptions(ClusterTest):
    def test_unknown_options(self):
        for name in ("kembard", "kembarctl", "kembar-bench"):
            done = run(program(name), "--no-such-option")
            self.assert_one_line_error(done, "no-such-option", code=2)
        done = run(program("kembarctl"), "status", "--no-such-option")
        self.assert_one_line_error(done, "no-such-option", code=2)
        say("unknown option: 4 refused with exit code 2")

    def test_nobody_answers(self):
        cluster = self.make_cluster("tebo")
        done = cluster.try_ctl("--timeout", "2", "status")
        self.assert_one_line_error(done, cluster["tebo"].address)


class BadStart(ClusterTest):
    def one_node(self, **options):
        cluster = self.make_cluster("tebo", **options)
        return cluster["tebo"]

    def test_port_in_use(self):
        node = self.one_node()
        for port in (node.port, node.http_port):
            with socket.create_server(("127.0.0.1", port)):
                self.assert_one_line_error(node.start_refused(), str(port), code=1)
        node.start()
        self.assertEqual(node.terminate(), 0)
        say("port in use: refused for gRPC and for HTTP, starts once it is free")

    def test_directory_in_use(self):
        first = self.one_node()
        first.start()
        second = self.one_node()
        second.data = first.data
        second.write_config([])
        self.assert_one_line_error(second.start_refused(), first.data, "in use", code=1)
        self.assertTrue(first.running())
        say("data directory in use: refused; the node that has it goes on")

    def test_directory_of_a_newer_format(self):
        node = self.one_node()
        node.start()
        self.assertEqual(node.terminate(), 0)
        wal.rewrite(node.data, b"\x07\x00format\x011", b"\x07\x00format\x019")
        for _ in range(2):  # the first refusal must not have made it readable
            self.assert_one_line_error(node.start_refused(), node.data, "format 9", code=1)
        say("newer format: refused, each time")

    def test_directory_that_cannot_be_made(self):
        node = self.one_node()
        node.data = self.path("file", "not a directory") + "/data"
        node.write_config([])
        self.assert_one_line_error(node.start_refused(), node.data, code=1)

    def test_bad_configurations(self):
        node = self.one_node()
        with open(node.config_path, encoding="utf-8") as handle:
            good = handle.read()
        cases = [
            (good.replace("[node]", "[node"), ":1:"),
            (good.replace("data =", "dta ="), "dta"),
            (good.replace("heartbeat_ms = 100", "heartbeat_ms = 0"), "heartbeat_ms"),
            (good.replace('listen = "127', 'listen = "no port" #'), "listen"),
            (good + "\n[nonsense]\n", "nonsense"),
            ("\x00\x01\x02", ""),
        ]
        for text, word in cases:
            with open(node.config_path, "w", encoding="utf-8") as out:
                out.write(text)
            done = node.start_refused()
            self.assert_one_line_error(done, node.config_path, word, code=1)
        self.assertFalse(os.path.exists(node.data), "a refused node made its data directory")
        os.remove(node.config_path)
        self.assert_one_line_error(node.start_refused(), node.config_path, code=1)
        say(f"corrupt configuration: {len(cases) + 1} refused, each with file and key or line")


class FullDisk(ClusterTest):
    """The primary's data directory lies on a small file system of its own."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0 or shutil.which("mount") is None:
            self.skipTest("a small tmpfs can be mounted by root only")
        self.mount = self.path("small")
        os.mkdir(self.mount)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", self.mount],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        # Runs before the nodes are stopped by ClusterTest's own clean-up, so detach lazily.
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount], check=False)
        self.cluster = self.make_cluster("tebo", "jambi")
        tebo = self.cluster["tebo"]
        tebo.data = os.path.join(self.mount, "data")
        tebo.write_config([("jambi", self.cluster["jambi"].address)], limits='write_buffer = "4MiB"')
        self.cluster.start()
        self.cluster.create_log("tebo")
        self.acknowledged = {}

    def append(self, position, size=1000, seconds=3):
        content = f"{position:08d}" * (size // 8)
        done = self.cluster.append(f"item-{position}", content, "--source", "s", "--position",
                                   str(position), "--timeout", str(seconds))
        if done.code == 0:
            self.acknowledged[position] = content
        return done

    def fill(self, leave):
        """Takes all but `leave` bytes of the file system."""
        space = os.statvfs(self.mount)
        size = max(0, space.f_bavail * space.f_frsize - leave)
        path = os.path.join(self.mount, "filler")
        with open(path, "wb") as out:
            while size > 0:
                piece = min(size, 1 << 20)
                try:
                    out.write(b"\xff" * piece)
                    out.flush()
                except OSError:
                    break
                size -= piece
        return path

    def check_nothing_lost(self):
        self.cluster.wait_level()
        for node in ("tebo", "jambi"):
            found = {r["position"]: r["payload"] for r in self.cluster.records(node)
                     if r["source"] == "s"}
            for position, content in self.acknowledged.items():
                self.assertEqual(found.get(position), content, f"position {position} at {node}")

    def test_nearly_full_refuses_and_goes_on_after_space_is_freed(self):
        self.assertEqual(self.append(1).code, 0)
        filler = self.fill(leave=8 << 20)  # the reserve is 16 MiB
        refused = wait_for("appends to be refused", lambda: self.refused_by(2))
        self.assert_one_line_error(refused, "disk")
        self.assertEqual(self.cluster.try_ctl("check").code, 2)
        os.remove(filler)
        wait_for("appends to be taken again", lambda: self.append(50_000).code == 0)
        self.check_nothing_lost()
        say(f"nearly full: refused with {refused.err.strip()!r}; {len(self.acknowledged)} acknowledged, "
            "lost 0")

    def refused_by(self, position):
        """Positions only grow, so each try is a new one; until the watch has seen the disk, some pass."""
        done = self.append(position + len(self.acknowledged))
        return done if done.code != 0 else None

    def taken_after_restart(self, position):
        """A node whose store failed to write stops by itself; whoever watches it starts it again."""
        tebo = self.cluster["tebo"]
        if not tebo.running():
            self.assertEqual(tebo.process.returncode, 1)
            self.assertIn("No space left on device", tebo.log_tail(1))
            tebo.start()
        return self.append(position).code == 0

    def test_full_at_once_loses_nothing(self):
        for position in range(1, 6):
            self.assertEqual(self.append(position).code, 0)
        filler = self.fill(leave=0)
        self.assertEqual(os.statvfs(self.mount).f_bavail, 0)
        # RocksDB has set some space of its log file aside, so the first appends may still fit.
        position = 6
        while (done := self.append(position, size=4 << 20)).code == 0:
            position += 1
            self.assertLess(position, 40, "appends are acknowledged without space")
        os.remove(filler)
        wait_for("appends to be taken again", lambda: self.taken_after_restart(position + 1))
        self.check_nothing_lost()
        say(f"full at once: refused with {done.err.strip()!r}; {len(self.acknowledged)} acknowledged, "
            "lost 0")


if __name__ == "__main__":
    main()
