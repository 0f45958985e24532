"""Clients that append without pause, and the check that what was acknowledged to them is there: every
source position, in order, once, with its own content.

kembar-bench writes one line "SOURCE POSITION INDEX SHA256" into its --acked file after each
acknowledgement, so that the file is what the clients know, whatever happens to the nodes.
"""
import collections
import hashlib
import os
import signal
import subprocess

from cluster import LOG, PATIENCE, die_with_parent, payload_of, program, wait_for

CLIENTS = 16


class Load:
    """One kembar-bench with 16 clients, each a source of its own."""

    def __init__(self, cluster, name, clients=CLIENTS):
        self.name, self.acked_path = name, os.path.join(cluster.folder, f"{name}.acked")
        self.log_path = os.path.join(cluster.folder, f"{name}.log")
        self._cluster, self._clients = cluster, clients
        self._process = None
        open(self.acked_path, "wb").close()

    def start(self):
        with open(self.log_path, "wb") as log:
            self._process = subprocess.Popen(
                [program("kembar-bench"), "append", "--node", self._cluster.addresses, "--log", LOG,
                 "--clients", str(self._clients), "--seconds", "3600", "--size", "200",
                 "--source", self.name, "--acked", self.acked_path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        return self

    def count(self):
        """How many appends were acknowledged so far."""
        with open(self.acked_path, "rb") as acked:
            return acked.read().count(b"\n")

    def wait_acked(self, count, seconds=30):
        """Until that many were acknowledged."""
        def reached():
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"kembar-bench ended by itself: {self.output()}")
            now = self.count()
            return now if now >= count else None

        return wait_for(f"{count} acknowledgements of {self.name}", reached, seconds)

    def stop(self):
        """Ends the clients where they are; what is not acknowledged by then is nobody's promise."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=20 * PATIENCE)

    def output(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def acked(self):
        """{source: [(position, index, sha256)]} in the order of acknowledgement."""
        found = collections.defaultdict(list)
        with open(self.acked_path, encoding="ascii") as acked:
            for line in acked:
                if line.endswith("\n"):  # the last may be torn by the kill
                    source, position, index, digest = line.split()
                    found[source].append((int(position), int(index), digest))
        return found


def check_acked(test, acked, records, where):
    """Every acknowledged append is among `records`: in order, once, whole. Returns how many."""
    held = collections.defaultdict(list)
    for record in records:
        if record["source"]:
            held[record["source"]].append(record)
    count = 0
    for source, appends in acked.items():
        positions = [r["position"] for r in held[source]]
        test.assertEqual(positions, sorted(set(positions)), f"{source} at {where}: order, doubles")
        by_position = {r["position"]: r for r in held[source]}
        for position, index, digest in appends:
            record = by_position.get(position)
            test.assertIsNotNone(record, f"{source} position {position} is lost at {where}")
            test.assertEqual(record["index"], index, f"{source} position {position} at {where}")
            content = hashlib.sha256(payload_of(record)).hexdigest()
            test.assertEqual(content, digest, f"{source} position {position} at {where}")
            count += 1
    return count
