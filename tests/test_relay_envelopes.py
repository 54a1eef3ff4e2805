"""Signed identities in ROUTER envelopes: requests carry them, and replies come back with them, while they are live."""

from __future__ import annotations

import time
from typing import Any

import pytest
import zmq
from relay_helpers import Member, Runner, _policy, refused
from socket_helpers import eventually

from zmqsec import Identity, limits
from zmqsec.envelope import SignedEnvelope
from zmqsec.rights import Rights, Role
from zmqsec.trust import Trust

ORIGIN, TURNED_AWAY = 2, 2


class Leg:
    """ROUTER and DEALER with signed envelopes, a server behind them."""

    def __init__(self, runner: Runner, check: int = 0, trust: Trust | None = None, **limits_: Any) -> None:
        self.runner, self.relay = runner, Identity.generate("relay")
        self.peers = _policy.Peers()
        self.envelopes = _policy.Envelopes(self.relay, **limits_)
        self._check = check
        forward, reply = self.policies(trust)
        self.front, back = runner.leg(zmq.ROUTER, zmq.DEALER, forward, reply)
        self.server = runner.connected(zmq.DEALER, back)
        runner.start()

    def policies(self, trust: Trust | None = None) -> tuple[Any, Any]:
        grants = None if trust is None else _policy.Grants(trust)
        return (
            _policy.Policy(
                check=self._check,
                layout=limits.LAYOUT_ENVELOPE,
                names_peers=True,
                peers=self.peers,
                sign=self.envelopes,
                grants=grants,
            ),
            _policy.Policy(layout=limits.LAYOUT_ENVELOPE, open=self.envelopes, grants=grants),
        )

    def client(self, routing_id: bytes = b"") -> Any:
        socket = self.runner.connected(zmq.DEALER, self.front)
        if routing_id:
            socket.disconnect(self.front)
            socket.routing_id = routing_id
            socket.connect(self.front)
        return socket

    def request(self, client: Any, frames: list[bytes]) -> bytes:
        """Send a request; the envelope that the server got."""
        client.send_multipart(frames)
        envelope, *rest = self.server.recv_multipart()
        assert rest == frames
        return bytes(envelope)


def test_envelope_carries_the_routing_id_signed_by_the_relay_and_brings_the_reply_back(runner: Runner) -> None:
    leg = Leg(runner)
    client = leg.client(b"client 1")
    envelope = leg.request(client, [b"", b"request"])
    read = SignedEnvelope.read(envelope)
    assert read is not None
    assert (read.relay, read.identity, read.routing_id) == (leg.relay.key, None, b"client 1")
    leg.server.send_multipart([envelope, b"", b"reply"])
    assert client.recv_multipart() == [b"", b"reply"]


def test_envelope_is_signed_once_for_a_connection(runner: Runner) -> None:
    leg = Leg(runner)
    one, two = leg.client(b"one"), leg.client(b"two")
    first = {leg.request(one, [b"%d" % i]) for i in range(5)}
    assert len(first) == 1
    assert {leg.request(two, [b"x"])} != first
    assert len(leg.envelopes) == 2


def test_envelope_names_the_identity_that_was_proven(runner: Runner) -> None:
    alice, bob = Identity.generate("alice"), Identity.generate("bob")
    leg = Leg(runner, ORIGIN)
    client = leg.client(b"gateway")
    found = [SignedEnvelope.read(leg.request(client, Member(one).messages([b"x"])[0])) for one in (alice, bob, alice)]
    assert [one.identity for one in found if one is not None] == [alice.key, bob.key, alice.key]
    assert found[0] == found[2]
    assert len(leg.envelopes) == 2


