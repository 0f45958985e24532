#!/usr/bin/env python3
"""Turns `kembarctl log read --output json` on standard input into one line a package: its name and
the SHA-256 over all its records (item, kind, content) in the order of the log. Two sites that hold
the same packages with the same content give the same lines.

Usage: kembarctl log read --output json | inventory.py
"""
import hashlib
import json
import sys


def content_of(record):
    """What the record says, without where it stands in the log."""
    content = record.get("payload", record.get("payload_base64"))
    return json.dumps([record["item"], record["kind"], content]).encode()


def main():
    packages = {}
    for line in sys.stdin:
        record = json.loads(line)
        if record["package"] == "-":
            continue
        packages.setdefault(record["package"], hashlib.sha256()).update(content_of(record))
    for name in sorted(packages):
        print(json.dumps(name), packages[name].hexdigest())


if __name__ == "__main__":
    main()
