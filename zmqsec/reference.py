"""The protocol in readable Python over pysodium (floor 9): oracle of the tests, fallback, peer of the benchmarks.

It has the names of the C core (``zmqsec._core``) and gives the same bytes for the same inputs. Read it in the order
of a message: ``parts`` encodes the parts, ``header`` the 32 bytes in front and the keys, ``session`` seals with one of
the ``suites``; ``receiver`` checks and opens, with a replay ``window`` for each session; ``channel`` moves the frames.
``attestation`` signs sealed parts, ``route`` says what the signatures behind one prove.
"""

from __future__ import annotations

from .attestation import Attester
from .channel import Channel
from .header import Header, derive_spi, derive_suite_key
from .hkdf import hkdf
from .parts import decode_parts, encode_parts
from .receiver import Receiver, open_many
from .route import Verifier
from .session import Session, random_bytes, seal_many

__all__ = [
    "Attester",
    "Channel",
    "Header",
    "Receiver",
    "Session",
    "Verifier",
    "decode_parts",
    "derive_spi",
    "derive_suite_key",
    "encode_parts",
    "hkdf",
    "open_many",
    "random_bytes",
    "seal_many",
]
