"""What somebody who knows tells a receiver that joins late (floor 8): which sessions go on; spec, "Late joiners"."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from . import limits
from .errors import AssociationError

_MAX_FLOOR = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Expected:
    """A session that goes on: its id, the number that follows those that are used up, and whose it is.

    `origin` is the public key of who signs in it; empty where nobody does.
    """

    session: bytes
    sequence: int = 0
    origin: bytes = b""

    def __post_init__(self) -> None:
        if len(self.session) != limits.SESSION_BYTES or len(self.origin) not in (0, limits.PUBLIC_KEY_BYTES):
            raise AssociationError(
                f"a session of {len(self.session)} bytes of an origin of {len(self.origin)}: "
                f"{limits.SESSION_BYTES}, and 0 or {limits.PUBLIC_KEY_BYTES} are allowed"
            )
        if not 0 <= self.sequence <= limits.MAX_SEQUENCE:
            raise AssociationError(f"sequence {self.sequence}: 0 to {limits.MAX_SEQUENCE} is allowed")


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that is known of one association: sessions that began at `floor` or before are stale, but for these."""

    floor: int
    sessions: tuple[Expected, ...] = ()


def check_floor(spi: int, floor: int, known: Container[int]) -> None:
    """AssociationError where a receiver has no such SPI, or time has none so late."""
    if spi not in known:
        raise AssociationError(f"SPI {spi:#010x} is unknown to this receiver")
    if not 0 <= floor <= _MAX_FLOOR:
        raise AssociationError(f"floor={floor}: 0 to {_MAX_FLOOR} is allowed")
