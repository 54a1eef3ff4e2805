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


class Reporter:
    """Hands refusals to the user's callback and to logging, at most one line a second for a socket."""

    __slots__ = ("_last", "_on_refused", "_socket_name", "_suppressed")

    def __init__(self, socket_name: str, on_refused: OnRefused | None) -> None:
        self._socket_name, self._on_refused = socket_name, on_refused
        self._last, self._suppressed = -_SECONDS_BETWEEN_LINES, 0

    def report(self, refusals: list[Refusal]) -> None:
        """Report; an exception of the callback is logged and goes no further."""
        for refusal in refusals:
            if self._on_refused is not None:
                try:
                    self._on_refused(refusal)
                except Exception:
                    _LOG.exception("zmqsec: the on_refused callback of a %s socket failed", self._socket_name)
            self._log(refusal)

    def _log(self, refusal: Refusal) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            self._suppressed += 1
            return
        spi = "" if refusal.spi is None else f" spi={refusal.spi:#010x}"
        detail = f" ({refusal.detail!r})" if refusal.detail else ""
        more = f"; {self._suppressed} more were refused since the last line" if self._suppressed else ""
        _LOG.warning("zmqsec: %s refused a message: %s%s%s%s", self._socket_name, refusal.reason, detail, spi, more)
        self._last, self._suppressed = now, 0
