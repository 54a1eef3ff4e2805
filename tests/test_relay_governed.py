"""A relay by its configuration, with zmqsec's own sockets around it: who passes, who is throttled, who is blocked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq
from relay_helpers import Member
from socket_helpers import TIMEOUT, eventually

pytest.importorskip("zmqsec._relay")

import zmqsec
from zmqsec import Association, Identity
from zmqsec.keyring import Keyring
from zmqsec.relay.config import RelayConfig
from zmqsec.relay.peers import PeerKey, Verdict
from zmqsec.relay.service import Service
from zmqsec.trust import Trust

#: Addresses of this machine that peers come from.
HONEST, ROGUE = "127.0.0.2", "127.0.0.3"
LOW = "[peers]\nwarn = 10\nthrottle = 20\nblock = 50\nhalf_life = 3600\nblock_seconds = 600\nthrottle_rate = 5\n"


class World:
    """A folder of keys, a relay over it, and sockets at addresses of their own choice."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.key = Association.from_secret(bytes(range(32)), name="orders", spi=7, admit=True)
        self.key.admission().save(folder / "orders.admission.toml")
        self.identity = Identity.generate("edge")
        self.identity.save(folder / "edge.toml")
        (folder / "trust").mkdir()
        self.path = folder / "relay.toml"
        self.context = stack.enter_context(zmq.Context())

    def trust(self, identity: Identity, file: str) -> Path:
        path = self.folder / "trust" / file
        identity.public.save(path)
        return path

    def write(self, leg: str, pattern: str = "push-pull", peers: str = "") -> None:
        self.path.write_text(
            f'[relay]\nname = "edge"\nidentity = "edge.toml"\n{peers}\n'
            f'[[leg]]\nname = "one"\npattern = "{pattern}"\n{leg}'
            'front = { bind = "tcp://127.0.0.1:*" }\nback = { bind = "tcp://127.0.0.1:*" }\n'
        )

    def start(self, leg: str, pattern: str = "push-pull", peers: str = "") -> Service:
        self.write(leg, pattern, peers)
        self.service = Service(RelayConfig.load(self.path))
        self.service.start()
        self._stack.callback(self.service.stop)
        return self.service

    def at(self, side: str, address: str = "") -> str:
        (endpoint,) = self.service.snapshot()["legs"]["one"]["endpoints"][side]
        port = endpoint.rpartition(":")[2]
        return f"tcp://{address}:0;127.0.0.1:{port}" if address else endpoint

    def plain(self, kind: int, side: str, address: str = "") -> Any:
        socket = self._stack.enter_context(self.context.socket(kind))
        socket.linger, socket.rcvtimeo, socket.sndtimeo, socket.sndhwm = 0, TIMEOUT, TIMEOUT, 100_000
        socket.connect(self.at(side, address))
        return socket

    def secured(self, kind: int, side: str, trust: Trust | None = None, **options: Any) -> Any:
        context = self._stack.enter_context(zmqsec.Context(keyring=Keyring([self.key], trust=trust)))
        socket = self._stack.enter_context(context.socket(kind, association="orders", **options))
        socket.linger, socket.rcvtimeo, socket.sndtimeo = 0, TIMEOUT, TIMEOUT
        socket.connect(self.at(side))
        return socket

    def counts(self, way: str = "out") -> Any:
        return self.service.snapshot()["legs"]["one"]["lanes"][way]

    def verdict(self, kind: Any, value: str) -> Verdict | None:
        peer = self.service.warden.ledger.get(PeerKey(kind, value))
        return None if peer is None else peer.verdict


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


MEMBERS = 'check = "membership"\nadmissions = ["orders.admission.toml"]\n'
ORIGINS = 'check = "origin"\ntrust = "trust"\n'


def test_governed_members_pass_and_strangers_are_counted_and_blocked(world: World) -> None:
    service = world.start(MEMBERS, peers=LOW)
    push, pull = world.secured(zmq.PUSH, "front"), world.secured(zmq.PULL, "back")
    push.send_many([b"%d" % i for i in range(100)])
    assert [pull.recv() for _ in range(100)] == [b"%d" % i for i in range(100)]
    stranger = world.plain(zmq.PUSH, "front", ROGUE)
    for _ in range(5):
        stranger.send(b"garbage")
    eventually(lambda: service.warden.is_blocked(ROGUE))
    assert world.counts()["refused"] == {"malformed": 5}
    good = Member().messages([b"from a blocked address"])[0]
    eventually(lambda: stranger.send_multipart(good) or world.counts()["refused"].get("blocked", 0) > 0)
    push.send(b"on")
    assert pull.recv() == b"on"
    assert world.verdict("address", "127.0.0.1") is Verdict.FINE
    assert not service.warden.is_blocked("127.0.0.1")


