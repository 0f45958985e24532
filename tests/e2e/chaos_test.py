#!/usr/bin/env python3
"""The chaos program for KEMBAR_CHAOS_SECONDS (180): faults of all kinds one after the other, nothing
acknowledged lost or doubled, everything divergent in quarantine."""
import os
import re
import subprocess
import sys
import unittest

from cluster import main, say

SECONDS = int(os.environ.get("KEMBAR_CHAOS_SECONDS", "180"))
HERE = os.path.dirname(os.path.abspath(__file__))


class Chaos(unittest.TestCase):
    def test_nothing_acknowledged_is_lost_or_doubled(self):
        command = [sys.executable, "-B", os.path.join(HERE, "chaos.py"), "--seconds", str(SECONDS)]
        if os.environ.get("KEMBAR_SEED"):
            command += ["--seed", os.environ["KEMBAR_SEED"]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        say(done.stdout)
        self.assertEqual(done.returncode, 0, "see above")
        counts = re.search(r"acknowledged ([\d,]+), lost 0, doubled 0, quarantined (\d+) = divergent (\d+)",
                           done.stdout)
        self.assertIsNotNone(counts, "no summary")
        self.assertGreater(int(counts.group(1).replace(",", "")), 0)
        self.assertEqual(counts.group(2), counts.group(3))


if __name__ == "__main__":
    main()
