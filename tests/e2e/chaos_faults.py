"""The faults of a chaos run. Each is a method of Faults that injects, lasts, heals, and leaves the log
going on. What an operator does in them is what the runbook allows: no site that is alive is left out,
no loss is accepted, one disk at a time is taken away while the others are up and level."""
import collections
import os
import shutil
import threading

from chaos_damage import flip_bit
from chaos_writers import BULK, BULK_COUNT, PROBE, Volley
from cluster import Awaited, program, run, wait_for

RESERVE = 16 << 20  # disk_reserve of the nodes
PROBE_S, PROBE_COUNT = 15, 3
BULK_S = 2


class Faults:
    def __init__(self, world):
        self.world, self.rng = world, world.rng
        self._ended = threading.Event()
        self._volleys = 0
        self._can_rebuild = "--rebuild" in run(program("kembard"), "--help").out
        self._table = [
            (6, self.kill_one), (3, self.kill_several), (3, self.restart_one), (5, self.pause_one),
            (5, self.failover_from_dead), (5, self.failover_from_paused), (2, self.failover_from_isolated),
            (3, self.switchover), (3, self.disturbed_switchover), (2, self.wipe), (2, self.damage)]
        if not world.small.trouble:
            self._table.append((3, self.full_disk))

    def next(self):
        """One fault, chosen by the seed."""
        weights = [weight for weight, _ in self._table]
        fault = self.rng.choices([fault for _, fault in self._table], weights)[0]
        self.world.tell(f"--- {fault.__name__}")
        fault()
        self.world.recover()
        if self.rng.random() < 0.3:
            self.world.settle()

    def _last(self, low, high):
        """How long a fault lasts: the schedule's own pace, not a wait for anything."""
        self._ended.wait(self.rng.uniform(low, high))

    def _any(self):
        return self.rng.choice(self.world.names())

    def _another_than(self, name):
        return self.rng.choice([other for other in self.world.names() if other != name])

    # ---- Nodes that end and come back ----------------------------------------------------------

    def kill_one(self):
        name = self._any()
        self.world.count("kill")
        self.world.kill(name)
        self._last(0, 2)
        self.world.start(name)

    def kill_several(self):
        """The lights go out at more than one site."""
        names = self.rng.sample(self.world.names(), self.rng.randint(2, len(self.world.names())))
        for name in names:
            self.world.count("kill")
            self.world.kill(name)
        self.rng.shuffle(names)
        for name in names:
            self._last(0, 1)
            self.world.start(name)

    def restart_one(self):
        name = self._any()
        self.world.count("stop")
        self.world.stop(name)
        self._last(0, 1)
        self.world.start(name)

    def pause_one(self):
        name = self._any()
        self.world.count("pause")
        self.world.pause(name)
        self._last(0.1, 4)
        self.world.resume(name)

    # ---- A primary that is replaced ------------------------------------------------------------

    def _mute_for_a_while(self, primary):
        """Appends pile up that only the primary has: the tail that a failover leaves behind."""
        if self.rng.random() < 0.7:
            self.world.count("one-way partition")
            self.world.links.mute(primary)
            self._last(0.2, 1.2)

    def _replace(self, lost):
        """Fails over from `lost`, which does not answer; a refused tool names who holds more."""
        others = [name for name in self.world.names() if name != lost]
        self.rng.shuffle(others)
        # Two of three can go on with the lost one still a member; one alone can't.
        without = [lost] if len(others) == 1 or self.rng.random() < 0.6 else []
        if len(others) > 1 and self.rng.random() < 0.2:
            return self._two_operators(others, without)
        return any(self.world.failover(to, without) for to in others)

    def _two_operators(self, targets, without):
        """Neither knows of the other. Whoever comes second is told, or has the later reign."""
        self.world.tell(f"two operators at once: {targets}")
        done = []
        threads = [threading.Thread(target=lambda to=to: done.append(self.world.failover(to, without)))
                   for to in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.world.count("two operators")
        return any(done)

    def failover_from_dead(self):
        primary = self.world.primary()
        if primary is None or not self.world.is_whole():
            return self.kill_one()
        with self.world.weather.calm():
            self._mute_for_a_while(primary)
            self.world.count("kill")
            self.world.kill(primary)
            self.world.links.heal()
            replaced = self._replace(primary)
            if replaced:
                self._come_back_unheard(primary)
            self.world.start(primary)
            self._last(0, 1)
            self.world.links.heal()

    def _come_back_unheard(self, old):
        """It goes on as if nothing had happened, takes appends, and no one must believe it."""
        if self.rng.random() < 0.6:
            self.world.count("partition")
            self.world.links.isolate(old)
        self._last(0, 1)

    def failover_from_paused(self):
        primary = self.world.primary()
        if primary is None or not self.world.is_whole():
            return self.pause_one()
        with self.world.weather.calm():
            self._mute_for_a_while(primary)
            self.world.count("pause")
            self.world.pause(primary)
            probe = self._volley(PROBE, PROBE_COUNT, primary)
            self.world.links.heal()
            replaced = self._replace(primary)
            reign = self.world.book.floor()
            self._last(0, 1)
            self.world.resume(primary)
            # What lay in its sockets while it was replaced must not be acknowledged by the old reign.
            self._judge(probe, reign if replaced else 0, PROBE_S)

    def _volley(self, name, count, node):
        self._volleys += 1
        return Volley(f"{name}{self._volleys}", count, self.world.cluster, self.world.cluster[node])

    def _judge(self, volley, floor, seconds):
        heard = collections.Counter()
        for source, answer in volley.answers(seconds):
            heard[str(getattr(answer, "epoch", answer))] += 1
            if not isinstance(answer, str):
                self.world.book.note(source, 1, answer, floor, volley.node.name)
        self.world.tell(f"volley at {volley.node.name}: {dict(heard)}")

    def failover_from_isolated(self):
        """The line is down and the primary lives: the tool must give up, and the primary go on."""
        primary = self.world.primary()
        if primary is None:
            return self.pause_one()
        with self.world.weather.calm():
            self.world.count("partition")
            self.world.links.isolate(primary)
            self._last(0, 1.5)
            to = self._another_than(primary)
            healer = threading.Timer(self.rng.uniform(0.5, 6), self.world.links.heal)
            healer.start()
            self.world.failover(to)
            healer.cancel()
            healer.join()
            self.world.links.heal()

    def switchover(self):
        primary = self.world.primary()
        if primary is None:
            return self.kill_one()
        self.world.switchover(self._another_than(primary))

    def disturbed_switchover(self):
        """A node, or the operator's own machine, goes down in the middle of it."""
        primary = self.world.primary()
        if primary is None:
            return self.kill_one()
        to = self._another_than(primary)
        if self.rng.random() < 0.5:
            self.world.count("tool killed")
            return self.world.cut_off_switchover(to, self.rng.uniform(0, 0.3))
        name = self._any()
        operator = threading.Thread(target=self.world.switchover, args=(to,))
        operator.start()
        self._last(0, 0.4)
        self.world.count("kill")
        self.world.kill(name)
        operator.join()
        self.world.start(name)

    # ---- Disks ---------------------------------------------------------------------------------

    def _take_a_mirror(self, names):
        """A mirror whose disk may be taken away now: everything it holds is held elsewhere too."""
        self.world.settle()
        primary = self.world.primary()
        mirrors = [name for name in names if name != primary]
        if primary is None or not mirrors:
            return None
        name = self.rng.choice(mirrors)
        self.world.collect_quarantine(name)
        return name

    def wipe(self):
        with self.world.weather.calm():
            name = self._take_a_mirror(self.world.names())
            if name is None:
                return
            self.world.count("wipe")
            self.world.kill(name)
            self.world.tell(f"wipe {name}")
            self.world.cluster[name].wipe()
            self.world.new_disk(name)
            self.world.start(name)
        self.world.settle()

    def full_disk(self):
        small = self.world.small
        leave = self.rng.choice([0, 0, RESERVE // 2])
        primary = self.world.primary()
        self.world.count("full disk")
        self.world.tell(f"disk of {small.node.name} full, {leave} bytes left")
        self.world.expect_end(small.node.name)
        small.fill(leave)
        if leave == 0 and self.rng.random() < 0.6 and primary is not None:
            floor = self.world.book.floor()
            self._judge(self._volley(BULK, BULK_COUNT, primary), floor, BULK_S)
        self._last(0, 4)
        small.free()
        self.world.tell("disk free again")
        wait_for("the node on the full disk to go on or end", self._small_decides)
        node = small.node
        if not node.running():
            if node.process.returncode != 1 or "No space left" not in node.log_tail(5):
                self.world.complain(f"{node.name} on a full disk ended with {node.process.returncode}:\n"
                                    f"{node.log_tail(5)}")
        self.world.start(node.name)

    def _small_decides(self):
        """It ends by itself once a write has failed, and only then is its store closed."""
        node = self.world.small.node
        return not node.running() or node.get("/healthz", seconds=1)[0] == 200

    def damage(self):
        kind = self.rng.choice(["sst", "wal"])
        with self.world.weather.calm():
            name = self._take_a_mirror([n for n in self.world.names()
                                        if n != self.world.small.node.name or self.world.small.trouble])
            if name is None:
                return
            self.world.stop(name)  # cleanly, so that no file lies about that is not read any more
            done = flip_bit(self.world.cluster[name].data, kind, self.rng)
            if done is None:
                self.world.tell(f"no {kind} file to damage")
                return self.world.start(name)
            path, what = done
            self.world.tell(f"flipped a bit at {name}: {what}")
            found = self._detect(name)
            self.world.tell(f"found by: {found}")
            if found is not None:
                self.world.count(f"bit flipped in {kind}")
            elif os.path.exists(path) or not self.world.cluster[name].running():
                self.world.complain(f"{name}: flipped bit in {what} was not noticed")
            else:  # written anew at the start, or by a compaction, without that bit
                self.world.tell("the file was not in use any more")
            self._repair(name)
        self.world.settle()

    def _detect(self, name):
        """Who notices: the start, the node while it runs, or `verify`. None: nobody."""
        node = self.world.cluster[name]
        node.start(wait=False)
        wait_for(f"{name} to listen or to refuse", lambda: not node.running() or
                 node.get("/healthz", seconds=1)[0] != 0)
        if not node.running():
            return f"start refused: {node.log_tail(1).strip()}" if node.process.returncode == 1 else None
        done = self.world.cluster.try_ctl("--output", "json", "--log", self.world.cluster.log, "verify",
                                          seconds=300)
        rows = done.json()["nodes"] if done.out.strip() else []
        errors = [text for row in rows if row["name"] == name for text in row["errors"]]
        if not node.running():
            return f"ended: {node.log_tail(1).strip()}"
        self.world.tell(f"verify: {done}")
        return f"verify: {errors[0]}" if errors else None

    def _repair(self, name):
        """From the other site: with `--rebuild`, or by hand, as the runbook says."""
        node = self.world.cluster[name]
        self.world.kill(name)
        self.world.new_disk(name)
        if self._can_rebuild:
            self._start_rebuilding(node)
        elif os.path.isdir(node.data):
            shutil.move(node.data, f"{node.data}-damaged-{len(self.world.tails[name])}")
        self.world.count("rebuilt")
        self.world.start(name)

    def _start_rebuilding(self, node):
        """The command may do its work and end, or go on as the node."""
        node.start("--rebuild", wait=False)
        wait_for(f"{node.name} to be rebuilt", lambda: not node.running() or
                 node.get("/healthz", seconds=1)[0] != 0)
        if not node.running() and node.process.returncode != 0:
            raise Awaited(f"kembard --rebuild of {node.name} ended with {node.process.returncode}:\n"
                          f"{node.log_tail()}")
