"""What strangers may cost: a token bucket for each source, and the rate of all (floor 8); spec, "Floods"."""

from __future__ import annotations

from collections import OrderedDict


class RateLimiter:
    """A token bucket for each source: `burst` at once and `rate` a second; the longest silent sources are forgotten.

    Times are monotonic seconds. A clock that goes back adds nothing and takes nothing away.
    """

    __slots__ = ("_buckets", "_burst", "_most", "_rate")

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def take(self, source: bytes, now: float) -> bool:
        """Take a token of the source's; False if it has none."""
        buckets = self._buckets
        tokens, then = buckets.get(source, (self._burst, now))
        tokens = min(self._burst, tokens + max(0.0, now - then) * self._rate)
        allowed = tokens >= 1.0
        buckets[source] = tokens - 1.0 if allowed else tokens, now
        buckets.move_to_end(source)
        if len(buckets) > self._most:
            buckets.popitem(last=False)
        return allowed

    def __len__(self) -> int:
        return len(self._buckets)


class LoadMeter:
    """Whether more than `most` came in this second or the one before it."""

    __slots__ = ("_count", "_last", "_most", "_second")

    def __init__(self, most: int) -> None:
        self._most, self._second, self._count, self._last = most, 0, 0, 0

    def count(self, now: float) -> bool:
        """Count one more; True if there are too many."""
        second = int(now)
        if second != self._second:
            self._last = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1
        return max(self._count, self._last) > self._most
