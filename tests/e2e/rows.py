"""What the import files hold, found out here and not by the importer: each row's own bytes.

A row is the exact slice of the file from its opening to its closing brace.
"""
import json
import os

DECODER = json.JSONDecoder()
SPACE = " \t\r\n"


def data_dir():
    """The real tender data beside the repository, or None."""
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.abspath(os.path.join(here, "..", "..", "..", "shared", "data"))
    return folder if os.path.isdir(folder) else None


def read_text(path):
    with open(path, encoding="utf-8", newline="") as handle:
        return handle.read()


def _skip(text, at, chars=SPACE):
    while at < len(text) and text[at] in chars:
        at += 1
    return at


def array_slices(text, at=0):
    """(value, slice) of each element of the array that begins at `at`; and where the array ends."""
    at = _skip(text, at)
    if text[at] != "[":
        raise ValueError(f"no array at character {at}")
    found = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        value, end = DECODER.raw_decode(text, at)
        found.append((value, text[at:end]))
        at = _skip(text, end, SPACE + ",")
    return found, at + 1


def member_slices(text, name):
    """array_slices of the top-level object's member `name`."""
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = DECODER.raw_decode(text, at)
        at = _skip(text, at, SPACE + ":")
        if key == name:
            return array_slices(text, at)[0]
        _, at = DECODER.raw_decode(text, at)
        at = _skip(text, at, SPACE + ",")
    raise ValueError(f"no member {name}")


def rup_rows(path):
    """(package, bytes) of each row, in the order of the file."""
    return [(f"rup/{row['id']}", piece.encode()) for row, piece in array_slices(read_text(path))[0]]


def ocds_rows(path):
    rows = member_slices(read_text(path), "releases")
    return [(row["ocid"], piece.encode()) for row, piece in rows]


def isb_rows(path):
    """The package of a row that belongs to no tender is None: the importer may name it as it likes."""
    rows = []
    for row, piece in array_slices(read_text(path))[0]:
        package = None
        if row.get("kd_tender") is not None:
            package = f"tender/{row['kd_tender']}"
        elif row.get("kd_nontender") is not None:
            package = f"nontender/{row['kd_nontender']}"
        rows.append((package, piece.encode()))
    return rows
