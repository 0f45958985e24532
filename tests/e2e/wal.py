"""Rewrites one value in a RocksDB write-ahead log with a right checksum: how a test makes a data
directory that a newer program would have left."""
import glob
import os
import struct

HEADER = struct.Struct("<IHB")  # masked CRC-32C of type and payload, payload bytes, type
MASK_DELTA = 0xA282EAD8


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def rewrite(data_dir, old, new):
    """Replaces `old` by `new`, of the same length, in the one record that holds it."""
    assert len(old) == len(new)
    for path in sorted(glob.glob(os.path.join(data_dir, "*.log"))):
        with open(path, "rb") as handle:
            content = bytearray(handle.read())
        at = 0
        while at + HEADER.size <= len(content):
            crc, size, kind = HEADER.unpack_from(content, at)
            begin, end = at + HEADER.size, at + HEADER.size + size
            if kind == 0:
                break  # preallocated space
            payload = bytes(content[begin:end])
            assert crc == masked(crc32c(bytes([kind]) + payload)), f"{path}: bad record at {at}"
            if old in payload:
                changed = payload.replace(old, new)
                content[begin:end] = changed
                HEADER.pack_into(content, at, masked(crc32c(bytes([kind]) + changed)), size, kind)
                with open(path, "wb") as handle:
                    handle.write(content)
                return
            at = end
    raise AssertionError(f"no record with {old!r} in {data_dir}")
