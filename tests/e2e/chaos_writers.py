"""The clients of a chaos run: each appends numbered records without end, repeats the same position until
it is acknowledged, and writes down what was."""
import collections
import hashlib
import os
import random
import threading
import time

from chaos_rpc import APPEND, Acknowledgement, Connection, Refused, append_request

RATE = 40  # appends a second of one writer, when all is well
POSITIONS_OF_A_PACKAGE = 40
PROBE, BULK = "probe-", "bulk-"  # sources besides the writers begin so
BULK_BYTES = 48 << 10  # fits into the window that a connection begins with
BULK_COUNT = 80        # together more than a node has set aside on its disk


def drafts_of(seed, source, position):
    """What this position holds, always the same: mostly one record, now and then an atomic batch."""
    if source.startswith(PROBE):
        return [("chaos/probe", source, source.encode())]
    if source.startswith(BULK):
        return [("chaos/bulk", source, source.encode() * (BULK_BYTES // len(source)))]
    digest = hashlib.sha256(f"{seed}/{source}/{position}".encode())
    numbers = digest.digest()
    count = 2 + numbers[1] % 3 if numbers[0] < 24 else 1
    package = f"chaos/{source}-{position // POSITIONS_OF_A_PACKAGE}"
    filler = digest.hexdigest() * (1 + numbers[2] // 16)
    return [(package, f"item-{position}-{part}", f"{source} {position} {part}/{count} {filler}".encode())
            for part in range(count)]


class Book:
    """What all clients together know: which positions were acknowledged, and in which epoch."""

    def __init__(self, path, complain):
        self._lock = threading.Lock()
        self._file = open(path, "w", encoding="ascii")
        self._complain = complain
        self.acked = {}  # (source, position): (index, epoch)
        self.latest = collections.Counter()  # source: acknowledged in all
        self.stale_duplicates = 0
        self._floor = 0

    def floor(self):
        """No append that begins now may be acknowledged in an epoch below this one."""
        return self._floor

    def raise_floor(self, epoch):
        with self._lock:
            self._floor = max(self._floor, epoch)

    def count(self):
        return len(self.acked)

    def note(self, source, position, ack, floor, node):
        """`floor`: as it was when the append began."""
        with self._lock:
            self._file.write(f"{source} {position} {ack.index} {ack.epoch} {node} {time.time():.3f}\n")
            self.acked[source, position] = (ack.index, ack.epoch)
            self.latest[source] += 1
            if ack.epoch < floor and ack.duplicate:
                # Committed long ago, and so no news: a replaced primary may still know that.
                self.stale_duplicates += 1
            elif ack.epoch < floor:
                self._complain(f"{node} acknowledged {source}/{position} at index {ack.index} in epoch "
                               f"{ack.epoch:#x}, though the append began after epoch {floor:#x} was known")
            self._floor = max(self._floor, ack.epoch)

    def close(self):
        self._file.close()


class Writer(threading.Thread):
    """One source. Half of them state the position before, so that a gap would be refused."""

    def __init__(self, number, seed, cluster, book):
        super().__init__(daemon=True)
        self.source = f"writer-{number}"
        self.last_refusal = "nothing yet"
        self._states_before = number % 2 == 0
        self._seed, self._cluster, self._book = seed, cluster, book
        self._rng = random.Random(f"{seed}/{self.source}")
        self._nodes = [node for node in cluster]
        self._at = 0
        self._connection = None
        self._ended = threading.Event()

    def run(self):
        position = 0
        while not self._ended.is_set():
            position += 1
            request = append_request(self._cluster.log, self.source, position,
                                     position - 1 if self._states_before else None,
                                     drafts_of(self._seed, self.source, position))
            while not self._try(position, request):
                if self._ended.wait(self._rng.uniform(0.01, 0.1)):
                    break
            self._ended.wait(self._rng.expovariate(RATE))
        self._close()

    def stop(self):
        self._ended.set()

    def _try(self, position, request):
        node = self._nodes[self._at]
        seconds = self._rng.uniform(0.5, 3.0)
        floor = self._book.floor()
        try:
            if self._connection is None:
                self._connection = Connection(node.address, seconds)
            answer = self._connection.call(APPEND, request, seconds)
        except Refused as refused:
            return self._go_elsewhere(f"{node.name}: {refused}")
        except OSError as error:
            return self._go_elsewhere(f"{node.name}: {error}")
        self._book.note(self.source, position, Acknowledgement(answer[0]), floor, node.name)
        return True

    def _go_elsewhere(self, refusal):
        self.last_refusal = refusal
        self._at = (self._at + 1) % len(self._nodes)
        self._close()
        return False

    def _close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Volley:
    """Appends sent to one node at once, each of a source and on a connection of its own; what is not
    acknowledged is not tried again. Sent to a paused node they lie in its sockets until it wakes."""

    def __init__(self, name, count, cluster, node):
        self.node = node
        self._sent = []
        for part in range(count):
            source = f"{name}-{part}"
            request = append_request(cluster.log, source, 1, None, drafts_of(None, source, 1))
            try:
                connection = Connection(node.address, 2)
                self._sent.append((source, connection, connection.send(APPEND, request, 30)))
            except OSError:
                break

    def answers(self, seconds):
        """[(source, Acknowledgement or what came instead)]"""
        deadline = time.monotonic() + seconds
        found = []
        for source, connection, stream in self._sent:
            try:
                answer = connection.receive(stream, max(0.01, deadline - time.monotonic()))
                found.append((source, Acknowledgement(answer[0])))
            except (Refused, OSError) as error:
                found.append((source, str(error)))
            connection.close()
        return found


def open_book(folder, complain):
    return Book(os.path.join(folder, "acked"), complain)
