"""One bit of a stopped node's files is flipped, as a failing disk would do it."""
import glob
import os
import struct

import wal
from chaos_rpc import read_varint

WAL_BLOCK = 32_768
SST_MAGIC = bytes.fromhex("f7cff485b741e288")
SST_FOOTER = 53  # of RocksDB's table format 5: a byte, two handles padded to 40, version, magic number
# Damage must be where `verify` reads: not in what finds a source's position, nor in filters, nor where
# nothing but records lies that were cut off. Of those only the last ones of a file can be, and few.
ENTRIES_MIN = {b"log": 200, b"items": 1}
ENTRY_BYTES_MAX = 4096


# ---- SST files ---------------------------------------------------------------------------------

def _entries(block):
    """(key, value) pairs of a RocksDB block; a key states how much it shares with the one before."""
    restarts = struct.unpack("<I", block[-4:])[0] & 0x7FFFFFFF
    at, end, key = 0, len(block) - 4 - 4 * restarts, b""
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        size, at = read_varint(block, at)
        key = key[:shared] + block[at:at + fresh]
        yield key, block[at + fresh:at + fresh + size]
        at += fresh + size


def _block(content, handle):
    offset, at = read_varint(handle, 0)
    size, _ = read_varint(handle, at)
    return dict(_entries(content[offset:offset + size]))


def _family_and_data(path):
    """The column family of a table file, and how many entries and bytes of data blocks it begins with.
    (None, 0, 0) for one whose writing was cut off: nobody will read it."""
    with open(path, "rb") as handle:
        content = handle.read()
    if len(content) < SST_FOOTER or not content.endswith(SST_MAGIC):
        return None, 0, 0
    index = _block(content, content[1 - SST_FOOTER:])
    properties = _block(content, index[b"rocksdb.properties"])
    return (properties[b"rocksdb.column.family.name"],
            read_varint(properties[b"rocksdb.num.entries"], 0)[0],
            read_varint(properties[b"rocksdb.data.size"], 0)[0])


def _sst_place(data, rng):
    """In the first half of a file's data."""
    places = []
    for path in sorted(glob.glob(os.path.join(data, "*.sst"))):
        family, entries, size = _family_and_data(path)
        if entries >= ENTRIES_MIN.get(family, 1 << 60) and size <= entries * ENTRY_BYTES_MAX:
            places.append((path, size))
    if not places:
        return None
    path, size = rng.choice(places)
    return path, rng.randrange(max(1, size // 2))


# ---- Write-ahead logs --------------------------------------------------------------------------

def _record_ends(path):
    with open(path, "rb") as handle:
        content = handle.read()
    at, ends = 0, []
    while at + wal.HEADER.size <= len(content):
        if WAL_BLOCK - at % WAL_BLOCK < wal.HEADER.size:
            at += WAL_BLOCK - at % WAL_BLOCK  # too little room for another header
            continue
        _, size, kind = wal.HEADER.unpack_from(content, at)
        if kind == 0:
            break  # preallocated space
        at += wal.HEADER.size + size
        ends.append(at)
    return ends


def _wal_place(data, rng):
    """Inside a record that others follow: damage of the last one could be a write that was cut off."""
    places = []
    for path in sorted(glob.glob(os.path.join(data, "*.log"))):
        ends = _record_ends(path)
        if len(ends) > 4:
            places.append((path, rng.randrange(ends[-4])))
    return rng.choice(places) if places else None


def flip_bit(data, kind, rng):
    """Returns what was done, as text; None when there is no such file yet."""
    place = _sst_place(data, rng) if kind == "sst" else _wal_place(data, rng)
    if place is None:
        return None
    path, at = place
    with open(path, "r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)[0] ^ (1 << rng.randrange(8))
        handle.seek(at)
        handle.write(bytes([byte]))
    return f"{os.path.basename(path)} byte {at} of {os.path.getsize(path)}"
