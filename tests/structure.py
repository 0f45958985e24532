#!/usr/bin/env python3
"""The structure of the tree, as a test: layering by #include, no cycles, limits on files and
functions, an opening comment in each file, every test compiled in, no links to nowhere in the docs.

Usage: structure.py SOURCE_DIR. Prints each breach as FILE:LINE: text; exit status 1 if there is one.
"""
import os
import re
import sys

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
LINE_CHARS_MAX = 100

# Which directories the files of a directory may include from, besides their own.
LAYERS = {
    "replicator/base": [],
    "replicator/log": ["replicator/base"],
    "replicator/core": ["replicator/base", "replicator/log"],
    "node/store": ["replicator/base", "replicator/log"],
    "node/blob": ["replicator", "node"],
    "node/rpc": ["replicator", "node", "kembar/v1"],
    "node/http": ["replicator", "node"],
    "node": ["replicator", "node", "kembar/v1"],
    "tools/import": ["replicator/base"],
    "tools/client": ["replicator/base", "replicator/log", "kembar/v1"],
    "tools/capture": ["replicator/base"],
    "tools/documents": ["replicator/base", "tools/client", "tools/capture", "kembar/v1"],
    "tools/postgres": ["replicator/base", "tools/capture"],
    "tools/restore": ["replicator/base", "tools/client", "tools/capture", "tools/postgres", "kembar/v1"],
    "tools/agent": ["replicator/base", "tools/client", "tools/capture", "tools/documents", "tools/postgres",
                    "tools/restore", "kembar/v1"],
    "tools/kembarctl": ["replicator/base", "replicator/log", "tools/client", "tools/import", "tools/capture",
                        "tools/documents", "tools/postgres", "tools/restore", "kembar/v1"],
    "tools/bench": ["replicator/base", "tools/client", "tools/postgres", "kembar/v1"],
    "tests": ["replicator", "node", "tools", "tests", "kembar/v1"],
}

# The pure core may use these and the standard library only.
PURE = "replicator/"
PURE_SYSTEM = re.compile(r"^(openssl/|[a-z_]+>?$)")
PURE_BANNED = {"thread", "condition_variable", "future", "chrono", "filesystem", "fstream", "random"}

BANNED = [
    (re.compile(r"\bstd::this_thread::sleep"), "sleeping is not synchronising: wait for a condition"),
    (re.compile(r"\.detach\(\)"), "threads are joined"),
    (re.compile(r"\bassert\("), "use CHECK, which stays on in release"),
    (re.compile(r"\bFIXME\b|\bTODO\b|\bXXX\b"), "say it in an issue"),
]

errors = []


def error(path, line, text):
    errors.append(f"{path}:{line}: {text}")


def sources(root):
    for top in ("replicator", "node", "tools", "tests", "proto"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".h", ".cc", ".proto", ".py", ".sh")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def layer_of(path):
    folder = os.path.dirname(path)
    while folder:
        if folder in LAYERS:
            return folder
        folder = os.path.dirname(folder)
    return None


def check_includes(path, lines, graph):
    layer = layer_of(path)
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        target = match.group(2)
        if match.group(1) == '"':
            graph.setdefault(path, []).append((target, number))
            folder = os.path.dirname(target)
            if layer is None:
                error(path, number, "directory is not in the layer table")
            elif not any(folder == ok or folder.startswith(ok + "/") for ok in LAYERS[layer] + [layer]):
                error(path, number, f"{layer} may not include {target}")
        elif path.startswith(PURE):
            if not PURE_SYSTEM.match(target) or target in PURE_BANNED:
                error(path, number, f"the pure core may not include <{target}>")


def check_cycles(graph):
    state = {}

    def visit(path, trail):
        state[path] = "open"
        for target, number in graph.get(path, []):
            if state.get(target) == "open":
                error(path, number, "include cycle: " + " -> ".join(trail + [path, target]))
            elif target not in state:
                visit(target, trail + [path])
        state[path] = "done"

    for path in list(graph):
        if path not in state:
            visit(path, [])


def check_functions(path, lines):
    """Top-level and member function bodies: from a line that opens one to its closing brace."""
    depth_start = None
    for number, line in enumerate(lines, 1):
        opens = re.match(r"^(?:  )?[A-Za-z_~][^;#]*\)[^;]*\{\s*$", line) or (
            re.match(r"^(?:  )?\s*.*\)\s*(const)?\s*(override)?\s*\{\s*$", line)
            and not line.startswith("    ")
        )
        if depth_start is None and opens and not re.match(r"^\s*(namespace|class|struct|enum)", line):
            indent = len(line) - len(line.lstrip())
            depth_start = (number, indent)
        elif depth_start and re.match(r"^ {%d}\}" % depth_start[1], line):
            length = number - depth_start[0] + 1
            if length > FUNCTION_LINES_MAX:
                error(path, depth_start[0], f"function of {length} lines (at most {FUNCTION_LINES_MAX})")
            depth_start = None


def check_text(path, lines):
    if len(lines) > FILE_LINES_MAX:
        error(path, 1, f"file of {len(lines)} lines (at most {FILE_LINES_MAX})")
    first = next((l for l in lines if l.strip() and not l.startswith("#!")), "")
    if not first.startswith(("//", "#", '"""')):
        error(path, 1, "begins without a comment that says what it is")
    for number, line in enumerate(lines, 1):
        if path.endswith((".h", ".cc")):
            if len(line) > LINE_CHARS_MAX:
                error(path, number, f"line of {len(line)} characters")
            code = line.split("//")[0]
            for pattern, why in BANNED:
                if pattern.search(code if "FIXME" not in pattern.pattern else line):
                    error(path, number, why)


def check_registered(root, path):
    """Tests are globbed by folder in tests/CMakeLists.txt; a test elsewhere would not run."""
    if path.endswith("_test.cc"):
        folder = os.path.dirname(path)[len("tests/"):]
        with open(os.path.join(root, "tests/CMakeLists.txt"), encoding="utf-8") as cmake:
            if f"{folder}/*_test.cc" not in cmake.read():
                error(path, 1, "no glob in tests/CMakeLists.txt covers this test")
    if path.startswith("tests/e2e/") and path.endswith("_test.py"):
        with open(os.path.join(root, "tests/e2e/CMakeLists.txt"), encoding="utf-8") as cmake:
            if "*_test.py" not in cmake.read():
                error(path, 1, "no glob in tests/e2e/CMakeLists.txt covers this test")


def check_docs(root):
    for folder, _, names in os.walk(root):
        if "/build" in folder or "/.git" in folder or "/var" in folder:
            continue
        for name in names:
            if not name.endswith(".md"):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as handle:
                for number, line in enumerate(handle, 1):
                    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
                        if not os.path.exists(os.path.join(folder, target)):
                            error(os.path.relpath(path, root), number, f"link to nowhere: {target}")


def main():
    root = sys.argv[1]
    graph = {}
    count = 0
    for path in sources(root):
        count += 1
        with open(os.path.join(root, path), encoding="utf-8") as handle:
            lines = handle.read().split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        check_text(path, lines)
        check_registered(root, path)
        if path.endswith((".h", ".cc")):
            check_includes(path, lines, graph)
            check_functions(path, lines)
    check_cycles(graph)
    check_docs(root)
    for line in errors:
        print(line)
    print(f"{count} files checked, {len(errors)} breaches")
    return 1 if errors or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
