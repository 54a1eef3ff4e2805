"""What each ZeroMQ socket type means for sealed traffic (floor 11): which frames stand in clear, and where."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from . import limits
from .errors import SocketError
from .parts import as_bytes

_MAX_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    """One socket type: the libzmq type underneath, its directions, and the layout of what it receives."""

    type: zmq.SocketType
    underlying: zmq.SocketType
    sends: bool = True
    receives: bool = True
    layout: int = limits.LAYOUT_PLAIN
    topics: bool = False
    routes: bool = False
    plain: bool = False  # a message is its sealed part, with nothing in front

    @property
    def answers(self) -> bool:
        """Whether both ends send, so that a reply must answer a message of the socket that receives it."""
        return self.sends and self.receives and self.layout != limits.LAYOUT_TOPIC


# REQ and REP stand on DEALER and ROUTER: libzmq's own would wait in lockstep for a reply to a message that was refused.
_PATTERNS = (
    Pattern(zmq.SocketType.PUSH, zmq.SocketType.PUSH, plain=True, receives=False),
    Pattern(zmq.SocketType.PULL, zmq.SocketType.PULL, plain=True, sends=False),
    Pattern(zmq.SocketType.PAIR, zmq.SocketType.PAIR, plain=True),
    Pattern(zmq.SocketType.PUB, zmq.SocketType.PUB, receives=False, topics=True),
    Pattern(zmq.SocketType.SUB, zmq.SocketType.SUB, sends=False, layout=limits.LAYOUT_TOPIC),
    Pattern(zmq.SocketType.XPUB, zmq.SocketType.XPUB, layout=limits.LAYOUT_TOPIC, topics=True),
    Pattern(zmq.SocketType.XSUB, zmq.SocketType.XSUB, layout=limits.LAYOUT_TOPIC),
    Pattern(zmq.SocketType.DEALER, zmq.SocketType.DEALER, layout=limits.LAYOUT_ENVELOPE, routes=True),
    Pattern(zmq.SocketType.ROUTER, zmq.SocketType.ROUTER, layout=limits.LAYOUT_ENVELOPE, routes=True),
    Pattern(zmq.SocketType.REQ, zmq.SocketType.DEALER, layout=limits.LAYOUT_ENVELOPE),
    Pattern(zmq.SocketType.REP, zmq.SocketType.ROUTER, layout=limits.LAYOUT_ENVELOPE),
)
_BY_TYPE = {int(pattern.type): pattern for pattern in _PATTERNS}


def pattern_of(socket_type: int) -> Pattern:
    """The pattern of a socket type; SocketError for types that zmqsec does not secure."""
    try:
        return _BY_TYPE[int(socket_type)]
    except KeyError:
        allowed = ", ".join(pattern.type.name for pattern in _PATTERNS)
        try:
            given = zmq.SocketType(socket_type).name
        except ValueError:
            given = str(socket_type)
        raise SocketError(f"socket type {given} cannot be secured; {allowed} are allowed") from None


class Envelopes:
    """The envelopes deeper than one routing id that came with authenticated messages, the newest 4,096.

    A reply's envelope is the longest remembered one that its parts begin with: so nothing goes out in clear that did
    not come in clear.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, ...], None] = OrderedDict()
        self._longest = 0  # of the remembered frames; no longer part is looked at

    def remember(self, envelope: Sequence[bytes]) -> None:
        """Keep an envelope; a routing id alone, or with the empty delimiter, needs no memory."""
        if len(envelope) < 2 or (len(envelope) == 2 and envelope[1] == b""):
            return
        key = tuple(envelope)
        self._known[key] = None
        self._known.move_to_end(key)
        self._longest = max(self._longest, *map(len, key))
        if len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)

    def length(self, parts: Sequence[Any], first_is_id: bool) -> int:
        """How many of the leading parts are envelope; at least one part stays for the body."""
        if self._known:
            leading: list[bytes] = []
            for part in parts[: min(len(parts) - 1, limits.MAX_ENVELOPE_FRAMES)]:
                if _length(part) > self._longest:
                    break
                leading.append(as_bytes(part))
            for count in range(len(leading), 1, -1):
                if tuple(leading[:count]) in self._known:
                    return count
        at = 1 if first_is_id else 0
        if len(parts) > at + 1 and _length(parts[at]) == 0:
            return at + 1
        return at


def _length(part: Any) -> int:
    try:
        return len(part)
    except TypeError:
        return len(as_bytes(part))  # which says what a part may be
