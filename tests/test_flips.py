"""Every change of one bit and every truncation of a sealed part is refused, and leaves the receiver as it was."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from helpers import (
    NOW,
    SUITES,
    FakeAssociation,
    flips,
    leaf,
    listed,
    metadata,
    outcome,
    receiver_of,
    register_users_suite,
    seal_raw,
)

from zmqsec import limits

TOPIC = b"t"
HEADER_PARTS = metadata(b"topic", TOPIC, critical=True) + leaf(b"h")
BODY = listed(leaf(b"secret"), metadata(b"m", b"v")) + listed()
KINDS = {"data": 0, "bundle": 1, "handshake": 2, "control": 3}


@pytest.fixture(scope="module", autouse=True)
def _users_suite() -> None:
    register_users_suite()


def part_of(suite: int, kind: int, clear: bool, sequence: int) -> bytes:
    flags = limits.FLAG_CLEAR_BODY if clear else 0
    association = FakeAssociation(suite=suite)
    return seal_raw(association, BODY, header_parts=HEADER_PARTS, kind=kind, flags=flags, sequence=sequence)


def reason_of_flip(original: bytes, changed: bytes, at: int) -> str:
    """Which check must catch a changed bit of byte `at`, by the order of the specification."""
    if at < 3:
        return "malformed"
    if at == 3:
        return "version"
    if at == 4:
        return "suite"
    if at == 5 and (changed[5] & 0x0F > 3 or changed[5] & 0xC0):
        return "malformed"
    if at in (6, 7) and 48 + int.from_bytes(changed[6:8], "little") > len(changed):
        return "malformed"
    if 8 <= at < 12:
        return "unknown-spi"
    if 12 <= at < 16:
        start = int.from_bytes(changed[12:16], "little")
        return "forged" if NOW - 7200 <= start <= NOW + 120 else "stale-session"
    if 28 <= at < 32:
        return "malformed"
    return "forged"


def reason_of_truncation(original: bytes, length: int) -> str:
    too_short = length < 52 or 48 + int.from_bytes(original[6:8], "little") > length
    return "malformed" if too_short else "forged"


def changes(original: bytes) -> Iterator[tuple[str, bytes, str]]:
    for bit, changed in flips(original):
        yield f"bit {bit % 8} of byte {bit // 8}", changed, reason_of_flip(original, changed, bit // 8)
    for length in range(len(original)):
        yield f"cut to {length} bytes", original[:length], reason_of_truncation(original, length)


def state_of(receiver: Any) -> tuple[int, int]:
    return receiver.sessions, receiver.opened


@pytest.mark.parametrize("known", [False, True], ids=["new-session", "known-session"])
@pytest.mark.parametrize("clear", [False, True], ids=["sealed", "clear"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("suite", [*SUITES, 200])
def test_flips_and_truncations_are_refused_and_move_nothing(
    implementation: ModuleType, suite: int, kind: int, clear: bool, known: bool
) -> None:
    """In place, one by one. In the end the original opens, and each other number of the window once: nothing moved."""
    receiver = receiver_of(implementation, FakeAssociation(suite=suite), kinds=(0, 1, 2, 3))
    if known:
        (opened,) = implementation.open_many([part_of(suite, kind, clear, 10)], receiver, topics=[TOPIC])
        assert outcome(opened) == "opened"
    original = part_of(suite, kind, clear, 9)
    before = state_of(receiver)
    count = 0
    for what, changed, reason in changes(original):
        buffer = bytearray(changed)
        (refusal,) = implementation.open_many([buffer], receiver, topics=[TOPIC])
        assert outcome(refusal) == reason, what
        assert state_of(receiver) == before, what
        assert clear or b"secret" not in buffer, what
        count += 1
    assert count == 9 * len(original)
    assert sum(receiver.refused.values()) == count
    after = [part_of(suite, kind, clear, sequence) for sequence in (9, *range(12), 9)]
    opened = implementation.open_many(after, receiver, topics=[TOPIC] * len(after))
    expected = ["opened", *["opened"] * 12, "replayed"]
    expected[1 + 9] = "replayed"
    if known:
        expected[1 + 10] = "replayed"
    assert [outcome(one) for one in opened] == expected


def test_flips_in_one_batch_leave_their_neighbours_alone(implementation: ModuleType) -> None:
    """Each changed part stands between two good ones."""
    original = part_of(1, 0, False, 1 << 20)
    frames, expected = [], []
    for i, (_, changed, reason) in enumerate(changes(original)):
        frames += [bytearray(part_of(1, 0, False, i + 1)), bytearray(changed)]  # 0 is what a flip makes of 1 << 20
        expected += ["opened", reason]
    receiver = receiver_of(implementation, kinds=(0, 1, 2, 3))
    opened = implementation.open_many(frames, receiver, topics=[TOPIC] * len(frames))
    assert [outcome(one) for one in opened] == expected
    assert all(bytes(one.body[0][0]) == b"secret" for one in opened[::2])
    assert receiver.sessions == 1


def test_flips_of_a_topic_frame_are_refused(implementation: ModuleType) -> None:
    """The topic frame is bound: a changed, cut or longer one is no match, and the message is used up."""
    topic = b"weather.oslo"
    header = metadata(b"topic", topic, critical=True)
    wrong = [changed for _, changed in flips(topic)] + [topic[:n] for n in range(len(topic))] + [topic + b"\0", None]
    frames = [seal_raw(FakeAssociation(), leaf(b"x"), header_parts=header, sequence=i) for i in range(len(wrong))]
    opened = implementation.open_many(frames, receiver_of(implementation), topics=wrong)
    assert {outcome(one) for one in opened} == {"topic-mismatch"}
