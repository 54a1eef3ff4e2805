"""refused.json: one frame each, refused for one reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cases import ATTESTED, BY_SUITE, CLEAR, GOOD, ONE, Vector, association_to, changed, flipped
from helpers import NOW, FakeAssociation, leaf, listed, metadata, nested, outcome, part, seal_raw
from json_forms import frame_from, receiver_from

from zmqsec import reference


def refused(
    reason: str,
    name: str,
    purpose: str,
    frame: bytes | dict[str, Any],
    *,
    association: FakeAssociation = ONE,
    topic: bytes | None = None,
    now: int = NOW,
    began: int = NOW,
    detail: str = "",
    **receiver: Any,
) -> Vector:
    return {
        "name": name,
        "purpose": purpose,
        "association": association_to(association),
        "receiver": {"began": began, **receiver},
        "now": now,
        "topic": None if topic is None else topic.hex(),
        "frame": frame.hex() if isinstance(frame, bytes) else frame,
        "reason": reason,
        "detail": detail,
    }


FRONTED = seal_raw(ONE, leaf(b"hello"), header_parts=leaf(b"head"))


def refused_shapes() -> Iterator[Vector]:
    """Length, magic, version, suite, kind, flags, H, sequence number."""
    bad = "malformed"
    yield refused(bad, "length-0", "an empty frame", b"")
    yield refused(bad, "length-51", "a byte less than the shortest sealed part", seal_raw(ONE, b"\0\0\0"))
    yield refused(
        bad, "no-part-at-all", "48 bytes, whose tag would hold: no header part and no body part", seal_raw(ONE, b"")
    )
    yield refused(bad, "magic-first-byte", "first byte 01", changed(GOOD, 0, 1))
    yield refused(bad, "magic-of-an-attestation", "00 5A 41 begins an attestation", changed(GOOD, 2, 0x41))
    yield refused("version", "version-0", "version 0", changed(GOOD, 3, 0))
    yield refused("version", "version-2", "version 2", changed(GOOD, 3, 2))
    yield refused(
        "version",
        "version-before-suite",
        "version 2 and suite 0: the version is looked at first",
        GOOD[:3] + b"\2\0" + GOOD[5:],
    )
    yield refused("suite", "suite-0", "suite 0 is reserved", changed(GOOD, 4, 0))
    yield refused("suite", "suite-4", "the first suite that version 1 does not know", changed(GOOD, 4, 4))
    yield refused("suite", "suite-127", "the last suite that is not a user's own", changed(GOOD, 4, 127))
    yield refused(
        "suite", "suite-of-another-association", "suite 2, where the association has suite 1", changed(GOOD, 4, 2)
    )
    yield refused("suite", "suite-of-a-user", "suite 255, where the association has suite 1", changed(GOOD, 4, 255))
    yield refused(
        "suite",
        "suite-before-kind",
        "suite 0 and kind 15: the suite is looked at first",
        GOOD[:4] + b"\0\x0f" + GOOD[6:],
    )
    yield refused(bad, "kind-4", "the first kind that version 1 does not know", changed(GOOD, 5, 4))
    yield refused(bad, "kind-15", "the last kind", changed(GOOD, 5, 15))
    yield refused(bad, "flag-40", "a reserved flag", changed(GOOD, 5, 0x40))
    yield refused(bad, "flag-80", "a reserved flag", changed(GOOD, 5, 0x80))
    yield refused(bad, "header-parts-one-too-long", "H leaves 15 bytes for the tag", changed(GOOD, 6, len(GOOD) - 47))
    yield refused(bad, "header-parts-65535", "H far past the end", GOOD[:6] + b"\xff\xff" + GOOD[8:])
    yield refused(
        bad, "sequence-2-32", "sequence number 2^32, with a tag that holds", seal_raw(ONE, leaf(b"a"), sequence=1 << 32)
    )
    yield refused(bad, "sequence-2-63", "the highest bit of the sequence number", changed(GOOD, 31, 0x80))


def refused_limits() -> Iterator[Vector]:
    big = "too-large"
    yield refused(
        big, "length-over-small-limit", "a byte more than max_message", seal_raw(ONE, leaf(b"hello!")), max_message=57
    )
    yield refused(
        big, "length-before-magic", "too long and no magic: the length is looked at first", bytes(58), max_message=57
    )
    yield refused(
        big,
        "length-16777217",
        "a byte more than the default limit",
        {"prefix": GOOD.hex(), "fill": "00", "length": 16777217},
    )
    yield refused(
        "forged",
        "length-16777216",
        "the default limit itself: passes it, and fails at its tag",
        {"prefix": GOOD.hex(), "fill": "00", "length": 16777216},
    )
    yield refused(big, "parts-1025", "a part more than the default limit", seal_raw(ONE, leaf(b"") * 1025))
    yield refused(
        big, "parts-over-small-limit", "the third part of two", seal_raw(ONE, listed(leaf(b""), leaf(b""))), max_parts=2
    )
    yield refused(
        big,
        "parts-of-header-and-body-together",
        "two in the header and one in the body, where two are allowed",
        seal_raw(ONE, leaf(b""), header_parts=leaf(b"") + metadata(b"m")),
        max_parts=2,
    )
    yield refused(big, "depth-9", "a part a level deeper than the default limit", seal_raw(ONE, nested(9)))
    yield refused(
        big,
        "depth-of-an-ignorable-part",
        "ignorable metadata counts like any part",
        seal_raw(ONE, listed(metadata(b"m"))),
        max_depth=1,
    )
    yield refused(
        big,
        "depth-in-the-header",
        "the limit holds in the header too",
        seal_raw(ONE, leaf(b""), header_parts=nested(3)),
        max_depth=2,
    )


def refused_associations() -> Iterator[Vector]:
    yield refused("unknown-spi", "spi-unknown", "an SPI of no association", seal_raw(ONE, leaf(b"a"), spi=0x01020305))
    yield refused("unknown-spi", "spi-0", "SPI 0 is never an association's", seal_raw(ONE, leaf(b"a"), spi=0))
    yield refused(
        "not-permitted",
        "kind-handshake",
        "kind 2 where it is not accepted, with a tag that holds",
        seal_raw(ONE, leaf(b"a"), kind=2),
    )
    yield refused("not-permitted", "kind-control", "kind 3 where it is not accepted", seal_raw(ONE, leaf(b"a"), kind=3))
    yield refused(
        "not-permitted",
        "kind-bundle",
        "a receiver that accepts kind 0 alone",
        seal_raw(ONE, listed(leaf(b"a")), kind=1),
        kinds=[0],
    )
    yield refused(
        "not-permitted",
        "clear-body-not-allowed",
        "an association that does not allow clear bodies",
        seal_raw(ONE, leaf(b"a"), flags=CLEAR),
        association=replace(ONE, allow_clear=False),
    )


def refused_sessions() -> Iterator[Vector]:
    stale = "stale-session"
    yield refused(stale, "session-expired", "a second older than its lifetime", GOOD, now=NOW + 7201)
    yield refused(stale, "session-in-the-future", "a second beyond the skew", GOOD, now=NOW - 121, began=NOW - 121)
    yield refused(
        stale, "late-join-over-limit", "began a second too long before the receiver did", GOOD, began=NOW + 7321
    )
    yield refused(
        stale,
        "late-join-zero",
        "late_join 0: began a second more than the skew before the receiver did",
        GOOD,
        association=replace(ONE, late_join=0),
        began=NOW + 121,
        now=NOW + 121,
    )
    yield refused(
        stale,
        "session-before-tag",
        "an old session with a wrong tag: its age is looked at first",
        flipped(GOOD, -1),
        now=NOW + 7201,
    )


def refused_forgeries() -> Iterator[Vector]:
    forged = "forged"
    for number, association in BY_SUITE.items():
        good = seal_raw(association, leaf(b"hello"))
        yield refused(
            forged, f"suite-{number}-tag", "the last bit of the tag", flipped(good, -1, 0x80), association=association
        )
        yield refused(forged, f"suite-{number}-body", "a bit of the body", flipped(good, 36), association=association)
        yield refused(
            forged,
            f"suite-{number}-sequence",
            "another sequence number, over an empty plaintext",
            flipped(seal_raw(association, leaf(b"hello"), flags=CLEAR), 24),
            association=association,
        )
    yield refused(forged, "header-part", "a bit of the header parts", flipped(FRONTED, 36))
    yield refused(forged, "clear-body-flag-set", "the flag set afterwards", flipped(GOOD, 5, CLEAR))
    yield refused(
        forged,
        "clear-body-flag-taken-away",
        "the flag taken away",
        flipped(seal_raw(ONE, leaf(b"a"), flags=CLEAR), 5, CLEAR),
    )
    yield refused(
        forged, "clear-body-bit", "a bit of a clear body", flipped(seal_raw(ONE, leaf(b"a"), flags=CLEAR), 36)
    )
    yield refused(forged, "attested-flag-set", "the flag set afterwards", flipped(GOOD, 5, ATTESTED))
    yield refused(forged, "kind-changed", "data made a bundle", flipped(GOOD, 5, 1))
    yield refused(
        forged, "boundary-moved", "H shortened: a byte of the header parts becomes ciphertext", changed(FRONTED, 6, 7)
    )
    yield refused(forged, "session-random", "another session's random bytes", flipped(GOOD, 16))
    yield refused(forged, "session-start", "a start a second later", flipped(GOOD, 12))
    yield refused(forged, "truncated", "the last byte missing", GOOD[:-1])
    yield refused(forged, "extended", "a byte more behind the tag", GOOD + b"\0")
    yield refused(
        forged,
        "another-secret",
        "sealed with another secret",
        seal_raw(replace(ONE, secret=bytes(range(1, 33))), leaf(b"a")),
    )
    other = seal_raw(replace(ONE, spi=7), leaf(b"a"))
    yield refused(
        forged, "another-spi", "of another association with the same secret", other[:8] + GOOD[8:12] + other[12:]
    )
    twin = seal_raw(BY_SUITE[200], leaf(b"a"))
    yield refused(
        forged,
        "another-suite",
        "of the same cipher under another suite's number: its key is another",
        changed(twin, 4, 1),
    )


def refused_parts() -> Iterator[Vector]:
    """All of these have tags that hold."""
    bad = "malformed"

    def body(name: str, purpose: str, content: bytes, **more: Any) -> Vector:
        return refused(more.pop("reason", bad), name, purpose, seal_raw(ONE, content, kind=more.pop("kind", 0)), **more)

    def header(name: str, purpose: str, content: bytes, **more: Any) -> Vector:
        frame = seal_raw(ONE, more.pop("behind", leaf(b"a")), header_parts=content)
        return refused(more.pop("reason", bad), name, purpose, frame, **more)

    yield body("part-head-cut", "three bytes of a head", leaf(b"a") + b"\0\0\0")
    yield body(
        "part-length-one-too-long", "a leaf of 6 bytes with 5 behind it", (6 << 2).to_bytes(4, "little") + b"hello"
    )
    yield body("part-length-largest", "a length of 2^30 - 1", b"\xfc\xff\xff\xff" + b"hello")
    yield body("part-trailing-byte", "a byte behind the last part", leaf(b"hello") + b"\0")
    yield body(
        "nested-length-past-its-list",
        "a part that ends after its list does",
        part(1, (2 << 2).to_bytes(4, "little") + b"a") + leaf(b""),
    )
    yield body("nested-trailing-byte", "a byte behind the last part of a list", part(1, leaf(b"a") + b"\0"))
    yield body("metadata-empty", "metadata without a name's length", part(2, b""))
    yield body("metadata-name-0", "a name of no bytes", part(2, b"\0x"))
    yield body("metadata-name-runs-out", "a name of 3 bytes with 2 behind it", part(2, b"\3ab"))
    yield body("metadata-name-not-utf8", "a byte that UTF-8 never has", metadata(b"\xff"))
    yield body("metadata-name-overlong", "an overlong form of UTF-8", metadata(b"\xc0\x80"))
    yield body("metadata-name-surrogate", "a surrogate in UTF-8", metadata(b"\xed\xa0\x80"))
    yield body("metadata-name-cut", "UTF-8 that ends within a character", metadata(b"\xc3"))
    yield body("bundle-leaf", "a leaf directly in a bundle's body", listed(leaf(b"a")) + leaf(b"b"), kind=1)
    yield header("header-trailing-byte", "a byte behind the last header part", leaf(b"a") + b"\0")
    yield header("topic-twice", "the topic twice in the header", metadata(b"topic", b"t", True) * 2, topic=b"t")
    yield header("topic-ignorable", "a topic that may be ignored", metadata(b"topic", b"t"), topic=b"t")
    yield header(
        "header-before-body",
        "a fault in the header and a part too many in the body: the header is first",
        metadata(b""),
        behind=leaf(b"") * 3,
        max_parts=2,
    )
    unknown = "unknown-critical"
    yield header(
        "critical-in-the-header",
        "critical metadata that nobody understands",
        metadata(b"must", b"", True),
        reason=unknown,
        detail="unknown critical metadata: must",
    )
    yield body(
        "critical-in-the-body",
        "the same in the body",
        metadata(b"must", b"", True),
        reason=unknown,
        detail="unknown critical metadata: must",
    )
    yield body(
        "critical-nested",
        "the same in a list",
        listed(leaf(b"a"), metadata(b"must", b"", True)),
        reason=unknown,
        detail="unknown critical metadata: must",
    )
    yield body(
        "critical-other-than-understood",
        "another name than the one understood",
        metadata(b"must", b"", True),
        reason=unknown,
        detail="unknown critical metadata: must",
        understood=["may"],
    )
    yield body(
        "critical-topic-in-the-body",
        "a topic is understood in the header only",
        metadata(b"topic", b"t", True),
        reason=unknown,
        detail="unknown critical metadata: topic",
        topic=b"t",
    )
    yield header(
        "critical-topic-nested",
        "and directly there only",
        listed(metadata(b"topic", b"t", True)),
        reason=unknown,
        detail="unknown critical metadata: topic",
        topic=b"t",
    )
    yield body(
        "critical-defined-name",
        "a name that version 1 defines, but not as critical",
        metadata(b"sent", b"", True),
        reason=unknown,
        detail="unknown critical metadata: sent",
    )
    yield refused(
        bad,
        "fault-left-of-critical",
        "the leftmost fault is the reason",
        seal_raw(ONE, metadata(b"") + metadata(b"must", b"", True)),
    )
    mismatch = "topic-mismatch"
    topic = metadata(b"topic", b"weather.", True)
    yield header("topic-frame-missing", "a bound topic without its frame", topic, reason=mismatch)
    yield body(
        "topic-frame-unbound",
        "a topic frame that the message does not bind",
        leaf(b"a"),
        reason=mismatch,
        topic=b"weather.",
    )
    yield header("topic-frame-other", "another topic frame", topic, reason=mismatch, topic=b"weather?")
    yield header(
        "topic-frame-longer", "the bound topic is a prefix of the frame", topic, reason=mismatch, topic=b"weather.oslo"
    )
    yield header(
        "topic-empty-against-none",
        "an empty topic is bound and there is no frame",
        metadata(b"topic", b"", True),
        reason=mismatch,
    )
    yield refused(
        "unattested",
        "attested-without-attestation",
        "flag 'origin attested', and no attestation is verified",
        seal_raw(ONE, leaf(b"a"), flags=ATTESTED),
    )
    yield refused(
        "unattested",
        "attestation-before-topic",
        "both faults: the attestation is looked at first",
        seal_raw(ONE, leaf(b"a"), flags=ATTESTED),
        topic=b"t",
    )


def refused_vectors() -> Iterator[Vector]:
    for group in (
        refused_shapes, refused_limits, refused_associations, refused_sessions, refused_forgeries, refused_parts
    ):  # fmt: skip
        yield from group()


def check_refused(vector: Vector) -> None:
    """The reference must agree before a vector is written."""
    receiver, clock = receiver_from(reference, vector, [vector["association"]])
    clock.now = vector["now"]
    topic = None if vector["topic"] is None else bytes.fromhex(vector["topic"])
    (opened,) = reference.open_many([frame_from(vector)], receiver, topics=[topic])
    got = (outcome(opened), getattr(opened, "detail", ""))
    assert got == (vector["reason"], vector["detail"]), (vector["name"], got)