def test_governed_blocked_peers_are_dropped_from_then_on_and_heard_again_when_unblocked(world: World) -> None:
    """Though nothing else is asked of messages, an operator's block is, and an established connection feels it."""
    service = world.start("")
    sender, receiver = world.plain(zmq.PUSH, "front", ROGUE), world.plain(zmq.PULL, "back")
    sender.send(b"before")
    assert receiver.recv() == b"before"
    service.warden.block("address", ROGUE, author="operator")
    eventually(lambda: sender.send(b"dropped") or world.counts()["refused"].get("blocked", 0) > 0)
    while receiver.poll(50):
        receiver.recv()
    service.warden.unblock("address", ROGUE, author="operator")
    eventually(lambda: sender.send(b"after") or receiver.poll(50))


def test_governed_peer_is_throttled_and_really_slower(world: World) -> None:
    peers = LOW.replace("block = 50", "block = 1e6")
    service = world.start(MEMBERS, peers=peers)
    sender, receiver = world.plain(zmq.PUSH, "front", ROGUE), world.plain(zmq.PULL, "back")
    for _ in range(3):
        sender.send(b"garbage")
    eventually(lambda: world.verdict("address", ROGUE) is Verdict.THROTTLED)
    messages = Member().messages([b"x"] * 400)
    time.sleep(0.6)  # the loop takes the rules in
    began = time.monotonic()
    for message in messages:
        sender.send_multipart(message)
    eventually(lambda: world.counts()["received"] == 403)
    got = 0
    while receiver.poll(100):
        receiver.recv_multipart()
        got += 1
    assert 1 <= got <= 5 * (time.monotonic() - began + 1)
    assert world.counts()["refused"] == {"malformed": 3, "rate-limited": 400 - got}
    service.warden.unblock("address", ROGUE, author="operator")
    eventually(lambda: world.verdict("address", ROGUE) is Verdict.FINE)


def test_governed_rate_of_a_peer_leaves_others_alone(world: World) -> None:
    world.start(MEMBERS + "peer_rate = 20\n")
    greedy, modest = world.plain(zmq.PUSH, "front", ROGUE), world.plain(zmq.PUSH, "front", HONEST)
    receiver = world.plain(zmq.PULL, "back")
    for message in Member().messages([b"x"] * 300):
        greedy.send_multipart(message)
    eventually(lambda: world.counts()["received"] == 300)
    (wanted,) = Member().messages([b"modest"])
    modest.send_multipart(wanted)
    got = []
    while receiver.poll(200):
        got.append(receiver.recv_multipart())
    assert wanted in got and 21 <= len(got) < 100
    assert world.counts()["refused"] == {"rate-limited": 301 - len(got)}


def test_governed_victim_of_forgeries_is_not_blocked_whatever_is_sent_in_its_name(world: World) -> None:
    """Broken signatures, stolen attestations, replays and old messages: the connection that sent them answers."""
    victim = Identity.generate("victim")
    world.trust(victim, "victim.toml")
    service = world.start(ORIGINS, peers=LOW)
    honest, rogue = world.plain(zmq.PUSH, "front", HONEST), world.plain(zmq.PUSH, "front", ROGUE)
    receiver = world.plain(zmq.PULL, "back")
    own = Member(victim).messages([b"%d" % i for i in range(20)])
    honest.send_multipart(own[0])
    assert receiver.recv_multipart() == own[0]
    outsider = Member(Identity.generate("outsider"))
    theirs = outsider.messages([b"x"] * 20)
    for mine, other in zip(own, theirs, strict=True):
        rogue.send_multipart([mine[0], mine[1][:-1] + bytes([mine[1][-1] ^ 1])])  # a broken signature
        rogue.send_multipart([other[0], mine[1]])  # the victim's attestation on another message
        rogue.send_multipart([other[0], other[1][:8] + victim.key + other[1][40:]])  # the victim's key
        rogue.send_multipart([mine[0][:-1] + b"?", mine[1]])  # changed on the way
    eventually(lambda: service.warden.is_blocked(ROGUE))
    assert world.verdict("identity", victim.key.hex()) in (None, Verdict.FINE)
    assert not service.warden.is_blocked(HONEST, identity=victim.key)
    for message in own[1:]:
        honest.send_multipart(message)
    assert [receiver.recv_multipart() for _ in own[1:]] == own[1:]
    peer = service.warden.ledger.get(PeerKey("identity", victim.key.hex()))
    assert peer is None or (peer.score == 0 and not peer.refused)