@pytest.mark.parametrize("fault", ("bare", "changed", "cut", "longer", "another relay's", "empty"))
def test_envelope_that_is_not_the_relays_own_reaches_nobody(runner: Runner, fault: str) -> None:
    leg = Leg(runner)
    client = leg.client(b"client")
    envelope = leg.request(client, [b"x"])
    wrong = {
        "bare": b"client",
        "changed": envelope[:80] + bytes([envelope[80] ^ 1]) + envelope[81:],
        "cut": envelope[:-1],
        "longer": envelope + b"\0",
        "another relay's": envelope[:5] + Identity.generate().key + envelope[37:],
        "empty": b"",
    }[fault]
    leg.server.send_multipart([wrong, b"steered"])
    leg.server.send_multipart([envelope, b"reply"])
    assert client.recv() == b"reply"
    eventually(lambda: refused(runner.lanes[1]) == {"not-permitted": 1})


def test_envelope_of_a_routing_id_that_another_connection_took_over_is_withdrawn(runner: Runner) -> None:
    leg = Leg(runner)
    client = leg.client(b"name")
    before = leg.request(client, [b"x"])
    client.close(0)
    impostor = eventually(lambda: _taken_over(leg, b"name"))
    leg.server.send_multipart([before, b"for the other"])
    eventually(lambda: refused(runner.lanes[1]) == {"not-permitted": 1})
    assert not impostor.poll(50)


def _taken_over(leg: Leg, name: bytes) -> Any:
    """A client under that routing id, once the relay has noticed that its owner is gone; libzmq hears none before."""
    client = leg.client(name)
    client.send(b"hello")
    return client if leg.server.poll(100) and leg.server.recv_multipart() else None


def test_envelope_is_withdrawn_when_its_peer_is_turned_away(runner: Runner) -> None:
    leg = Leg(runner)
    client, other = leg.client(b"client"), leg.client(b"other")
    envelope, spared = leg.request(client, [b"x"]), leg.request(other, [b"x"])
    runner.stop()
    leg.peers.rule(_policy.Rules([(2, b"client", 0, TURNED_AWAY, 0)]), _policy.Rules())
    leg.envelopes.rule(leg.peers)
    runner.again()
    leg.server.send_multipart([envelope, b"reply"])
    leg.server.send_multipart([spared, b"reply"])
    assert other.recv() == b"reply"
    assert not client.poll(50)
    assert len(leg.envelopes) == 1


def test_envelope_expires_when_it_is_not_used(runner: Runner) -> None:
    leg = Leg(runner, lifetime=0.2)
    client = leg.client(b"client")
    envelope = leg.request(client, [b"x"])
    time.sleep(0.3)
    leg.server.send_multipart([envelope, b"late"])
    eventually(lambda: refused(runner.lanes[1]) == {"not-permitted": 1})
    assert leg.request(client, [b"y"]) != envelope


def test_envelope_answers_no_more_when_its_identity_lost_its_rights(runner: Runner) -> None:
    alice = Identity.generate("alice")
    trust = Trust([alice.public])
    leg = Leg(runner, ORIGIN, trust)
    client = leg.client(b"client")
    envelope = leg.request(client, Member(alice).messages([b"x"])[0])
    leg.server.send_multipart([envelope, b"reply"])
    assert client.recv() == b"reply"
    runner.stop()
    trust.pin(alice.public, Rights(Role.RECEIVE))
    for lane, policy in zip(runner.lanes, leg.policies(trust), strict=True):
        lane.use_policy(policy)
    runner.again()
    leg.server.send_multipart([envelope, b"reply"])
    eventually(lambda: refused(runner.lanes[1]) == {"not-permitted": 1})


def test_envelope_table_is_bounded_and_the_one_used_longest_ago_leaves(runner: Runner) -> None:
    leg = Leg(runner, most=3)
    clients = [leg.client(b"client %d" % i) for i in range(5)]
    envelopes = [leg.request(client, [b"x"]) for client in clients]
    assert len(leg.envelopes) == 3
    for envelope in envelopes:
        leg.server.send_multipart([envelope, b"reply"])
    assert [client.recv() for client in clients[2:]] == [b"reply"] * 3
    assert not any(client.poll(20) for client in clients[:2])


def test_envelope_reader_refuses_what_does_not_verify() -> None:
    assert SignedEnvelope.read(b"ZSI\1" + bytes(200)) is None
    assert SignedEnvelope.read(b"") is None
