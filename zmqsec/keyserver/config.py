"""The configuration of a key server (floor 11), from one TOML file. Paths are relative to the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..toml import Document, Table
from .rootkey import RootKey
from .store import Store

_ENDPOINT = re.compile(r"(?:tcp://.+:(?:\*|\d{1,5})|ipc://.+)")
_SQLITE = "sqlite:///"
DEFAULT_PORT = 5670


@dataclass(frozen=True, slots=True)
class Config:
    """All of a key server.

    `bind` is where members come to, `announce` where the word of new keys goes out, and `announce_as` the address of
    that as members see it (by default the host that they reach the server at). `metrics` is an address and a port for
    Prometheus, or None.
    """

    path: Path
    database: str
    root_key: Path | None
    root_key_command: tuple[str, ...]
    bind: tuple[str, ...]
    announce: str
    announce_as: str | None
    metrics: tuple[str, int] | None
    log: str
    max_connections: int

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read and check a file; ConfigError names file, line and key of the first fault."""
        root = Document.read(path).root
        table = root.table("keyserver", needed=True)
        made = cls(
            path=path,
            database=_database(table),
            root_key=table.path("root_key", None),
            root_key_command=table.strings("root_key_command", ()),
            bind=_endpoints(table, "bind", (f"tcp://*:{DEFAULT_PORT}",)),
            announce=_endpoints(table, "announce", (f"tcp://*:{DEFAULT_PORT + 1}",))[0],
            announce_as=(*_endpoints(table, "announce_as", ()), None)[0],
            metrics=_address(table, "metrics"),
            log=table.choice("log", ("text", "json"), "text"),
            max_connections=table.whole("max_connections", 50_000, least=1, most=10_000_000) or 1,
        )
        if (made.root_key is None) == (not made.root_key_command):
            raise table.fault(None, "one of 'root_key', a file, and 'root_key_command', a list, must be there")
        table.end()
        root.end()
        return made

    def open_store(self) -> Store:
        """The database, brought to its newest form."""
        return Store(self.database)

    def read_root_key(self) -> RootKey:
        """The root key, from where the configuration says."""
        if self.root_key is not None:
            return RootKey.from_file(self.root_key)
        return RootKey.from_command(self.root_key_command)


def _database(table: Table) -> str:
    url = table.take("database", str, f"{_SQLITE}realm.db", check=_is_database)
    if url.startswith(_SQLITE):
        return _SQLITE + str(table.folder.absolute() / url.removeprefix(_SQLITE))
    return url


def _is_database(url: str) -> str | None:
    allowed = url.startswith("postgresql+psycopg://") or (url.startswith(_SQLITE) and len(url) > len(_SQLITE))
    return None if allowed else "sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME is allowed"


def _endpoints(table: Table, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    found = table.strings(key, default)
    if not found and default:
        raise table.fault(key, "one endpoint or more must be there")
    for one in found:
        if not _ENDPOINT.fullmatch(one):
            raise table.fault(key, f"{one!r}: tcp://HOST:PORT and ipc://PATH are allowed")
    return found


def _address(table: Table, key: str) -> tuple[str, int] | None:
    text = table.take(key, str, None)
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise table.fault(key, f"{text!r}: HOST:PORT is allowed")
    return host.strip("[]"), int(port)


def sample(database: str) -> str:
    """The configuration that `zmqsec keyserver init` writes."""
    return (
        "[keyserver]\n"
        f'database = "{database}"\n'
        'root_key = "root.key"\n'
        f'bind = "tcp://*:{DEFAULT_PORT}"\n'
        f'announce = "tcp://*:{DEFAULT_PORT + 1}"\n'
        '# announce_as = "tcp://keys.example.net:5671"   # where members reach announcements, if not at this host\n'
        '# metrics = "127.0.0.1:9670"                    # for Prometheus\n'
        'log = "text"\n'
    )


__all__ = ["DEFAULT_PORT", "Config", "ConfigError", "sample"]
