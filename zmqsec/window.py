"""The replay window of one session (floor 8), RFC 6479, as a set of bits below the highest sequence number."""

from __future__ import annotations

from . import limits


class Window:
    """Accepts each sequence number once: those above the highest accepted, and those fewer than `width` below it."""

    __slots__ = ("_seen", "top", "width")

    def __init__(self, first: int, width: int = limits.REPLAY_WINDOW) -> None:
        self.top, self.width, self._seen = first, width, 1

    @classmethod
    def begin_at(cls, following: int, width: int = limits.REPLAY_WINDOW) -> Window:
        """A window in which all numbers below `following` are used up, and no other one is."""
        made = cls(max(0, following - 1), width)
        made._seen = (1 << min(following, width)) - 1
        return made

    def check(self, sequence: int) -> bool:
        """True if `sequence` may still be accepted. Moves nothing."""
        if sequence > self.top:
            return True
        behind = self.top - sequence
        return behind < self.width and not self._seen >> behind & 1

    def commit(self, sequence: int) -> None:
        """Mark an authenticated `sequence`, which was checked, as seen."""
        if sequence > self.top:
            self._seen = (self._seen << min(sequence - self.top, self.width) | 1) & ((1 << self.width) - 1)
            self.top = sequence
        else:
            self._seen |= 1 << (self.top - sequence)
