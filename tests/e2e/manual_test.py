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
        self.check_semicolons(cluster)
        self.check_attachments(cluster)
        self.check_attachments_from_elsewhere(cluster)
        self.check_attachment_of_a_long_name(cluster)
        self.check_what_cannot_be_read(cluster)
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

        self.check_correction_of_the_package(cluster)

    def check_correction_of_the_package(self, cluster):
        def package(name):
            found = {p["package"]: p for p in cluster.packages()}[name]
            return found["title"], found["value"], found["unit"]

        corrected = ROWS[0].replace("Rehab jalan, ruas 1", "Rehab jalan, ruas 2").replace(
            "150000000", "155000000")
        self.import_(cluster, self.path("corrected.csv", HEADER + corrected))
        self.assertEqual(package("paket/1001"), ("Rehab jalan, ruas 2", "155000000", "Dinas PUPR"))
        # What came from elsewhere stays, what is lacking is said.
        item = self.path("row.json", "{}")
        cluster.ctl("append", "--package", "paket/1010", "--item", "row", "--file", item,
                    "--title", "Jembatan", "--value", "900")
        row = ROWS[0].replace("1001", "1010").replace("027", "050")
        self.import_(cluster, self.path("captured.csv", HEADER + row))
        self.assertEqual(package("paket/1010"), ("Jembatan", "900", "Dinas PUPR"))
        row = row.replace("150000000", "151000000").replace("Dinas PUPR", "Dinas PU")
        self.import_(cluster, self.path("captured.csv", HEADER + row))
        self.assertEqual(package("paket/1010"), ("Jembatan", "900", "Dinas PU"))

    def check_rejects(self, cluster):
        path = self.path("broken.csv", HEADER + BROKEN + '"open\r\n' + ROWS[0].replace("027", "030"))
        outcome = self.import_(cluster, path, code=1)
        self.assertEqual((outcome["read"], outcome["appended"]), (3, 1))
        self.assertEqual([(r["row"], r["file"]) for r in outcome["rejected"]], [(2, path), (3, path)])
        self.assertIn('"value"', outcome["rejected"][0]["reason"])
        long_unit = ROWS[0].replace("Dinas PUPR", "D" * 1025).replace("027", "032")
        path = self.path("long.csv", HEADER + long_unit + ROWS[0].replace("027", "030"))
        outcome = self.import_(cluster, path, code=1)
        self.assertEqual((outcome["read"], outcome["unchanged"]), (2, 1))
        self.assertIn('"unit"', outcome["rejected"][0]["reason"])
        done = cluster.try_ctl("import", "manual", self.path("odd.csv", "package;title\n"))
        self.assert_one_line_error(done, "unit", "missing", code=1)
        done = cluster.try_ctl("import", "manual", self.folder)
        self.assert_one_line_error(done, self.folder, "directory", code=1)
        done = cluster.try_ctl("append", "--package", "p", "--item", "i", "--file", self.folder)
        self.assert_one_line_error(done, self.folder, "directory", code=1)

    def check_semicolons(self, cluster):
        """As Excel with Indonesian settings saves it."""
        header = HEADER.replace(",", ";")
        row = ("paket/1005;Pagar, tahap 2;Dinas PUPR;RP. 75.000.000,-;Pengadaan Langsung;CV Maju;"
               '060/SPK/2019;05/08/2019;;"ba.txt;spk.txt"\r\n')
        self.path("ba.txt", "ba")
        self.path("spk.txt", "spk")
        outcome = self.import_(cluster, self.path("excel.csv", "\ufeff" + header + row))
        self.assertEqual((outcome["appended"], outcome["documents"]), (1, 2))
        recorded = self.listed(cluster)["060/SPK/2019"]
        self.assertEqual((recorded["title"], recorded["value"], recorded["contract_date"]),
                         ("Pagar, tahap 2", "75000000", "2019-08-05"))

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

    def check_attachments_from_elsewhere(self, cluster):
        folder = self.path("unit")
        os.makedirs(os.path.join(folder, "scan"))
        secret = self.path("secret", "secret")
        self.path("unit/scan/ba.pdf", "ba")
        os.symlink(secret, os.path.join(folder, "link.pdf"))
        os.symlink(self.folder, os.path.join(folder, "up"))
        names = [secret, "../secret", "scan/../../secret", "link.pdf", "up/secret", "scan/ba.pdf"]
        rows = [ROWS[0].replace("027", f"07{i}").replace(",,", f",,{name}")
                for i, name in enumerate(names)]
        path = self.path("unit/unit.csv", HEADER + "".join(rows))
        outcome = self.import_(cluster, path, code=1)
        self.assertEqual(sorted(r["row"] for r in outcome["rejected"]), [2, 3, 4, 5, 6])
        for reject in outcome["rejected"]:
            self.assertIn('"attachments"', reject["reason"])
        self.assertEqual((outcome["appended"], outcome["documents"]), (1, 1))
        self.assertIn("075/SPK/2019", self.listed(cluster))

    def check_attachment_of_a_long_name(self, cluster):
        """Its item is "document/~SHA256". An append of attachments alone is nobody's overwriting."""
        contract = "/".join(["SPK"] * 120)
        row = ROWS[0].replace("1001", "1006").replace("027/SPK/2019", contract)
        name = "berita acara " * 8 + ".pdf"
        self.path(name, "long")
        path = self.path("long.csv", HEADER + row.replace(",,", f",,{name}"))
        outcome = self.import_(cluster, path)
        self.assertEqual((outcome["appended"], outcome["documents"]), (1, 1))
        self.assertEqual(self.import_(cluster, path)["unchanged"], 1)
        items = [i["item"] for i in cluster.ctl_json("package", "show", "paket/1006")["items"]]
        document = next(item for item in items if item.startswith("document/~"))
        for _ in range(2):
            cluster.ctl("append", "--package", "paket/1006", "--item", document, "--file",
                        self.path("junk", "no document"))
            outcome = self.import_(cluster, path)
            self.assertEqual((outcome["appended"], outcome["documents"]), (1, 1))
        mark = ("manual", "entered", "--package", "paket/1006", "--contract", contract)
        self.assertTrue(cluster.ctl_json(*mark)["changed"])
        self.assertEqual(self.import_(cluster, path)["unchanged"], 1, "and it stays entered")
        path = self.path("long.csv", HEADER + row.replace(",,", f",,{name}").replace("CV", "PT"))
        self.assertEqual(self.import_(cluster, path)["appended"], 1)
        self.assertTrue(cluster.ctl_json(*mark)["changed"])

    def check_what_cannot_be_read(self, cluster):
        cluster.ctl("append", "--package", "paket/1007", "--item", "manual/080%2FSPK%2F2019",
                    "--file", self.path("junk", "no record"))
        done = cluster.try_ctl("--output", "json", "manual", "list")
        self.assertEqual(done.code, 0, str(done))
        warnings = done.err.strip().split("\n")
        self.assertEqual(len(warnings), 1, str(done))
        for word in ("warning", "paket/1007", "manual/080%2FSPK%2F2019"):
            self.assertIn(word, warnings[0])
        self.assertIn("028/SPK/2019", [row["contract_number"] for row in done.json()])
        rows = [ROWS[0].replace("1001", "1007").replace("027", number) for number in ("080", "081")]
        outcome = self.import_(cluster, self.path("unreadable.csv", HEADER + "".join(rows)), code=1)
        self.assertEqual(outcome["appended"], 1)
        self.assertEqual([r["row"] for r in outcome["rejected"]], [2])
        self.assertIn("manual/080%2FSPK%2F2019", outcome["rejected"][0]["reason"])
        mark = ("manual", "entered", "--package", "paket/1007", "--contract")
        done = cluster.try_ctl(*mark, "080/SPK/2019")
        self.assert_one_line_error(done, "paket/1007", "manual/080%2FSPK%2F2019", code=1)
        self.assertTrue(cluster.ctl_json(*mark, "081/SPK/2019")["changed"])

    def check_other_site(self, cluster):
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        cluster.failover("jambi", "tebo")
        path = self.path("later.csv", HEADER + ROWS[1].replace("028", "040"))
        self.assertEqual(self.import_(cluster, path)["appended"], 1)
        self.assertEqual(set(self.listed(cluster)),
                         {"027/SPK/2019", "028/SPK/2019", "030/SPK/2019", "031/SPK/2019",
                          "040/SPK/2019", "050/SPK/2019", "060/SPK/2019", "075/SPK/2019"})


if __name__ == "__main__":
    main()
