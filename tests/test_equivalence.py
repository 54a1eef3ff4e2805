"""The two implementations against each other: the same bytes for the same inputs, the same result for any frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from helpers import (
    NOW,
    SUITES,
    CountingRandom,
    FakeAssociation,
    FakeClock,
    as_plain,
    leaf,
    register_users_suite,
    seal_raw,
    session_id,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zmqsec import limits, reference
from zmqsec.errors import PartsError, Refusal
from zmqsec.message import Message, Metadata

core = pytest.importorskip("zmqsec._core")

BOTH = (reference, core)
ALL_KINDS = (0, 1, 2, 3)
LAST = limits.MAX_SEQUENCE
register_users_suite()

# -- what is drawn ----------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(["note", "sent", "must", "may", "é", "topic"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
LEAVES = st.binary(max_size=40)
METADATA = st.builds(Metadata, NAMES, LEAVES, st.booleans())
PARTS = st.recursive(
    st.one_of(LEAVES, METADATA), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)  # fmt: skip
BODIES = st.lists(PARTS, min_size=1, max_size=4)
TOPICS = st.one_of(st.none(), st.binary(max_size=8))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from([0, 0, 1, 2, 3]))
    in_header = draw(
        st.dictionaries(NAMES.filter(lambda name: name != "topic"), st.tuples(LEAVES, st.booleans()), max_size=2)
    )
    return Message(
        body=draw(st.lists(BODIES, min_size=1, max_size=3) if kind == 1 else BODIES),
        header=draw(st.lists(PARTS, max_size=2)),
        metadata={
            name: Metadata(name, value, True) if critical else value for name, (value, critical) in in_header.items()
        },
        protect=draw(st.sampled_from(["sealed", "authenticated"])),
        kind=kind,
        topic=draw(TOPICS),
    )


FORMS = st.one_of(LEAVES, LEAVES.map(bytearray), LEAVES.map(memoryview), BODIES, BODIES.map(tuple), messages())


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Bytes that are nearly parts: heads with lengths that fit or nearly do, names, rubbish."""
    out = b""
    for _ in range(draw(st.integers(0, 6))):
        value = draw(
            st.one_of(st.binary(max_size=12), st.just(b"\5topicx"), st.just(b"\4must"), st.just(leaf(b"a") * 2))
        )
        length = max(0, len(value) + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1, 4, 1 << 29])))
        out += (length << 2 | draw(st.integers(0, 3))).to_bytes(4, "little") + value
    return out + draw(st.sampled_from([b"", b"", b"", b"\0", b"\0\0\0"]))


# -- comparing --------------------------------------------------------------------------------------------------------


def plain(result: Any) -> Any:
    """A result without the kind of its buffers."""
    if isinstance(result, Refusal):
        return result
    assert isinstance(result, Message)
    return replace(result, body=as_plain(result.body), header=as_plain(result.header))


def sealed_by_both(forms: Sequence[Any], association: FakeAssociation, sequence: int = 0) -> list[bytes]:
    outputs = []
    for implementation in BOTH:
        session = implementation.Session(
            association, clock=FakeClock(), random=CountingRandom(), sequence=sequence
        )  # fmt: skip
        outputs.append((implementation.seal_many(forms, session), session.session_id, session.sequence))
    assert outputs[0] == outputs[1]
    frames: list[bytes] = outputs[0][0]
    return frames


class Pair:
    """A receiver of each implementation, which must stay alike."""

    def __init__(self, *associations: FakeAssociation, **options: Any) -> None:
        self.clock = FakeClock()
        options.setdefault("kinds", ALL_KINDS)
        self.receivers = [one.Receiver(associations, clock=self.clock, **options) for one in BOTH]

    def open(
        self, frames: Sequence[bytes], topics: Sequence[bytes | None] | None = None, copy: bool = True
    ) -> list[Any]:
        """The core opens writable memory in place, all in one call; the reference one frame at a time."""
        names = [None] * len(frames) if topics is None else list(topics)
        python, c = self.receivers
        expected = [
            plain(reference.open_many([frame], python, topics=[name], copy=copy)[0])
            for frame, name in zip(frames, names, strict=True)
        ]
        given_to_c = frames if copy else [bytearray(frame) for frame in frames]
        assert [plain(one) for one in core.open_many(given_to_c, c, topics=names, copy=copy)] == expected
        assert (c.opened, c.sessions, c.refused) == (python.opened, python.sessions, python.refused)
        return expected


