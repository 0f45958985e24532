#!/usr/bin/env python3
"""The main job: tender data is loaded, the primary's site is destroyed, the tool fails over, and every
package is there, byte for byte as the files have it, which is found out without the importer."""
import collections
import glob
import os
import unittest

import rows
from cluster import ClusterTest, main, payload_of, say

YEARS = (2014, 2015, 2017)


def contents(records):
    """The set of payloads of each package."""
    found = collections.defaultdict(set)
    for record in records:
        if record["kind"] == "put":
            found[record["package"]].add(payload_of(record))
    return found


class MainJob(ClusterTest):
    def import_twice(self, cluster, kind, files, rows_read):
        first = cluster.ctl_json("import", kind, *files, seconds=300)
        self.assertEqual(first["read"], rows_read)
        self.assertEqual(first["rejected"], [])
        self.assertEqual(first["appended"] + first["unchanged"], rows_read)
        second = cluster.ctl_json("import", kind, *files, seconds=300)
        self.assertEqual((second["read"], second["appended"]), (rows_read, 0))
        self.assertEqual(second["unchanged"], rows_read)
        return first

    def lose_primary(self, cluster):
        """Site tebo is destroyed; jambi takes over. The packages before and after."""
        before = cluster.packages()
        cluster["tebo"].kill9()
        cluster["tebo"].wipe()
        result = cluster.failover("jambi", "tebo")
        self.assertEqual((result["primary"], result["lost"]), ("jambi", "none"))
        after = cluster.packages()
        missing = {p["package"] for p in before} - {p["package"] for p in after}
        self.assertEqual(missing, set())

        def fixed(packages):
            return [{k: v for k, v in p.items() if k != "state"} for p in packages]

        self.assertEqual(fixed(after), fixed(before))
        return before, after

    def check_content(self, cluster, wanted):
        """`wanted`: (package or None, bytes) of every row of the files."""
        found = contents(cluster.records())
        by_package = collections.defaultdict(set)
        for package, content in wanted:
            if package is not None:
                by_package[package].add(content)
        for package, payloads in by_package.items():
            self.assertEqual(found[package], payloads, package)
        everything = set().union(*found.values())
        self.assertEqual(everything, {content for _, content in wanted})
        return len(by_package)

    def rejoin_empty(self, cluster):
        cluster["tebo"].start()
        cluster.wait_level()
        self.assertEqual(cluster.records("tebo"), cluster.records("jambi"))

    def run_job(self, kind, files, wanted):
        cluster = self.start_cluster("tebo", "jambi")
        first = self.import_twice(cluster, kind, files, len(wanted))
        before, after = self.lose_primary(cluster)
        checked = self.check_content(cluster, wanted)
        self.rejoin_empty(cluster)
        say(f"{kind}: {len(wanted)} rows read, {first['appended']} appended; packages before "
            f"{len(before)}, after {len(after)}, missing 0; content of {checked} compared")
        return before

    def real_data(self):
        folder = rows.data_dir()
        if folder is None:
            self.skipTest("the real tender data is absent: no ../shared/data beside the repository")
        return folder

    def test_sample(self):
        path = self.sample()
        packages = self.run_job("rup", [path], rows.rup_rows(path))
        self.assertEqual(len(packages), 500)

    def test_rup(self):
        folder = self.real_data()
        files = [os.path.join(folder, f"rup-lombok-tengah-{year}.json") for year in YEARS]
        packages = self.run_job("rup", files, [row for path in files for row in rows.rup_rows(path)])
        self.assertEqual(len(packages), 6_436)

    def test_ocds(self):
        files = sorted(glob.glob(os.path.join(self.real_data(), "ocds-kota-bandung", "*.json")))
        packages = self.run_job("ocds", files, [row for path in files for row in rows.ocds_rows(path)])
        self.assertEqual(len(packages), 2_000)

    def test_isb(self):
        files = sorted(glob.glob(os.path.join(self.real_data(), "isb-kab-bandung-2025", "*.json")))
        wanted = [row for path in files for row in rows.isb_rows(path)]
        packages = self.run_job("isb", files, wanted)
        tenders = {name for name, _ in wanted if name}
        self.assertLessEqual(tenders, {p["package"] for p in packages})


class RowsThemselves(unittest.TestCase):
    """The comparison above rests on these."""

    def test_slices_are_exact(self):
        text = ' [ {"id": 1, "a":"x\\r\\n"} ,\n{"id":2}]'
        self.assertEqual([piece for _, piece in rows.array_slices(text)[0]],
                         ['{"id": 1, "a":"x\\r\\n"}', '{"id":2}'])

    def test_member_is_found(self):
        text = '{"uri":"x","list":[{"n":[]}], "releases":[{"ocid":"a"}]}'
        self.assertEqual(rows.member_slices(text, "releases"), [({"ocid": "a"}, '{"ocid":"a"}')])


if __name__ == "__main__":
    main()
