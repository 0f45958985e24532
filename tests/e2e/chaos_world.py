"""The cluster of a chaos run and its operator: nodes that are ended and started on purpose, what is
expected of them meanwhile, and the commands that the runbook allows."""
import collections
import json
import os
import shutil
import subprocess
import threading
import time

from chaos_links import Links, Weather
from chaos_rpc import Refused, log_status, quarantine_entries, quarantined_records
from chaos_writers import Writer, open_book
from cluster import LOG, PATIENCE, Awaited, Cluster, program, say, wait_for

EPOCH_BITS = 20  # an epoch's low bits count restarts; kembarctl shows the others
RECOVERY_S = 120
SMALL_MIB = 96
SMALL_MIB_PER_SECOND = 0.5
LIMITS = 'write_buffer = "2MiB"\ncache = "16MiB"\nappend_wait_ms = 10000\n'


class Tail:
    """What one disk of a node was seen to hold as a primary, and what it has set aside."""

    def __init__(self, node):
        self.node = node
        self.held = {}  # epoch of its reign: durable index
        self.quarantined = []  # records as chaos_rpc.quarantined_records tells them
        self.entries = []


class SmallDisk:
    """A tmpfs under one node's data directory; absent where nothing can be mounted."""

    def __init__(self, node, seconds):
        self.node, self.mount = node, os.path.join(node.folder, "small")
        size = SMALL_MIB + int(seconds * SMALL_MIB_PER_SECOND)
        os.makedirs(self.mount)
        self.trouble = self._mount(size)
        if not self.trouble:
            node.data = os.path.join(self.mount, "data")

    def _mount(self, mib):
        if os.geteuid() != 0 or shutil.which("mount") is None:
            return "only root can mount a small tmpfs"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", self.mount],
                              capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"no tmpfs can be mounted: {done.stderr.strip()}"

    def fill(self, leave):
        """Takes all but `leave` bytes."""
        with open(os.path.join(self.mount, "ballast"), "wb") as ballast:
            for _ in range(20):  # the node writes meanwhile
                space = os.statvfs(self.mount)
                size = space.f_bavail * space.f_frsize - leave
                if size <= 0:
                    return
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, size)
                except OSError:
                    continue

    def free(self):
        path = os.path.join(self.mount, "ballast")
        if os.path.exists(path):
            os.remove(path)

    def unmount(self, keep_to=None):
        if self.trouble:
            return
        if keep_to and os.path.isdir(self.node.data):
            shutil.copytree(self.node.data, keep_to, dirs_exist_ok=True)
        subprocess.run(["umount", "-l", self.mount], check=False)


