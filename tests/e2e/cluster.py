"""Starts real nodes in a temporary directory and asks them things: the harness of the e2e tests.

    class MyTest(ClusterTest):
        def test_it(self):
            cluster = self.start_cluster("tebo", "jambi")     # log "tebo", tebo is primary
            cluster.ctl("import", "rup", path)
            cluster["tebo"].kill9()

Nothing here sleeps to let something happen: what is awaited is asked for again until it is so, or
until a deadline, whose message says what was awaited and what was seen last.
"""
import base64
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

BIN = os.environ.get("KEMBAR_BIN") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "bin")
SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LOG = "tebo"
POLL_S = 0.05
# Sanitizers make everything slower; run.sh says by how much deadlines grow.
PATIENCE = float(os.environ.get("KEMBAR_PATIENCE", "1"))
PR_SET_PDEATHSIG = 1


def program(name):
    return os.path.join(BIN, name)


class Awaited(AssertionError):
    """Something that was awaited did not come."""


def wait_for(what, predicate, seconds=20.0):
    """Asks `predicate` until it answers something true, and returns that."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        seen = predicate()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Awaited(f"waited {seconds * PATIENCE:.0f} s for {what}; seen last: {seen!r}")
        time.sleep(POLL_S)


_ports_given = set()


def free_port():
    """A port nobody listens on, below the range from which the kernel takes ports for clients."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        if port in _ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given.add(port)
        return port


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def tail_of(path, lines):
    """The last lines of a log file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError:
        return "(no log)\n"


class Outcome:
    """How a program ended."""

    def __init__(self, args, done):
        self.args, self.code = args, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def json_lines(self):
        return [json.loads(line) for line in self.out.split("\n") if line]

    def __str__(self):
        words = " ".join(os.path.basename(str(word)) for word in self.args)
        return f"`{words}` exit {self.code}\n  stdout: {self.out[-800:]!r}\n  stderr: {self.err[-800:]!r}"


def run(*args, seconds=60, env=None):
    """Runs a program to its end."""
    args = [str(arg) for arg in args]
    done = subprocess.run(
        args, capture_output=True, text=True, timeout=seconds * PATIENCE, check=False,
        stdin=subprocess.DEVNULL, env=dict(os.environ, KEMBAR_NODE="", **(env or {})))
    return Outcome(args, done)


class Daemon:
    """A program of ours that runs on, with its folder, log and HTTP port."""

    PROGRAM = ""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.http_port = free_port()
        self.http = f"http://127.0.0.1:{self.http_port}"
        self.config_path = os.path.join(folder, f"{self.PROGRAM}.toml")
        self.log_path = os.path.join(folder, f"{self.PROGRAM}.log")
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def start(self, *options, wait=True):
        assert not self.running(), f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(self.PROGRAM), "--config", self.config_path, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        if wait:
            wait_for(f"{self.name} to listen", self._listens)
        return self

    def start_refused(self, seconds=20):
        """Starts one that is expected to refuse, and returns how it ended."""
        return run(program(self.PROGRAM), "--config", self.config_path, seconds=seconds)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        self._signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=20):
        """SIGTERM; returns the exit code."""
        self._signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds * PATIENCE)

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def stop(self):
        if self.running():
            self.resume()
            self.process.kill()
            self.process.wait()

    def get(self, path, seconds=5):
        """(status, body) of an HTTP GET; (0, "") when nobody answers."""
        try:
            with urllib.request.urlopen(self.http + path, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        """The sum of a metric over its labels; None when it is not there."""
        values = [float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics")[1].split("\n")
                  if line.startswith((name + " ", name + "{"))]
        return sum(values) if values else None

    def labelled(self, name, **labels):
        """One sample of a metric; None when it is not there."""
        for line in self.get("/metrics")[1].split("\n"):
            wanted = [f'{label}="{value}"' for label, value in labels.items()]
            if line.startswith(name + "{") and all(part in line for part in wanted):
                return float(line.rsplit(" ", 1)[1])
        return None

    def log_tail(self, lines=25):
        return tail_of(self.log_path, lines)

    def _signal(self, number):
        assert self.running(), f"{self.name} does not run"
        self.process.send_signal(number)

    def _listens(self):
        if not self.running():
            raise Awaited(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
        return self.get("/healthz", seconds=1)[0] != 0


class Node(Daemon):
    """One kembard with its configuration and data directory."""

    PROGRAM = "kembard"

    def __init__(self, name, folder):
        super().__init__(name, folder)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data = os.path.join(folder, "data")

    def write_config(self, peers, node="", limits=""):
        """`peers`: (name, address) pairs; an empty address lets that node dial this one."""
        text = [f'[node]\nname = "{self.name}"\nlisten = "{self.address}"\n'
                f'http = "127.0.0.1:{self.http_port}"\ndata = "{self.data}"\n'
                f'disk_reserve = "16MiB"\n{node}\n']
        for name, address in peers:
            text.append(f'[[peer]]\nname = "{name}"\naddress = "{address}"\n\n')
        text.append(f'[limits]\nheartbeat_ms = 100\nsilence_ms = 1000\n{limits}\n')
        with open(self.config_path, "w", encoding="utf-8") as out:
            out.write("".join(text))

    def wipe(self):
        assert not self.running(), f"{self.name} still runs"
        shutil.rmtree(self.data)


class Agent(Daemon):
    """One kembar-agent that captures a PostgreSQL database into a cluster's log."""

    PROGRAM = "kembar-agent"

    def write_config(self, cluster, dsn, mapping="", postgres="", agent=""):
        """`mapping`: a path; `postgres`, `agent`: more lines of these sections."""
        if mapping:
            postgres = f'mapping = "{mapping}"\n{postgres}'
        nodes = ", ".join(f'"{node.address}"' for node in cluster)
        with open(self.config_path, "w", encoding="utf-8") as out:
            out.write(f'[agent]\nname = "{self.name}"\nnodes = [{nodes}]\nlog = "{cluster.log}"\n'
                      f'http = "127.0.0.1:{self.http_port}"\n{agent}\n'
                      f'[postgres]\nname = "{self.name}"\ndsn = "{dsn}"\n{postgres}\n')
        return self


