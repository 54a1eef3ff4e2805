"""A real PostgreSQL of the tests' own: a fresh cluster in a folder, on loopback, gone with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HOMES = ("/usr/lib/postgresql", "/usr/local/pgsql")


def _program(name: str) -> str:
    """The newest PostgreSQL's program of that name; Debian keeps the server's out of PATH."""
    found = [path for home in _HOMES for path in sorted(Path(home).glob(f"*/bin/{name}"), reverse=True)]
    where = str(found[0]) if found else shutil.which(name)
    if where is None:
        raise RuntimeError(f"PostgreSQL's {name} is not here; make test installs it (Debian: postgresql)")
    return where


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _place(folder: Path, user: dict[str, Any]) -> Iterator[Path]:
    """Where the cluster stands: for root outside of pytest's folders, which every pytest closes to others."""
    if not user:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="zmqsec-postgres-") as own:
        os.chown(own, user["user"], user["group"])
        yield Path(own)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a cluster, in `folder` if its user can; its database URL for SQLAlchemy."""
    user = _user()
    with _place(folder, user) as place:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place, **user}
        data = place / "data"
        made = [_program("initdb"), "-D", data, "-U", "zmqsec", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, **quiet)
        port = _free_port()
        options = f"-p {port} -k {place} -h 127.0.0.1 -F"
        control = [_program("pg_ctl"), "-D", str(data), "-w", "-t", "60"]
        subprocess.run([*control, "-o", options, "-l", str(place / "log"), "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg://zmqsec@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