class Watch(threading.Thread):
    """Asks every node again and again what it holds, and notices one that ended by itself."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._world, self._ended = world, threading.Event()

    def run(self):
        while not self._ended.wait(0.25):
            for node in self._world.cluster:
                self._world.look_at(node)

    def stop(self):
        self._ended.set()
        self.join()


class World:
    """Nodes, links, clients and the operator."""

    def __init__(self, folder, names, options, rng):
        self.folder, self.seed, self.rng = folder, options.seed, rng
        self.counts = collections.Counter()
        self.commands = collections.Counter()
        self.violations = []
        self._lock = threading.Lock()
        self._down, self.paused = set(names), set()
        self.cluster = Cluster(folder, names, LOG)
        self.small = SmallDisk(self.cluster[names[-1]], options.seconds)
        self.links = Links(self.cluster, rng)
        self.tails = {name: [Tail(name)] for name in names}
        self.book = open_book(folder, self.complain)
        self.writers = [Writer(n, self.seed, self.cluster, self.book) for n in range(options.writers)]
        self.weather = Weather(self.links, options.weather_rng, self.count)
        self._watch = Watch(self)

    # ---- Beginning and end ---------------------------------------------------------------------

    def begin(self):
        for node in self.cluster:
            node.write_config(self.links.peers_of(node.name), limits=LIMITS)
        self.cluster.start()
        self._down.clear()
        self.cluster.create_log(next(iter(self.cluster)).name)
        for thread in (*self.writers, self.weather, self._watch):
            thread.start()

    def end(self):
        """Everything healed, every client served once more, all nodes level, all quiet."""
        self.weather.stop()
        self.recover()
        self.settle()
        before = dict(self.book.latest)
        wait_for("every client to be acknowledged again", lambda: self._all_served(before), RECOVERY_S)
        for writer in self.writers:
            writer.stop()
        for writer in self.writers:
            writer.join()
        self._watch.stop()
        self.cluster.wait_level(RECOVERY_S)
        for node in self.cluster:
            self.collect_quarantine(node.name)

    def _all_served(self, before):
        return all(self.book.latest[w.source] > before.get(w.source, 0) for w in self.writers)

    def describe(self):
        """What a person wants to see when something did not come."""
        clients = {w.source: w.last_refusal for w in self.writers}
        return f"status: {json.dumps(self.status())}\nlast refusals: {json.dumps(clients, indent=1)}"

    def close(self, failed):
        for thread in (*self.writers, self.weather, self._watch):
            if thread.is_alive():
                thread.stop()
        self.cluster.stop()
        self.small.unmount(os.path.join(self.folder, "small-disk-copy") if failed else None)
        self.links.stop()
        self.book.close()

    # ---- Notes ---------------------------------------------------------------------------------

    def count(self, kind):
        with self._lock:
            self.counts[kind] += 1

    def complain(self, text):
        say(f"VIOLATION: {text}")
        self.violations.append(text)

    def tell(self, text):
        """Into the run's own diary, to be laid beside the nodes' logs."""
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
        with self._lock, open(os.path.join(self.folder, "diary"), "a", encoding="utf-8") as out:
            out.write(f"{stamp} {text}\n")

    def look_at(self, node):
        """What this disk holds as a primary: if the final log lacks it, it must be in quarantine."""
        with self._lock:
            if node.name in self._down or node.name in self.paused:
                return
            if not node.running():
                self._down.add(node.name)
                code = node.process.returncode
            else:
                code = None
        if code is not None:
            return self.complain(f"{node.name} ended by itself with {code}:\n{node.log_tail(8)}")
        tail = self.tails[node.name][-1]
        try:
            seen = log_status(node.address, LOG, 0.5)
        except (OSError, Refused):
            return
        if seen and seen[0] == "primary":
            tail.held[seen[1]] = max(seen[2], tail.held.get(seen[1], 0))

    # ---- Nodes ---------------------------------------------------------------------------------

    def names(self):
        return list(self.cluster.nodes)

    def expect_end(self, name):
        with self._lock:
            self._down.add(name)

    def kill(self, name):
        self.tell(f"kill -9 {name}")
        self.expect_end(name)
        if self.cluster[name].running():
            self.cluster[name].kill9()

    def stop(self, name):
        self.tell(f"SIGTERM {name}")
        self.expect_end(name)
        code = self.cluster[name].terminate()
        if code != 0:
            self.complain(f"{name} ended with {code} on SIGTERM")

    def start(self, name):
        self.tell(f"start {name}")
        node = self.cluster[name]
        if not node.running():
            node.start()
        with self._lock:
            self._down.discard(name)

    def pause(self, name):
        self.tell(f"SIGSTOP {name}")
        with self._lock:
            self.paused.add(name)
        node = self.cluster[name]
        node.pause()
        wait_for(f"{name} to stand still", lambda: _process_state(node.process.pid) == "T")

    def resume(self, name):
        self.tell(f"SIGCONT {name}")
        self.cluster[name].resume()
        with self._lock:
            self.paused.discard(name)

    def new_disk(self, name):
        """From here on the node is judged by another data directory."""
        self.tails[name].append(Tail(name))

    def collect_quarantine(self, name):
        """Before a disk goes away, and at the end."""
        tail, address = self.tails[name][-1], self.cluster[name].address
        tail.entries = quarantine_entries(address, LOG)
        tail.quarantined = [record for entry in tail.entries
                            for record in quarantined_records(address, LOG, entry[0])]

    # ---- The operator --------------------------------------------------------------------------

    def status(self):
        return self.cluster.status()

    def primary(self):
        """The reigning primary's name; None when there is none that answers."""
        status = self.status()
        if not status or status["state"] == "no-primary":
            return None
        node = next((n for n in status["nodes"] if n["name"] == status["primary"]), None)
        return node["name"] if node and node["reachable"] and node["role"] == "primary" else None

    def is_whole(self):
        """No member is left out: only then may one be declared lost, or what it alone holds is lost."""
        status = self.status()
        return bool(status) and not status["left_out"] and status["state"] != "no-primary"

    def failover(self, to, without=()):
        """As an operator does it: if the tool names a node that holds more, that one. True if done."""
        return self._change("failover", to, [word for name in without for word in ("--without", name)])

    def switchover(self, to):
        return self._change("switchover", to, [])

    def cut_off_switchover(self, to, seconds):
        """The operator's machine goes off while the tool is at work."""
        with subprocess.Popen(
                [program("kembarctl"), "--node", self.cluster.addresses, "--yes", "--log", LOG, "switchover",
                 "--to", to], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL) as tool:
            try:
                tool.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                tool.kill()
        self.tell(f"switchover --to {to} cut off after {seconds:.3f} s: {tool.returncode}")

    def _change(self, command, to, more):
        done = self.cluster.try_ctl("--output", "json", "--yes", "--log", LOG, command, "--to", to, *more,
                                    seconds=90)
        self.tell(f"{command} --to {to} {' '.join(more)}: exit {done.code} {done.out.strip()} "
                  f"{done.err.strip().splitlines()[-1:] if done.code else ''}")
        if done.code != 0:
            self.commands[f"{command} refused"] += 1
            return False
        result = done.json()
        if result["lost"] != "none":
            self.complain(f"{command} to {to} lost {result['lost']}: {done}")
        self.book.raise_floor(result["epoch"] << EPOCH_BITS)
        self.commands[command] += 1
        return True

    def recover(self):
        """Until appends are acknowledged again. An operator helps as the runbook says: what is off is
        switched on, and a log without a primary gets one, nobody being left out."""
        target = self.book.count() + 2 * len(self.writers)
        if self._within(lambda: self.book.count() >= target, 5.0):
            return
        self.switch_all_on()
        with self.weather.calm():
            self.links.heal()
            wait_for("appends to go on after everything is healed",
                     lambda: self.book.count() >= target or self._help(), RECOVERY_S)

    def _within(self, predicate, seconds):
        try:
            return wait_for("something that need not come", predicate, seconds / PATIENCE)
        except Awaited:
            return False

    def switch_all_on(self):
        self.small.free()
        for name in list(self.paused):
            self.resume(name)
        for node in self.cluster:
            if not node.running():
                self.start(node.name)

    def _help(self):
        """A failover that a fault cut off left the log without a primary: it is run again."""
        if self.primary() is None:
            for name in self.rng.sample(self.names(), len(self.names())):
                if self.failover(name):
                    break
        return False

    def settle(self):
        """Until all nodes are members and hold what the reigning primary held when this began."""
        mark = []
        with self.weather.calm():
            wait_for("all nodes to be level under load", lambda: self._settled(mark) or self._help(),
                     RECOVERY_S)

    def _settled(self, mark):
        """Committed at a mirror is what it knows to be equal to the primary's, in this reign."""
        status = self.status()
        if not status or status["state"] != "protected" or status["left_out"] or status["alarms"]:
            return False
        reign = (status["epoch"], status["restarts"])
        if not mark or mark[0] != reign:
            mark[:] = [reign, status["last_index"]]
        nodes = [node for node in status["nodes"] if node["name"] in self.cluster.nodes]
        return len(nodes) == len(self.names()) and all(
            node["reachable"] and node["commit_index"] is not None and node["commit_index"] >= mark[1]
            for node in nodes)


def _process_state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]
