#!/usr/bin/env python3
"""A measurement: how long appends wait for their acknowledgement while a large document is on its way to
the mirror over a slow line, and without it. Both in one run, on one line, by kembar-bench.

    KEMBAR_BIN=build/bin python3 tests/e2e/document_latency.py

Environment: KEMBAR_MEGABYTES (500), KEMBAR_MBIT (20), KEMBAR_BENCH_SECONDS (20).
"""
import os

from cluster import LOG, main, program, run, say, wait_for
from documents_case import DocumentsCase
from rejoin_test import ProxiedTest

MEGABYTES = int(os.environ.get("KEMBAR_MEGABYTES", "500"))
MBIT = float(os.environ.get("KEMBAR_MBIT", "20"))
SECONDS = os.environ.get("KEMBAR_BENCH_SECONDS", "20")
ROUNDS = 3


class DocumentLatency(DocumentsCase, ProxiedTest):
    def test_latency(self):
        cluster, proxy = self.start_proxied(bytes_per_s=MBIT * 1e6 / 8)
        agent = self.start_agent(cluster)
        self.bench(cluster)  # warms up
        quiet = [self.bench(cluster) for _ in range(ROUNDS)]
        with open(os.path.join(self.uploads, "besar.rhs"), "wb") as out:
            for _ in range(MEGABYTES):
                out.write(self.random.randbytes(1 << 20))
        before = proxy.backward.bytes
        wait_for("the document to be on its way", lambda: proxy.backward.bytes > before + (4 << 20), 300)
        busy = [self.bench(cluster) for _ in range(ROUNDS)]
        on_its_way = agent.documents("pending")
        self.assertGreater(on_its_way, 0, "the document came too soon: more megabytes, or a slower line")
        for number, what in enumerate(("median", "p99")):
            one = sorted(row[number] for row in quiet)[ROUNDS // 2]
            two = sorted(row[number] for row in busy)[ROUNDS // 2]
            say(f"{what}: {one:.2f} ms without, {two:.2f} ms with {MEGABYTES} MB under way at {MBIT:g} Mbit/s: {two / one:.2f}x")

    def bench(self, cluster):
        """Median and 99th percentile in milliseconds."""
        done = run(program("kembar-bench"), "--output", "json", "--node", ",".join(n.address for n in cluster), "--log", LOG,
                   "append", "--clients", "2", "--seconds", SECONDS, "--source", f"bench{self.random.random()}", seconds=120)
        self.assertEqual(done.code, 0, str(done))
        figures = done.json()
        return figures["p50_ms"], figures["p99_ms"]


if __name__ == "__main__":
    main()
