#!/usr/bin/env python3
"""deploy/quickstart.sh with the programs that are built already: its last line, its exit codes, and
what it does to the directory that it is given."""
import os
import re

import rows
from cluster import BIN, SOURCE, ClusterTest, main, run, say

SCRIPT = os.path.join(SOURCE, "deploy", "quickstart.sh")


class Quickstart(ClusterTest):
    def quickstart(self, *args):
        return run(SCRIPT, *args, seconds=180, env={"KEMBAR_BIN": os.path.abspath(BIN)})

    def check_run(self, packages, *args):
        done = self.quickstart(*args, "--exit")
        self.assertEqual(done.code, 0, str(done))
        last = done.out.rstrip("\n").split("\n")[-1]
        self.assertEqual(last, f"packages before {packages}, after {packages}, missing 0")
        self.assertRegex(done.out, r"status page: http://")
        return done

    def no_process_left(self, folder):
        for site in ("tebo", "jambi"):
            with open(os.path.join(folder, site, "kembard.pid"), encoding="ascii") as handle:
                self.assertFalse(os.path.exists(f"/proc/{handle.read().strip()}"), site)

    def test_sample_twice_in_one_directory(self):
        folder = self.path("var")
        self.check_run(500, "--dir", folder)
        self.no_process_left(folder)
        self.check_run(500, "--dir", folder)
        self.no_process_left(folder)
        say("quickstart with the sample, twice in one directory: before 500, after 500, missing 0")

    def test_real_data(self):
        data = rows.data_dir()
        if data is None:
            self.skipTest("the real tender data is absent: no ../shared/data beside the repository")
        files = [os.path.join(data, f"rup-lombok-tengah-{year}.json") for year in (2014, 2015, 2017)]
        done = self.check_run(6436, "--dir", self.path("var"), "--data", *files)
        seconds = re.findall(r"\[ *([\d.]+) s\]", done.out)[-1]
        say(f"quickstart with real data: before 6436, after 6436, missing 0, in {seconds} s")

    def test_mistakes(self):
        foreign = self.path("foreign")
        os.mkdir(foreign)
        with open(os.path.join(foreign, "mine.txt"), "w", encoding="ascii") as out:
            out.write("keep")
        self.assert_one_line_error(self.quickstart("--nonsense"), "--nonsense", code=2)
        self.assert_one_line_error(self.quickstart("--data", "/absent.json"), "/absent.json")
        self.assert_one_line_error(self.quickstart("--dir", foreign, "--exit"), foreign)
        self.assertEqual(os.listdir(foreign), ["mine.txt"])
        say("unknown option, absent file, somebody else's directory: refused in one line, nothing touched")


if __name__ == "__main__":
    main()
