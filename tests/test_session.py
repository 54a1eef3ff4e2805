"""The sender's session: numbers, rotation, forks, and what can be sealed."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import NOW, SUITES, CountingRandom, FakeAssociation, FakeClock, leaf, receiver_of, session_of

from zmqsec import limits
from zmqsec.errors import AssociationError, PartsError, SequenceExhausted
from zmqsec.header import Header
from zmqsec.message import Message, Metadata

LAST = limits.MAX_SEQUENCE


def in_child(act: Callable[[], bytes]) -> bytes:
    """What `act` gives in a forked child; raises if it fails there."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: fork while other threads run
        path = Path(folder) / "out"
        child = os.fork()
        if child == 0:
            try:
                path.write_bytes(act())
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        return path.read_bytes()


def nonces(sealed: list[bytes]) -> bytes:
    return b"".join(frame[limits.NONCE_OFFSET : limits.HEADER_BYTES] for frame in sealed)


# -- numbers and rotation ---------------------------------------------------------------------------------------------


def test_session_id_is_start_and_random(implementation: ModuleType) -> None:
    session = session_of(implementation)
    assert session.session_id == NOW.to_bytes(4, "little") + (1).to_bytes(8, "big")
    assert (session.start, session.sequence) == (NOW, 0)


def test_session_reserve_counts_up(implementation: ModuleType) -> None:
    session = session_of(implementation)
    assert [session.reserve(1), session.reserve(5), session.reserve(1)] == [0, 1, 6]
    assert session.sequence == 7


@pytest.mark.parametrize("n", [0, -1, LAST + 1])
def test_session_reserve_out_of_bounds_raises(implementation: ModuleType, n: int) -> None:
    with pytest.raises(AssociationError, match="can be reserved at once"):
        session_of(implementation).reserve(n)


def test_session_reserve_all_at_once_then_rotates(implementation: ModuleType) -> None:
    session = session_of(implementation)
    before = session.session_id
    assert session.reserve(LAST) == 0 and session.session_id == before
    assert session.reserve(1) == 0 and session.session_id != before


@pytest.mark.parametrize("sequence", [-1, LAST + 1])
def test_session_sequence_out_of_bounds_raises(implementation: ModuleType, sequence: int) -> None:
    with pytest.raises(AssociationError, match=r"0 to 4294967296 is allowed"):
        session_of(implementation, sequence=sequence)


def test_session_rotates_after_its_last_number(implementation: ModuleType) -> None:
    session = session_of(implementation, sequence=LAST - 1)
    first = session.session_id
    assert (session.reserve(1), session.session_id) == (LAST - 1, first)
    assert session.reserve(1) == 0
    assert session.session_id == NOW.to_bytes(4, "little") + (2).to_bytes(8, "big")


def test_session_batch_never_spans_two_sessions(implementation: ModuleType) -> None:
    session = session_of(implementation, sequence=LAST - 3)
    sealed = implementation.seal_many([b"x"] * 4, session)
    headers = [Header.decode(frame) for frame in sealed]
    assert [header.sequence for header in headers] == [0, 1, 2, 3]
    assert len({header.session for header in headers}) == 1


@pytest.mark.parametrize(
    ("seconds", "rotates"),
    [(3599, False), (3600, True), (-1, True), (0.9, False)],
    ids=["young", "old", "clock-went-back", "same-second"],
)
def test_session_rotates_by_age(implementation: ModuleType, seconds: float, rotates: bool) -> None:
    clock = FakeClock()
    session = session_of(implementation, clock=clock)
    before = session.session_id
    clock.now = NOW + seconds
    session.reserve(1)
    assert (session.session_id != before) is rotates
    assert session.start == (NOW + int(seconds) if rotates else NOW)
    assert session.sequence == 1


def test_session_rotate_begins_another(implementation: ModuleType) -> None:
    session = session_of(implementation, sequence=17)
    before = session.session_id
    session.rotate()
    assert session.session_id != before and session.sequence == 0


