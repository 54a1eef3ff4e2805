"""What a channel keeps aside of what it receives, for handshakes (floor 9).

``_aside.pyx`` is the same for the C core.
"""

from __future__ import annotations

from . import limits
from .handshake_frames import is_handshake


class Aside:
    """Handshake frames, and the first bytes of messages with an SPI that nobody has here, with the frames in front.

    Nothing is kept before `keeps` is set; then `take` must follow every call that receives.
    """

    __slots__ = ("_kept", "keeps")

    def __init__(self) -> None:
        self.keeps = False
        self._kept: list[tuple[list[bytes], bytes]] = []

    def note(self, front: list[bytes], frame: bytes) -> bool:
        """Keep a handshake's frame; False for any other."""
        if not self.keeps or not is_handshake(frame):
            return False
        self._kept.append((front, frame))
        return True

    def note_unknown(self, front: list[bytes], frame: bytes) -> None:
        """Keep what is needed to answer a message whose SPI nobody has."""
        if self.keeps and len(self._kept) < limits.BATCH:
            self._kept.append((front, frame[: limits.MIN_SEALED_BYTES]))

    def take(self) -> list[tuple[list[bytes], bytes]]:
        """What was kept since the last call."""
        taken, self._kept = self._kept, []
        return taken
