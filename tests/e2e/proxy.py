"""A TCP proxy between two nodes whose two directions can be held, delayed and cut one by one.

A held direction forwards nothing and keeps the connection: what a firewall that drops packets looks
like to the other side. What is sent meanwhile arrives when the direction is released, as TCP would
retransmit it. `cut` closes every connection and refuses new ones until `heal`.
"""
import selectors
import socket
import threading
import time

CHUNK = 64 * 1024
SLOW_CHUNK = 1500  # a packet
SLOW_BUFFER = 32 * 1024  # of each socket


class Direction:
    """One way through the proxy, over all its connections."""

    def __init__(self):
        self._open = threading.Event()
        self._open.set()
        self.delay_s = 0.0
        self.bytes_per_s = 0  # 0: as fast as it goes; set before connections are made
        self.bytes = 0
        self._free_at = 0.0
        self._turn = threading.Lock()

    def take_time(self, size):
        """Takes as long as a line of this rate needs for so many bytes, of all connections together."""
        if not self.bytes_per_s:
            return
        with self._turn:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self.bytes_per_s
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)  # the line's own time

    def hold(self):
        self._open.clear()

    def release(self):
        self._open.set()

    def wait_until_open(self, closed):
        """False when the connection was closed while the direction was held."""
        while not self._open.wait(0.05):
            if closed.is_set():
                return False
        return not closed.is_set()


class _Pump(threading.Thread):
    """Moves bytes of one connection in one direction."""

    def __init__(self, source, target, direction, closed, close):
        super().__init__(daemon=True)
        self._source, self._target = source, target
        self._direction, self._closed, self._close = direction, closed, close

    def run(self):
        try:
            while not self._closed.is_set():
                # A slow line takes little at once, so that what waits for it waits at the sender.
                data = self._source.recv(SLOW_CHUNK if self._direction.bytes_per_s else CHUNK)
                self._direction.take_time(len(data))
                if self._direction.delay_s:
                    time.sleep(self._direction.delay_s)  # the network's own delay
                if not data or not self._direction.wait_until_open(self._closed):
                    break
                self._target.sendall(data)
                self._direction.bytes += len(data)
        except OSError:
            pass
        self._close()


class Proxy:
    """Listens on `listen_port` and connects to `target`; `forward` is client to target."""

    def __init__(self, listen_port, target):
        self.address = f"127.0.0.1:{listen_port}"
        self.forward, self.backward = Direction(), Direction()
        self._target = target
        self._lock = threading.Lock()
        self._connections = set()  # functions that close one connection each
        self._refusing = False
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", listen_port))
        self._listener.setblocking(False)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self):
        self._refusing = True
        with self._lock:
            closers = list(self._connections)
        for close in closers:
            close()

    def heal(self):
        self._refusing = False
        self.forward.release()
        self.backward.release()

    def stop(self):
        self._stopped.set()
        self.heal()
        self.cut()
        self._thread.join()
        self._listener.close()

    def _accept(self):
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        while not self._stopped.is_set():
            if not selector.select(0.1):
                continue
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            self._connect(client)

    def _connect(self, client):
        host, port = self._target.rsplit(":", 1)
        try:
            if self._refusing:
                raise OSError("refused")
            client.setblocking(True)
            server = socket.create_connection((host, int(port)), timeout=2)
            server.settimeout(None)
        except OSError:
            client.close()
            return
        self._start_pumps(client, server)

    def _start_pumps(self, client, server):
        closed = threading.Event()
        if self.forward.bytes_per_s or self.backward.bytes_per_s:
            for end in (client, server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SLOW_BUFFER)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def close():
            with self._lock:
                self._connections.discard(close)
            if closed.is_set():
                return
            closed.set()
            for end in (client, server):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

        with self._lock:
            self._connections.add(close)
        _Pump(client, server, self.forward, closed, close).start()
        _Pump(server, client, self.backward, closed, close).start()