class Cluster:
    """Some nodes that carry one log."""

    def __init__(self, folder, names, log=LOG):
        self.folder, self.log = folder, log
        self.nodes = {name: Node(name, os.path.join(folder, name)) for name in names}

    def __getitem__(self, name):
        return self.nodes[name]

    def __iter__(self):
        return iter(self.nodes.values())

    @property
    def addresses(self):
        return ",".join(node.address for node in self)

    def configure(self, **options):
        """Everyone knows everyone."""
        for node in self:
            others = [(peer.name, peer.address) for peer in self if peer is not node]
            node.write_config(others, **options)

    def start(self, *names):
        """Starts them all at once, then waits for each."""
        for name in names or self.nodes:
            self[name].start(wait=False)
        for name in names or self.nodes:
            wait_for(f"{name} to listen", self[name]._listens)

    def create_log(self, primary, *options):
        mirrors = []
        for node in self:
            if node.name != primary:
                mirrors += ["--mirror", f"{node.name}={node.address}"]
        self.ctl("log", "create", self.log, "--primary", f"{primary}={self[primary].address}",
                 *mirrors, *options)
        self.wait_state("protected")

    def try_ctl(self, *args, node=None, seconds=60):
        """kembarctl, however it ends. `node`: ask this one only."""
        where = self[node].address if node else self.addresses
        return run(program("kembarctl"), "--node", where, *args, seconds=seconds)

    def ctl(self, *args, **options):
        done = self.try_ctl(*args, **options)
        assert done.code == 0, str(done)
        return done

    def ctl_json(self, *args, **options):
        return self.ctl("--output", "json", *args, **options).json()

    def status(self, node=None):
        """Status as JSON; None while nobody answers."""
        done = self.try_ctl("--output", "json", "--log", self.log, "status", node=node)
        return done.json() if done.out.strip() else None

    def node_status(self, name):
        status = self.status()
        return next((n for n in status["nodes"] if n["name"] == name), None) if status else None

    def wait_state(self, state, seconds=30):
        def reached():
            status = self.status()
            return status if status and status["state"] == state else None

        return wait_for(f"state {state} of log {self.log}", reached, seconds)

    def wait_level(self, seconds=60):
        """Until every node answers, and all hold all there is and know it committed."""
        def level():
            status = self.status()
            if not status or status["state"] != "protected":
                return None
            nodes = [n for n in status["nodes"] if n["name"] in self.nodes]
            last = status["last_index"]
            same = all(n["durable_index"] == n["commit_index"] == last for n in nodes)
            whole = len(nodes) == len(self.nodes) and all(n["reachable"] for n in nodes)
            return status if whole and same else None

        return wait_for("all nodes to be level", level, seconds)

    def records(self, at=None):
        """Every committed record, as the node `at` or the primary has it."""
        where = ["--at", at] if at else []
        return self.ctl("--output", "json", "--log", self.log, "log", "read", *where,
                        seconds=120).json_lines()

    def packages(self, at=None):
        where = ["--at", at] if at else []
        return self.ctl_json("--log", self.log, "package", "list", *where)

    def append(self, item, content, *options, node=None, seconds=60):
        """Appends one item of package "test/1", however it ends."""
        path = os.path.join(self.folder, "append.bin")
        with open(path, "wb") as out:
            out.write(content.encode())
        return self.try_ctl("--output", "json", "--log", self.log, "append", "--package", "test/1",
                            "--item", item, "--file", path, *options, node=node, seconds=seconds)

    def failover(self, to, *without, options=()):
        args = ["--yes", "--log", self.log, "failover", "--to", to, *options]
        for name in without:
            args += ["--without", name]
        return self.ctl_json(*args)

    def stop(self):
        for node in self:
            node.stop()


