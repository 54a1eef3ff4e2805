"""Memory of the process (floor 11): libzmq holds frames of unfinished messages without a bound, so it is watched."""

from __future__ import annotations

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
#: After a cut the allocator gives memory back with a delay; no second cut before it is below this share of the limit.
_CALM = 0.8


class MemoryWatch:
    """Whether the resident memory has passed a limit in MiB; without a limit, or without /proc, it never has."""

    def __init__(self, limit_mib: int | None) -> None:
        self.limit_mib = limit_mib or 0
        self._armed = True

    def now(self) -> int:
        """Resident bytes; 0 where the system does not tell."""
        try:
            return int(_STATM.read_text().split()[1]) * _PAGE
        except OSError:
            return 0

    def share(self) -> float:
        """What is resident, as a share of the limit; 0 without one."""
        return self.now() / (self.limit_mib << 20) if self.limit_mib else 0.0

    def is_beyond(self) -> bool:
        """True once each time that the limit is passed."""
        share = self.share()
        if share < _CALM:
            self._armed = True
        if share <= 1 or not self._armed:
            return False
        self._armed = False
        return True
