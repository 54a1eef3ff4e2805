"""Late joiners who are told which sessions go on: recordings of dead ones are stale, those of live ones replayed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import ALICE, BOB, NOW, FakeAssociation, FakeClock, leaf, outcomes, receiver_of, seal_raw, session_id

import zmqsec
from zmqsec import limits
from zmqsec.errors import AssociationError
from zmqsec.expected import Expectation, Expected

ONE = FakeAssociation()
LIVE, DEAD, NEW = session_id(NOW - 300), session_id(NOW - 200), session_id(NOW - 10)


def frame(session: bytes, sequence: int) -> bytes:
    return seal_raw(ONE, leaf(b"body"), session=session, sequence=sequence)


def joined(implementation: ModuleType, *expected: Expected, **options: Any) -> Any:
    receiver = receiver_of(implementation, clock=FakeClock(NOW), **options)
    receiver.raise_floor(ONE.spi, NOW - 120)
    for one in expected:
        receiver.expect(ONE.spi, one)
    return receiver


def test_expected_session_goes_on_and_others_are_recordings(implementation: ModuleType) -> None:
    receiver = joined(implementation, Expected(LIVE, 5))
    frames = [frame(LIVE, n) for n in (0, 4, 5, 4, 5, 8, 6)] + [frame(DEAD, 9), frame(NEW, 0)]
    assert outcomes(implementation, frames, receiver) == [
        *("replayed", "replayed", "opened", "replayed", "replayed", "opened", "opened"),
        "stale-session",
        "opened",
    ]


@pytest.mark.parametrize("following", (0, 1, 63, 64, 65, 2047, 2048, 2049, 100_000))
def test_expected_numbers_are_used_up_and_no_others(implementation: ModuleType, following: int) -> None:
    receiver = joined(implementation, Expected(LIVE, following))
    used = sorted({n for n in (0, 1, following - 1, following - 64, following - 2048) if 0 <= n < following})
    assert outcomes(implementation, [frame(LIVE, n) for n in used], receiver) == ["replayed"] * len(used)
    ahead = [following + n for n in (70, 3, 64, 0, 1)]
    assert outcomes(implementation, [frame(LIVE, n) for n in ahead], receiver) == ["opened"] * len(ahead)
    assert outcomes(implementation, [frame(LIVE, n) for n in ahead], receiver) == ["replayed"] * len(ahead)


def test_expected_session_that_is_known_or_new_keeps_its_window(implementation: ModuleType) -> None:
    receiver = joined(implementation, Expected(LIVE, 5))
    assert outcomes(implementation, [frame(LIVE, 6), frame(NEW, 0)], receiver) == ["opened", "opened"]
    for session in (LIVE, NEW):
        receiver.expect(ONE.spi, Expected(session, 100))
    unknown = session_id(NOW - 20)
    receiver.expect(ONE.spi, Expected(unknown, 100))  # it began after the floor, and is judged as ever
    frames = [frame(LIVE, 5), frame(NEW, 1), frame(unknown, 3)]
    assert outcomes(implementation, frames, receiver) == ["opened"] * 3


def test_expected_session_is_its_origins(implementation: ModuleType) -> None:
    receiver = joined(implementation, Expected(LIVE, 5, ALICE.key), Expected(LIVE, 7, BOB.key))
    assert receiver.sessions == 2
    assert outcomes(implementation, [frame(LIVE, 9)], receiver) == ["stale-session"]


def test_floor_does_not_fall(implementation: ModuleType) -> None:
    receiver = joined(implementation)
    receiver.raise_floor(ONE.spi, NOW - 1000)
    assert outcomes(implementation, [frame(DEAD, 0)], receiver) == ["stale-session"]


def test_expected_beyond_the_most_sessions_makes_room(implementation: ModuleType) -> None:
    sessions = [session_id(NOW - 300 + n) for n in range(4)]
    receiver = joined(implementation, *(Expected(one, 5) for one in sessions), max_sessions=2)
    assert receiver.sessions == 2
    assert outcomes(implementation, [frame(one, 5) for one in sessions], receiver) == [
        "stale-session", "stale-session", "opened", "opened",
    ]  # fmt: skip


def test_expected_out_of_bounds_is_an_error(implementation: ModuleType) -> None:
    receiver = joined(implementation)
    with pytest.raises(AssociationError, match="SPI 0x00000009 is unknown to this receiver"):
        receiver.expect(9, Expected(LIVE))
    with pytest.raises(AssociationError, match="SPI 0x00000009 is unknown to this receiver"):
        receiver.raise_floor(9, 0)
    with pytest.raises(AssociationError, match=r"floor=4294967296: 0 to 4294967295 is allowed"):
        receiver.raise_floor(ONE.spi, 1 << 32)
    with pytest.raises(AssociationError, match="a session of 11 bytes"):
        Expected(bytes(11))
    with pytest.raises(AssociationError, match="of an origin of 31"):
        Expected(LIVE, 0, bytes(31))
    with pytest.raises(AssociationError, match=f"0 to {limits.MAX_SEQUENCE} is allowed"):
        Expected(LIVE, limits.MAX_SEQUENCE + 1)


def test_keyring_tells_sockets_which_sessions_go_on(implementation: ModuleType) -> None:
    """A subscriber that is told joins a running stream; what was recorded of it and of a dead one is refused."""
    key = zmqsec.Association.from_secret(bytes(range(32)), name="news")
    clock = FakeClock(NOW)
    with zmqsec.Context(keyring=zmqsec.Keyring([key]), _implementation=implementation) as context:
        address = f"inproc://expected-{implementation.__name__}"
        dead, live = (context.socket(zmq.PUSH, association="news", clock=clock) for _ in range(2))
        recorder = context.socket(zmq.PULL, zmq.Socket)
        recorder.bind(address)
        recordings = []
        for push in (dead, live):
            push.connect(address)
            push.send(b"before")
            recordings.append(recorder.recv())
        sessions = dict(context.keyring.sealing())
        assert set(sessions) == {key.spi}  # both seal with one key
        assert len(context.keyring.sealing()) == 2
        dead.close()
        ((spi, going_on),) = context.keyring.sealing()
        assert (spi, going_on.sequence, going_on.origin) == (key.spi, 1, b"")

        clock.now = NOW + 300
        context.keyring.expect(key.spi, Expectation(NOW + 180, (going_on,)))
        pull = context.socket(zmq.PULL, association="news", clock=clock)
        pull.bind(address + "-late")
        replay = context.socket(zmq.PUSH, zmq.Socket)
        for socket in (replay, live):
            socket.connect(address + "-late")
        for recording in recordings:
            replay.send(recording)
        live.disconnect(address)
        live.send(b"after")
        assert pull.recv() == b"after"
        while sum(pull.stats.refused.values()) < 2:
            assert pull.recv_many(timeout=1) == []
        assert {reason: n for reason, n in pull.stats.refused.items() if n} == {"stale-session": 1, "replayed": 1}
        for socket in (recorder, pull, replay, live):
            socket.close(0)


def test_keyring_keeps_no_credential_that_ended_before_the_next_one() -> None:
    keyring = zmqsec.Keyring(identities=[ALICE])
    for hour in range(5):
        keyring.add_credential(
            zmqsec.Credential.issue(
                BOB, ALICE.public, zmqsec.Rights(1), not_before=NOW + 3600 * hour, not_after=NOW + 3600 * hour + 7000
            )
        )
    assert len(keyring._own[ALICE.key]) == 2
