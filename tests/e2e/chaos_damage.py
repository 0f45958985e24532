"""One bit of a stopped node's files is flipped, as a failing disk would do it."""
import glob
import os

import wal

WAL_BLOCK = 32_768


def _sst_place(data, rng):
    """Anywhere: `verify` knows the checksum of each whole file."""
    places = sorted(glob.glob(os.path.join(data, "*.sst")))
    if not places:
        return None
    path = rng.choice(places)
    return path, rng.randrange(os.path.getsize(path))


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
    """Returns the file and what was done to it, as text; None when there is no such file yet."""
    place = _sst_place(data, rng) if kind == "sst" else _wal_place(data, rng)
    if place is None:
        return None
    path, at = place
    with open(path, "r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)[0] ^ (1 << rng.randrange(8))
        handle.seek(at)
        handle.write(bytes([byte]))
    return path, f"{os.path.basename(path)} byte {at} of {os.path.getsize(path)}"
