"""What must be true of the logs and quarantines after a chaos run."""
import collections
import hashlib
import json
import subprocess

from chaos_writers import drafts_of
from chaos_world import EPOCH_BITS
from cluster import payload_of, program


def _digest(epoch, source, position, package, item, payload):
    text = f"{epoch}|{source}|{position}|{package}|{item}|".encode()
    return hashlib.sha256(text + payload).digest()[:12]


class History:
    """One node's whole log, read record by record and kept as digests."""

    def __init__(self):
        self.digests = []  # of index i + 1
        self.epochs = []
        self.positions = {}  # (source, position): (first index, records)
        self.doubled = []

    def take(self, record, seed, wrong):
        index = record["index"]
        if index != len(self.digests) + 1:
            wrong(f"record {index} follows record {len(self.digests)}")
        epoch = record["epoch"] << EPOCH_BITS | record["restarts"]
        payload = payload_of(record)
        source, position = record["source"], record["position"]
        self.digests.append(_digest(epoch, source, position, record["package"], record["item"], payload))
        self.epochs.append(epoch)
        if source:
            self._place(source, position, index)
            self._check_content(record, payload, seed, wrong)

    def _place(self, source, position, index):
        first, count = self.positions.get((source, position), (index, 0))
        if first + count != index:
            self.doubled.append((source, position, first, index))
        self.positions[source, position] = (first, count + 1)

    def _check_content(self, record, payload, seed, wrong):
        source, position = record["source"], record["position"]
        wanted = drafts_of(seed, source, position)
        first, count = self.positions[source, position]
        if count > len(wanted):
            self.doubled.append((source, position, first, record["index"]))
        elif (record["package"], record["item"], payload) != wanted[count - 1]:
            wrong(f"record {record['index']} is not what {source} appended at {position}")
        elif record["batch_end"] != (count == len(wanted)):
            wrong(f"record {record['index']}: part of {source}/{position}, batch end where none is due")


def read_history(world, name, wrong):
    """Straight from the tool's output: a long run's log does not fit into memory three times."""
    history = History()
    with subprocess.Popen(
            [program("kembarctl"), "--node", world.cluster[name].address, "--output", "json", "--log",
             world.cluster.log, "log", "read", "--at", name], stdout=subprocess.PIPE, text=True) as reader:
        for line in reader.stdout:
            history.take(json.loads(line), world.seed, wrong)
    if reader.returncode != 0:
        wrong(f"log read ended with {reader.returncode}")
    return history


def _check_acknowledged(world, name, history, wrong):
    """Every acknowledged position is there, whole, where its client was told. Returns how many are not."""
    lost = 0
    for (source, position), (index, epoch) in world.book.acked.items():
        first, count = history.positions.get((source, position), (0, 0))
        if first + count - 1 != index or not count:
            lost += 1
            wrong(f"{source}/{position}, acknowledged at {index} in epoch {epoch:#x}, is "
                  f"{f'at {first + count - 1}' if count else 'lost'}")
        elif history.epochs[index - 1] > epoch:
            wrong(f"{source}/{position} at {index} is of a later epoch than its acknowledgement")
    return lost


def _check_gapless(world, history, wrong):
    """A source that always states the position before leaves no gap."""
    highest, count = collections.Counter(), collections.Counter()
    for source, position in history.positions:
        highest[source] = max(highest[source], position)
        count[source] += 1
    for writer in world.writers:
        if count[writer.source] != highest[writer.source]:
            wrong(f"{writer.source} has {count[writer.source]} positions up to {highest[writer.source]}")


def _check_same(history, other, wrong):
    if len(history.digests) != len(other.digests):
        wrong(f"holds {len(other.digests)} records, the first node {len(history.digests)}")
    for index, (mine, theirs) in enumerate(zip(history.digests, other.digests), 1):
        if mine != theirs:
            return wrong(f"differs from the first node's log at record {index}")
    return None


class Quarantine:
    """All that was set aside, on every disk there was, against the final log."""

    def __init__(self, world, history):
        self._world, self._history = world, history
        self.records = set()   # (node, index, digest)
        self.divergent = set()

    def check(self):
        for tails in self._world.tails.values():
            for tail in tails:
                self._take(tail)
                self._check_held(tail)
        return self

    def _take(self, tail):
        acked = self._world.book.acked
        for index, epoch, source, position, package, item, payload in tail.quarantined:
            digest = _digest(epoch, source, position, package, item, payload)
            self.records.add((tail.node, index, digest))
            if self._in_log(index, digest):
                self._world.complain(f"record {index} of {tail.node}'s quarantine is in the final log")
            else:
                self.divergent.add((tail.node, index, digest))
            told = acked.get((source, position))
            if told and told[0] == index and told[1] == epoch:
                self._world.complain(f"{source}/{position}, acknowledged at {index}, is in quarantine "
                                     f"of {tail.node}")
        for entry, first, last, acknowledged_to in tail.entries:
            missing = set(range(first, last + 1)) - {record[0] for record in tail.quarantined}
            self.divergent |= {(tail.node, index, b"not shown") for index in missing}
            if missing:
                self._world.complain(f"quarantine {entry} of {tail.node} says {first} to {last}, and does "
                                     f"not show {sorted(missing)[:10]}")
            if acknowledged_to:
                self._world.complain(f"quarantine {entry} of {tail.node} says it holds acknowledged "
                                     f"records up to {acknowledged_to}")

    def _in_log(self, index, digest):
        return index <= len(self._history.digests) and self._history.digests[index - 1] == digest

    def _check_held(self, tail):
        """What a disk was seen to hold in a reign, beyond where the final log left that reign."""
        aside = {record[0] for record in tail.quarantined}
        for epoch, durable in tail.held.items():
            left_at = next((i for i, e in enumerate(self._history.epochs, 1) if e > epoch), None)
            for index in range(left_at, durable + 1) if left_at else ():
                if index not in aside:
                    self.divergent.add((tail.node, index, b"not in quarantine"))
                    self._world.complain(f"{tail.node} held record {index} in epoch {epoch:#x}, the final "
                                         "log has another there, and its quarantine lacks it")


class Result:
    def __init__(self, world):
        self.lost = self.doubled = 0
        self.acknowledged = world.book.count()
        first = None
        for name in world.names():
            wrong = _Limited(world, name)
            history = read_history(world, name, wrong)
            self.doubled = max(self.doubled, len(history.doubled))
            for source, position, at, again in history.doubled[:5]:
                wrong(f"{source}/{position} at {at} is there again at {again}")
            self.lost = max(self.lost, _check_acknowledged(world, name, history, wrong))
            _check_gapless(world, history, wrong)
            if first is None:
                first = history
            else:
                _check_same(first, history, wrong)
        quarantine = Quarantine(world, first).check()
        self.records = len(first.digests)
        self.quarantined, self.divergent = len(quarantine.records), len(quarantine.divergent)


class _Limited:
    """Complains of one node's log, a few times; more would say nothing new."""

    def __init__(self, world, name, most=10):
        self._world, self._name, self._left = world, name, most

    def __call__(self, text):
        self._left -= 1
        if self._left == 0:
            text += " (and more)"
        if self._left >= 0:
            self._world.complain(f"log of {self._name}: {text}")
