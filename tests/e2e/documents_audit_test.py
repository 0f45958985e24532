#!/usr/bin/env python3
"""The capture audit of documents: a file whose bytes were changed while size, mode and time are as before
is named by package, by the agent's own audit and by `kembarctl audit --dir`, and recorded anew; so is what
the log lost, and what it has too much is deleted there. A record that nobody can read is named, and keeps
no other document from being captured, compared or restored.
"""
import json
import os
import signal

from cluster import main, say, wait_for
from documents_case import DocumentsCase, read, snapshot

AUDIT = "audit/documents/uji"
QUIET = "canary_every_s = 0\naudit_every_s = 0"


class DocumentsAuditTest(DocumentsCase):
    def setUp(self):
        super().setUp()
        self.cluster = self.start_cluster("tebo", "jambi")
        for package in (1, 2):
            for name in ("a.pdf", "b.pdf"):
                self.write(f"paket/{package}/{name}", self.content(1_500_000 if name == "a.pdf" else 10))

    def change_unseen(self, path):
        """One byte in the middle; size, mode and time are put back."""
        path = os.path.join(self.uploads, path)
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(before.st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def audits(self):
        """The agent's, the oldest first."""
        return [json.loads(record["payload"])["files"] for record in self.cluster.records()
                if record["item"] == AUDIT]

    def append_document(self, package, payload):
        self.cluster.ctl("append", "--package", package, "--item", "document/" + payload["path"],
                         "--file", self.path("document.json", json.dumps(payload)))

    def audit(self, *options):
        done = self.cluster.try_ctl("--output", "json", "audit", *options)
        return done.code, done.json()["files"] if done.out.strip() else None

    def audit_dir(self):
        return self.audit("--dir", self.uploads)

    def ask_audit(self, agent):
        """One that began after now; returns its result."""
        before = len(self.audits())
        agent.process.send_signal(signal.SIGUSR1)
        return wait_for("an audit", lambda: self.audits()[before:])[0]

    def check_directory_is_equal(self):
        files = {}

        def equal():
            code, seen = self.audit_dir()
            files.update(seen or {})
            return code == 0 and not files["unsettled"]

        wait_for("an equal audit of the directory", equal, 60)
        self.assertEqual((files["files"], files["equal"], files["troubles"]), (4, True, []))

    def check_never_audited(self):
        """Another source's audit says nothing of this one, and what an audit does not say is not equal."""
        def told():
            done = self.cluster.try_ctl("audit")
            self.assertEqual(done.code, 1, str(done))
            return done

        done = told()
        self.assertIn("documents/uji was never audited", done.err)
        self.assertIn("SIGUSR1", done.err)
        self.assertEqual(done.out, "documents/uji: never\n")
        for payload in ({"files": {"files": 0}}, {"files": []}, {"tables": []}, {}):
            self.append_audit("documents/lain", payload)
            self.assertIn("documents/lain", told().err, str(payload))
        self.append_audit("documents/lain", {"files": {"files": 0, "equal": True}})
        self.assertIn("documents/uji was never audited", told().err)
        code, files = self.audit("--source", "documents/lain")
        self.assertEqual((code, files), (0, {"files": 0, "equal": True}))

    def append_audit(self, source, payload):
        self.cluster.ctl("append", "--package", "-", "--item", "audit/" + source,
                         "--file", self.path("audit.json", json.dumps(payload)))

    def test_what_changed_unseen(self):
        agent = self.start_agent(self.cluster, QUIET)
        self.identical(self.cluster)
        self.assertEqual(agent.terminate(), 0)
        index = self.cluster.status()["last_index"]
        self.change_unseen("paket/1/a.pdf")

        # Right after the change it is not judged; once it has rested it is told.
        trouble = {"package": "paket/1", "path": "paket/1/a.pdf", "what": "content"}
        wait_for("kembarctl to tell it", lambda: self.audit_dir()[0] == 1, 60)
        code, files = self.audit_dir()
        self.assertEqual((code, files["differing"], files["missing"], files["extra"]), (1, 1, 0, 0))
        self.assertEqual(files["troubles"], [trouble])
        shown = self.cluster.try_ctl("audit", "--dir", self.uploads)
        self.assertIn("paket/1/a.pdf", shown.out)
        self.assertIn("equal: NO", shown.out)

        # A restart alone sees nothing; an audit does, by itself.
        agent.write_config(self.cluster, self.uploads, "canary_every_s = 0\naudit_every_s = 1").start()
        found = wait_for("the agent's audit to tell it",
                         lambda: [a for a in self.audits() if not a["equal"]])[0]
        self.assertEqual((found["differing"], found["troubles"]), (1, [trouble]))
        wait_for("the next audit to be equal", lambda: self.audits()[-1]["equal"])
        self.assertEqual(agent.documents("audit_repaired_total"), 1)
        wait_for("no alarm", lambda: agent.get("/healthz")[0] == 200)
        recorded = [r for r in self.cluster.records()
                    if r["item"].startswith("document/") and int(r["index"]) > index]
        self.assertEqual([r["package"] for r in recorded], ["paket/1"], "recorded anew, and nothing else")
        self.check_directory_is_equal()
        code, files = self.audit()
        self.assertEqual((code, files["equal"], files["files"]), (0, True, 4))
        target, _ = self.restore_documents(self.cluster)
        for name in ("paket/1/a.pdf", "paket/2/a.pdf"):
            self.assertEqual(read(os.path.join(target, name)), read(os.path.join(self.uploads, name)))
        say("bytes changed with size, mode and time put back: named by both audits, recorded anew")

    def test_what_the_log_lost_or_has_too_much(self):
        agent = self.start_agent(self.cluster, QUIET)
        self.identical(self.cluster)
        self.check_never_audited()
        self.assertTrue(self.ask_audit(agent)["equal"])
        self.assertEqual(self.audit()[0], 0)
        # By somebody else than the agent, so that only an audit can see it: one document becomes
        # another source's, one was never in the directory.
        item = "document/paket/1/b.pdf"
        payload = json.loads([r for r in self.cluster.records() if r["item"] == item][-1]["payload"])
        self.append_document("paket/1", dict(payload, source="import/uji"))
        self.append_document("paket/9", dict(payload, path="paket/9/hantu.pdf"))
        # A scan that `import manual` brought was never in the directory, and is not missing there.
        self.append_document("paket/9", dict(payload, path="manual/spk.pdf", source="import/manual"))
        # The directory's files were written just before: until they have rested they are not judged.
        files = wait_for("kembarctl to judge all", lambda: [
            f for _, f in [self.audit_dir()] if f and not f["unsettled"]], 60)[0]
        self.assertEqual((files["missing"], files["extra"], files["differing"]), (1, 1, 0))
        self.assertEqual({t["path"]: t["what"] for t in files["troubles"]},
                         {"paket/1/b.pdf": "missing", "paket/9/hantu.pdf": "extra"})
        found = self.ask_audit(agent)
        self.assertEqual((found["missing"], found["extra"], found["differing"]), (1, 1, 0))
        self.assertEqual({t["path"]: t["package"] for t in found["troubles"]},
                         {"paket/1/b.pdf": "paket/1", "paket/9/hantu.pdf": "paket/9"})
        wait_for("an equal audit to follow", lambda: self.audits()[-1]["equal"])
        self.check_directory_is_equal()
        self.identical(self.cluster)
        self.assertEqual(self.audit()[0], 0)
        say("what the log lost is recorded again, what it had too much is deleted there")

    def test_a_record_that_cannot_be_read(self):
        agent = self.start_agent(self.cluster, QUIET)
        self.identical(self.cluster)
        odd = {"paket/2": "paket/2/b.pdf", "paket/8": "document/../x", "paket/9": "hantu.pdf"}
        for package, path in odd.items():
            item = path if path.startswith("document/") else "document/" + path
            self.cluster.ctl("append", "--package", package, "--item", item,
                             "--file", self.path("odd.json", "{}"))
        why = "its record cannot be read"

        def check(identical):
            told = [(package, path, why) for package, path in odd.items()]
            expected = {"identical": identical, "differing": 0, "missing": len(odd), "extra": 0}
            seen = {}

            def same():
                done = self.compare_documents(self.cluster, "--dir", self.uploads)
                self.assertEqual(done.code, 1, str(done))
                seen.update(done.json())
                return seen["documents"] == expected

            wait_for("all others to be the same", same, 60)
            found = [(p["package"], d["path"], d["what"]) for p in seen["missing"] + seen["differing"]
                     for d in p["documents"]]
            self.assertEqual(sorted(found), told)
            return told

        # One of them stands where the agent's own record stood: once it reads them, that file is new.
        self.write("paket/3/c.pdf", self.content(10))
        check(identical=4)
        self.assertEqual(agent.terminate(), 0)
        agent.start()
        del odd["paket/2"]
        told = check(identical=5)
        target = self.path("restored")
        done = self.cluster.try_ctl("--output", "json", "restore", "documents", "--to", target)
        self.assertEqual(done.code, 1, str(done))
        report = done.json()
        self.assertEqual(sorted((m["package"], m["path"], m["why"]) for m in report["missing"]), told)
        self.assertEqual((report["files"], snapshot(target)), (5, snapshot(self.uploads)))
        shown = self.cluster.try_ctl("restore", "documents", "--to", target)
        self.assertEqual(shown.code, 1, str(shown))
        self.assertIn(why, shown.out)
        say("records that nobody can read: named, all else captured, compared and restored")


if __name__ == "__main__":
    main()
