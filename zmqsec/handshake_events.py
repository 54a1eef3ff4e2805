"""What initiators and responders hand to whoever moves their frames (floor 10)."""

from __future__ import annotations

from dataclasses import dataclass

from .association import Association
from .errors import HandshakeReason
from .pair import Pair


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame to the peer; a responder's goes to the source that it answers."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Accept:
    """Open with this association from now on, before what follows is sent: the peer may seal with it next."""

    association: Association


@dataclass(frozen=True, slots=True)
class Established:
    """The peer has proved that it holds the same keys: seal with `pair.send`, and open with `pair.receive`."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame was refused: no state moved, and a handshake that is under way goes on."""

    reason: HandshakeReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """An initiator's handshake is over; `spi` is that of its `Accept`: lost, or still opened with."""

    reason: HandshakeReason
    detail: str = ""
    spi: int | None = None


Event = Send | Accept | Established | Refused | Failed
