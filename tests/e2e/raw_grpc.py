"""One gRPC call over HTTP/2 written by hand, so that what a node answers to any client on earth is
seen without a gRPC library: health and reflection."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4


def _frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    """An HPACK header field without indexing and without Huffman coding; both parts are short."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _request(authority, path, message):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority),
              ("te", "trailers"), ("content-type", "application/grpc")]
    headers = b"".join(_literal(name, value) for name, value in fields)
    body = b"\x00" + struct.pack(">I", len(message)) + message
    return (PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, headers)
            + _frame(DATA, END_STREAM, 1, body))


def _read_exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise OSError("the node closed the connection")
        data += piece
    return data


def call(address, path, message=b"", seconds=5):
    """The first answer's bytes; raises OSError when there is none."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(_request(address, path, message))
        body = b""
        while True:
            header = _read_exactly(connection, 9)
            size = struct.unpack(">I", b"\x00" + header[:3])[0]
            kind, flags, stream = struct.unpack(">BBI", header[3:])
            payload = _read_exactly(connection, size)
            if kind in (SETTINGS, PING) and not flags & ACK:
                connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind in (RST_STREAM, GOAWAY):
                raise OSError(f"the node ended the call: frame {kind} {payload!r}")
            elif stream == 1 and kind == DATA:
                body += payload
            if stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
                break
    if len(body) < 5:
        raise OSError("the node answered without a message")
    return body[5:5 + struct.unpack(">I", body[1:5])[0]]


def is_serving(address, service=""):
    """grpc.health.v1: whether the node says SERVING."""
    name = service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    return call(address, "/grpc.health.v1.Health/Check", request) == b"\x08\x01"


def services(address):
    """Reflection: the answer to list_services, as raw bytes that hold the names."""
    return call(address, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                b"\x3a\x01*")