def test_governed_identity_that_signs_what_it_may_not_is_blocked_wherever_it_comes_from(world: World) -> None:
    rogue, other = Identity.generate("rogue"), Identity.generate("other")
    world.trust(other, "other.toml")
    service = world.start(ORIGINS, peers=LOW)
    sender, receiver = world.plain(zmq.PUSH, "front", HONEST), world.plain(zmq.PULL, "back")
    for message in Member(rogue).messages([b"x"] * 60):
        sender.send_multipart(message)
    eventually(lambda: service.warden.is_blocked("", identity=rogue.key))
    assert not service.warden.is_blocked(HONEST), "others may come over the same connection"
    (good,) = Member(other).messages([b"good"])
    sender.send_multipart(good)
    assert receiver.recv_multipart() == good
    elsewhere = world.plain(zmq.PUSH, "front", ROGUE)
    (one,) = Member(rogue).messages([b"y"])
    eventually(lambda: elsewhere.send_multipart(one) or world.counts()["refused"].get("blocked", 0) > 0)


def test_governed_trust_is_read_anew_and_nothing_is_lost(world: World) -> None:
    alice, bob = Identity.generate("alice"), Identity.generate("bob")
    file = world.trust(alice, "alice.toml")
    service = world.start(ORIGINS)
    sender, receiver = world.plain(zmq.PUSH, "front"), world.plain(zmq.PULL, "back")
    (before,) = Member(alice).messages([b"before"])
    sender.send_multipart(before)
    assert receiver.recv_multipart() == before
    file.unlink()
    world.trust(bob, "bob.toml")
    service.reload()
    (late,), (now,) = Member(alice).messages([b"late"]), Member(bob).messages([b"now"])
    sender.send_multipart(late)
    sender.send_multipart(now)
    assert receiver.recv_multipart() == now
    assert world.counts()["refused"] == {"not-permitted": 1}


def test_governed_reload_under_load_loses_nothing(world: World) -> None:
    service = world.start(MEMBERS)
    push, pull = world.secured(zmq.PUSH, "front"), world.secured(zmq.PULL, "back")
    sent = [b"%d" % i for i in range(6000)]
    got: list[bytes] = []
    for number, start in enumerate(range(0, len(sent), 500)):
        push.send_many(sent[start : start + 500])
        world.write(MEMBERS + f"peer_rate = {1_000_000 + number}\n")
        service.reload()
        got += [pull.recv() for _ in range(500)]
    assert got == sent and service.reloads["done"] == 12
    assert world.counts()["lost"] == 0 and world.counts()["refused"] == {}


def test_governed_answers_come_back_through_signed_envelopes_by_a_hop_that_attests(world: World) -> None:
    client, server = Identity.generate("client"), Identity.generate("server")
    for identity in (client, server, world.identity):
        world.trust(identity, f"{identity.name}.toml")
    world.start(ORIGINS + 'attest = true\nenvelopes = "signed"\n', "router-dealer")
    trust = Trust([client.public, server.public])
    asking = world.secured(zmq.REQ, "front", trust, identity=client, attest="message")
    answering = world.secured(zmq.REP, "back", trust, identity=server, attest="message")
    for number in range(3):
        asking.send(b"question %d" % number)
        request = answering.recv_message()
        assert request.body == [b"question %d" % number]
        assert [(hop.key, hop.routing_id) for hop in request.route] == [(world.identity.key, b"edge")]
        answering.send(b"answer %d" % number)
        answer = asking.recv_message()
        assert answer.body == [b"answer %d" % number] and [hop.key for hop in answer.route] == [world.identity.key]


def test_governed_server_that_answers_whom_it_makes_up_reaches_nobody_and_is_not_blamed(world: World) -> None:
    service = world.start('envelopes = "signed"\n', "router-dealer", LOW)
    service.warden.block("network", "192.0.2.0/24", author="operator")  # so that peers are told apart
    client = world.plain(zmq.DEALER, "front", HONEST)
    client.send(b"hello")
    server = world.plain(zmq.DEALER, "back", ROGUE)
    envelope, _ = server.recv_multipart()
    for _ in range(100):
        server.send_multipart([b"made up", b"steered"])
    server.send_multipart([envelope, b"answer"])
    assert client.recv() == b"answer"
    assert world.counts("back")["refused"] == {"not-permitted": 100}
    assert not service.warden.is_blocked(ROGUE)


def test_governed_topics_are_permitted_by_the_leg(world: World) -> None:
    world.start(MEMBERS + 'topics = ["orders.*"]\n', "pub-sub")
    publisher, subscriber = world.secured(zmq.PUB, "front"), world.secured(zmq.SUB, "back")
    subscriber.subscribe(b"")

    def comes_through() -> bool:
        publisher.send_multipart([b"news", b"not permitted"])
        publisher.send_multipart([b"orders.eu", b"order"])
        return bool(subscriber.poll(50)) and subscriber.recv_multipart() == [b"orders.eu", b"order"]

    eventually(comes_through)
    assert world.counts()["refused"]["not-permitted"] >= 1
