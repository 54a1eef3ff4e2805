"""Handshake frames and the offers in them: layouts, one encoding each (floor 8); spec, "Handshake frames"."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from . import limits
from .errors import HandshakeError, HandshakeReason
from .noise_pattern import Pattern, pattern

#: Bytes 0 to 8 of every handshake frame: magic, version, suite 1, kind, and no header parts.
_FRONT: Final = limits.MAGIC + bytes([limits.VERSION, limits.SUITE_XCHACHA20POLY1305, limits.KIND_HANDSHAKE, 0, 0])
_HEADER: Final = struct.Struct("<8sI12sBB6s")
_OFFER: Final = struct.Struct("<I4sBB6s")
_NOTHING: Final = bytes(6)

OFFER_END: Final = limits.HEADER_BYTES + limits.OFFER_BYTES
#: What stands before a responder's statement: its offer, and its token for a lost pair.
RESPONDER_FRONT: Final = limits.OFFER_BYTES + limits.LOST_TOKEN_BYTES
MACS: Final = 2 * limits.MAC_BYTES
COOKIE_FRAME_BYTES: Final = limits.HEADER_BYTES + limits.COOKIE_BYTES + limits.MAC_BYTES
#: The shortest frame of each type; what Noise makes of it has its own lengths.
_LEAST: Final = {
    limits.OPENING: OFFER_END + 32 + MACS,
    limits.ANSWER: limits.HEADER_BYTES + 32 + limits.TAG_BYTES,
    limits.CONFIRM: limits.MIN_SEALED_BYTES,
    limits.DONE: limits.MIN_SEALED_BYTES,
    limits.COOKIE: COOKIE_FRAME_BYTES,
    limits.LOST: limits.HEADER_BYTES + limits.LOST_TOKEN_BYTES,
}

HYBRID_OFF: Final = 0
HYBRID_OFFERED: Final = 1
HYBRID_REQUIRED: Final = 2


class FrameRefused(Exception):
    """What a peer sent is refused, and why; it never leaves the handshake's own files."""

    def __init__(self, reason: HandshakeReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def is_handshake(frame: bytes) -> bool:
    """Does a frame that looks like a sealed part carry a handshake? Only its length, magic and kind are looked at."""
    return (
        len(frame) >= limits.MIN_SEALED_BYTES and frame[:3] == limits.MAGIC and frame[5] & 0x0F == limits.KIND_HANDSHAKE
    )


def is_for_responder(frame: bytes) -> bool:
    """Is this handshake frame a responder's to receive? All others are an initiator's, or say that a pair is lost."""
    return frame[limits.SEQUENCE_OFFSET] in (limits.OPENING, limits.CONFIRM)


class FrameHeader(NamedTuple):
    """The 32 bytes in front of a handshake frame: `spi` is the receiver's, 0 in an opening; `id` the handshake's."""

    spi: int
    id: bytes
    type: int
    mode: int

    def encode(self) -> bytes:
        return _HEADER.pack(_FRONT, self.spi, self.id, self.type, self.mode, _NOTHING)

    @classmethod
    def decode(cls, frame: bytes) -> FrameHeader:
        """The header of a frame whose length is checked too; the checks of the specification in their order."""
        if len(frame) > limits.MAX_HANDSHAKE_BYTES:
            raise FrameRefused(HandshakeReason.TOO_LARGE, f"{len(frame)} bytes")
        if len(frame) < limits.MIN_SEALED_BYTES or frame[:3] != limits.MAGIC:
            raise FrameRefused(HandshakeReason.MALFORMED, "too short, or another magic")
        if frame[3] != limits.VERSION:
            raise FrameRefused(HandshakeReason.VERSION, f"version {frame[3]}")
        front, spi, handshake_id, kind, mode, nothing = _HEADER.unpack_from(frame)
        if front != _FRONT or nothing != _NOTHING or mode > 7 or kind not in _LEAST:
            raise FrameRefused(HandshakeReason.MALFORMED, "a header that no sender writes")
        if (spi == 0) != (kind == limits.OPENING) or len(frame) < _LEAST[kind]:
            raise FrameRefused(HandshakeReason.MALFORMED, "an SPI or a length that does not fit the type")
        return cls(spi, handshake_id, kind, mode)


class Offer(NamedTuple):
    """What one side can and wants: its SPI, the suites that it takes in its order, and the hybrid mode.

    `psk_id` says which pre-shared key an initiator means, and is zero where there is none.
    """

    spi: int
    suites: tuple[int, ...]
    hybrid: int
    psk_id: bytes = bytes(4)

    def encode(self) -> bytes:
        suites = bytes(self.suites).ljust(limits.MAX_OFFERED_SUITES, b"\0")
        return _OFFER.pack(self.spi, self.psk_id, self.hybrid, len(self.suites), suites)

    @classmethod
    def decode(cls, raw: bytes) -> Offer:
        spi, psk_id, hybrid, count, listed = _OFFER.unpack(raw)
        suites = tuple(listed[:count])
        fits = 1 <= count <= limits.MAX_OFFERED_SUITES and not any(listed[count:])
        if not fits or spi == 0 or hybrid > HYBRID_REQUIRED or fault_of_suites(suites):
            raise FrameRefused(HandshakeReason.MALFORMED, "an offer that no sender makes")
        return cls(spi, suites, hybrid, psk_id)


def fault_of_suites(suites: Sequence[int]) -> str:
    """Why these suites cannot be offered, in words; empty if they can."""
    if not 1 <= len(suites) <= limits.MAX_OFFERED_SUITES:
        return f"{len(suites)} suites: 1 to {limits.MAX_OFFERED_SUITES} are allowed"
    for number in suites:
        known = limits.SUITE_XCHACHA20POLY1305 <= number <= limits.SUITE_AES256CTR_HMACSHA256
        if not (known or limits.FIRST_USER_SUITE <= number <= limits.LAST_USER_SUITE):
            return f"suite {number}: 1 to 3 and {limits.FIRST_USER_SUITE} to {limits.LAST_USER_SUITE} are allowed"
    return "a suite twice" if len(set(suites)) != len(suites) else ""


def choose_suite(initiator: Offer, responder: Offer) -> int | None:
    """The first of the initiator's suites that the responder takes; both sides compute it, nobody sends it."""
    return next((one for one in initiator.suites if one in responder.suites), None)


def choose_kem(initiator: Offer, responder: Offer) -> bool:
    """Whether ML-KEM-768 is mixed in: wherever both offer it."""
    return HYBRID_OFF not in (initiator.hybrid, responder.hybrid)


def fault_of_offers(initiator: Offer, responder: Offer) -> HandshakeReason | None:
    """Why the two cannot come together."""
    if choose_suite(initiator, responder) is None:
        return HandshakeReason.SUITE
    if HYBRID_REQUIRED in (initiator.hybrid, responder.hybrid) and not choose_kem(initiator, responder):
        return HandshakeReason.HYBRID
    return None


@lru_cache(maxsize=8)
def pattern_of(mode: int) -> Pattern:
    """The Noise pattern of an opening's mode."""
    base, place = ("IK", 2) if mode & limits.MODE_IK else ("XX", 3)
    return pattern(base, place if mode & limits.MODE_PSK else None, bool(mode & limits.MODE_KEM))


def check_fingerprint(fingerprint: bytes | None) -> bytes:
    """A fingerprint of 32 bytes; zeros stand for a responder that is not known."""
    if fingerprint is None:
        return bytes(limits.FINGERPRINT_BYTES)
    if len(fingerprint) != limits.FINGERPRINT_BYTES:
        raise HandshakeError(
            f"a fingerprint of {len(fingerprint)} bytes: exactly {limits.FINGERPRINT_BYTES} are allowed"
        )
    return bytes(fingerprint)


def prologue_of(fingerprint: bytes, opening: bytes) -> bytes:
    """What both sides hash before the first token: the label, whom the opening is for, its header and its offer."""
    return b"zmqsec handshake 1" + fingerprint + opening[:OFFER_END]
