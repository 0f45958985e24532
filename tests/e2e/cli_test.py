#!/usr/bin/env python3
"""The interfaces that outside checks rely on: JSON shapes, exit codes, --version, --help, completion,
gRPC health and reflection, and the HTTP pages."""
import json
import os
import re

import raw_grpc
from cluster import ClusterTest, main, program, run, say, wait_for

STATUS_KEYS = {"log", "epoch", "primary", "mode", "state", "nodes"}
NODE_KEYS = {"name", "address", "role", "reachable", "durable_index", "commit_index", "lag_records",
             "lag_seconds", "last_contact"}
PACKAGE_KEYS = {"package", "title", "value", "unit", "items", "documents", "missing_documents", "last_index",
                "state"}
PLUGIN_LINE = re.compile(r"^KEMBAR (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+ \| [^|]+\n$")
COMMANDS = ("status", "check", "import", "append", "log", "package", "failover", "switchover",
            "quarantine", "verify")


class Programs(ClusterTest):
    def test_version_and_help(self):
        for name in ("kembard", "kembarctl", "kembar-bench"):
            version = run(program(name), "--version")
            self.assertEqual(version.code, 0, str(version))
            self.assertRegex(version.out, rf"^{name} \d+\.\d+\.\d+\n$")
            help_text = run(program(name), "--help")
            self.assertEqual((help_text.code, help_text.err), (0, ""), str(help_text))
            self.assertIn(name, help_text.out)
        for command in COMMANDS:
            done = run(program("kembarctl"), command, "--help")
            self.assertEqual(done.code, 0, str(done))
            self.assertIn(command, done.out)

    def test_completion(self):
        done = run(program("kembarctl"), "completion", "bash")
        self.assertEqual(done.code, 0, str(done))
        script = self.path("completion.bash", done.out)
        check = run("bash", "-n", script)
        self.assertEqual(check.code, 0, str(check))
        for command in COMMANDS:
            self.assertIn(command, done.out)

    def test_wrong_usage(self):
        for args in ((), ("nonsense",), ("failover",), ("append", "--package", "p"),
                     ("package", "show"), ("--output", "xml", "status")):
            done = run(program("kembarctl"), "--node", "127.0.0.1:9", *args)
            self.assert_one_line_error(done, code=2)


