#!/usr/bin/env python3
"""Chaos: real nodes under clients, while faults chosen by a seed are injected one after the other.
In the end every acknowledged record must be at every node, once, and every record that a failover
left behind in quarantine.

    python3 tests/e2e/chaos.py --seconds 1200 --seed 7 --nodes 3

The choices are the seed's; the moments are the machine's, so a run is not repeated exactly. The last
line sums up; exit status 1 if anything was not as it must be, and then the directory with logs, data,
acknowledgements (`acked`) and the diary of faults is kept.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

from chaos_check import Result
from chaos_faults import Faults
from chaos_world import World
from cluster import say

NAMES = ("tebo", "jambi", "pusat")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--nodes", type=int, choices=(2, 3), default=3)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--keep", action="store_true", help="keep the directory in any case")
    chosen = parser.parse_args()
    chosen.weather_rng = random.Random(f"{chosen.seed}/weather")
    return chosen


def inject(world, seconds):
    """Faults until the time is over or something is wrong already."""
    faults = Faults(world)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not world.violations:
        faults.next()


def summary(chosen, world, result):
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(world.counts.items()))
    commands = ", ".join(f"{what}s {world.commands[what]}" for what in ("failover", "switchover"))
    refused = sum(count for what, count in world.commands.items() if what.endswith("refused"))
    return (f"seconds {chosen.seconds:.0f} seed {chosen.seed}: faults {sum(world.counts.values())} ({kinds}), "
            f"acknowledged {result.acknowledged:,}, lost {result.lost}, doubled {result.doubled}, "
            f"quarantined {result.quarantined} = divergent {result.divergent}, {commands}, refused {refused}, "
            f"stale duplicates {world.book.stale_duplicates}")


def carry_out(chosen, world):
    """Returns the summary, or None when the run did not come to its end."""
    try:
        world.begin()
        inject(world, chosen.seconds)
        world.end()
        return summary(chosen, world, Result(world))
    except Exception:  # whatever it was, what the nodes say is wanted with it
        traceback.print_exc()
        say(world.describe())
        for node in world.cluster:
            say(f"--- log of {node.name} ({node.address})\n{node.log_tail()}")
        return None


def main():
    chosen = options()
    say(f"seed {chosen.seed} (--seed {chosen.seed} repeats the choices), {chosen.nodes} nodes, "
        f"{chosen.seconds:.0f} s")
    folder = tempfile.mkdtemp(prefix="kembar-chaos-")
    world = World(folder, NAMES[:chosen.nodes], chosen, random.Random(chosen.seed))
    if world.small.trouble:
        say(f"full disk is left out: {world.small.trouble}")
    line = None
    try:
        line = carry_out(chosen, world)
    finally:
        failed = line is None or bool(world.violations)
        world.close(failed)
        if failed or chosen.keep or os.environ.get("KEMBAR_KEEP"):
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if line:
        say(line)
    say(f"FAILED: {len(world.violations)} violations" if failed else "passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
