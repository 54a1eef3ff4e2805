"""The receiver: sessions and their policy, eviction and floors, limits, counts, and where opened bodies live."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import (
    NOW,
    FakeAssociation,
    FakeClock,
    as_plain,
    leaf,
    listed,
    metadata,
    outcome,
    outcomes,
    receiver_of,
    seal_raw,
    session_id,
    session_of,
)

from zmqsec import limits
from zmqsec.errors import AssociationError, Reason, Refusal, SocketError
from zmqsec.message import Message, Metadata

ONE = FakeAssociation()
TWO = replace(ONE, spi=2)


def frame_of(start: int = NOW, sequence: int = 0, random: int = 1, association: FakeAssociation = ONE) -> bytes:
    return seal_raw(association, leaf(b"body"), session=session_id(start, random.to_bytes(8, "big")), sequence=sequence)


def one(implementation: ModuleType, receiver: Any, frame: Any, **options: Any) -> str:
    return outcomes(implementation, [frame], receiver, **options)[0]


# -- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, "opened"), (7200, "opened"), (7201, "stale-session"), (-120, "opened"), (-121, "stale-session")],
)
def test_session_of_an_age(implementation: ModuleType, age: int, expected: str) -> None:
    receiver = receiver_of(implementation, clock=FakeClock(NOW))
    assert one(implementation, receiver, frame_of(NOW - age)) == expected
    assert receiver.sessions == (1 if expected == "opened" else 0)


@pytest.mark.parametrize(("skew", "lifetime"), [(0, 3600), (5, 4000), (10**9, 10**9)])
def test_session_policy_is_the_associations_own(implementation: ModuleType, skew: int, lifetime: int) -> None:
    association = replace(ONE, skew=skew, lifetime=lifetime, late_join=10**10)
    for start, expected in (
        (NOW + skew, "opened"), (NOW + skew + 1, "stale-session"),
        (NOW - lifetime, "opened"), (NOW - lifetime - 1, "stale-session"),
    ):  # fmt: skip
        receiver = receiver_of(implementation, association)
        assert one(implementation, receiver, frame_of(start, association=association)) == expected


@pytest.mark.parametrize("late_join", [0, 1, 3600, 7200])
def test_session_joined_late(implementation: ModuleType, late_join: int) -> None:
    """Begun before the receiver: accepted up to `late_join` and the skew, whatever its sequence number."""
    association = replace(ONE, late_join=late_join, lifetime=10_000)
    earliest = NOW - late_join - association.skew
    receiver = receiver_of(implementation, association)
    assert one(implementation, receiver, frame_of(earliest - 1, 77, association=association)) == "stale-session"
    assert one(implementation, receiver, frame_of(earliest, 77, association=association)) == "opened"


def test_session_joined_late_is_no_replay_protection_across_a_restart(implementation: ModuleType) -> None:
    """What the default accepts, and late_join=0 does not: a recording played to a receiver that began anew."""
    clock = FakeClock(NOW)
    assert one(implementation, receiver_of(implementation, clock=clock), frame_of()) == "opened"
    clock.now += 1000
    assert one(implementation, receiver_of(implementation, clock=clock), frame_of()) == "opened"
    strict = replace(ONE, late_join=0)
    assert one(implementation, receiver_of(implementation, strict, clock=clock), frame_of()) == "stale-session"


def test_session_older_than_the_last_one_opens(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation)
    assert outcomes(implementation, [frame_of(NOW), frame_of(NOW - 50)], receiver) == ["opened"] * 2


def test_session_known_outlives_a_clock_that_goes_back(implementation: ModuleType) -> None:
    clock = FakeClock(NOW)
    receiver = receiver_of(implementation, clock=clock)
    assert one(implementation, receiver, frame_of()) == "opened"
    clock.now -= 5000
    assert one(implementation, receiver, frame_of(sequence=1)) == "opened"
    assert one(implementation, receiver, frame_of(random=2)) == "stale-session"


def test_clock_before_1970_counts_as_0(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, clock=FakeClock(-5.5))
    assert one(implementation, receiver, frame_of(0)) == "opened"
    assert one(implementation, receiver, frame_of(121)) == "stale-session"


def test_clock_is_read_once_a_batch(implementation: ModuleType) -> None:
    readings: list[int] = []

    def clock() -> float:
        readings.append(NOW)
        return NOW

    receiver = receiver_of(implementation, clock=clock)
    frames = implementation.seal_many([b""] * 64, session_of(implementation))
    before = len(readings)
    implementation.open_many(frames, receiver)
    assert len(readings) == before + 1


# -- eviction and floors ----------------------------------------------------------------------------------------------


def test_eviction_takes_the_session_that_began_first(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, max_sessions=3)
    starts = [NOW + 5, NOW, NOW + 9]
    assert outcomes(implementation, [frame_of(start) for start in starts], receiver) == ["opened"] * 3
    assert one(implementation, receiver, frame_of(NOW + 7)) == "opened"
    assert receiver.sessions == 3
    assert one(implementation, receiver, frame_of(NOW, 1)) == "stale-session"
    assert outcomes(implementation, [frame_of(NOW + 5, 1), frame_of(NOW + 9, 1)], receiver) == ["opened"] * 2


def test_eviction_tie_goes_by_the_id(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, max_sessions=2)
    frames = [frame_of(random=random) for random in (9, 3, 7)]
    assert outcomes(implementation, frames, receiver) == ["opened"] * 3
    kept = [frame_of(random=random, sequence=1) for random in (9, 3, 7)]
    assert outcomes(implementation, kept, receiver) == ["opened", "stale-session", "opened"]


def test_eviction_starts_compare_as_numbers(implementation: ModuleType) -> None:
    """Little-endian bytes would compare otherwise: 0x...ff before 0x...00 of the next 256."""
    base = (NOW | 0xFF) - 255
    receiver = receiver_of(implementation, max_sessions=1, clock=FakeClock(base + 300))
    assert one(implementation, receiver, frame_of(base + 256)) == "opened"
    assert one(implementation, receiver, frame_of(base + 255)) == "opened"
    assert one(implementation, receiver, frame_of(base + 256, 1)) == "stale-session"


def test_eviction_raises_the_floor_for_good(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, max_sessions=1)
    assert outcomes(implementation, [frame_of(NOW), frame_of(NOW + 1)], receiver) == ["opened"] * 2
    for random in range(1, 20):
        assert one(implementation, receiver, frame_of(NOW, 50, random)) == "stale-session"
        assert one(implementation, receiver, frame_of(NOW - 60, 50, random)) == "stale-session"


def test_eviction_floor_is_one_associations(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, ONE, TWO, max_sessions=1)
    frames = [frame_of(NOW), frame_of(NOW, association=TWO), frame_of(NOW, random=5), frame_of(NOW, 1, association=TWO)]
    assert outcomes(implementation, frames, receiver) == ["opened", "opened", "stale-session", "opened"]


def test_eviction_within_one_batch_is_that_of_one_by_one(implementation: ModuleType) -> None:
    """The second evicts the first; the third was seen, but its window is gone: stale, not replayed."""
    frames = [frame_of(NOW), frame_of(NOW + 1), frame_of(NOW), frame_of(NOW + 1), frame_of(NOW, 1)]
    expected = ["opened", "opened", "stale-session", "replayed", "stale-session"]
    receiver = receiver_of(implementation, max_sessions=1)
    assert [one(implementation, receiver, frame) for frame in frames] == expected
    assert outcomes(implementation, frames, receiver_of(implementation, max_sessions=1)) == expected
    receiver = receiver_of(implementation, max_sessions=1)
    assert one(implementation, receiver, frames[0]) == "opened"
    assert outcomes(implementation, frames[1:], receiver) == expected[1:]


def test_eviction_of_hundreds_keeps_the_newest(implementation: ModuleType) -> None:
    """Far more sessions than places, in a scattered order of starts."""
    receiver = receiver_of(implementation, max_sessions=100)
    starts = [NOW + (i * 37) % 101 for i in range(101)]
    results = outcomes(implementation, [frame_of(start) for start in starts], receiver)
    assert results == ["opened"] * 101 and receiver.sessions == 100
    again = [frame_of(start, 1) for start in sorted(starts)]
    assert outcomes(implementation, again, receiver) == ["stale-session"] + ["opened"] * 100


def test_strangers_leave_nothing_behind(implementation: ModuleType) -> None:
    """Neither a forged session nor one of another key takes a place in the table."""
    receiver = receiver_of(implementation, max_sessions=1)
    assert one(implementation, receiver, frame_of()) == "opened"
    stranger = replace(ONE, secret=bytes(range(1, 33)))
    frames = [frame_of(NOW + 1, i, i, stranger) for i in range(100)]
    assert set(outcomes(implementation, frames, receiver)) == {"forged"}
    assert receiver.sessions == 1
    assert one(implementation, receiver, frame_of(sequence=1)) == "opened"


# -- associations -----------------------------------------------------------------------------------------------------


def test_association_added_and_removed(implementation: ModuleType) -> None:
    receiver = implementation.Receiver(clock=FakeClock())
    assert one(implementation, receiver, frame_of()) == "unknown-spi"
    receiver.add(ONE)
    receiver.add(TWO)
    assert outcomes(implementation, [frame_of(), frame_of(association=TWO)], receiver) == ["opened"] * 2
    receiver.remove(ONE.spi)
    assert receiver.sessions == 1
    assert outcomes(implementation, [frame_of(sequence=1), frame_of(sequence=1, association=TWO)], receiver) == [
        "unknown-spi", "opened",
    ]  # fmt: skip
    receiver.add(ONE)
    assert one(implementation, receiver, frame_of()) == "opened", "removing forgot its sessions"


def test_association_twice_raises(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation)
    with pytest.raises(AssociationError, match="0x01020304 stands already"):
        receiver.add(replace(TWO, spi=ONE.spi))


def test_association_that_is_unknown_cannot_be_removed(implementation: ModuleType) -> None:
    with pytest.raises(AssociationError, match="0x00000007 is unknown"):
        receiver_of(implementation).remove(7)


def test_associations_by_the_hundred_are_told_apart(implementation: ModuleType) -> None:
    associations = [replace(ONE, spi=(i * 2654435761) % 2**32 or 1) for i in range(1, 301)]
    receiver = receiver_of(implementation, *associations)
    frames = [frame_of(association=association) for association in associations]
    assert set(outcomes(implementation, frames, receiver)) == {"opened"}
    for association in associations[::2]:
        receiver.remove(association.spi)
    assert outcomes(implementation, frames, receiver) == ["unknown-spi", "replayed"] * 150


# -- limits and kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_message", 0), ("max_message", 1 << 30), ("max_parts", 0), ("max_depth", 0), ("max_depth", 65),
     ("max_sessions", 0), ("max_sessions", (1 << 24) + 1)],
)  # fmt: skip
def test_receiver_limit_out_of_bounds_raises(implementation: ModuleType, name: str, value: int) -> None:
    with pytest.raises(AssociationError, match=f"{name}={value}: 1 to"):
        implementation.Receiver([ONE], **{name: value})


def test_receiver_limit_of_one_session_works(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation, max_sessions=1, max_parts=1, max_depth=1)
    assert one(implementation, receiver, frame_of()) == "opened"


@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (0, 1, 2, 3), ()])
def test_receiver_opens_its_kinds_only(implementation: ModuleType, kinds: tuple[int, ...]) -> None:
    receiver = receiver_of(implementation, kinds=kinds)
    frames = [seal_raw(ONE, listed(leaf(b"")), kind=kind, sequence=kind) for kind in range(4)]
    expected = ["opened" if kind in kinds else "not-permitted" for kind in range(4)]
    assert outcomes(implementation, frames, receiver) == expected


def test_receiver_understands_the_names_it_was_given(implementation: ModuleType) -> None:
    frames = [
        seal_raw(ONE, metadata(name, b"", True), sequence=i)
        for i, name in enumerate([b"must", b"may", "é".encode(), b"mus", b"must2", b"topic"])
    ]
    receiver = receiver_of(implementation, understood=["must", "é", "topic"])
    refused = "unknown-critical"
    assert outcomes(implementation, frames, receiver) == ["opened", refused, "opened", refused, refused, refused]


# -- results ----------------------------------------------------------------------------------------------------------


def test_opened_message_has_every_field(implementation: ModuleType) -> None:
    message = Message(
        body=[b"leaf", [b"nested"], Metadata("in-body", b"1")],
        header=[b"h", [b"i"]],
        metadata={"note": b"alice", "must": Metadata("must", b"2", True)},
        topic=b"weather",
    )
    (sealed,) = implementation.seal_many([message], session_of(implementation, sequence=9))
    receiver = receiver_of(implementation, understood=["must"])
    (opened,) = implementation.open_many([sealed], receiver, topics=[b"weather"], copy=True)
    assert opened == replace(message, spi=ONE.spi, session=session_id(), sequence=9)
    assert (opened.protect, opened.kind, opened.envelope) == ("sealed", limits.KIND_DATA, ())


def test_opened_metadata_of_one_name_twice_keeps_the_first(implementation: ModuleType) -> None:
    header = metadata(b"note", b"a") + metadata(b"note", b"b") + leaf(b"h")
    frame = seal_raw(ONE, leaf(b""), header_parts=header)
    (opened,) = implementation.open_many([frame], receiver_of(implementation))
    assert opened.metadata == {"note": b"a"}
    assert opened.header == [Metadata("note", b"b"), b"h"]


def test_refusal_names_reason_detail_and_spi(implementation: ModuleType) -> None:
    frame = seal_raw(ONE, metadata(b"must", b"", True))
    refusals = implementation.open_many([frame, frame, b"short", b""], receiver_of(implementation))
    assert refusals == [
        Refusal(Reason.UNKNOWN_CRITICAL, "unknown critical metadata: must", ONE.spi),
        Refusal(Reason.REPLAYED, "", ONE.spi),
        Refusal(Reason.MALFORMED),
        Refusal(Reason.MALFORMED),
    ]
    assert not any(refusals)


def test_counts_are_by_reason_and_start_at_zero(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation)
    assert receiver.refused == {str(reason): 0 for reason in Reason}
    outcomes(implementation, [frame_of(), frame_of(), b"", frame_of(association=TWO)], receiver)
    assert receiver.opened == 1
    assert {k: n for k, n in receiver.refused.items() if n} == {"replayed": 1, "malformed": 1, "unknown-spi": 1}


def test_open_topics_of_another_count_raise(implementation: ModuleType) -> None:
    with pytest.raises(SocketError, match="1 topics for 2 frames"):
        implementation.open_many([frame_of(), frame_of(sequence=1)], receiver_of(implementation), topics=[None])


def test_open_topics_go_with_their_frames(implementation: ModuleType) -> None:
    """Over more than one batch, each bound to its own, one without."""
    names = [None if i == 70 else b"topic %d" % i for i in range(100)]
    messages = [Message(body=[b""], topic=name) for name in names]
    sealed = implementation.seal_many(messages, session_of(implementation))
    topics = [name if name is None else bytearray(name) for name in names]
    opened = implementation.open_many(sealed, receiver_of(implementation), topics=topics)
    assert [message.topic for message in opened] == names
    shifted = implementation.open_many(sealed, receiver_of(implementation), topics=names[1:] + names[:1])
    assert {outcome(refusal) for refusal in shifted} == {"topic-mismatch"}


# -- where opened bodies live -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, zmq.Frame], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("copy", [True, False], ids=["copy", "views"])
def test_open_takes_every_kind_of_buffer(implementation: ModuleType, kind: Any, copy: bool) -> None:
    sealed = implementation.seal_many([[b"hello", [b"there"]]] * 70, session_of(implementation))
    opened = implementation.open_many([kind(frame) for frame in sealed], receiver_of(implementation), copy=copy)
    assert [as_plain(message.body) for message in opened] == [[b"hello", [b"there"]]] * 70
    assert type(opened[0].body[0]) is (bytes if copy else memoryview)


def test_open_leaves_read_only_memory_alone(implementation: ModuleType) -> None:
    (sealed,) = implementation.seal_many([b"hello"], session_of(implementation))
    before = bytes(bytearray(sealed))
    for frame in (sealed, memoryview(sealed), memoryview(bytearray(sealed)).toreadonly()):
        (opened,) = implementation.open_many([frame], receiver_of(implementation))
        assert as_plain(opened.body) == [b"hello"]
        assert bytes(frame) == before


@pytest.mark.parametrize("bad", ["forged", "parts"])
def test_open_of_a_refused_buffer_shows_no_plaintext(implementation: ModuleType, bad: str) -> None:
    """Wiped, or left as it was; never plaintext that was not accepted."""
    sealed = bytearray(seal_raw(ONE, leaf(b"the plaintext") + (b"\0" if bad == "parts" else b"")))
    if bad == "forged":
        sealed[-1] ^= 1
    before = bytes(sealed)
    assert one(implementation, receiver_of(implementation), sealed) == ("forged" if bad == "forged" else "malformed")
    wiped = before[:32] + bytes(len(before) - 48) + before[-16:]
    assert bytes(sealed) in (before, wiped)


def test_open_copy_leaves_the_buffer_alone(implementation: ModuleType) -> None:
    sealed = bytearray(frame_of())
    (opened,) = implementation.open_many([sealed], receiver_of(implementation), copy=True)
    assert sealed == frame_of() and opened.body == [b"body"]
    sealed += b"no export is left behind"


def test_open_views_keep_their_memory_alive(implementation: ModuleType) -> None:
    sealed = implementation.seal_many([b"x" * 10_000] * 20, session_of(implementation))
    views = [
        message.body[0] for message in implementation.open_many(map(bytearray, sealed), receiver_of(implementation))
    ]
    del sealed
    rubbish = [bytes(10_000) for _ in range(100)]
    assert all(view == b"x" * 10_000 for view in views)
    del rubbish


def test_open_of_one_buffer_twice_in_a_batch(implementation: ModuleType) -> None:
    """The second is a replay, and must not take away what the first one's views show."""
    sealed = bytearray(seal_raw(ONE, leaf(b"hello") + leaf(b"there")))
    first, second = implementation.open_many([sealed, sealed], receiver_of(implementation))
    assert as_plain(first.body) == [b"hello", b"there"]
    assert outcome(second) == "replayed"


