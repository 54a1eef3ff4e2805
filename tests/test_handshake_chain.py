"""Handshakes over real sockets, through three plain forwarders in a row, one of which does its worst."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import zmq
from faults import Chain, Storm
from handshake_helpers import HYBRIDS, NO_BOUNDS, pairs, parties, sent
from helpers import BOB
from socket_helpers import TRANSPORTS, Net

from zmqsec import reference
from zmqsec.handshake import Event, Failed, Initiator, Pair, Responder, is_for_responder, is_handshake

#: How much faster than ours the clock of both sides runs, so that what is lost is soon sent again.
_FASTER = 20.0


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with Net(reference, tmp_path) as made:
        yield made


class Ends:
    """An initiator behind a chain, and a responder at its end; `front` are the frames of the client's envelope."""

    def __init__(self, net: Net, transport: str, front: list[bytes], responder: Responder) -> None:
        self.server, self.client, self.front = net.raw(zmq.ROUTER), net.raw(zmq.DEALER), front
        self.chain = Chain(net, "request", transport, net.bind(self.server, transport))
        self.client.connect(self.chain.front)
        self.responder = responder
        self.made: list[Pair] = []

    def shake(self, initiator: Initiator) -> list[Event]:
        """All events of the initiator, until it is over."""
        events: list[Event] = []
        poller = zmq.Poller()
        for socket in (self.server, self.client):
            poller.register(socket, zmq.POLLIN)
        give_up = time.monotonic() + 20
        while not initiator.is_over and time.monotonic() < give_up:
            now = time.monotonic() * _FASTER
            due = initiator.next_deadline()
            if due is not None and due <= now:
                self._do(initiator.poll(now), events)
            ready = dict(poller.poll(5))
            if self.server in ready:
                *envelope, frame = self.server.recv_multipart()
                if is_handshake(frame) and is_for_responder(frame):
                    answers = self.responder.receive(frame, envelope, now)
                    self.made += pairs(answers)
                    for answer in sent(answers):
                        self.server.send_multipart([*envelope, answer])
            if self.client in ready:
                *_, frame = self.client.recv_multipart()
                if is_handshake(frame) and not is_for_responder(frame):
                    self._do(initiator.receive(frame, now), events)
        return events

    def _do(self, given: list[Event], log: list[Event]) -> None:
        log += given
        for frame in sent(given):
            self.client.send_multipart([*self.front, frame])


def agree(here: Pair, made: list[Pair]) -> bool:
    return any(here.send.secret == one.receive.secret and here.receive.secret == one.send.secret for one in made)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("front", [[], [b""], [b"abcd", b""]], ids=["dealer", "req", "req-with-ids"])
def test_handshake_passes_plain_relays(net: Net, transport: str, front: list[bytes]) -> None:
    alice, bob = parties((False, False, HYBRIDS[-1]))
    ends = Ends(net, transport, front, Responder(bob, bounds=NO_BOUNDS))
    with ends.chain:
        (here,) = pairs(ends.shake(Initiator(alice, BOB.public)))
        (again,) = pairs(ends.shake(Initiator(alice, BOB.public, static=here.static)))
    assert agree(here, ends.made) and agree(again, ends.made) and len(ends.made) == 2
    seen = ends.chain.seen()
    for secret in (here.send.secret, here.receive.secret, alice.identity.key, bob.identity.key, alice.static.public):
        assert secret not in seen


@pytest.mark.parametrize("seed", range(6))
def test_handshake_passes_a_relay_that_loses_doubles_delays_and_damages(net: Net, seed: int) -> None:
    """If it fails for the time that it took, its owner begins again; there is never more than both sides agree on."""
    alice, bob = parties((bool(seed % 2), False, HYBRIDS[-1]))
    ends = Ends(net, "inproc", [], Responder(bob, bounds=NO_BOUNDS))
    static = bob.static.public if seed % 2 else None
    with ends.chain:
        ends.chain.middle.fault, ends.chain.middle.answer_fault = Storm(seed, 10), Storm(seed + 100, 10)
        for _ in range(3):
            events = ends.shake(Initiator(alice, BOB.public, static=static))
            if pairs(events):
                break
            assert isinstance(events[-1], Failed) and str(events[-1].reason) == "timeout"
    (here,) = pairs(events)
    assert agree(here, ends.made)


def test_handshake_answers_that_a_relay_exchanges_mix_nobody_up() -> None:
    """Each of two initiators is given the other one's answer first, and takes only its own."""
    alice, bob = parties()
    responder, first, second = Responder(bob), Initiator(alice, BOB.public), Initiator(alice, BOB.public)
    answers = [sent(responder.receive(sent(one.poll(0.0))[0], b"alice", 0.0))[0] for one in (first, second)]
    for one, wrong in zip((first, second), reversed(answers), strict=True):
        assert not sent(one.receive(wrong, 0.0)) and not one.is_over
    for one, right in zip((first, second), answers, strict=True):
        assert len(sent(one.receive(right, 0.0))) == 1


def test_handshake_frames_are_not_messages_to_a_receiver(implementation: ModuleType, net: Net) -> None:
    """Whoever does not ask for handshakes counts them, and opens nothing."""
    alice, _ = parties()
    frame = sent(Initiator(alice, BOB.public).poll(0.0))[0]
    opened = implementation.open_many([frame], implementation.Receiver([]))
    assert [str(one.reason) for one in opened] == ["unknown-spi"]
