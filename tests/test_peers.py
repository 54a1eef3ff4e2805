"""Where identities were last seen, and which request is answered next: the tables of a ROUTER by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from zmqsec import limits
from zmqsec.peers import Peers, Requests, split


def message_id(sequence: int, session: bytes = b"session12345") -> bytes:
    return session + sequence.to_bytes(8, "little")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PEERS", 3)


def test_peers_split_takes_one_delimiter_off_the_end() -> None:
    assert split([b"a"]) == ((b"a",), False) and split([b"a", b"b"]) == ((b"a", b"b"), False)
    assert split([b"a", b""]) == ((b"a",), True) and split([b"a", b"", b""]) == ((b"a", b""), True)
    assert split([b""]) == ((b"",), False)


def test_peers_forget_the_one_that_was_silent_for_the_longest_time() -> None:
    peers = Peers()
    for at, name in enumerate([b"A", b"B", b"C", b"A", b"D"]):
        peers.seen(name, [b"route " + name], message_id(at))
    assert len(peers) == 3 and peers.find(b"B") is None
    assert all(peers.find(name) == ((b"route " + name,), None) for name in (b"A", b"C", b"D"))
    assert set(peers._owners) == {(b"route " + name,) for name in (b"A", b"C", b"D")}


def test_peers_route_belongs_to_the_identity_proven_on_it_last() -> None:
    peers = Peers()
    peers.seen(b"A", [b"r"], message_id(0))
    peers.seen(b"B", [b"r"], message_id(0, b"another+sess"))
    assert peers.find(b"A") is None and peers.find(b"B") == ((b"r",), None) and len(peers) == 1
    peers.seen(b"A", [b"r"], message_id(1))
    assert peers.find(b"B") is None and peers.find(b"A") == ((b"r",), None)


def test_peers_that_move_leave_their_route_to_others() -> None:
    peers = Peers()
    peers.seen(b"A", [b"one"], message_id(0))
    peers.seen(b"A", [b"two"], message_id(1))
    peers.seen(b"B", [b"one"], message_id(0))
    assert peers.find(b"A") == ((b"two",), None) and peers.find(b"B") == ((b"one",), None)


@pytest.mark.parametrize(
    ("session", "sequence", "moves"),
    [(b"session12345", 4, False), (b"session12345", 5, True), (b"session12345", 6, True), (b"another+sess", 0, True)],
)
def test_peers_are_moved_by_no_older_message_of_a_session(session: bytes, sequence: int, moves: bool) -> None:
    peers = Peers()
    peers.seen(b"A", [b"one"], message_id(5))
    assert peers.seen(b"A", [b"two", b""], message_id(sequence, session)) == (b"A", b"")
    found: Any = peers.find(b"A")
    assert found[0] == ((b"two",) if moves else (b"one",))


def test_peers_answer_the_newest_request_that_came_with_a_delimiter() -> None:
    peers = Peers()
    peers.seen(b"A", [b"r", b""], message_id(0))
    peers.seen(b"A", [b"r"], message_id(1))
    assert peers.find(b"A") == ((b"r",), message_id(0))
    peers.seen(b"A", [b"r", b""], message_id(2))
    assert peers.find(b"A") == ((b"r",), message_id(2))


def test_requests_are_known_by_envelopes_with_a_delimiter() -> None:
    requests = Requests()
    for at, envelope in enumerate([[b"a"], [b""], [b"a", b""], [b"b", b"c", b""], [b"a", b""], [b"d", b"e"]]):
        requests.seen(envelope, message_id(at))
    assert requests.find((b"a", b"")) == message_id(4) and requests.find((b"b", b"c", b"")) == message_id(3)
    assert requests.find((b"a",)) is None and requests.find((b"d", b"e")) is None and requests.find(()) is None
    for at in range(3):
        requests.seen([b"%d" % at, b""], message_id(at))
    assert requests.find((b"a", b"")) is None and requests.find((b"2", b"")) == message_id(2)