# -- sealing ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    forms=st.lists(FORMS, min_size=1, max_size=8),
    suite=st.sampled_from([*SUITES, 200]),
    sequence=st.one_of(st.integers(0, LAST), st.integers(LAST - 10, LAST)),
    admit=st.booleans(),
)
def test_equivalence_of_sealed_bytes_and_of_what_opens(
    forms: list[Any], suite: int, sequence: int, admit: bool
) -> None:
    """Byte for byte the same, and each message of one opens in the other, to the same message."""
    association = FakeAssociation(suite=suite, admit=admit)
    frames = sealed_by_both(forms, association, sequence)
    topics = [form.topic if isinstance(form, Message) else None for form in forms]
    pair = Pair(association, understood=["must", "note", "é"])
    for copy in (True, False):
        for result in pair.open(frames, topics, copy):
            if not copy:
                assert result.reason == "replayed"


@settings(max_examples=100, deadline=None)
@given(BODIES)
def test_equivalence_of_encoded_parts(parts: list[Any]) -> None:
    encoded = reference.encode_parts(parts)
    assert core.encode_parts(parts) == encoded
    assert plain(Message(body=core.decode_parts(encoded, max_depth=64))) == plain(Message(body=parts))
    assert core.decode_parts(encoded, max_depth=64) == reference.decode_parts(encoded, max_depth=64)


@settings(max_examples=300, deadline=None)
@given(st.one_of(heads(), st.binary(max_size=60)), st.integers(1, 6), st.integers(1, 4))
def test_equivalence_of_decoded_parts(data: bytes, max_parts: int, max_depth: int) -> None:
    results = []
    for implementation in BOTH:
        try:
            results.append(implementation.decode_parts(data, max_parts=max_parts, max_depth=max_depth))
        except PartsError as error:
            results.append(str(error))
    assert results[0] == results[1]


@pytest.mark.parametrize("sequence", [LAST - 70, LAST - 64, LAST - 63, LAST - 1, LAST])
def test_equivalence_of_rotation_in_a_long_batch(sequence: int) -> None:
    sealed_by_both([b"%d" % i for i in range(200)], FakeAssociation(), sequence)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 70), st.integers(-3700, 3700)), min_size=1, max_size=6))
def test_equivalence_of_rotation_by_age(steps: list[tuple[int, int]]) -> None:
    """The clock goes forwards and backwards between batches."""
    clock = FakeClock()
    sessions = [one.Session(FakeAssociation(), clock=clock, random=CountingRandom()) for one in BOTH]
    for count, seconds in steps:
        clock.now += seconds
        ours = [one.seal_many([b"x"] * count, session) for one, session in zip(BOTH, sessions, strict=True)]
        assert ours[0] == ours[1]


