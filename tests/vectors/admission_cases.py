"""admissions.json: admission keys, and what a relay that holds them lets in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cases import BY_SUITE, ONE, RANDOM, Vector, changed, flipped
from helpers import NOW, SECRET, FakeAssociation, metadata, seal_raw

from zmqsec import limits, reference
from zmqsec.admission import check_admission, derive_admission_key
from zmqsec.message import Message

MEMBER = replace(ONE, admit=True)
OTHER = replace(MEMBER, secret=b"\x0f" * 32)
HELD = ((ONE.spi, derive_admission_key(SECRET, ONE.spi)), (9, derive_admission_key(SECRET, 9)))


def seal(association: FakeAssociation, message: Message) -> bytes:
    session = reference.Session(association, clock=lambda: NOW, random=lambda n: RANDOM[:n])
    return bytes(reference.seal_many([message], session)[0])


def admission(name: str, purpose: str, frame: bytes, expect: str, held: Sequence[tuple[int, bytes]] = HELD) -> Vector:
    found = check_admission(frame, dict(held))
    assert str(found or "admitted") == expect, (name, found)
    keys = [{"spi": spi, "key": key.hex()} for spi, key in held]
    return {"name": name, "purpose": purpose, "keys": keys, "frame": frame.hex(), "expect": expect}


def keys() -> Iterator[Vector]:
    for name, secret, spi in (("key", SECRET, ONE.spi), ("key-other-spi", SECRET, 9), ("key-ones", b"\xff" * 32, 1)):
        yield {
            "name": name,
            "purpose": "the admission key of a secret and an SPI",
            "secret": secret.hex(),
            "spi": spi,
            "admission_key": derive_admission_key(secret, spi).hex(),
        }


def admission_vectors() -> Iterator[Vector]:
    yield from keys()
    plain = Message(body=[b"hello"])
    good = seal(MEMBER, plain)
    end = limits.HEADER_BYTES + limits.ADMIT_BYTES

    def at(name: str, purpose: str, frame: bytes, expect: str, **options: Any) -> Vector:
        return admission(name, purpose, frame, expect, **options)

    yield at("member", "a member's message", good, "admitted")
    yield at("member-suite-2", "whatever the suite is", seal(replace(BY_SUITE[2], admit=True), plain), "admitted")
    yield at(
        "member-header-parts",
        "behind other header parts",
        seal(MEMBER, Message(body=[b"a"], topic=b"t", header=[b"h"])),
        "admitted",
    )
    yield at("body-changed", "the body is not covered: its tag is", flipped(good, end), "admitted")
    yield at("none", "no header part at all", seal(ONE, plain), "unattested")
    yield at(
        "header-part-of-its-length",
        "another header part of the same length",
        seal_raw(ONE, header_parts=metadata(b"other", bytes(16))),
        "unattested",
    )
    yield at(
        "not-last",
        "an admission that is not the last header part",
        seal_raw(ONE, header_parts=metadata(b"admit", bytes(16)) + metadata(b"x")),
        "unattested",
    )
    yield at(
        "critical",
        "critical metadata of that name",
        seal_raw(ONE, header_parts=metadata(b"admit", bytes(16), critical=True)),
        "unattested",
    )
    yield at(
        "short",
        "a tag of 15 bytes",
        seal_raw(ONE, header_parts=metadata(b"x", b"123") + metadata(b"admit", bytes(15))),
        "unattested",
    )
    yield at("no-key", "an SPI without a key", good, "unknown-spi", held=HELD[1:])
    yield at("other-secret", "an outsider with a secret of its own", seal(OTHER, plain), "forged")
    yield at("tag-zero", "an outsider without any", seal_raw(ONE, header_parts=metadata(b"admit", bytes(16))), "forged")
    yield at("tag-changed", "one bit of the admission's tag", flipped(good, end - 1, 0x80), "forged")
    yield at("sequence-changed", "another sequence number", changed(good, limits.SEQUENCE_OFFSET, 1), "forged")
    yield at("session-changed", "another session", flipped(good, limits.SESSION_OFFSET + 4), "forged")
    yield at("spi-changed", "another association's SPI", good[:8] + bytes([9, 0, 0, 0]) + good[12:], "forged")
    yield at("kind-changed", "another kind", changed(good, 5, 1), "forged")
    yield at(
        "header-part-changed",
        "a header part before it",
        flipped(seal(MEMBER, Message(body=[b"a"], header=[b"h"])), limits.HEADER_BYTES + 4),
        "forged",
    )
