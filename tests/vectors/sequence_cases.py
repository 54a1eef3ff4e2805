"""sequences.json: several frames, one after the other, to one receiver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cases import GOOD, ONE, Vector, association_to, flipped
from helpers import (
    ALICE,
    BOB,
    NOW,
    FakeAssociation,
    FakeClock,
    leaf,
    metadata,
    outcome,
    seal_attested,
    seal_raw,
    session_id,
)

from zmqsec import limits, reference
from zmqsec.identity import Identity

LAST = limits.MAX_SEQUENCE - 1


class Story:
    """Steps to one receiver: each has a time, a frame, and what must become of it."""

    def __init__(
        self, name: str, purpose: str, *associations: FakeAssociation, began: int = NOW, **receiver: Any
    ) -> None:
        self.associations = associations or (ONE,)
        self.now = began
        self.vector: Vector = {
            "name": name,
            "purpose": purpose,
            "associations": [association_to(one) for one in self.associations],
            "receiver": {"began": began, **receiver},
            "steps": [],
        }

    def step(
        self, expected: str, frame: bytes, note: str = "", topic: bytes | None = None, route: Sequence[bytes] = ()
    ) -> Story:
        step: Vector = {
            "now": self.now,
            "frame": frame.hex(),
            "topic": None if topic is None else topic.hex(),
            "expect": expected,
        }
        if route:
            step["route"] = [one.hex() for one in route]
        self.vector["steps"].append({**step, "note": note})
        return self

    def at(self, now: int) -> Story:
        self.now = now
        return self


def frame_of(start: int = NOW, sequence: int = 0, random: int = 1, association: FakeAssociation = ONE) -> bytes:
    session = session_id(start, random.to_bytes(8, "big"))
    return seal_raw(association, leaf(b"%d" % sequence), session=session, sequence=sequence)


def attested(identity: Identity, sequence: int, random: int = 1) -> tuple[bytes, bytes]:
    """A sealed part of this session, number and origin, and its attestation."""
    session = session_id(NOW, random.to_bytes(8, "big"))
    return seal_attested(ONE, identity, leaf(b"x"), session=session, sequence=sequence)


def attested_stories() -> Iterator[Story]:
    """A session is one origin's: what another identity signs, or nobody, does not move its window."""
    alice = [attested(ALICE, sequence) for sequence in range(4)]
    bob, bob_of = attested(BOB, LAST)
    broken, broken_of = attested(ALICE, LAST)
    yield (
        Story("attested-session-of-each-origin", "another member uses a session's id and its last number")
        .step("opened", alice[0][0], route=alice[0][1:])
        .step("opened", bob, "signed as Bob's own", route=[bob_of])
        .step("opened", frame_of(sequence=LAST), "signed by nobody")
        .step("opened", alice[1][0], "Alice's window has not moved", route=alice[1][1:])
        .step("replayed", bob, route=[bob_of])
        .step("replayed", alice[0][0], route=alice[0][1:])
    )
    yield (
        Story("attested-session-unmoved-by-what-does-not-hold", "an attestation that does not hold uses up no number")
        .step("opened", alice[0][0], route=alice[0][1:])
        .step("bad-attestation", broken, "with the last number", route=[flipped(broken_of, -1)])
        .step("unattested", alice[1][0], "stripped")
        .step("bad-attestation", alice[1][0], "of another message", route=alice[2][1:])
        .step("opened", alice[1][0], "and then as it was sent", route=alice[1][1:])
        .step("replayed", alice[1][0], "once", route=alice[1][1:])
    )


