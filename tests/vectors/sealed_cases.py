"""sealed.json: each message seals to exactly these bytes, and opens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cases import BY_SUITE, ONE, RANDOM, Vector, association_to
from helpers import NOW, FakeAssociation, FakeClock, outcome
from json_forms import message_from, message_to

from zmqsec import reference
from zmqsec.message import Message, Metadata

ALL_KINDS = [0, 1, 2, 3]


def sealed(
    name: str,
    purpose: str,
    message: Message | dict[str, Any],
    *,
    association: FakeAssociation = ONE,
    start: int = NOW,
    sequence: int = 0,
    now: int = NOW,
    began: int = NOW,
    by_rule: bool = False,
    **receiver: Any,
) -> Vector:
    form = message if isinstance(message, dict) else message_to(message)
    built = message_from(form)
    session = reference.Session(association, clock=lambda: start, random=lambda n: RANDOM[:n], sequence=sequence)
    (frame,) = reference.seal_many([built], session)
    clock = FakeClock(began)
    opener = reference.Receiver([association], clock=clock, **receiver)
    clock.now = now
    (opened,) = reference.open_many([frame], opener, topics=[built.topic], copy=True)
    assert outcome(opened) == "opened", (name, opened)
    vector = {
        "name": name,
        "purpose": purpose,
        "association": association_to(association),
        "session": {"start": start, "random": RANDOM.hex(), "sequence": sequence},
        "receiver": {"began": began, **receiver},
        "now": now,
        "message": form,
    }
    if by_rule:
        return {**vector, "frame_length": len(frame), "frame_sha256": hashlib.sha256(frame).hexdigest()}
    return {**vector, "frame": frame.hex()}


def sealed_vectors() -> Iterator[Vector]:
    plain = Message(body=[b"hello"])
    for number, association in BY_SUITE.items():
        yield sealed(f"suite-{number}-sealed", f"suite {number}, encrypted body", plain, association=association)
        yield sealed(
            f"suite-{number}-clear",
            f"suite {number}, flag 'clear body': readable and authenticated",
            Message(body=[b"hello"], protect="authenticated"),
            association=association,
        )
        yield sealed(
            f"suite-{number}-empty-leaf",
            f"suite {number}: the shortest sealed part, 52 bytes",
            Message(body=[b""]),
            association=association,
        )
    yield sealed("suite-1-long", "several blocks of the cipher", Message(body=[bytes(range(256)) * 2]))
    yield sealed(
        "suite-2-long", "several blocks of the cipher", Message(body=[bytes(range(256)) * 2]), association=BY_SUITE[2]
    )
    yield sealed(
        "suite-3-long", "several blocks of the cipher", Message(body=[bytes(range(256)) * 2]), association=BY_SUITE[3]
    )
    yield sealed("kind-handshake", "kind 2 where the receiver accepts it", replace(plain, kind=2), kinds=ALL_KINDS)
    yield sealed("kind-control", "kind 3 where the receiver accepts it", replace(plain, kind=3), kinds=ALL_KINDS)
    yield sealed("body-many-leaves", "several parts, one of them empty", Message(body=[b"a", b"", b"ccc"]))
    yield sealed("body-nested", "lists in lists, an empty one too", Message(body=[[b"a", [b"b", []]], b"c"]))
    yield sealed("body-metadata", "ignorable metadata in the body", Message(body=[Metadata("x", b"1"), [b"a"]]))
    yield sealed(
        "body-metadata-critical",
        "critical metadata, nested in the body, which the receiver understands",
        Message(body=[[Metadata("must", b"1", True), b"a"]]),
        understood=["must"],
    )
    yield sealed(
        "header-parts", "a leaf and a list, readable by every node", Message(body=[b"a"], header=[b"h", [b"i"]])
    )
    yield sealed("header-only", "header parts and an empty body", Message(header=[b"h"]))
    yield sealed(
        "header-and-clear-body",
        "everything readable, everything authenticated",
        Message(body=[b"a"], header=[b"h"], protect="authenticated"),
    )
    yield sealed(
        "header-metadata-ignorable",
        "unknown metadata that may be ignored is",
        Message(body=[b"a"], metadata={"note": b"alice", "x-unknown": b"\0\1"}),
    )
    yield sealed(
        "header-metadata-critical",
        "critical metadata that the receiver understands",
        Message(body=[b"a"], metadata={"must": Metadata("must", b"now", True)}),
        understood=["must"],
    )
    yield sealed(
        "metadata-name-longest",
        "a name of 255 bytes of UTF-8, an empty value",
        Message(body=[b"a"], metadata={"é" * 127 + "x": b""}),
    )
    yield sealed("topic", "the topic frame is bound by critical metadata", Message(body=[b"a"], topic=b"weather.oslo"))
    yield sealed("topic-empty", "an empty topic frame is not the same as none", Message(body=[b"a"], topic=b""))
    yield sealed(
        "topic-and-metadata",
        "the topic stands first in the header",
        Message(body=[b"a"], topic=b"t", metadata={"note": b"bob"}, header=[b"h"]),
    )
    yield sealed("bundle", "two messages in one sealed part", Message(kind=1, body=[[b"one"], [b"two", b"parts"]]))
    yield sealed("bundle-of-an-empty-message", "a message without parts in a bundle", Message(kind=1, body=[[]]))
    yield sealed(
        "bundle-with-metadata",
        "metadata directly in a bundle's body describes the bundle",
        Message(kind=1, body=[Metadata("sent", b"noon"), [b"one"]]),
    )
    yield sealed(
        "bundle-clear-topic",
        "a bundle with a topic and a readable body",
        Message(kind=1, body=[[b"one"], [b"two"]], topic=b"t", protect="authenticated"),
    )
    for number, association in BY_SUITE.items():
        yield sealed(
            f"suite-{number}-admit",
            f"suite {number}: an admission is the last header part",
            plain,
            association=replace(association, admit=True),
        )
    member = replace(ONE, admit=True)
    yield sealed(
        "admit-last",
        "the admission stands behind the topic, metadata and header parts, and covers them",
        Message(body=[b"a"], topic=b"t", metadata={"note": b"bob"}, header=[b"h", [b"i"]]),
        association=member,
    )
    yield sealed(
        "admit-clear",
        "the admission does not cover a readable body; the tag does",
        Message(body=[b"a"], protect="authenticated"),
        association=member,
    )
    yield sealed(
        "admit-bundle",
        "one admission for a bundle",
        Message(kind=1, body=[[b"one"], [b"two"]]),
        association=member,
    )
    yield sealed("spi-smallest", "SPI 1", plain, association=replace(ONE, spi=1))
    yield sealed("spi-largest", "SPI 2^32 - 1", plain, association=replace(ONE, spi=0xFFFFFFFF))
    yield sealed("sequence-largest", "sequence number 2^32 - 1", plain, sequence=(1 << 32) - 1)
    yield sealed("session-start-zero", "a session that began in 1970", plain, start=0, now=60, began=0)
    yield sealed(
        "session-start-largest", "a session that began at 2^32 - 1", plain, start=2**32 - 1, now=2**32, began=2**32
    )
    yield sealed("session-at-lifetime", "a session just as old as may be", plain, now=NOW + 7200)
    yield sealed("session-at-skew", "a session as far in the future as may be", plain, now=NOW - 120, began=NOW - 120)
    yield sealed(
        "late-join-at-limit", "began late_join + skew before the receiver did", plain, now=NOW, began=NOW + 7320
    )
    yield sealed(
        "late-join-zero-at-limit",
        "late_join 0: began within the skew before the receiver did",
        plain,
        association=replace(ONE, late_join=0),
        began=NOW + 120,
        now=NOW + 120,
    )
    yield sealed("depth-8", "the deepest part of the default limit", Message(body=[[[[[[[[b"x"]]]]]]]]))
    yield sealed("depth-at-small-limit", "a receiver that allows depth 2", Message(body=[[b"x"]]), max_depth=2)
    yield sealed("parts-1024", "as many parts as the default limit allows", Message(body=[b""] * 1024), by_rule=True)
    yield sealed(
        "parts-at-small-limit",
        "header and body together have just as many parts as allowed",
        Message(body=[[b"a"]], header=[b"h"], metadata={"m": b""}),
        max_parts=4,
    )
    yield sealed("length-at-small-limit", "a receiver that allows 57 bytes", plain, max_message=57)
    yield sealed(
        "header-parts-65535",
        "the longest header parts: one leaf of 65,531 bytes",
        {"body": [""], "header": [{"fill": "61", "times": 65531}]},
        by_rule=True,
    )
    yield sealed(
        "length-16777216",
        "the longest sealed part of the default limit",
        {"body": [{"fill": "62", "times": 16777216 - 52}]},
        by_rule=True,
    )
