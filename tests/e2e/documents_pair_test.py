#!/usr/bin/env python3
"""Database and documents restored as of one index: a pair in which no row refers to a file that is not
there, whatever was uploaded and deleted since, and though rows and files are captured apart.
"""
import hashlib
import json
import os
import re

from cluster import main, payload_of, say, wait_for
from documents_case import DocumentsAgent, DocumentsCase, read
from pg_case import DATABASE, OFTEN, LogTail, PgTest

STEPS = int(os.environ.get("KEMBAR_ROUNDS", "40"))
PAIRS = 4
BASE = "/srv/uploads/"
SCHEMA = """
CREATE TABLE paket (id int PRIMARY KEY, nama text, pagu numeric);
CREATE TABLE dokumen (id int PRIMARY KEY, pkt_id int REFERENCES paket, path text, sha256 text);
INSERT INTO paket SELECT n, 'Paket ' || n, n * 1000000 FROM generate_series(1, 5) n;
"""
MAPPING = f"""
[[package]]
table = "public.paket"
prefix = "paket/"
title = "nama"
value = "pagu"
[[member]]
table = "public.dokumen"
column = "pkt_id"
parent = "public.paket"
[[document_column]]
table = "public.dokumen"
column = "path"
base = "{BASE}"
"""


class DocumentsPairTest(PgTest, DocumentsCase):
    def setUp(self):
        super().setUp()
        self.server = self.start_server()
        self.server.create_database(DATABASE)
        self.server.sql(DATABASE, SCHEMA)
        self.cluster = self.start_cluster("tebo", "jambi")
        self.uploaded = {}  # id to path, of what is there now
        for number in range(10):
            self.upload(number)
        self.agent = self.start_pair_agent()

    def start_pair_agent(self):
        agent = DocumentsAgent("uji", self.path("agent"))
        self.agents.append(agent)
        often = "".join(f"{key} = {value}\n" for key, value in OFTEN.items())
        agent.write_config(
            self.cluster, self.uploads, "canary_every_s = 0\nreferences_every_s = 1\n", MAPPING,
            f'[postgres]\nname = "uji"\ndsn = "{self.server.dsn(DATABASE)}"\n'
            f'mapping = "mapping.toml"\n{often}')
        agent.server, agent.database, agent.cluster = self.server, DATABASE, self.cluster
        agent.tail = LogTail(self.cluster)
        return agent.start()

    def upload(self, number):
        """As SPSE does: the file first, then the row."""
        content = self.content(self.random.randrange(1, 5_000))
        path = f"{number % 7}/berkas {number}.pdf"
        self.write(path, content)
        self.server.sql(DATABASE, f"INSERT INTO dokumen VALUES ({number}, {1 + number % 5}, '{BASE}{path}', "
                                  f"'{hashlib.sha256(content).hexdigest()}')")
        self.uploaded[number] = path

    def delete(self, number):
        """The row and the file, in either order; a file that is gone before it was recorded is lost."""
        item = "document/" + self.uploaded[number].replace(" ", "%20")
        wait_for(f"{item} to be in the log", lambda: self.agent.tail.update().latest.get(item))
        steps = [lambda: self.server.sql(DATABASE, f"DELETE FROM dokumen WHERE id = {number}"),
                 lambda: os.remove(os.path.join(self.uploads, self.uploaded[number]))]
        self.random.shuffle(steps)
        for step in steps:
            step()
        del self.uploaded[number]

    def restore_pair(self, as_of, number):
        """The two commands of docs/restore.md. Returns what the second says, and where the files are."""
        database = f"pulih{number}"
        dsn = self.server.create_database(database)
        first = self.cluster.ctl("--yes", "restore", "postgres", "--dsn", dsn, "--as-of", as_of, seconds=120)
        boundary = re.search(r"restore documents --to DIR --as-of (\d+)", first.err).group(1)
        target, report = self.restore_documents(self.cluster, "--as-of", boundary, name=database)
        done = self.compare_documents(self.cluster, "--dir", target, "--as-of", boundary)
        self.assertEqual(done.code, 0, str(done))
        return database, target, report

    def check_pair(self, database, target):
        """Every row's file is there and the right one. Returns their paths."""
        rows = self.server.rows(database, "SELECT path, sha256 FROM dokumen ORDER BY id")
        paths = [path[len(BASE):] for path, _ in rows]
        for path, (_, digest) in zip(paths, rows):
            content = read(os.path.join(target, path))
            self.assertEqual(hashlib.sha256(content).hexdigest(), digest, path)
        return paths

    def check_references(self, begin):
        """What a row refers to stands in its batch: no package looks whole in between."""
        due, seen = set(), 0
        for record in self.cluster.records():
            if record["index"] <= begin or record["kind"] != "put":
                continue
            if record["item"].startswith("row/public.dokumen/"):
                due.add("reference/" + json.loads(payload_of(record))["path"][len(BASE):].replace(" ", "%20"))
                seen += 1
            elif record["item"].startswith("reference/"):
                due.discard(record["item"])
            elif record["item"].startswith("transaction/postgres/"):
                self.assertEqual(due, set(), f"at record {record['index']}")
        self.assertGreaterEqual(seen, STEPS)

    def moment_between(self):
        """A transaction boundary whose newest row refers to a document that is not recorded yet."""
        documents, found = set(), []
        newest = None
        for record in self.cluster.records():
            if record["kind"] != "put":
                continue
            if record["item"].startswith("document/"):
                documents.add(record["item"])
            elif record["item"].startswith("row/public.dokumen/"):
                newest = record
            elif record["item"].startswith("transaction/postgres/") and newest:
                path = json.loads(payload_of(newest))["path"][len(BASE):].replace(" ", "%20")
                if f"document/{path}" not in documents:
                    found.append(record["index"])
                newest = None
        return self.random.choice(found)

    def test_a_pair_of_any_index(self):
        self.wait_captured(self.agent)
        begin = self.cluster.status()["last_index"]
        for number in range(10, 10 + STEPS):
            self.upload(number)
            if self.random.random() < 0.5:
                self.delete(self.random.choice(list(self.uploaded)))
        self.wait_captured(self.agent)
        self.identical(self.cluster)
        end = self.cluster.status()["last_index"]
        self.check_references(begin)
        now = set(self.uploaded.values())
        referenced, deleted_since, rows = 0, 0, 0
        picks = [self.random.randrange(begin, end) for _ in range(PAIRS - 2)]
        picks += [self.moment_between(), end]
        for number, as_of in enumerate(picks):
            database, target, report = self.restore_pair(as_of, number)
            self.assertEqual((report["missing"], report["dangling"]), ([], []), f"as of {as_of}")
            paths = self.check_pair(database, target)
            referenced += report["referenced"]
            deleted_since += len(set(paths) - now)
            rows += len(paths)
        self.assertEqual(set(paths), now)
        self.assertGreater(deleted_since, 0)
        self.assertGreater(referenced, 0)
        say(f"{PAIRS} pairs as of records {picks}: {rows} rows, each with its file; {deleted_since} of them "
            f"deleted since, {referenced} recorded after their row or deleted before it")
        whole = self.check_whole_cut()
        self.check_dangling()
        self.check_cut_without(whole)

    def newest_cut(self):
        return self.cluster.ctl_json("cut", "list", "--last", "1")[0]

    def check_whole_cut(self):
        """Nothing changes any more: the newest cut is whole, and restores to what is there."""
        cut = wait_for("a whole cut", lambda: (lambda c: c if c["whole"] else None)(self.newest_cut()))
        database, target, report = self.restore_pair("cut", "cut")
        self.assertEqual((report["referenced"], report["dangling"]), (0, []))
        self.assertEqual(set(self.check_pair(database, target)), set(self.uploaded.values()))
        audit = self.cluster.ctl_json("audit", "--dsn", self.server.dsn(DATABASE), "--dir", self.uploads, seconds=120)
        self.assertTrue(audit["files"]["equal"], audit)
        self.assertTrue(audit["tables"] and all(table["equal"] for table in audit["tables"]), audit)
        return cut["index"]

    def check_cut_without(self, whole):
        """A cut at which a document is missing says so, and is passed over."""
        row = self.cluster.status()["last_index"]
        cut = wait_for("a cut after it", lambda: (lambda c: c if c["index"] > row else None)(self.newest_cut()))
        self.assertFalse(cut["whole"])
        self.assertEqual(cut["missing_documents"], 1)
        self.assertIn("paket/3", cut["missing"])
        done = self.cluster.ctl("--yes", "restore", "postgres", "--dsn", self.server.create_database("potong"),
                                "--as-of", "cut", seconds=120)
        taken = int(re.search(r"--as-of (\d+)", done.err).group(1))
        self.assertGreaterEqual(taken, whole)
        self.assertLess(taken, row)
        self.assertEqual(self.server.rows("potong", "SELECT count(*) FROM dokumen WHERE id = 9999"), [["0"]])

    def check_dangling(self):
        """A row whose file never came is named."""
        self.server.sql(DATABASE, f"INSERT INTO dokumen VALUES (9999, 3, '{BASE}hilang.pdf', '')")
        self.wait_captured(self.agent)
        _, report = self.restore_documents(self.cluster)
        self.assertEqual([(d["package"], d["path"]) for d in report["dangling"]],
                         [("paket/3", "hilang.pdf")])


if __name__ == "__main__":
    main()
