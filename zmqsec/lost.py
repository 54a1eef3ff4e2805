"""What a responder says when it has lost a pair, and only it can say (floor 9); spec, "Lost state".

A responder that starts anew knows no pair of its life before. The token for an SPI is made of its identity, so it can
still make it, and showed it to the initiator when they shook hands (as RFC 6290 does it for IKE).
"""

from __future__ import annotations

import hmac
from typing import Final

from . import limits, sodium
from .handshake_frames import FrameHeader
from .identity import Identity

_ID_END: Final = limits.SESSION_OFFSET + limits.SESSION_BYTES
_KIND_OFFSET: Final = 5


class LostTokens:
    """One identity's tokens, for any SPI that it receives on or once did."""

    __slots__ = ("_secret",)

    def __init__(self, identity: Identity) -> None:
        self._secret = identity.derive(b"zmqsec.lost")

    def token(self, spi: int) -> bytes:
        """20 secret bytes, for the initiator of the pair alone until the pair is lost."""
        return sodium.blake2b(self._secret, b"zmqsec.lost", spi.to_bytes(4, "little"))[: limits.LOST_TOKEN_BYTES]

    def frame(self, spi: int, handshake_id: bytes) -> bytes:
        """The frame that gives the token away: as long as the shortest sealed part, so that it amplifies nothing."""
        return FrameHeader(spi, handshake_id, limits.LOST, 0).encode() + self.token(spi)

    def frame_for(self, sealed: bytes) -> tuple[int, bytes] | None:
        """The SPI of a sealed part and the frame that answers it; None where it is no message of a pair's."""
        kind = sealed[_KIND_OFFSET] & 0x0F if len(sealed) >= limits.MIN_SEALED_BYTES else -1
        if kind not in (limits.KIND_DATA, limits.KIND_BUNDLE, limits.KIND_CONTROL):
            return None
        spi = int.from_bytes(sealed[limits.NONCE_OFFSET : limits.SESSION_OFFSET], "little")
        if sealed[:4] != limits.MAGIC + bytes([limits.VERSION]) or spi == 0:
            return None
        return spi, self.frame(spi, sealed[limits.SESSION_OFFSET : _ID_END])


def says_lost(frame: bytes, spi: int, token: bytes) -> bool:
    """Whether a frame shows the token of the pair whose responder receives on this SPI."""
    if not token or len(frame) != limits.HEADER_BYTES + limits.LOST_TOKEN_BYTES:
        return False
    front = FrameHeader(spi, frame[limits.SESSION_OFFSET : _ID_END], limits.LOST, 0).encode()
    return frame[: limits.HEADER_BYTES] == front and hmac.compare_digest(frame[limits.HEADER_BYTES :], token)
