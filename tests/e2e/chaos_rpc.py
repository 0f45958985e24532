"""What the chaos program asks of a node without any of the project's own code between: appends on a
connection that stays open, the status, the quarantine. HTTP/2 by hand as in raw_grpc.py, and the few
protobuf fields that are needed."""
import socket
import struct
import time

from raw_grpc import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
                      SETTINGS, _frame, _literal, _read_exactly)

WINDOW_UPDATE = 8
INITIAL_WINDOW_SIZE = 4
WINDOW_MAX = (1 << 31) - 1
WINDOW_AT_FIRST = 65_535
PUT = 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Refused(Exception):
    """The node answered, and its answer was no."""


# ---- protobuf ----------------------------------------------------------------------------------

def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return _varint(field << 3 | VARINT) + _varint(value)


def data(field, value):
    value = value if isinstance(value, bytes) else value.encode()
    return _varint(field << 3 | BYTES) + _varint(len(value)) + value


def read_varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(message):
    """{field: [values]}; numbers as they are, everything else as bytes."""
    found, at = {}, 0
    while at < len(message):
        tag, at = read_varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = read_varint(message, at)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if size is None:
                size, at = read_varint(message, at)
            value, at = message[at:at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


class Fields:
    """A message whose absent fields read as their defaults."""

    def __init__(self, message):
        self._found = fields(message)

    def number(self, field):
        return self._found.get(field, [0])[-1]

    def bytes(self, field):
        return self._found.get(field, [b""])[-1]

    def text(self, field):
        return self.bytes(field).decode()

    def messages(self, field):
        return [Fields(value) for value in self._found.get(field, [])]


# ---- HTTP/2 ------------------------------------------------------------------------------------

def _printable(payload):
    """What people can read of a header block: gRPC writes an error's text as it is."""
    return "".join(chr(byte) if 32 <= byte < 127 else " " for byte in payload).strip()[-300:]


class Connection:
    """One connection; one call at a time, or several sent before their answers are looked for."""

    def __init__(self, address, seconds):
        host, port = address.rsplit(":", 1)
        self._authority, self._next = address, 1
        self._socket = socket.create_connection((host, int(port)), timeout=seconds)
        # Never out of window: nothing here is long enough to need flow control.
        window = struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW_MAX)
        more = struct.pack(">I", WINDOW_MAX - WINDOW_AT_FIRST)
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, window) + _frame(WINDOW_UPDATE, 0, 0, more))

    def close(self):
        self._socket.close()

    def send(self, path, message, seconds):
        """Starts a call that the node gives up after `seconds`; returns its stream."""
        stream, self._next = self._next, self._next + 2
        headers = b"".join(_literal(name, value) for name, value in [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", self._authority),
            ("te", "trailers"), ("content-type", "application/grpc"),
            ("grpc-timeout", f"{int(seconds * 1000)}m")])
        body = b"\x00" + struct.pack(">I", len(message)) + message
        self._socket.sendall(_frame(HEADERS, END_HEADERS, stream, headers)
                             + b"".join(self._body(stream, body)))
        return stream

    @staticmethod
    def _body(stream, body, piece=16_000):
        for at in range(0, len(body), piece):
            yield _frame(DATA, END_STREAM if at + piece >= len(body) else 0, stream, body[at:at + piece])

    def receive(self, stream, seconds):
        """All messages of the answer. Raises Refused, or OSError when no answer came to its end."""
        deadline = time.monotonic() + seconds
        body = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._socket.settimeout(left)
            kind, flags, of, payload = self._read_frame()
            if kind in (SETTINGS, PING) and not flags & ACK:
                self._socket.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == GOAWAY or (kind == RST_STREAM and of == stream):
                raise ConnectionError(f"the node ended the call: {_printable(payload)}")
            elif of == stream and kind == DATA:
                body += payload
            if of == stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                # A failed unary call has no message; a failed stream may have some before its end.
                if not body:
                    raise Refused(_printable(payload))
                return list(_messages(body))

    def call(self, path, message, seconds):
        return self.receive(self.send(path, message, seconds), seconds)

    def _read_frame(self):
        header = _read_exactly(self._socket, 9)
        size = struct.unpack(">I", b"\x00" + header[:3])[0]
        kind, flags, stream = struct.unpack(">BBI", header[3:])
        return kind, flags, stream, _read_exactly(self._socket, size)


def _messages(body):
    at = 0
    while at + 5 <= len(body):
        size = struct.unpack(">I", body[at + 1:at + 5])[0]
        yield body[at + 5:at + 5 + size]
        at += 5 + size


def ask(address, path, message, seconds):
    connection = Connection(address, seconds)
    try:
        return connection.call(path, message, seconds)
    finally:
        connection.close()


# ---- Calls -------------------------------------------------------------------------------------

APPEND = "/kembar.v1.Log/Append"


def append_request(log, source, position, after, drafts):
    """`drafts`: (package, item, payload); `after`: the source's position before, or None."""
    message = data(1, log) + data(2, source) + number(3, position)
    if after is not None:
        message += number(4, after)
    for package, item, payload in drafts:
        message += data(5, number(1, PUT) + data(2, package) + data(3, item) + data(6, payload))
    return message


class Acknowledgement:
    def __init__(self, message):
        read = Fields(message)
        self.index, self.epoch = read.number(1), read.number(2)
        self.sites, self.duplicate = read.number(3), bool(read.number(4))


def log_status(address, log, seconds):
    """(role, epoch, durable index) of the log at this node; None if it has none."""
    answer = ask(address, "/kembar.v1.Admin/Status", data(1, log), seconds)
    for status in Fields(answer[0]).messages(5):
        return status.text(2), status.number(4), status.number(8)
    return None


def quarantine_entries(address, log, seconds=20):
    """[(id, first index, last index, acknowledged to)]"""
    try:
        answer = ask(address, "/kembar.v1.Admin/ListQuarantine", data(1, log), seconds)
    except Refused:
        return []  # it does not hold the log
    return [tuple(entry.number(field) for field in (1, 4, 5, 6))
            for entry in Fields(answer[0]).messages(1)]


def quarantined_records(address, log, entry, seconds=60):
    """The records of one entry as (index, epoch, source, position, package, item, payload)."""
    answers = ask(address, "/kembar.v1.Admin/ReadQuarantine", data(1, log) + number(2, entry), seconds)
    return [(r.number(1), r.number(2), r.text(5), r.number(6), r.text(7), r.text(8), r.bytes(11))
            for answer in answers for r in Fields(answer).messages(1)]
