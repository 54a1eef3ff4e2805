"""What every group of vectors is made of."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from helpers import FakeAssociation, leaf, seal_raw

from zmqsec import limits

Vector = dict[str, Any]

ONE = FakeAssociation()
BY_SUITE = {number: replace(ONE, suite=number) for number in (1, 2, 3, 200)}
RANDOM = bytes.fromhex("a0a1a2a3a4a5a6a7")
CLEAR = limits.FLAG_CLEAR_BODY
ATTESTED = limits.FLAG_ORIGIN_ATTESTED
#: One leaf, sealed with suite 1, in a session that began just now.
GOOD = seal_raw(ONE, leaf(b"hello"))


#: What a vector's association says only where it is not the default.
ASKED = ("admit", "attestation", "hops_min", "hops_max", "hops")


def association_to(association: FakeAssociation) -> dict[str, Any]:
    form = {**asdict(association), "secret": association.secret.hex(), "hops": [key.hex() for key in association.hops]}
    default = {**asdict(ONE), "hops": []}
    return {name: value for name, value in form.items() if name not in ASKED or value != default[name]}


def changed(frame: bytes, at: int, value: int) -> bytes:
    """The frame with another value of one byte."""
    return frame[:at] + bytes([value]) + frame[at + 1 :]


def flipped(frame: bytes, at: int, mask: int = 1) -> bytes:
    """The frame with bits of one byte flipped."""
    return changed(frame, at % len(frame), frame[at] ^ mask)