def sequence_stories() -> Iterator[Story]:
    yield from attested_stories()
    yield Story("replay", "the same frame twice").step("opened", GOOD).step("replayed", GOOD)
    yield (
        Story("reorder", "three frames out of their order, each once")
        .step("opened", frame_of(sequence=2))
        .step("opened", frame_of(sequence=0))
        .step("opened", frame_of(sequence=1))
        .step("replayed", frame_of(sequence=0))
    )
    yield (
        Story("window-edge", "2,047 behind the highest is within the window, 2,048 is not")
        .step("opened", frame_of(sequence=5000))
        .step("opened", frame_of(sequence=5000 - 2047), "the last place of the window")
        .step("replayed", frame_of(sequence=5000 - 2048), "never seen, and behind the window all the same")
        .step("replayed", frame_of(sequence=5000 - 2047))
    )
    yield (
        Story("window-begins-at-the-first-number-seen", "a session joined at 100 still takes 0")
        .step("opened", frame_of(sequence=100))
        .step("opened", frame_of(sequence=0))
    )
    yield (
        Story("window-jump", "a jump of more than the window forgets nothing that it should refuse")
        .step("opened", frame_of(sequence=0))
        .step("opened", frame_of(sequence=1 << 31))
        .step("replayed", frame_of(sequence=0))
        .step("opened", frame_of(sequence=(1 << 31) - 1))
        .step("opened", frame_of(sequence=(1 << 32) - 1))
        .step("replayed", frame_of(sequence=1 << 31))
    )
    yield (
        Story("forged-moves-nothing", "a forged frame makes no session and moves no window")
        .step("forged", flipped(frame_of(sequence=9000), -1))
        .step("opened", frame_of(sequence=0))
        .step("forged", flipped(frame_of(sequence=9000), -1))
        .step("opened", frame_of(sequence=1), "the window stands where it was")
        .step("replayed", flipped(frame_of(sequence=1), -1), "the number is looked at before the tag")
    )
    critical = seal_raw(
        ONE, metadata(b"must", b"", True), sequence=5, session=session_id(random=(1).to_bytes(8, "big"))
    )
    yield (
        Story("authentic-but-refused-is-used-up", "state moves once the tag has held, whatever the parts are")
        .step("unknown-critical", critical)
        .step("replayed", critical)
    )
    yield (
        Story("two-sessions", "sessions of one association have windows of their own")
        .step("opened", frame_of(random=1))
        .step("opened", frame_of(random=2))
        .step("replayed", frame_of(random=1))
        .step("replayed", frame_of(random=2))
    )
    yield (
        Story("sessions-older-than-others", "a session may begin before one that was accepted")
        .step("opened", frame_of(NOW))
        .step("opened", frame_of(NOW - 60))
    )
    yield (
        Story("session-ages", "a known session too is refused once its lifetime is over")
        .step("opened", frame_of(sequence=0))
        .at(NOW + 7200)
        .step("opened", frame_of(sequence=1))
        .at(NOW + 7201)
        .step("stale-session", frame_of(sequence=2))
        .step("stale-session", frame_of(sequence=1), "its age is looked at before its window")
    )
    yield (
        Story("clock-goes-back", "a known session stays known, an unknown one is in the future")
        .step("opened", frame_of(random=1))
        .at(NOW - 1000)
        .step("opened", frame_of(random=1, sequence=1))
        .step("stale-session", frame_of(random=2))
    )
    yield (
        Story(
            "eviction",
            "a full table evicts the session that began first, and its start becomes the floor",
            max_sessions=2,
        )
        .step("opened", frame_of(NOW, random=1))
        .step("opened", frame_of(NOW + 1, random=2))
        .step("opened", frame_of(NOW + 2, random=3), "evicts the first")
        .step("stale-session", frame_of(NOW, random=1, sequence=7), "its window is lost, so it is not begun again")
        .step("stale-session", frame_of(NOW, random=9), "nor is any other that began then")
        .step("opened", frame_of(NOW + 1, random=2, sequence=1), "the others stand")
        .step(
            "opened",
            frame_of(NOW + 1, random=4),
            "began after the floor; evicts the second, with which it ties but for the id",
        )
        .step("stale-session", frame_of(NOW + 1, random=2, sequence=2))
        .step("opened", frame_of(NOW + 1, random=4, sequence=1))
    )
    yield (
        Story(
            "eviction-of-the-newcomer's-elders-only",
            "a newcomer older than all enters; the oldest before it goes",
            max_sessions=1,
        )
        .step("opened", frame_of(NOW, random=1))
        .step("opened", frame_of(NOW - 10, random=2), "begins before the floor is raised")
        .step("opened", frame_of(NOW - 10, random=2, sequence=1))
        .step("stale-session", frame_of(NOW, random=1, sequence=1))
    )
    two = replace(ONE, spi=2)
    yield (
        Story(
            "floor-of-one-association",
            "the floor is that of the evicted session's association",
            ONE,
            two,
            max_sessions=1,
        )
        .step("opened", frame_of(NOW, association=ONE))
        .step("opened", frame_of(NOW, association=two), "evicts the session of the first association")
        .step("stale-session", frame_of(NOW, association=ONE, random=5))
        .step("opened", frame_of(NOW, association=two, sequence=1))
        .step("opened", frame_of(NOW + 1, association=ONE, random=6))
        .step("stale-session", frame_of(NOW, association=two, sequence=2))
    )
    yield (
        Story("forged-evicts-nothing", "only what was authenticated takes a place in the table", max_sessions=1)
        .step("opened", frame_of(random=1))
        .step("forged", flipped(frame_of(NOW + 1, random=2), -1))
        .step("opened", frame_of(random=1, sequence=1))
    )
    yield (
        Story("spi-separates", "the same session id and number under two associations", ONE, two)
        .step("opened", frame_of(association=ONE))
        .step("opened", frame_of(association=two))
        .step("replayed", frame_of(association=ONE))
    )


def sequence_vectors() -> Iterator[Vector]:
    for story in sequence_stories():
        clock = FakeClock(story.vector["receiver"]["began"])
        options = {k: v for k, v in story.vector["receiver"].items() if k != "began"}
        receiver = reference.Receiver(story.associations, clock=clock, **options)
        for step in story.vector["steps"]:
            clock.now = step["now"]
            topic = None if step["topic"] is None else bytes.fromhex(step["topic"])
            routes = [[bytes.fromhex(one) for one in step.get("route", ())]]
            (opened,) = reference.open_many([bytes.fromhex(step["frame"])], receiver, topics=[topic], routes=routes)
            assert outcome(opened) == step["expect"], (story.vector["name"], step["note"], opened)
        story.vector["sessions"] = receiver.sessions
        yield story.vector