def test_session_sequences_of_two_sessions_have_other_randomness(implementation: ModuleType) -> None:
    one, two = implementation.Session(FakeAssociation()), implementation.Session(FakeAssociation())
    assert one.session_id[4:] != two.session_id[4:]


@pytest.mark.parametrize("limit", ["count", "age", "clock-went-back"])
def test_session_that_may_not_rotate_raises_at_its_limits(implementation: ModuleType, limit: str) -> None:
    clock = FakeClock()
    session = session_of(implementation, clock=clock, sequence=LAST - 1, rotate=False)
    implementation.seal_many([b"the last"], session)
    before = session.session_id
    if limit == "count":
        pass
    else:
        session = session_of(implementation, clock=clock, rotate=False)
        before = session.session_id
        clock.now += 3600 if limit == "age" else -1
    with pytest.raises(SequenceExhausted, match="may not rotate"):
        implementation.seal_many([b"one more"], session)
    assert session.session_id == before


def test_session_is_not_pickled(implementation: ModuleType) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(session_of(implementation))


# -- forks ------------------------------------------------------------------------------------------------------------


def test_session_in_a_forked_child_is_another(implementation: ModuleType) -> None:
    session = implementation.Session(FakeAssociation())
    before = session.session_id
    session.reserve(1)
    childs = in_child(lambda: session.session_id if session.reserve(1) == 0 else b"went on counting")
    assert len(childs) == 12 and childs != before
    assert session.reserve(1) == 1 and session.session_id == before


def test_session_that_may_not_rotate_refuses_in_a_forked_child(implementation: ModuleType) -> None:
    session = implementation.Session(FakeAssociation(), rotate=False)

    def act() -> bytes:
        with pytest.raises(SequenceExhausted, match="fork"):
            session.reserve(1)
        return b"refused"

    assert in_child(act) == b"refused"
    assert session.reserve(1) == 0


def test_session_forks_of_forks_share_no_nonce(implementation: ModuleType) -> None:
    """10^6 seals by the C core, 200,000 by the Python path (the slower one), with forks in between.

    One association, so one key for each suite: no nonce may come twice. Each process seals, forks a child that goes on
    with the same session object and forks in turn, and then seals on with its own.
    """
    total = 1_000_000 if implementation.__name__ == "zmqsec._core" else 200_000
    levels = 6
    share = total // (2**levels - 1) // 2 + 1
    session = implementation.Session(FakeAssociation())

    def tree(level: int) -> bytes:
        taken = nonces(implementation.seal_many([b""] * share, session))
        if level > 1:
            taken += in_child(lambda: tree(level - 1)) + in_child(lambda: tree(level - 1))
        return taken + nonces(implementation.seal_many([b""] * share, session))

    together = tree(levels)
    every = {together[at : at + 24] for at in range(0, len(together), 24)}
    assert len(together) // 24 >= total
    assert len(every) == len(together) // 24
    assert len({nonce[:16] for nonce in every}) == 2**levels - 1


# -- sealing ----------------------------------------------------------------------------------------------------------


def test_seal_takes_every_form_of_a_message(implementation: ModuleType) -> None:
    forms: list[Any] = [
        b"hello", bytearray(b"hello"), memoryview(b"hello"), zmq.Frame(b"hello"), [b"hello"], (bytearray(b"hello"),),
        [zmq.Frame(b"hello")], Message(body=[b"hello"]), Message(body=(memoryview(b"hello"),)),
    ]  # fmt: skip
    sealed = implementation.seal_many(forms, session_of(implementation))
    assert {type(frame) for frame in sealed} == {bytes}
    opened = implementation.open_many(sealed, receiver_of(implementation), copy=True)
    assert [one.body for one in opened] == [[b"hello"]] * len(forms)
    assert [one.sequence for one in opened] == list(range(len(forms)))


def test_seal_of_several_parts_keeps_them_apart(implementation: ModuleType) -> None:
    forms: list[Any] = [[b"a", b"", b"c"], (b"a", [b"b"]), [b"a", Metadata("m", b"v")], []]
    sealed = implementation.seal_many(forms[:3], session_of(implementation))
    opened = implementation.open_many(sealed, receiver_of(implementation), copy=True)
    assert [one.body for one in opened] == [[b"a", b"", b"c"], [b"a", [b"b"]], [b"a", Metadata("m", b"v")]]
    with pytest.raises(PartsError, match="no part at all"):
        implementation.seal_many(forms, session_of(implementation))


