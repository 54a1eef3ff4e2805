"""frames.json: the frames around the sealed part."""

from __future__ import annotations

from collections.abc import Iterator

from cases import GOOD, ONE, Vector, association_to
from helpers import ALICE, NOW, RELAY, hop, leaf, metadata, seal_attested, seal_raw


def frame_vectors() -> Iterator[Vector]:
    seal = GOOD
    bound = seal_raw(ONE, leaf(b"hello"), header_parts=metadata(b"topic", b"t", True))
    signed, attestation = seal_attested(ONE, ALICE, leaf(b"hello"))
    signed_topic, of_topic = seal_attested(ONE, ALICE, header_parts=metadata(b"topic", b"t", True))
    hops = [attestation]
    for _ in range(16):
        hops.append(hop(RELAY, signed, hops[-1]))
    none = b"\x00ZA" + bytes(61)
    names = {0: "plain", 1: "topic", 2: "envelope"}

    def vector(layout: int, name: str, purpose: str, frames: list[bytes], expect: str) -> Vector:
        return {
            "name": f"{names[layout]}-{name}",
            "purpose": purpose,
            "association": association_to(ONE),
            "layout": names[layout],
            "now": NOW,
            "frames": [frame.hex() for frame in frames],
            "expect": expect,
        }

    yield vector(0, "alone", "the sealed part is the message", [seal], "opened")
    yield vector(0, "attested", "the origin's attestation behind it", [signed, attestation], "opened")
    yield vector(0, "16-attestations", "the origin's and 15 hops', as many as may be", [signed, *hops[:16]], "opened")
    yield vector(0, "17-attestations", "one too many", [signed, *hops], "malformed")
    yield vector(0, "no-attestation", "behind it is the magic and nothing that holds", [seal, none], "bad-attestation")
    yield vector(0, "trailing-frame", "any other frame behind it", [seal, b"more"], "malformed")
    yield vector(0, "trailing-sealed-part", "a second sealed part behind it", [seal, seal], "malformed")
    yield vector(0, "trailing-empty-frame", "an empty frame behind it", [seal, b""], "malformed")
    yield vector(0, "leading-frame", "nothing may stand in front of it", [b"x", seal], "malformed")
    yield vector(0, "plaintext", "no sealed part at all", [b"plaintext"], "malformed")
    yield vector(0, "short", "51 bytes that begin with the magic are no sealed part", [seal[:51]], "malformed")
    yield vector(1, "without", "no topic frame and no bound topic", [seal], "opened")
    yield vector(1, "with", "the topic frame, then the sealed part that binds it", [b"t", bound], "opened")
    yield vector(1, "unbound", "a topic frame that is not bound", [b"t", seal], "topic-mismatch")
    yield vector(1, "missing", "a bound topic without its frame", [bound], "topic-mismatch")
    yield vector(1, "two-frames-in-front", "one frame at most stands in front", [b"a", b"t", bound], "malformed")
    yield vector(1, "attested", "topic, sealed part, attestation", [b"t", signed_topic, of_topic], "opened")
    yield vector(2, "none", "no envelope", [seal], "opened")
    yield vector(2, "delimiter", "the empty delimiter alone", [b"", seal], "opened")
    yield vector(2, "routing-ids", "two hops and the delimiter", [b"\0\1\2\3\4", b"hop", b"", seal], "opened")
    yield vector(2, "16-frames", "the deepest envelope", [b"id"] * 16 + [seal], "opened")
    yield vector(2, "17-frames", "a frame deeper than the envelope can reach", [b"id"] * 17 + [seal], "malformed")
    yield vector(
        2, "short-magic-in-front", "a frame of 51 bytes with the magic is a routing id", [seal[:51], seal], "opened"
    )
    yield vector(
        2,
        "first-sealed-part-counts",
        "the first that looks sealed is taken, what is behind it must be attestations",
        [b"id", seal, seal],
        "malformed",
    )
    yield vector(2, "bound-topic", "a frame of the envelope is no topic", [b"t", bound], "topic-mismatch")
    yield vector(2, "attested", "envelope, sealed part, attestation", [b"id", b"", signed, attestation], "opened")