class Shapes(ClusterTest):
    """One cluster; the tests are the steps of one story, told in order."""

    def test_shapes(self):
        cluster = self.start_cluster("tebo", "jambi")
        self.check_status(cluster)
        self.check_append_and_read(cluster)
        self.check_import_and_packages(cluster)
        self.check_as_of(cluster)
        self.check_verify(cluster)
        self.check_http_and_grpc(cluster)
        self.check_errors(cluster)
        self.check_failover(cluster)
        self.check_nobody(cluster)
        say("status, check, append, log read, import, package, verify, failover, health, HTTP: as written")

    def check_status(self, cluster):
        status = cluster.wait_state("protected")
        self.assertLessEqual(STATUS_KEYS, status.keys())
        self.assertEqual((status["log"], status["primary"]), ("tebo", "tebo"))
        self.assertEqual((status["epoch"], status["mode"]), (1, "max-protection"))
        self.assertEqual({n["name"] for n in status["nodes"]}, {"tebo", "jambi"})
        for node in status["nodes"]:
            self.assertLessEqual(NODE_KEYS, node.keys())
            self.assertTrue(node["reachable"])
            self.assertEqual(node["role"], "primary" if node["name"] == "tebo" else "mirror")
        done = wait_for("check to be content", lambda: self.check_says(cluster, 0))
        self.assertTrue(done.out.startswith("KEMBAR OK - "), str(done))
        table = cluster.ctl("status")
        self.assertIn("jambi", table.out)

    def check_says(self, cluster, code, *options):
        done = cluster.try_ctl(*options, "check")
        self.assertRegex(done.out, PLUGIN_LINE)
        return done if done.code == code else None

    def check_append_and_read(self, cluster):
        first = cluster.append("item-1", "isi é ①", "--source", "s", "--position", "7")
        self.assertEqual(first.code, 0, str(first))
        answer = first.json()
        self.assertLessEqual({"index", "epoch", "sites"}, answer.keys())
        self.assertEqual((answer["epoch"], answer["sites"]), (1, 2))
        again = cluster.append("item-1", "isi é ①", "--source", "s", "--position", "7").json()
        self.assertEqual(again["index"], answer["index"])
        records = cluster.records()
        self.assertEqual([r["index"] for r in records], list(range(1, len(records) + 1)))
        record = records[answer["index"] - 1]
        self.assertEqual((record["source"], record["position"]), ("s", 7))
        self.assertEqual((record["package"], record["item"]), ("test/1", "item-1"))
        self.assertEqual(record["payload"], "isi é ①")
        slice_ = cluster.ctl("log", "read", "--from", answer["index"], "--to", answer["index"])
        self.assertEqual(slice_.json_lines(), [record])

    def check_import_and_packages(self, cluster):
        path = self.path("two.json", '[{"id":1,"nama":"A","total_pagu":10.5},{"id":1,"nama":"B"},'
                                     '{"id":2,"nama":"C","total_pagu":"7"}]')
        first = cluster.ctl_json("import", "rup", path)
        self.assertEqual(first, {"read": 3, "appended": 3, "unchanged": 0, "rejected": []})
        second = cluster.ctl_json("import", "rup", path)
        self.assertEqual(second, {"read": 3, "appended": 0, "unchanged": 3, "rejected": []})
        packages = wait_for("packages to be complete", lambda: self.complete_packages(cluster))
        self.assertEqual(set(packages), {"rup/1", "rup/2", "test/1"})
        for package in packages.values():
            self.assertLessEqual(PACKAGE_KEYS, package.keys())
        self.assertEqual((packages["rup/1"]["title"], packages["rup/2"]["title"]), ("B", "C"))
        self.assertEqual(packages["rup/2"]["value"], "7")
        shown = cluster.ctl_json("package", "show", "rup/1", "--payload")
        self.assertEqual([(i["versions"], i["payload"]) for i in shown["items"]],
                         [(2, '{"id":1,"nama":"B"}')])
        history = cluster.ctl_json("package", "history", "rup/1")
        self.assertEqual([r["payload"] for r in history],
                         ['{"id":1,"nama":"A","total_pagu":10.5}', '{"id":1,"nama":"B"}'])

    def complete_packages(self, cluster):
        packages = {p["package"]: p for p in cluster.packages()}
        return packages if all(p["state"] == "complete" for p in packages.values()) else None

    def check_as_of(self, cluster):
        indices = [r["index"] for r in cluster.records() if r["package"] == "rup/1"]
        before = cluster.ctl_json("package", "list", "--as-of", indices[0] - 1)
        self.assertEqual({p["package"] for p in before}, {"test/1"})
        between = cluster.ctl_json("package", "list", "--as-of", indices[0])
        self.assertEqual({p["package"]: p["title"] for p in between}["rup/1"], "A")

    def check_verify(self, cluster):
        result = cluster.ctl_json("verify")
        self.assertEqual({n["name"] for n in result["nodes"]}, {"tebo", "jambi"})
        records = len(cluster.records())
        for node in result["nodes"]:
            self.assertLessEqual({"name", "records", "blobs", "errors"}, node.keys())
            self.assertEqual((node["records"], node["errors"]), (records, []))

    def check_http_and_grpc(self, cluster):
        for node in cluster:
            self.assertEqual(node.get("/healthz")[0], 200)
            code, metrics = node.get("/metrics")
            self.assertEqual(code, 200)
            self.assertIn("# TYPE kembar_", metrics)
            code, page = node.get("/")
            self.assertEqual(code, 200)
            self.assertIn("<html", page.lower())
            self.assertIn("tebo", page)
            self.assertEqual(node.get("/absent")[0], 404)
            self.assertTrue(raw_grpc.is_serving(node.address))
            self.assertTrue(raw_grpc.is_serving(node.address, "kembar.v1.Log"))
            listed = raw_grpc.services(node.address)
            for service in (b"kembar.v1.Log", b"kembar.v1.Admin", b"kembar.v1.Tender",
                            b"kembar.v1.Replication", b"grpc.health.v1.Health"):
                self.assertIn(service, listed)

    def check_errors(self, cluster):
        for args in (("package", "show", "rup/999"), ("--log", "absent", "status"),
                     ("log", "read", "--at", "absent"), ("package", "list", "--as-of", "999999"),
                     ("failover", "--to", "absent", "--yes"),
                     ("compare", "documents", "--dir", self.folder, "--package", "rup/999"),
                     ("restore", "documents", "--to", self.path("none"), "--package", "rup/999"),
                     ("audit",), ("audit", "--source", "documents/absent"),
                     ("append", "--package", "p", "--item", "i", "--file", "/absent")):
            self.assert_one_line_error(cluster.try_ctl("--timeout", "3", *args), code=1)
        self.assertFalse(os.path.exists(self.path("none")), "made for a package that is not known")
        for package in ("rup/1", "-"):
            cluster.ctl("restore", "documents", "--to", self.path("none"), "--package", package)
            cluster.ctl("compare", "documents", "--dir", self.path("none"), "--package", package)

    def check_failover(self, cluster):
        cluster["jambi"].kill9()
        done = wait_for("check to be CRITICAL", lambda: self.check_says(cluster, 2))
        self.assertIn("jambi", done.out)
        cluster["jambi"].start()
        cluster.wait_level()
        cluster["tebo"].kill9()
        done = wait_for("check to be CRITICAL", lambda: self.check_says(cluster, 2))
        self.assertIn("tebo", done.out)
        unsure = cluster.try_ctl("failover", "--to", "jambi", "--without", "tebo")
        self.assert_refused_without_answer(unsure)
        result = cluster.failover("jambi", "tebo")
        self.assertEqual(set(result), {"epoch", "primary", "from_index", "lost", "seconds"})
        self.assertEqual((result["primary"], result["lost"]), ("jambi", "none"))
        self.assertGreater(result["epoch"], 1)
        self.assertLess(result["seconds"], 5)
        self.assertEqual(cluster.ctl_json("quarantine", "list"), [])

    def assert_refused_without_answer(self, done):
        """Nobody typed the name of the site: standard input is at its end."""
        self.assertEqual(done.code, 1, str(done))
        self.assertIn("not confirmed", done.err)
        self.assertEqual(done.out, "")

    def check_nobody(self, cluster):
        cluster["jambi"].kill9()
        done = cluster.try_ctl("check")
        self.assertEqual(done.code, 3, str(done))
        self.assertTrue(done.out.startswith("KEMBAR UNKNOWN - "), str(done))
        self.assertEqual(done.out.count("\n"), 1)


