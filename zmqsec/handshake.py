"""Handshakes: how two parties that know an identity come to keys of their own (floor 11); spec, "Handshakes".

An opening travels from initiator to responder, an answer back, then a confirmation and the word that it is done:

    initiator.py -> handshake_frames.py -> noise_handshake.py -> party.py (who am I)    opening, IK with identity
    responder.py -> cookie.py, ratelimiter.py (is it cheap to refuse) -> halfopen.py    answer, with identity
    initiator.py -> pair.py (the keys)                                                  confirmation, XX with identity
    responder.py -> pair.py                                                             done

Nothing here moves a frame, reads a clock or draws randomness of its own accord. Whoever does, keeps to this:

- An `Initiator` is one handshake. Its `poll(now)` is due at once, and then whenever `next_deadline()` has passed; what
  comes from the peer and `is_handshake`, and not `is_for_responder`, goes to `receive(frame, now)`. All of them give
  events, which are carried out in their order: `Send` the frame; `Accept` an association (`Keyring.accept`);
  `Established`, with the pair whose sending half is used from now on (`Keyring.replace(pair.send)`); `Failed`, with the
  SPI of the association that was accepted in vain (`Keyring.retire`). `Refused` is for the counters. If a message opens
  with the association of `Accept` before it is established, `heard()` says so.
- A `Responder` is all handshakes of one party that others begin: `receive(frame, envelope, now)` with what
  `is_handshake` and `is_for_responder`, `poll(now)` when due, and `unknown(sealed, envelope, now)` with messages whose
  SPI belongs to no association. What it sends goes to the envelope that it was given. It never fails.
- A pair is made anew by another handshake under the same name, with ``Initiator(static=pair.static)``, while the last
  one is in use. A frame for which ``pair.is_lost(frame)`` holds says that the responder has started anew and knows
  nothing of the pair: begin another handshake at once, and no more often than every REKEY_TIMEOUT.
"""

from __future__ import annotations

from .errors import HandshakeError, HandshakeReason, HybridUnavailable
from .handshake_events import Accept, Established, Event, Failed, Refused, Send
from .handshake_frames import is_for_responder, is_handshake
from .initiator import Initiator
from .noise import KeyPair
from .pair import Pair
from .party import Party, anyone, psk_id, trusted_by
from .ratelimiter import Bounds
from .responder import Responder, Source

__all__ = [
    "Accept",
    "Bounds",
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
    "Source",
    "anyone",
    "is_for_responder",
    "is_handshake",
    "psk_id",
    "trusted_by",
]
