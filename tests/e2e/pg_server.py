"""A real PostgreSQL server for tests: its own data directory, port and socket, durable as in service.

    server = PgServer().start()
    server.create_database("epns_prod")
    server.sql("epns_prod", "CREATE TABLE t (n int)")
    server.kill9(); server.start()
    server.checksum("epns_prod")       # what pg_checksum.py says of it
    server.destroy()

PostgreSQL refuses to run as root; then it runs as the system user postgres, in a directory of its own
(postgres could not enter the directory of a test that root made).
"""
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import pg_checksum
from cluster import PATIENCE, Awaited, die_with_parent, free_port, tail_of, wait_for

SETTINGS = {
    "listen_addresses": "127.0.0.1", "fsync": "on", "synchronous_commit": "on",
    "full_page_writes": "on", "wal_level": "logical", "max_replication_slots": "10",
    "max_wal_senders": "10", "max_connections": "60", "shared_buffers": "64MB",
    "max_wal_size": "256MB", "timezone": "Asia/Jakarta", "log_timezone": "Asia/Jakarta",
    "lc_messages": "C", "log_line_prefix": "%m [%p] %a ", "wal_receiver_status_interval": "1s",
}


def bin_dir():
    """Where the newest installed server's programs are; None when there is none."""
    found = [path for path in glob.glob("/usr/lib/postgresql/*/bin")
             if os.access(os.path.join(path, "initdb"), os.X_OK)]
    if found:
        return max(found, key=lambda path: int(re.findall(r"postgresql/(\d+)", path)[0]))
    initdb = shutil.which("initdb")
    return os.path.dirname(initdb) if initdb else None


def absent():
    """Why tests with a server can't run here; empty when they can."""
    if bin_dir() is None:
        return "PostgreSQL's server is not installed (deploy/install-deps.sh test)"
    if os.geteuid() == 0 and _account() is None:
        return "PostgreSQL does not run as root, and there is no system user postgres"
    return ""


def _account():
    """Whom the server runs as; None: as we are, or nobody fit."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


class SqlError(AssertionError):
    """psql failed."""


class PgServer:
    """One cluster of databases. `settings`: lines of postgresql.conf that differ."""

    def __init__(self, name="postgres", settings=None):
        self.name, self.port = name, free_port()
        self.folder = tempfile.mkdtemp(prefix="kembar-pg-")
        self.data = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "server.log")
        self.process = None
        self._identity = {}
        account = _account()
        if account:
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        os.chmod(self.folder, 0o755)
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        self.set(**{**SETTINGS, "port": str(self.port), "unix_socket_directories": self.folder,
                    **(settings or {})})

    # -- configuration

    def set(self, **settings):
        """Adds lines to postgresql.conf; counts at the next start or reload()."""
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            for key, value in settings.items():
                conf.write(f"{key} = '{value}'\n")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def dsn(self, database, **more):
        parts = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        return " ".join(f"{key}={value}" for key, value in {**parts, **more}.items())

    # -- life

    def start(self, wait=True):
        assert not self.running(), f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(bin_dir(), "postgres"), "-D", self.data], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                **self._identity)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        def ready():
            if not self.running():
                raise Awaited(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.try_sql("postgres", "SELECT NOT pg_is_in_recovery()").out == "t"

        wait_for(f"{self.name} to answer", ready, seconds)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast", seconds=60):
        """fast: clients are thrown out, all is written; immediate: like a crash, with recovery."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        children = self._children()
        self.process.send_signal(number)
        self.process.wait(timeout=seconds * PATIENCE)
        self._wait_gone(children)

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def kill9(self):
        """The server and all its processes (each is a session of its own: no group to kill)."""
        self.process.send_signal(signal.SIGSTOP)  # it starts no more children
        children = self._children()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.kill()
        self.process.wait()
        self._wait_gone(children)

    def wipe(self):
        assert not self.running(), f"{self.name} still runs"
        shutil.rmtree(self.data)

    def destroy(self):
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines=25):
        return tail_of(self.log_path, lines)

    # -- questions

    def psql_args(self, database):
        return [os.path.join(bin_dir(), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1",
                "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]

    def try_sql(self, database, sql, seconds=300):
        """However it ends: has out, err, code."""
        done = subprocess.run(
            self.psql_args(database), input=sql, capture_output=True, text=True, check=False,
            timeout=seconds * PATIENCE, env=self.environment())
        done.out, done.err, done.code = done.stdout.rstrip("\n"), done.stderr, done.returncode
        return done

    def sql(self, database, sql, seconds=300):
        """What psql prints: a line a row, | between columns."""
        done = self.try_sql(database, sql, seconds)
        if done.code != 0:
            raise SqlError(f"{self.name}/{database}: {sql[:300]!r}\n{done.err[-1500:]}")
        return done.out

    def rows(self, database, sql):
        out = self.sql(database, sql)
        return [line.split("|") for line in out.split("\n")] if out else []

    def file(self, database, path):
        with open(path, encoding="utf-8") as handle:
            return self.sql(database, handle.read())

    def create_database(self, name, template=None):
        self.sql("postgres", f'CREATE DATABASE "{name}"' +
                 (f' TEMPLATE "{template}"' if template else ""))
        return self.dsn(name)

    def drop_database(self, name):
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def pgbench(self, database, *args, seconds=120):
        return self._run("pgbench", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *args,
                         database, seconds=seconds)

    def wal_position(self):
        """The LSN up to which everything that any client saw committed is written."""
        return self.sql("postgres", "SELECT pg_current_wal_flush_lsn()")

    def slot(self, name):
        """{column: text} of a replication slot; None when there is no such slot."""
        columns = ["slot_name", "plugin", "active", "restart_lsn", "confirmed_flush_lsn", "wal_status"]
        rows = self.rows("postgres", f"SELECT {','.join(columns)} FROM pg_replication_slots "
                                     f"WHERE slot_name = '{name}'")
        return dict(zip(columns, rows[0])) if rows else None

    def wait_confirmed(self, slot, seconds=90):
        """Until the slot's reader confirmed everything that is committed now."""
        position = self.wal_position()

        def confirmed():
            return self.sql("postgres", "SELECT confirmed_flush_lsn >= " f"'{position}' "
                            f"FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t"

        try:
            wait_for(f"slot {slot} of {self.name} to be confirmed up to {position}", confirmed, seconds)
        except Awaited as late:
            raise Awaited(f"{late}; the slot: {self.slot(slot)}") from None

    def checksum(self, database, without=("kembar",)):
        return pg_checksum.checksum(self, database, without)

    # -- inside

    @staticmethod
    def environment():
        env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return dict(env, PGCLIENTENCODING="UTF8", PGCONNECT_TIMEOUT="10")

    def _run(self, program, *args, seconds=120):
        done = subprocess.run(
            [os.path.join(bin_dir(), program), *args], cwd=self.folder, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=seconds * PATIENCE, check=False, env=self.environment(),
            **self._identity)
        if done.returncode != 0:
            raise SqlError(f"{program} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _children(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="ascii", errors="replace") as stat:
                    text = stat.read()
            except OSError:
                continue
            if int(text.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                found.append(int(path.split("/")[2]))
        return found

    def _wait_gone(self, pids):
        def gone():
            left = [pid for pid in pids if _alive(pid)]
            return not left

        wait_for(f"the processes of {self.name} to end", gone)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False