class Hub(ClusterTest):
    """One mirror of two logs, whose primaries have nothing to do with each other."""

    def test_each_log_has_its_own_nodes(self):
        cluster = self.make_cluster("hub", "tebo", "bungo")
        cluster.start()
        for log in ("bungo", "tebo"):
            cluster.log = log
            cluster.ctl("log", "create", log, "--primary", f"{log}={cluster[log].address}",
                        "--mirror", f"hub={cluster['hub'].address}")
            cluster.wait_state("protected")
        self.assertEqual(cluster.append("item", "x").code, 0)
        shown = ("--log", "tebo", "package", "show", "test/1", "--at", "hub")
        wait_for("the mirror to know it committed", lambda: cluster.try_ctl(*shown).code == 0)
        self.check_nodes(cluster, {"hub", "tebo"})
        cluster["bungo"].kill9()  # and its silence is none of log tebo's business
        self.check_nodes(cluster, {"hub", "tebo"})
        cluster["tebo"].kill9()
        done = cluster.try_ctl("--log", "tebo", "verify")
        self.assertEqual(done.code, 1, str(done))
        self.assertIn("tebo: could not be checked", done.out)
        self.assertNotIn("bungo", done.out)
        say("a hub's logs: each is verified, shown and watched with its own nodes")

    def check_nodes(self, cluster, names):
        verified = cluster.ctl_json("--log", "tebo", "verify")
        self.assertEqual({n["name"] for n in verified["nodes"]}, names)
        shown = cluster.ctl_json("--log", "tebo", "package", "show", "test/1")
        self.assertEqual({s["name"]: s["error"] for s in shown["sites"]}, dict.fromkeys(names, ""))
        self.assertEqual({n["name"] for n in cluster.status()["nodes"]}, names)


class Cuts(ClusterTest):
    """Two databases feed one log: the cut of the documents is that of the rows."""

    def test_one_of_several_databases(self):
        cluster = self.start_cluster("tebo", "jambi")
        ends = {}
        for name in ("lama", "baru"):
            marker = {"lsn": "0/1", "xid": 1, "committed": None, "changes": 0, "part": 1, "last": True}
            path = self.path("marker.json", json.dumps(marker))
            for kind in ("cut", "transaction"):
                done = cluster.ctl_json("append", "--package", "-", "--item", f"{kind}/postgres/{name}",
                                        "--file", path)
            ends[f"postgres/{name}"] = done["index"]
        for command in (("restore", "documents", "--to"), ("compare", "documents", "--dir")):
            args = (*command, self.path("files"), "--as-of", "cut")
            self.assert_one_line_error(cluster.try_ctl(*args), "postgres/baru", "--source", code=1)
            for source, index in ends.items():
                done = cluster.ctl(*args, "--source", source)
                self.assertIn(f"as of the cut at record {index},", done.err)
        self.check_retired(cluster)
        say("of several databases the cut of the one that is named is taken; each wants an audit")

    def check_retired(self, cluster):
        """Nobody audited either; one that has ended need not be."""
        def audit():
            return cluster.try_ctl("audit")

        self.assertIn("source postgres/baru was never audited, and 1 more", audit().err)
        cluster.ctl("source", "retire", "postgres/baru")
        wait_for("only the other to want one", lambda: "postgres/baru" not in audit().err)
        self.assertIn("source postgres/lama was never audited (", audit().err)
        cluster.ctl("source", "retire", "postgres/lama")
        wait_for("none to be left", lambda: "nothing is captured" in audit().err)
        self.assert_one_line_error(audit(), code=1)


if __name__ == "__main__":
    main()