class ClusterTest(unittest.TestCase):
    """A test with clusters of its own; shows the nodes' last words when it fails."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="kembar-e2e-")
        self.clusters = []
        self.addCleanup(self._clean_up)

    def make_cluster(self, *names, **options):
        folder = os.path.join(self.folder, f"cluster{len(self.clusters)}")
        cluster = Cluster(folder, names)
        self.clusters.append(cluster)
        cluster.configure(**options)
        return cluster

    def start_cluster(self, *names, **options):
        """The first name is the primary's."""
        cluster = self.make_cluster(*names, **options)
        cluster.start()
        cluster.create_log(names[0])
        return cluster

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as out:
                out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def sample(self):
        path = self.path("sample.json")
        done = run("python3", "-B", os.path.join(SOURCE, "deploy", "sample", "make_sample.py"), path)
        self.assertEqual(done.code, 0, str(done))
        return path

    def assert_one_line_error(self, done, *words, code=None):
        """It failed, printed no data, and said last in one line what and where. A node logs before."""
        self.assertNotEqual(done.code, 0, str(done))
        if code is not None:
            self.assertEqual(done.code, code, str(done))
        self.assertEqual(done.out, "", str(done))
        lines = [line for line in done.err.split("\n") if line.strip()]
        self.assertEqual([line for line in lines if line.startswith("error:")], lines[-1:], str(done))
        if not done.args[0].endswith(("kembard", "kembar-agent")):
            self.assertEqual(len(lines), 1, str(done))
        lines = lines[-1:]
        for word in words:
            self.assertIn(word.lower(), lines[0].lower(), str(done))

    def show_logs(self):
        """Whether the last words of what ran are printed: when the test failed, or always."""
        result = self._outcome.result
        failed = any(test is self for test, _ in result.failures + result.errors)
        return failed or bool(os.environ.get("KEMBAR_SHOW_LOGS"))

    def _clean_up(self):
        show = self.show_logs()
        statuses = {}
        for cluster in self.clusters:
            if show:
                statuses[id(cluster)] = cluster.status()
            cluster.stop()
        if show:
            for cluster in self.clusters:
                print(f"--- status: {json.dumps(statuses.get(id(cluster)))}")
                for node in cluster:
                    print(f"--- log of {node.name} ({node.address})\n{node.log_tail()}", flush=True)
        if os.environ.get("KEMBAR_KEEP"):
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def payload_of(record):
    """The bytes of a record as kembarctl prints it."""
    if "payload_base64" in record:
        return base64.b64decode(record["payload_base64"])
    return record["payload"].encode()


def say(text):
    print(text, flush=True)


def main():
    unittest.main(verbosity=2)
