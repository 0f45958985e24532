#!/usr/bin/env python3
"""Manual procurement during an outage: CSV into the log of whichever site is up, once; attachments as
documents; listed until it is entered in SPSE."""
import hashlib
import os

from cluster import ClusterTest, main, say, wait_for

HEADER = ("package,title,unit,value,method,vendor,contract_number,contract_date,"
          "recommendation_letter,attachments\r\n")
ROWS = [
    'paket/1001,"Rehab jalan, ruas 1",Dinas PUPR,150000000,Pengadaan Langsung,CV Maju,027/SPK/2019,'
    '2019-08-05,,\r\n',
    'paket/1002,Obat,RSUD,"Rp 99.999.999,50",Pengadaan Langsung,PT Sehat,028/SPK/2019,06-08-2019,'
    '123/LKPP/2019,\r\n',
]
BROKEN = 'paket/1003,Salah,Dinas,150.000,PL,CV X,029,2019-08-05,,\r\n'


class Manual(ClusterTest):
    """The tests are the steps of one story, told in order."""

    def test_manual(self):
        cluster = self.start_cluster("tebo", "jambi")
        self.check_import(cluster)
        self.check_list_and_entered(cluster)
        self.check_correction(cluster)
        self.check_rejects(cluster)
        self.check_attachments(cluster)
        self.check_other_site(cluster)
        say("manual procurement: recorded once, corrected, entered, with attachments, at either site")

    def import_(self, cluster, path, code=0):
        done = cluster.try_ctl("--output", "json", "import", "manual", path)
        self.assertEqual(done.code, code, str(done))
        return done.json()

    def listed(self, cluster, *options):
        return {row["contract_number"]: row
                for row in cluster.ctl_json("manual", "list", *options)}

    def check_import(self, cluster):
        path = self.path("manual.csv", "\ufeff" + HEADER + "".join(ROWS))
        first = self.import_(cluster, path)
        self.assertEqual(first, {"read": 2, "appended": 2, "unchanged": 0, "rejected": [],
                                 "documents": 0})
        second = self.import_(cluster, path)
        self.assertEqual((second["appended"], second["unchanged"]), (0, 2))
        packages = {p["package"]: p for p in cluster.packages()}
        self.assertEqual(packages["paket/1001"]["title"], "Rehab jalan, ruas 1")
        self.assertEqual(packages["paket/1002"]["value"], "99999999.50")
        unit = packages["paket/1002"]["unit"]
        self.assertTrue(unit)
        found = cluster.ctl_json("package", "list", "--unit", unit[:4].upper())
        self.assertIn("paket/1002", [package["package"] for package in found])

    def check_list_and_entered(self, cluster):
        rows = self.listed(cluster)
        self.assertEqual(set(rows), {"027/SPK/2019", "028/SPK/2019"})
        self.assertEqual(rows["028/SPK/2019"]["contract_date"], "2019-08-06")
        self.assertEqual(rows["028/SPK/2019"]["recommendation_letter"], "123/LKPP/2019")
        mark = ("manual", "entered", "--package", "paket/1001", "--contract", "027/SPK/2019",
                "--spse-code", "10011868000")
        self.assertTrue(cluster.ctl_json(*mark)["changed"])
        self.assertFalse(cluster.ctl_json(*mark)["changed"])
        self.assertEqual(set(self.listed(cluster)), {"028/SPK/2019"})
        row = self.listed(cluster, "--all")["027/SPK/2019"]
        self.assertEqual((row["entered"], row["spse_code"]), (True, "10011868000"))
        self.assertIn("@", row["entered_by"])
        again = self.import_(cluster, self.path("manual.csv"))
        self.assertEqual((again["appended"], again["unchanged"]), (0, 2), "and stays entered")
        self.assertEqual(set(self.listed(cluster)), {"028/SPK/2019"})
        done = cluster.try_ctl("manual", "entered", "--package", "paket/1001", "--contract", "x")
        self.assert_one_line_error(done, "paket/1001", code=1)

    def check_correction(self, cluster):
        path = self.path("corrected.csv", HEADER + ROWS[0].replace("CV Maju", "CV Maju Jaya"))
        self.assertEqual(self.import_(cluster, path)["appended"], 1)
        row = self.listed(cluster)["027/SPK/2019"]
        self.assertEqual((row["vendor"], row["entered"]), ("CV Maju Jaya", False),
                         "what SPSE has is not this any more")
        shown = cluster.ctl_json("package", "show", "paket/1001")
        self.assertEqual([i["versions"] for i in shown["items"]], [3])

    def check_rejects(self, cluster):
        path = self.path("broken.csv", HEADER + BROKEN + '"open\r\n' + ROWS[0].replace("027", "030"))
        outcome = self.import_(cluster, path, code=1)
        self.assertEqual((outcome["read"], outcome["appended"]), (3, 1))
        self.assertEqual([(r["row"], r["file"]) for r in outcome["rejected"]], [(2, path), (3, path)])
        self.assertIn('"value"', outcome["rejected"][0]["reason"])
        done = cluster.try_ctl("import", "manual", self.path("odd.csv", "package;title\n"))
        self.assert_one_line_error(done, "commas", code=1)

    def check_attachments(self, cluster):
        content = os.urandom(3_000_000)
        self.path("ba hasil.pdf", content)
        row = ROWS[0].replace("027", "031").replace(",,", ",,ba hasil.pdf;spk.pdf")
        path = self.path("attached.csv", HEADER + row)
        outcome = self.import_(cluster, path, code=1)
        self.assertIn("spk.pdf", outcome["rejected"][0]["reason"])
        self.path("spk.pdf", "")
        outcome = self.import_(cluster, path)
        self.assertEqual((outcome["appended"], outcome["documents"]), (1, 2))
        self.assertEqual(self.import_(cluster, path)["unchanged"], 1)
        restored = self.path("restored")
        cluster.ctl("restore", "documents", "--to", restored)
        where = os.path.join(restored, "manual", "paket", "1001", "031%2FSPK%2F2019")
        with open(os.path.join(where, "ba hasil.pdf"), "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(content).digest())
        self.assertEqual(os.path.getsize(os.path.join(where, "spk.pdf")), 0)

        def complete():
            package = {p["package"]: p for p in cluster.packages()}["paket/1001"]
            return package["documents"] == 2 and package["missing_documents"] == 0

        wait_for("the package to be whole", complete)

    def check_other_site(self, cluster):
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        cluster.failover("jambi", "tebo")
        path = self.path("later.csv", HEADER + ROWS[1].replace("028", "040"))
        self.assertEqual(self.import_(cluster, path)["appended"], 1)
        self.assertEqual(set(self.listed(cluster)),
                         {"027/SPK/2019", "028/SPK/2019", "030/SPK/2019", "031/SPK/2019",
                          "040/SPK/2019"})


if __name__ == "__main__":
    main()
