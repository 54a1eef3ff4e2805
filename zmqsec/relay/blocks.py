"""The block list of a relay (floor 11): who is turned away, by whose word and until when, kept across restarts.

It stands in SQLite, or in PostgreSQL where several relays share it. What an operator says overrules what a relay found.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from ..database import make_engine, without_password
from ..errors import ConfigError
from ..identity import fingerprint_bytes, fingerprint_text

Kind = Literal["identity", "routing-id", "address", "network"]
Decision = Literal["block", "allow"]
Origin = Literal["operator", "relay"]
KINDS: tuple[Kind, ...] = ("identity", "routing-id", "address", "network")
_MAX_NOTE = 255
_KEY = ("kind", "value", "origin")
_HEX_ID = re.compile(r"(?:[0-9a-f]{2}){1,255}")

_metadata = sql.MetaData()
_blocks = sql.Table(
    "zmqsec_blocks",
    _metadata,
    sql.Column("kind", sql.String(16), primary_key=True),
    sql.Column("value", sql.String(510), primary_key=True),
    sql.Column("origin", sql.String(16), primary_key=True),
    sql.Column("decision", sql.String(8), nullable=False),
    sql.Column("since", sql.Float, nullable=False),
    sql.Column("until", sql.Float, nullable=True),
    sql.Column("author", sql.String(255), nullable=False),
    sql.Column("note", sql.String(255), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list: times are unix seconds, `until` None means for good.

    `value` is a fingerprint (``zs1…``), a routing id in hexadecimal digits, an IP address, or a network in CIDR form.
    """

    kind: Kind
    value: str
    decision: Decision = "block"
    origin: Origin = "operator"
    since: float = 0.0
    until: float | None = None
    author: str = ""
    note: str = ""

    def in_force(self, now: float) -> bool:
        """Whether it counts at that time."""
        return self.until is None or now < self.until


def normal_value(kind: str, value: str) -> str:
    """The one form in which a value is kept; ConfigError says what is allowed."""
    try:
        if kind == "identity":
            return fingerprint_text(fingerprint_bytes(value))
        if kind == "address":
            return str(_unmapped(ipaddress.ip_address(value)))
        if kind == "network":
            return str(ipaddress.ip_network(value, strict=False))
    except ValueError as error:
        raise ConfigError(f"{kind} {value!r}: {error}") from None
    if kind == "routing-id":
        if _HEX_ID.fullmatch(value.lower()):
            return value.lower()
        raise ConfigError(f"routing-id {value!r}: 1 to 255 bytes as hexadecimal digits are allowed")
    raise ConfigError(f"{kind!r} {value!r}: one of {', '.join(KINDS)} is allowed")


def normal_entry(entry: Entry) -> Entry:
    """A line as it is kept: its value in its one form, author and note of at most 255 characters."""
    value = normal_value(entry.kind, entry.value)
    return replace(entry, value=value, author=entry.author[:_MAX_NOTE], note=entry.note[:_MAX_NOTE])


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that was written as IPv6 is one peer all the same."""
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


class BlockStore:
    """The list at a database URL of SQLAlchemy: ``sqlite:///path`` or ``postgresql+psycopg://…``.

    Each change is one transaction; readers and other relays see all of it or nothing.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = make_engine(url)
            with self._engine.begin() as connection:
                _lock_schema(connection)
                _metadata.create_all(connection)
        except (sql.exc.SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"block list {without_password(url)}: {error}") from error

    def put(self, entry: Entry) -> Entry:
        """Enter a line, in place of an older one of the same kind, value and origin; the line as it is kept."""
        entry = normal_entry(entry)
        insert = (postgresql if self._engine.dialect.name == "postgresql" else sqlite).insert(_blocks)
        columns = _columns(entry)
        with self._engine.begin() as connection:
            connection.execute(insert.values(**columns).on_conflict_do_update(index_elements=_KEY, set_=columns))
        return entry

    def remove(self, kind: str, value: str, origin: Origin | None = None) -> int:
        """Strike out the lines of a peer, of one origin or of both; how many there were."""
        value = normal_value(kind, value)
        with self._engine.begin() as connection:
            return self._delete(connection, kind, value, origin)

    def entries(self) -> list[Entry]:
        """Every line, the newest last."""
        with self._engine.connect() as connection:
            rows = connection.execute(_blocks.select().order_by(_blocks.c.since, _blocks.c.kind, _blocks.c.value))
            return [Entry(**row) for row in rows.mappings()]

    def expire(self, now: float) -> int:
        """Strike out what counts no more; how many lines."""
        with self._engine.begin() as connection:
            return connection.execute(_blocks.delete().where(_blocks.c.until <= now)).rowcount

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @staticmethod
    def _delete(connection: Connection, kind: str, value: str, origin: Origin | None) -> int:
        condition = (_blocks.c.kind == kind) & (_blocks.c.value == value)
        if origin is not None:
            condition &= _blocks.c.origin == origin
        return connection.execute(_blocks.delete().where(condition)).rowcount


