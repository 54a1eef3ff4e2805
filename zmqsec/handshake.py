"""Handshakes: how two parties that know an identity come to keys of their own (floor 11); spec-handshake.md.

An opening travels from initiator to responder, an answer back, then a confirmation and the word that it is done:

    initiator.py -> handshake_frames.py -> noise_handshake.py -> party.py (who am I)    opening, IK with identity
    responder.py -> cookie.py, ratelimiter.py (is it cheap to refuse) -> halfopen.py    answer, with identity
    initiator.py -> pair.py (the keys)                                                  confirmation, XX with identity
    responder.py -> pair.py                                                             done

Nothing here moves a frame, reads a clock or draws randomness of its own accord.
"""

from __future__ import annotations

from .errors import HandshakeError, HandshakeReason, HybridUnavailable
from .handshake_events import Accept, Established, Event, Failed, Refused, Send
from .handshake_frames import is_handshake
from .initiator import Initiator
from .noise import KeyPair
from .pair import Pair
from .party import Party, anyone, psk_id, trusted_by
from .responder import Responder

__all__ = [
    "Accept",
    "Established",
    "Event",
    "Failed",
    "HandshakeError",
    "HandshakeReason",
    "HybridUnavailable",
    "Initiator",
    "KeyPair",
    "Pair",
    "Party",
    "Refused",
    "Responder",
    "Send",
    "anyone",
    "is_handshake",
    "psk_id",
    "trusted_by",
]
