"""The configuration of a relay (floor 11): its legs and what it makes of peers, from one TOML file.

Paths are relative to the file. A relay forwards what it cannot read, so nothing here may hold a body key.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from .. import limits
from ..association import Association
from ..errors import ConfigError, IdentityError, KeyFileError, ZmqsecError
from ..keydir import read_directory
from ..toml import Document, Table
from ..trust import Trust
from .admins import named
from .peers import Thresholds
from .policy import Policy, Rate, read_policy, read_rate

#: The patterns of a leg: the socket types in front, where traffic comes from, and behind.
PATTERNS = {
    "pub-sub": (zmq.XSUB, zmq.XPUB),
    "push-pull": (zmq.PULL, zmq.PUSH),
    "router-dealer": (zmq.ROUTER, zmq.DEALER),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENDPOINT = re.compile(r"(?:tcp://.+:(?:\*|\d{1,5})|ipc://.+|inproc://.+)")
_HTTP_ADDRESS = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_MAX_LEGS = 64
_MAX_HWM = 10_000_000
_THROTTLE_RATE = 100.0
_THROTTLE_RATE_BYTES = 1048576.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a leg: endpoints to bind and to connect, and CURVE underneath.

    `curve` is a certificate of ``zmq.auth`` with its secret key: that of a CURVE server, or with `curve_server`, the
    public key in Z85 of the one to connect to, that of a client.
    """

    bind: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    curve: Path | None = None
    curve_server: str | None = None
    hwm: int = 1000


@dataclass(frozen=True, slots=True)
class LegConfig:
    """One leg: what comes at the front goes out at the back, and in two-way patterns back again."""

    name: str
    pattern: str
    front: Side
    back: Side
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Where the control socket is bound, its association's file, and who is an admin.

    `admins` are fingerprints with names, which may be empty; `trust` is a directory with authorities, whose credentials
    may give the role admin.
    """

    endpoint: str
    association: Path
    admins: tuple[tuple[bytes, str], ...] = ()
    trust: Path | None = None


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """All of a relay; `blocks` is a database URL of SQLAlchemy, in memory by default, `identity` the relay's own.

    `max_peers` of each leg are remembered; throttled ones may send `throttle_rate` messages and `throttle_rate_bytes`
    bytes in a second.
    """

    path: Path
    name: str
    legs: tuple[LegConfig, ...]
    blocks: str = "sqlite://"
    thresholds: Thresholds = field(default_factory=Thresholds)
    max_peers: int = 100_000
    throttle_rate: Rate = (_THROTTLE_RATE, _THROTTLE_RATE)
    throttle_rate_bytes: Rate = (_THROTTLE_RATE_BYTES, _THROTTLE_RATE_BYTES)
    log: str = "text"
    drain_seconds: float = 5.0
    io_threads: int = 1
    memory_mib: int | None = None
    identity: Path | None = None
    control: ControlConfig | None = None
    metrics: tuple[str, int] | None = None

    @classmethod
    def load(cls, path: Path) -> RelayConfig:
        """Read and check a file; ConfigError names file, line and key of the first fault."""
        root = Document.read(path).root
        relay = root.table("relay")
        peers = root.table("peers")
        identity = relay.path("identity", None)
        made = cls(
            path=path,
            name=relay.take("name", str, "relay", check=_name),
            blocks=_database(relay.take("blocks", str, "sqlite://"), path),
            log=relay.choice("log", ("text", "json"), "text"),
            drain_seconds=relay.number("drain_seconds", 5.0, least=0, most=3600) or 0.0,
            io_threads=relay.whole("io_threads", 1, least=1, most=64) or 1,
            memory_mib=relay.whole("memory_mib", None, least=16, most=1 << 24),
            thresholds=_thresholds(peers),
            max_peers=peers.whole("max_peers", 100_000, least=256, most=10_000_000) or 256,
            throttle_rate=read_rate(peers, "throttle_rate", _THROTTLE_RATE),
            throttle_rate_bytes=read_rate(peers, "throttle_rate_bytes", _THROTTLE_RATE_BYTES),
            identity=identity,
            control=_control(root),
            metrics=_metrics(root),
            legs=_legs(root, identity is not None),
        )
        if made.control is not None and made.identity is None:
            raise relay.fault("identity", "it must be there for [control]: answers are signed with it")
        relay.end()
        peers.end()
        root.end()
        return made


def _name(text: str) -> str | None:
    return None if _NAME.fullmatch(text) else "1 to 64 letters, digits, '.', '_' and '-' are allowed"


def _z85_key(text: str) -> str | None:
    try:
        good = len(text) == 40 and len(z85.decode(text.encode("ascii"))) == limits.KEY_BYTES
    except (ValueError, KeyError, UnicodeEncodeError, struct.error):
        good = False
    return None if good else "a public key of 40 characters in Z85 is allowed"


def _database(url: str, path: Path) -> str:
    """A database URL, in which the path of an SQLite file is relative to the configuration's too."""
    scheme, slashes, rest = url.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not rest or rest.startswith(("/", ":memory:")):
        return url
    return f"{scheme}{slashes}{path.parent.absolute() / rest}"


