"""The order of the house: every file names its floor and imports no higher one, none imports itself, none is long."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Where the sources stand; elsewhere where an installed zmqsec is tested.
SOURCES = Path(os.environ.get("ZMQSEC_SOURCES", Path(__file__).parent.parent))
MOST_LINES = 400


def python_imports(path: Path, package: str) -> set[str]:
    """Modules that a file of a package imports when it is imported itself: `socket`, `relay.config`."""
    found: set[str] = set()
    text = path.read_text()
    if path.suffix == ".pyx":
        for line in re.findall(r"^from \.(\w+) c?import", text, re.M):
            found.add(line)
        for names in re.findall(r"^from \. c?import ([\w, ]+)", text, re.M):
            found |= {name.split(" as ")[0].strip() for name in names.split(",")}
        return found
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            inside = package if node.level == 1 else ""
            names = {node.module} if node.module else {alias.name for alias in node.names}
            found |= {inside + name for name in names}
            found |= {f"{inside}{node.module}.{alias.name}" for alias in node.names if node.module}
    return found


def c_includes(path: Path) -> set[str]:
    return set(re.findall(r'^#include "(\w+\.h)"', path.read_text(), re.M))


def floor_of(path: Path) -> int | None:
    """The floor that the first comment of a file names."""
    found = re.search(r"\(floor (\d+)\)", "".join(path.read_text().splitlines(keepends=True)[:8]))
    return int(found.group(1)) if found else None


def files_of(root: Path) -> dict[str, Path]:
    home = root / "zmqsec"
    python = {
        ".".join(path.relative_to(home).with_suffix("").parts): path
        for path in sorted(home.rglob("*.py*"))
        if path.suffix in (".py", ".pyx")
    }
    return {**python, **{path.name: path for path in sorted((root / "csrc").glob("*.[ch]"))}}


def edges_of(files: dict[str, Path]) -> dict[str, set[str]]:
    edges = {}
    for name, path in files.items():
        package = f"{name.rpartition('.')[0]}." if "." in name else ""
        found = c_includes(path) if path.suffix in (".c", ".h") else python_imports(path, package)
        edges[name] = {one for one in found if one in files and one != name}
    return edges


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Names that can reach themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for one in edges[todo.pop()] - seen:
                seen.add(one)
                todo.append(one)
        return seen

    return [name for name in edges if name in reached(name)]


def faults(root: Path) -> Iterator[str]:
    files = files_of(root)
    edges = edges_of(files)
    floors = {name: floor_of(path) for name, path in files.items()}
    for name, path in files.items():
        lines = len(path.read_text().splitlines())
        if lines > MOST_LINES:
            yield f"{name} has {lines} lines"
        if floors[name] is None:
            yield f"{name} names no floor"
    for name, used in edges.items():
        for one in sorted(used):
            mine, its = floors[name], floors[one]
            if mine is not None and its is not None and its > mine:
                yield f"{name} (floor {mine}) uses {one} (floor {its})"
    yield from (f"{name} imports itself in a circle" for name in circles(edges))


def test_floors_of_the_house_hold() -> None:
    assert list(faults(SOURCES)) == []


def test_floors_cover_every_source_file() -> None:
    files = files_of(SOURCES)
    assert {"socket", "_channel", "reference", "zs.h", "batch.c", "dispatch.h"} <= set(files)
    assert sum(len(used) for used in edges_of(files).values()) > 150


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    (
        ("zmqsec/low.py", '"""Low (floor 1)."""\nfrom .high import x\n', "low (floor 1) uses high (floor 2)"),
        ("zmqsec/low.py", '"""Low (floor 1)."""\nfrom . import high\n', "low (floor 1) uses high (floor 2)"),
        (
            "zmqsec/inner/low.py",
            '"""Low (floor 1)."""\nfrom ..high import x\n',
            "inner.low (floor 1) uses high (floor 2)",
        ),
        (
            "zmqsec/inner/low.py",
            '"""Low (floor 1)."""\nfrom .. import high\n',
            "inner.low (floor 1) uses high (floor 2)",
        ),
        ("zmqsec/low.py", '"""Low (floor 1)."""\nfrom .inner import deep\n', "low (floor 1) uses inner.deep (floor 2)"),
        (
            "zmqsec/inner/low.py",
            '"""Low (floor 1)."""\nfrom .deep import x\n',
            "inner.low (floor 1) uses inner.deep (floor 2)",
        ),
        ("zmqsec/low.pyx", '"""Low (floor 1)."""\nfrom .high cimport x\n', "low (floor 1) uses high (floor 2)"),
        ("zmqsec/low.py", '"""Low."""\n', "low names no floor"),
        ("zmqsec/low.py", '"""Low (floor 2)."""\nfrom .peer import x\n', "low imports itself in a circle"),
        ("zmqsec/low.py", '"""Low (floor 1)."""\n' + "x = 1\n" * 400, "low has 401 lines"),
        ("csrc/low.h", '/* low.h (floor 1) */\n#include "high.h"\n', "low.h (floor 1) uses high.h (floor 3)"),
    ),
)
def test_floors_fault_is_found(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / "zmqsec" / "inner").mkdir(parents=True)
    (tmp_path / "zmqsec" / "inner" / "deep.py").write_text('"""Deep (floor 2)."""\n')
    (tmp_path / "csrc").mkdir()
    (tmp_path / "zmqsec" / "high.py").write_text('"""High (floor 2)."""\n')
    (tmp_path / "zmqsec" / "peer.py").write_text('"""Peer (floor 2)."""\nfrom .low import y\n')
    (tmp_path / "csrc" / "high.h").write_text("/* high.h (floor 3) */\n")
    (tmp_path / name).write_text(text)
    assert fault in list(faults(tmp_path))