class BlockList:
    """The list in memory, asked for every peer: an operator's line beats a relay's, a narrow one a wide one."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._exact: dict[tuple[str, str], list[Entry]] = {}
        self._networks: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, Entry]] = []
        self.entries = tuple(entries)
        for entry in self.entries:
            if entry.kind == "network":
                self._networks.append((ipaddress.ip_network(entry.value), entry))
            else:
                self._exact.setdefault((entry.kind, entry.value), []).append(entry)
        self._networks.sort(key=lambda one: -one[0].prefixlen)

    def ruling(self, now: float, *, address: str = "", routing_id: bytes = b"", identity: str = "") -> Entry | None:
        """The line that decides about a peer, if there is one; `identity` is a fingerprint as text.

        Who is proven counts before where he comes from: identity, then routing id, address, network.
        """
        found = [
            entry
            for kind, value in (("identity", identity), ("routing-id", routing_id.hex()), ("address", address))
            if value
            for entry in self._exact.get((kind, normal_address(value) if kind == "address" else value), ())
        ]
        found += self._of_networks(address)
        in_force = [entry for entry in found if entry.in_force(now)]
        by_operator = [entry for entry in in_force if entry.origin == "operator"]
        return next(iter(by_operator or in_force), None)

    def is_blocked(self, now: float, *, address: str = "", routing_id: bytes = b"", identity: str = "") -> bool:
        """Whether a peer is turned away."""
        entry = self.ruling(now, address=address, routing_id=routing_id, identity=identity)
        return entry is not None and entry.decision == "block"

    def counts(self) -> dict[str, dict[str, int]]:
        """How many lines there are of each decision and origin."""
        found = {decision: {"operator": 0, "relay": 0} for decision in ("block", "allow")}
        for entry in self.entries:
            found[entry.decision][entry.origin] += 1
        return found

    def about(self, kind: str, value: str) -> list[Entry]:
        """The lines that name a peer, and for an address those of the networks that it is in, narrow ones first."""
        found = [entry for entry in self.entries if (entry.kind, entry.value) == (kind, value)]
        return found + (self._of_networks(value) if kind == "address" else [])

    def _of_networks(self, address: str) -> list[Entry]:
        if not address or not self._networks:
            return []
        try:
            parsed = _unmapped(ipaddress.ip_address(address))
        except ValueError:
            return []
        return [entry for network, entry in self._networks if parsed in network]


def normal_address(text: str) -> str:
    """An IP address in the form in which lines keep it; what is none (a peer over ipc) as it is."""
    try:
        return str(_unmapped(ipaddress.ip_address(text)))
    except ValueError:
        return text


def _columns(entry: Entry) -> dict[str, object]:
    return {column.name: getattr(entry, column.name) for column in _blocks.columns}


def _lock_schema(connection: Connection) -> None:
    """Two relays that start at once make one table."""
    if connection.dialect.name == "postgresql":
        connection.execute(sql.text("SELECT pg_advisory_xact_lock(hashtext('zmqsec_blocks'))"))
