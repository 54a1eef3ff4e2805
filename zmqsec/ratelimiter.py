"""What strangers may cost: token buckets, the rate of all, and the bounds of both (floor 8); spec, "Floods"."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields

from . import limits
from .errors import HandshakeError


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a responder does for strangers. What is "of" something is a rate: so many a second, and as many at once.

    `half_open` handshakes are remembered, `half_open_of_source` of one source. Above `under_load` openings a second
    cookies are asked for. Full work is done for `of_source`, `of_hop` and `of_all` openings, and `looks_of_hop` are
    looked at at all. A source is a whole envelope, a hop its first frame: the connection by which it came.
    """

    half_open: int = limits.MAX_HALF_OPEN
    half_open_of_source: int = limits.MAX_HALF_OPEN_OF_SOURCE
    under_load: float = limits.UNDER_LOAD
    of_source: float = limits.OPENINGS_OF_SOURCE
    of_hop: float = limits.OPENINGS_OF_HOP
    of_all: float = limits.OPENINGS_OF_ALL
    looks_of_hop: float = limits.LOOKS_OF_HOP

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name == "under_load" else 1
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value:
                raise HandshakeError(f"{field.name}={value!r}: a number of {least} or more is allowed")


class RateLimiter:
    """A token bucket for each key: `rate` a second and as many at once; who took none for longest is forgotten.

    Times are monotonic seconds. A clock that goes back adds nothing and takes nothing away.
    """

    __slots__ = ("_buckets", "_most", "_rate")

    def __init__(self, rate: float, most: int = limits.MAX_SOURCES) -> None:
        self._rate, self._most = float(rate), most
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def take(self, key: bytes, now: float) -> bool:
        """Take a token of the key's; False if it has none."""
        buckets, rate = self._buckets, self._rate
        tokens, then = buckets.get(key, (rate, now))
        if now > then:
            tokens = min(rate, tokens + (now - then) * rate)
        if tokens < 1.0:
            if now < then:
                buckets[key] = tokens, now
            return False  # and else nothing is written: a flood costs no more than this
        buckets[key] = tokens - 1.0, now
        buckets.move_to_end(key)
        if len(buckets) > self._most:
            buckets.popitem(last=False)
        return True

    def __len__(self) -> int:
        return len(self._buckets)


class LoadMeter:
    """Whether more than `most` came in this second or the one before it."""

    __slots__ = ("_count", "_last", "_most", "_second")

    def __init__(self, most: float) -> None:
        self._most, self._second, self._count, self._last = most, 0, 0, 0

    def count(self, now: float) -> bool:
        """Count one more; True if there are too many."""
        second = int(now)
        if second != self._second:
            self._last = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1
        return max(self._count, self._last) > self._most
