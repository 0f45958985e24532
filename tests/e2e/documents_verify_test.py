#!/usr/bin/env python3
"""Damaged documents: what is missing, cut short or altered on one node's disk is named by package in
one `kembarctl verify`, fetched again from the other site, and whole after that.
"""
import glob
import os
import shutil

from cluster import main, say, wait_for
from documents_case import DocumentsCase, read, snapshot

HARM = ("missing", "truncated", "altered")
DOCUMENTS = {"dokumen.pdf": 2_500_000, "kecil.txt": 100}


def blob_files(node):
    return set(glob.glob(os.path.join(node.data, "blobs", "*.blob")))


def flip_inside(path, content):
    """Flips one bit in the middle of `content`, which stands somewhere in the file."""
    at = read(path).find(content)
    assert at >= 0, f"{path} does not hold it"
    with open(path, "r+b") as file:
        file.seek(at + len(content) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))


class DocumentsVerifyTest(DocumentsCase):
    def setUp(self):
        super().setUp()
        self.cluster = self.start_cluster("tebo", "jambi")
        self.agent = self.start_agent(self.cluster)

    def write_generations(self):
        """A package for each kind of harm, each in a blob file of its own at both nodes: a restart moves
        what the write-ahead log holds into a blob file."""
        files = {}
        for harm in HARM:
            contents = [self.content(size) for size in DOCUMENTS.values()]
            for name, content in zip(DOCUMENTS, contents):
                self.write(f"paket/{harm}/{name}", content)
            self.identical(self.cluster)
            for node in self.cluster:
                before = blob_files(node)
                self.assertEqual(node.terminate(), 0)
                node.start()
                new = blob_files(node) - before
                self.assertEqual(len(new), 1, f"{node.name}, {harm}")
                files[node.name, harm] = (new.pop(), contents)
            self.cluster.wait_level()
        return files

    def do_harm(self, node, files):
        """While the node is stopped."""
        path, _ = files[node.name, "missing"]
        os.remove(path)
        path, _ = files[node.name, "truncated"]
        os.truncate(path, os.path.getsize(path) // 2)
        path, contents = files[node.name, "altered"]
        for content in contents:
            flip_inside(path, content[:1 << 20])

    def verify(self, code):
        done = self.cluster.try_ctl("--output", "json", "verify", seconds=300)
        self.assertEqual(done.code, code, str(done))
        return {node["name"]: node for node in done.json()["nodes"]}

    def wait_whole(self, site):
        """Until every package is complete at that node."""
        def states():
            seen = {p["package"]: p["state"] for p in self.cluster.packages(at=site)}
            return all(state == "complete" for state in seen.values())

        wait_for(f"every package to be complete at {site}", states)

    def check_harm_is_named_and_mended(self, site, files):
        other = next(node.name for node in self.cluster if node.name != site)
        self.assertEqual(self.cluster[site].terminate(), 0)
        self.do_harm(self.cluster[site], files)
        self.cluster[site].start()
        self.cluster.wait_level()
        nodes = self.verify(code=1)
        self.assertEqual(nodes[other]["errors"], [])
        errors = nodes[site]["errors"]
        self.assertEqual(len(errors), len(HARM) * len(DOCUMENTS), errors)
        for harm in HARM:
            for name in DOCUMENTS:
                told = [e for e in errors if f"package paket/{harm} document paket/{harm}/{name} " in e]
                self.assertEqual(len(told), 1, errors)
                self.assertIn(f" is {harm}: ", told[0])
        self.wait_whole(site)
        nodes = self.verify(code=0)
        self.assertEqual(nodes[site]["blobs"], nodes[other]["blobs"])
        self.assertEqual([n["errors"] for n in nodes.values()], [[], []])
        for harm in HARM:
            shown = self.cluster.ctl_json("package", "show", f"paket/{harm}", "--at", site)
            self.assertEqual((shown["state"], shown["missing_documents"]), ("complete", 0))
            self.assertEqual({s["name"]: (s["state"], s["missing"]) for s in shown["sites"]},
                             {"tebo": ("complete", []), "jambi": ("complete", [])})

    def check_site_alone(self, site):
        """Everything comes from that site, the other is down."""
        other = next(node for node in self.cluster if node.name != site)
        other.kill9()
        target, report = self.restore_documents(self.cluster, "--at", site, name=f"from-{site}")
        self.assertEqual(report["missing"], [])
        self.assertEqual(snapshot(target), snapshot(self.uploads))
        other.start()
        self.cluster.wait_level()

    def test_damage_at_either_site_is_named_and_mended(self):
        files = self.write_generations()
        for site in ("tebo", "jambi"):
            self.check_harm_is_named_and_mended(site, files)
            self.check_site_alone(site)
            say(f"missing, truncated and altered documents at {site}: named by package in one verify, "
                "fetched again, verified, restored from there alone")

    def test_a_lost_store_of_chunks_is_filled_again(self):
        for i in range(20):
            self.write(f"paket/{i}/dokumen.pdf", self.content(50_000))
        self.write("paket/0/kosong", b"")
        self.identical(self.cluster)
        for node in self.cluster:
            self.assertEqual(node.terminate(), 0)
            shutil.rmtree(os.path.join(node.data, "blobs"))
            node.start()
            self.cluster.wait_level()
            self.wait_whole(node.name)
        nodes = self.verify(code=0)
        self.assertEqual([n["blobs"] for n in nodes.values()], [20, 20])
        self.check_site_alone("jambi")
        say("the whole directory of chunks lost at one site, then at the other: filled again unasked")

    def test_what_no_site_has_is_named_at_each(self):
        """So nothing can be fetched, until one site has it again."""
        self.write("paket/1/dokumen.pdf", self.content(10_000))
        self.write("paket/2/dokumen.pdf", self.content(10))
        self.identical(self.cluster)
        tebo, jambi = self.cluster
        for node in self.cluster:
            self.assertEqual(node.terminate(), 0)
        blobs, away = os.path.join(tebo.data, "blobs"), self.path("away")
        os.rename(blobs, away)
        shutil.rmtree(os.path.join(jambi.data, "blobs"))
        self.cluster.start()
        self.cluster.wait_level()
        for node in self.cluster:
            wait_for(f"the packages to be incomplete at {node.name}", lambda node=node: [
                p["package"] for p in self.cluster.ctl_json(
                    "package", "list", "--at", node.name, "--state", "incomplete")]
                == ["paket/1", "paket/2"])
            wait_for(f"{node.name} to count them", lambda node=node: node.labelled(
                "kembar_log_packages", state="incomplete") == 2)
        for site in self.cluster.ctl_json("package", "show", "paket/1")["sites"]:
            self.assertEqual((site["state"], site["missing"]),
                             ("incomplete", ["document/paket/1/dokumen.pdf"]), site["name"])
        self.assertEqual(tebo.terminate(), 0)
        shutil.rmtree(blobs)
        os.rename(away, blobs)
        tebo.start()
        self.cluster.wait_level()
        for node in self.cluster:
            self.wait_whole(node.name)
            wait_for(f"{node.name} to count them again", lambda node=node: node.labelled(
                "kembar_log_packages", state="complete") == 2)
        self.assertEqual(self.cluster.ctl_json("package", "list", "--state", "incomplete"), [])
        say("what no site has: named by package and document at both, counted, whole again with one")


if __name__ == "__main__":
    main()
