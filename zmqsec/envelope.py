"""Signed identities in ROUTER envelopes (floor 9): what a relay puts in the place of a routing id; spec, "Relays".

The relay's loop makes them and takes them back (csrc/envelope.c). Other nodes pass them on as they are; who is answered
through whom can be read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from . import ed25519, limits

MAGIC: Final = b"ZSI\1"
LABEL: Final = b"zmqsec route"
_NUMBER_BYTES: Final = 8
_FIXED_BYTES: Final = len(MAGIC) + 1 + 2 * limits.PUBLIC_KEY_BYTES + _NUMBER_BYTES


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """A peer's `routing_id` at a relay; `relay` and `identity` are public keys, None where no identity was proven."""

    relay: bytes
    identity: bytes | None
    routing_id: bytes
    number: bytes

    @classmethod
    def read(cls, frame: bytes) -> SignedEnvelope | None:
        """The envelope that a frame is, its relay's signature verified, or None; only the relay knows if it is live."""
        if len(frame) < _FIXED_BYTES or not frame.startswith(MAGIC):
            return None
        end = _FIXED_BYTES + frame[len(MAGIC)]
        if len(frame) != end + limits.SIGNATURE_BYTES:
            return None
        relay, identity = frame[5:37], frame[37:69]
        if not ed25519.verify(relay, LABEL + frame[:end], frame[end:]):
            return None
        proven = identity if identity != bytes(limits.PUBLIC_KEY_BYTES) else None
        return cls(relay, proven, frame[_FIXED_BYTES:end], frame[69:77])
