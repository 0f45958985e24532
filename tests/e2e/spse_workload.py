"""Clients that play whole tenders against a server, each over a psql of its own, and know what they saw
committed. Every transaction inserts its own number into klien_log; a client counts a number as committed
when psql answered behind its COMMIT. When the connection breaks the client comes back, looks whether the
number is there, and goes on with the same transaction or the next: nothing is played twice.

    work = Workload(server, "epns_prod", packages=300, seed=1).start()
    work.wait_transactions(500)
    work.wait_done()
    work.seen                     # numbers that were seen committed
"""
import os
import random
import subprocess
import tempfile
import threading
import time

import spse_tenders
from cluster import PATIENCE, die_with_parent, wait_for

ALIVE = 6  # tenders that a client has under way at a time
NUMBERS = 10_000_000  # of each client


class WorkloadError(AssertionError):
    """The server refused a statement that it should take."""


class _Session:
    """One psql that is fed transactions and says after each that it is committed."""

    def __init__(self, server, database):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            server.psql_args(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, encoding="utf-8", env=server.environment(), preexec_fn=die_with_parent)

    def commit(self, number, statements):
        """True when the server said that it is committed; False when the connection is gone."""
        script = "BEGIN;\n" + ";\n".join(statements) + f";\nCOMMIT;\n\\echo selesai {number}\n"
        try:
            self.process.stdin.write(script)
            self.process.stdin.flush()
        except OSError:
            return False
        for line in self.process.stdout:
            if line == f"selesai {number}\n":
                return True
        return False

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace")
        self.errors.close()
        return said


class _Client(threading.Thread):
    def __init__(self, work, index, packages):
        super().__init__(daemon=True, name=f"klien{index}")
        self._work, self._packages = work, packages
        self._rng = random.Random(f"{work.seed}/{index}")
        self._number = index * NUMBERS
        self._session = None
        self.seen, self.found = [], []  # numbers: acknowledged; looked up after a broken connection
        self.error = None

    def run(self):
        try:
            self._play()
        except Exception as error:  # shown by whoever waits for the workload
            self.error = error
        finally:
            if self._session:
                self._session.close()

    def interrupt(self):
        session = self._session
        if session:
            session.process.kill()

    def _play(self):
        alive = []
        while not self._work.stopping.is_set():
            while self._packages and len(alive) < ALIVE:
                n = self._packages.pop(0)
                alive.append(spse_tenders.tender(n, self._rng, self._work.chances))
            if not alive:
                return
            statements = self._statements(alive)
            if statements:
                self._transaction(statements)

    def _statements(self, alive):
        """One transaction: mostly a stage of one tender, sometimes of several, sometimes of none."""
        rng = self._rng
        if self._work.scratch and rng.random() < 0.004:
            return ["TRUNCATE coretan" + rng.choice(["", " RESTART IDENTITY"])]
        if self._work.big and rng.random() < 0.004:  # more than one batch of the log
            return [f"INSERT INTO coretan (isi) SELECT repeat(md5(n::text), 4) FROM "
                    f"generate_series(1, {rng.randrange(4_000, 7_000)}) AS n",
                    "UPDATE coretan SET isi = isi || '!' WHERE id % 3 = 0"]
        chosen = rng.sample(alive, min(len(alive), rng.choice([1, 1, 1, 1, 2, 3])))
        statements = []
        for play in chosen:
            for _ in range(self._work.merge):
                stage = next(play, None)
                if stage is None:
                    alive.remove(play)
                    break
                statements += stage
        # Rows that many clients update come last and in one order: no deadlocks.
        shared = sorted((s for s in statements if s.startswith("UPDATE rekanan")), key=lambda s: s.split("rkn_id = ")[-1])
        statements = [s for s in statements if not s.startswith("UPDATE rekanan")] + shared
        if self._work.scratch and statements and rng.random() < 0.1:
            statements.append(f"INSERT INTO coretan (isi) VALUES ('{rng.random()}')")
        return statements

    def _transaction(self, statements):
        self._number += 1
        number = self._number
        note = f"INSERT INTO klien_log VALUES ({number}, '{self.name}', '{len(statements)} pernyataan')"
        while not self._work.stopping.is_set():
            if self._session is None:
                self._session = _Session(self._work.server, self._work.database)
            if self._session.commit(number, [*statements, note]):
                self.seen.append(number)
                return
            said = self._session.close()
            self._session = None
            if "ERROR:" in said and "deadlock detected" not in said and "shutting down" not in said:
                raise WorkloadError(f"{self.name}, transaction {number}:\n{said[-2000:]}")
            if self._committed(number):
                self.found.append(number)
                return

    def _committed(self, number):
        """Asks until the server answers again."""
        while not self._work.stopping.is_set():
            done = self._work.server.try_sql(
                self._work.database, f"SELECT count(*) FROM klien_log WHERE nomor = {number}")
            if done.code == 0:
                return done.out == "1"
            self._work.stopping.wait(0.1)
        return False


class Workload:
    """`merge`: stages of a tender that go into one transaction. `chances`: see spse_tenders.USUAL. `scratch`:
    rows that are truncated now and then; `big`: and transactions of thousands of them."""

    def __init__(self, server, database, packages, seed, clients=4, merge=1, chances=None, first=1,
                 scratch=True, big=False):
        self.server, self.database, self.seed = server, database, seed
        self.merge, self.chances, self.scratch, self.big = merge, chances, scratch, big
        self.stopping = threading.Event()
        numbers = list(range(first, first + packages))
        self._clients = [_Client(self, first * 100 + index, numbers[index::clients])
                         for index in range(clients)]
        self._began = time.monotonic()
        self.seconds = 0.0

    def start(self):
        self._began = time.monotonic()
        for client in self._clients:
            client.start()
        return self

    @property
    def seen(self):
        return {number for client in self._clients for number in client.seen}

    @property
    def transactions(self):
        return sum(len(client.seen) + len(client.found) for client in self._clients)

    def running(self):
        self._check()
        return any(client.is_alive() for client in self._clients)

    def wait_transactions(self, count, seconds=60):
        """Until that many are committed, or the work is at its end."""
        return wait_for(f"{count} transactions of the workload",
                        lambda: self.transactions >= count or not self.running(), seconds)

    def wait_done(self, seconds=120):
        wait_for("the workload's end", lambda: not self.running(), seconds)
        self._finish()
        return self

    def stop(self):
        """Ends the clients where they are."""
        self.stopping.set()
        for client in self._clients:
            client.interrupt()
        self._finish()

    def _finish(self):
        for client in self._clients:
            if client.ident is not None:
                client.join(timeout=60 * PATIENCE)
        self.seconds = time.monotonic() - self._began

    def _check(self):
        for client in self._clients:
            if client.error:
                self.stopping.set()
                raise client.error


def fill(server, database, packages, seed, **options):
    """Schema and finished tenders, at once."""
    folder = os.path.dirname(os.path.abspath(__file__))
    server.file(database, os.path.join(folder, "spse_schema.sql"))
    return Workload(server, database, packages, seed, **options).start().wait_done(300)