# -- opening ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    header_parts=heads(),
    body=heads(),
    kind=st.integers(0, 3),
    flags=st.sampled_from([0, 0, 0x10, 0x20, 0x30]),
    topic=st.sampled_from([None, b"x", b""]),
    bounds=st.sampled_from([{}, {"max_parts": 4}, {"max_depth": 1}, {"max_depth": 2, "max_parts": 3}]),
)
@example(header_parts=b"", body=b"", kind=0, flags=0, topic=None, bounds={})
def test_equivalence_of_reasons_for_authentic_parts(
    header_parts: bytes, body: bytes, kind: int, flags: int, topic: bytes | None, bounds: dict[str, int]
) -> None:
    """Tags that hold over anything that is nearly parts."""
    frame = seal_raw(FakeAssociation(), body, header_parts=header_parts, kind=kind, flags=flags)
    for copy in (True, False):
        Pair(FakeAssociation(), understood=["must"], **bounds).open([frame], [topic], copy)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good frame with a fault or two, or none."""
    suite = draw(st.sampled_from(SUITES))
    form = draw(st.one_of(LEAVES, messages()))
    (frame,) = reference.seal_many(
        [form], reference.Session(FakeAssociation(suite=suite), clock=FakeClock(), random=CountingRandom())
    )
    changed = bytearray(frame)
    for _ in range(draw(st.integers(0, 2))):
        how = draw(st.integers(0, 4))
        at = (
            draw(st.one_of(st.integers(0, len(changed) - 1), st.integers(0, min(31, len(changed) - 1))))
            if changed
            else 0
        )
        if how == 0 and changed:
            changed[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 1 and changed:
            changed[at] = draw(st.sampled_from([0, 1, 2, 3, 4, 0x10, 0x20, 127, 128, 200, 255]))
        elif how == 2:
            del changed[at:]
        elif how == 3:
            changed += draw(st.binary(max_size=20))
        else:
            changed[at : at + 4] = draw(st.binary(max_size=6))
    return bytes(changed)


@settings(max_examples=250, deadline=None)
@given(
    frames=st.lists(mutations(), min_size=1, max_size=5), suite=st.sampled_from(SUITES), began=st.integers(-8000, 8000)
)
def test_equivalence_of_reasons_for_mutated_frames(frames: list[bytes], suite: int, began: int) -> None:
    pair = Pair(FakeAssociation(suite=suite), FakeAssociation(spi=5))
    pair.clock.now += began
    for copy in (True, False):
        pair.open(frames, copy=copy)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, int, int, bool, int]:
    """Start, random part, sequence number, forged or not, SPI: few values, so that they meet."""
    return (
        NOW + draw(st.sampled_from([-9000, -7200, -2, -1, 0, 0, 1, 2, 120, 121])),
        draw(st.integers(1, 2)),
        draw(st.sampled_from([0, 0, 1, 2, 2047, 2048, 2049, 5000, LAST - 1])),
        draw(st.booleans()) and draw(st.booleans()),
        draw(st.sampled_from([1, 1, 2])),
    )


@settings(max_examples=250, deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.integers(-200, 200), st.lists(deliveries(), min_size=1, max_size=12)), min_size=1, max_size=4
    ),
    max_sessions=st.integers(1, 4),
    late_join=st.sampled_from([0, 1, 7200]),
)
def test_equivalence_of_batches_with_duplicates_and_evictions(
    batches: list[tuple[int, list[tuple[int, int, int, bool, int]]]], max_sessions: int, late_join: int
) -> None:
    """Batches in the core, one by one in the reference: replays, forgeries, evictions and a clock that moves."""
    associations = {spi: FakeAssociation(spi=spi, late_join=late_join) for spi in (1, 2)}
    pair = Pair(*associations.values(), max_sessions=max_sessions)
    for seconds, batch in batches:
        pair.clock.now += seconds
        frames = []
        for start, random, sequence, forged, spi in batch:
            # The random part holds the SPI: ids that tie between associations may go in either order.
            session = session_id(start, bytes([spi, random]) + bytes(6))
            frame = bytearray(seal_raw(associations[spi], leaf(b"x"), session=session, sequence=sequence))
            frame[-1] ^= forged
            frames.append(bytes(frame))
        pair.open(frames, copy=False)


@settings(max_examples=100, deadline=None)
@given(message=messages(), bounds=st.fixed_dictionaries({}, optional={
    "max_message": st.integers(52, 200), "max_parts": st.integers(1, 12), "max_depth": st.integers(1, 6),
}), understood=st.lists(NAMES, max_size=3), kinds=st.lists(st.integers(0, 3), max_size=4), topic=TOPICS)  # fmt: skip
def test_equivalence_under_a_receivers_limits(
    message: Message, bounds: dict[str, int], understood: list[str], kinds: list[int], topic: bytes | None
) -> None:
    (frame,) = sealed_by_both([message], FakeAssociation())
    for name in (topic, message.topic):
        Pair(FakeAssociation(), understood=understood, kinds=kinds, **bounds).open([frame], [name])


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 255))
def test_equivalence_of_derived_keys(secret: bytes, suite: int) -> None:
    assert core.derive_spi(secret) == reference.derive_spi(secret)
    assert core.derive_suite_key(secret, suite, 7) == reference.derive_suite_key(secret, suite, 7)