def _endpoint(text: str) -> str | None:
    return None if _ENDPOINT.fullmatch(text) else "tcp://HOST:PORT, ipc://PATH and inproc://NAME are allowed"


def _trust(path: Path) -> Trust:
    return read_directory(path, trust_only=True).trust


def _control(root: Table) -> ControlConfig | None:
    if "control" not in root:
        root.table("control").end()
        return None
    table = root.table("control")
    admins = []
    for one in table.strings("admins", ()):
        try:
            admins.append(named(one, table.folder))
        except (IdentityError, KeyFileError) as error:
            raise table.fault("admins", str(error)) from error
    made = ControlConfig(
        table.take("endpoint", str, check=_endpoint),
        table.folder / table.take("association", str),
        tuple(admins),
        table.path("trust", None),
    )
    for key, path, read in (("association", made.association, Association.load), ("trust", made.trust, _trust)):
        try:
            if path is not None:
                read(path)
        except ZmqsecError as error:
            raise table.fault(key, str(error)) from error
    if not made.admins and made.trust is None:
        raise table.fault(None, "'admins' or 'trust' must be there, or nobody could ask anything")
    table.end()
    return made


def _metrics(root: Table) -> tuple[str, int] | None:
    """Host and port of the HTTP server for Prometheus."""
    given = "metrics" in root
    table = root.table("metrics")
    if not given:
        return None

    def check(text: str) -> str | None:
        return None if _HTTP_ADDRESS.fullmatch(text) else "HOST:PORT is allowed, with an IPv6 address in brackets"

    host, _, port = table.take("endpoint", str, check=check).rpartition(":")
    table.end()
    return host.strip("[]"), int(port)


def _endpoints(table: Table, key: str) -> tuple[str, ...]:
    found = table.strings(key, ())
    for one in found:
        if (wrong := _endpoint(one)) is not None:
            raise table.fault(key, f"{one!r}: {wrong}")
    return found


def _side(leg: Table, key: str) -> Side:
    table = leg.table(key, needed=True)
    side = Side(
        bind=_endpoints(table, "bind"),
        connect=_endpoints(table, "connect"),
        curve=table.path("curve", None),
        curve_server=table.take("curve_server", str, None, check=_z85_key),
        hwm=table.whole("hwm", 1000, least=1, most=_MAX_HWM) or 1,
    )
    if side.curve_server is not None and (side.curve is None or side.bind):
        raise table.fault("curve_server", "a side that connects may have it, with its own certificate in 'curve'")
    if not side.bind and not side.connect:
        raise table.fault(None, "an endpoint to 'bind' or to 'connect' must be there")
    table.end()
    return side


def _legs(root: Table, has_identity: bool) -> tuple[LegConfig, ...]:
    legs: dict[str, LegConfig] = {}
    tables = root.tables("leg")
    if not 1 <= len(tables) <= _MAX_LEGS:
        raise root.fault("leg", f"{len(tables)} legs: 1 to {_MAX_LEGS} tables [[leg]] are allowed")
    for table in tables:
        pattern = table.choice("pattern", tuple(PATTERNS))
        leg = LegConfig(
            name=table.take("name", str, check=_name),
            pattern=pattern,
            front=_side(table, "front"),
            back=_side(table, "back"),
            policy=read_policy(table, pattern),
        )
        if leg.policy.needs_identity is not None and not has_identity:
            raise table.fault(leg.policy.needs_identity, "relay.identity, which signs, must be there")
        if leg.name in legs:
            raise table.fault("name", f"{leg.name!r} is the name of a leg before")
        table.end()
        legs[leg.name] = leg
    return tuple(legs.values())


def _thresholds(table: Table) -> Thresholds:
    default = Thresholds()
    values = {
        name: table.number(name, getattr(default, name), least=0, most=1e9)
        for name in ("warn", "throttle", "block", "half_life", "block_seconds")
    }
    try:
        return Thresholds(**values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise table.fault(None, str(error)) from error