def test_open_in_place_is_in_place_in_the_core() -> None:
    core = pytest.importorskip("zmqsec._core")
    sealed = bytearray(frame_of())
    (opened,) = core.open_many([sealed], receiver_of(core))
    assert bytes(sealed[36:40]) == b"body"
    sealed[36:40] = b"BODY"
    assert opened.body[0] == b"BODY"


def test_open_in_place_of_a_received_frame(implementation: ModuleType) -> None:
    sealed = implementation.seal_many([b"a" * 5000], session_of(implementation))
    with zmq.Context() as context, context.socket(zmq.PAIR) as near, context.socket(zmq.PAIR) as far:
        near.bind("inproc://frames")
        far.connect("inproc://frames")
        far.send(sealed[0])
        frame = near.recv(copy=False)
        assert frame.get(zmq.SHARED) == 0
        (opened,) = implementation.open_many([frame], receiver_of(implementation))
        del frame
        assert as_plain(opened.body) == [b"a" * 5000]


def test_open_of_shared_memory_leaves_other_subscribers_theirs(implementation: ModuleType) -> None:
    """On inproc PUB all subscribers' frames are one memory; each must open all the same."""
    sealed = implementation.seal_many([b"a" * 5000], session_of(implementation))
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.bind("inproc://shared")
        subscribers = [context.socket(zmq.SUB) for _ in range(3)]
        try:
            for subscriber in subscribers:
                subscriber.connect("inproc://shared")
                subscriber.subscribe(b"")
                subscriber.rcvtimeo = 5000
            publisher.send(zmq.Frame(sealed[0]))
            frames = [subscriber.recv(copy=False) for subscriber in subscribers]
            assert [frame.get(zmq.SHARED) for frame in frames] == [1, 1, 1]
            for frame in frames:
                (opened,) = implementation.open_many([frame], receiver_of(implementation))
                assert as_plain(opened.body) == [b"a" * 5000]
            assert all(bytes(frame) == sealed[0] for frame in frames)
        finally:
            for subscriber in subscribers:
                subscriber.close(0)