def test_seal_of_nothing_gives_nothing(implementation: ModuleType) -> None:
    session = session_of(implementation)
    assert implementation.seal_many([], session) == []
    assert session.sequence == 0


def test_seal_takes_an_iterator(implementation: ModuleType) -> None:
    sealed = implementation.seal_many((b"%d" % i for i in range(200)), session_of(implementation))
    assert [Header.decode(frame).sequence for frame in sealed] == list(range(200))


@pytest.mark.parametrize("suite", SUITES)
def test_seal_hides_the_body_and_shows_the_header(implementation: ModuleType, suite: int) -> None:
    message = Message(body=[b"the secret body"], header=[b"the readable header"])
    (sealed,) = implementation.seal_many([message], session_of(implementation, FakeAssociation(suite=suite)))
    assert b"the secret body" not in sealed and b"the readable header" in sealed
    message.protect = "authenticated"
    (sealed,) = implementation.seal_many([message], session_of(implementation, FakeAssociation(suite=suite)))
    assert b"the secret body" in sealed


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, object()], ids=lambda wrong: type(wrong).__name__)
def test_seal_of_a_wrong_type_raises(implementation: ModuleType, wrong: Any) -> None:
    session = session_of(implementation)
    for message in (wrong, [wrong], Message(body=[wrong]), Message(body=[b""], header=[wrong])):
        with pytest.raises(PartsError, match="must be bytes-like"):
            implementation.seal_many([b"fine", message], session)
    with pytest.raises(PartsError, match="must be bytes-like"):
        implementation.seal_many([Message(body=[b""], metadata={"name": wrong})], session)
    assert session.sequence == 0


def test_seal_of_what_no_receiver_takes_raises(implementation: ModuleType) -> None:
    cases: list[tuple[Message, str]] = [
        (Message(), "no part at all"),
        (Message(body=[b""], metadata={"topic": b"t"}), "give it as Message.topic"),
        (Message(body=[b""], protect="none"), "'sealed' or 'authenticated' is allowed"),  # type: ignore[arg-type]
        (Message(body=[b""], metadata={"": b""}), "1 to 255 bytes of UTF-8"),
        (Message(body=[b""], header=[bytes(65532)]), "header parts 65535"),
    ]
    for message, match in cases:
        with pytest.raises(PartsError, match=match):
            implementation.seal_many([message], session_of(implementation))


def test_seal_header_parts_at_their_limit(implementation: ModuleType) -> None:
    (sealed,) = implementation.seal_many([Message(body=[b""], header=[bytes(65531)])], session_of(implementation))
    assert Header.decode(sealed).header_parts == 65535


def test_seal_leaves_its_inputs_alone(implementation: ModuleType) -> None:
    given, frame = bytearray(b"given to be sealed"), zmq.Frame(b"and this")
    implementation.seal_many([given, [given], frame], session_of(implementation))
    assert given == b"given to be sealed" and bytes(frame) == b"and this"
    given += b"no export is left behind"


def test_seal_is_the_standard_aead_byte_for_byte(implementation: ModuleType) -> None:
    """A stranger's check of suite 1, with nothing of zmqsec but the key."""
    import pysodium

    (sealed,) = implementation.seal_many([Message(body=[b"hello"], header=[b"h"])], session_of(implementation))
    key = implementation.derive_suite_key(FakeAssociation().secret, 1, FakeAssociation().spi)
    covered = 32 + len(leaf(b"h"))
    plain = pysodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[covered:], sealed[:covered], sealed[8:32], key)
    assert plain == leaf(b"hello")


def test_seal_draws_randomness_once_a_session(implementation: ModuleType) -> None:
    random = CountingRandom()
    session = session_of(implementation, random=random)
    implementation.seal_many([b"x"] * 1000, session)
    assert random.calls == 1
