"""What a socket counts, and how it reports refusals at a bounded rate (floor 11)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import Refusal

_LOG = logging.getLogger("zmqsec")
_SECONDS_BETWEEN_LINES = 1.0

OnRefused = Callable[[Refusal], None]


@dataclass(frozen=True, slots=True)
class Stats:
    """A socket's counts: sealed and opened sealed parts (a bundle is one), and refusals by reason."""

    sealed: int
    opened: int
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def total_refused(self) -> int:
        """Refusals for every reason together."""
        return sum(self.refused.values())


class _Pace:
    """Lets something happen once a second, and counts how often it did not."""

    __slots__ = ("_last", "held_back")

    def __init__(self) -> None:
        self._last = -_SECONDS_BETWEEN_LINES
        self.held_back = 0

    def due(self) -> bool:
        """Whether a second has passed since this was last true."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            self.held_back += 1
            return False
        self._last = now
        return True


class Reporter:
    """Hands refusals to the user's callback and to logging, at most one line a second for a socket."""

    __slots__ = ("_failures", "_lines", "_on_refused", "_socket_name")

    def __init__(self, socket_name: str, on_refused: OnRefused | None) -> None:
        self._socket_name, self._on_refused = socket_name, on_refused
        self._lines, self._failures = _Pace(), _Pace()

    def report(self, refusals: list[Refusal]) -> None:
        """Report; an exception of the callback is logged, at the same pace, and goes no further."""
        for refusal in refusals:
            if self._on_refused is not None:
                self._call(self._on_refused, refusal)
            if self._lines.due():
                self._log(refusal)

    def _call(self, on_refused: OnRefused, refusal: Refusal) -> None:
        try:
            on_refused(refusal)
        except Exception:
            if self._failures.due():
                _LOG.exception("zmqsec: the on_refused callback of a %s socket failed", self._socket_name)

    def _log(self, refusal: Refusal) -> None:
        spi = "" if refusal.spi is None else f" spi={refusal.spi:#010x}"
        detail = f" ({refusal.detail!r})" if refusal.detail else ""
        missed, self._lines.held_back = self._lines.held_back, 0
        more = f"; {missed} more were refused since the last line" if missed else ""
        _LOG.warning("zmqsec: %s refused a message: %s%s%s%s", self._socket_name, refusal.reason, detail, spi, more)
