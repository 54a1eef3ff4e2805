"""Whom a receiver of attested messages trusts: pins, credentials, hops, and what changes while sockets run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import (
    ALICE,
    BOB,
    RELAY,
    SECOND,
    FakeClock,
    hop,
    metadata,
)
from socket_helpers import TIMEOUT, Net, eventually, nothing_comes, refusals
from threads import sleeping

import zmqsec
import zmqsec.asyncio
from zmqsec import Keyring, Role
from zmqsec.credential import Credential
from zmqsec.revocation import RevocationList
from zmqsec.rights import PINNED, Rights

RELAYS = replace(PINNED, roles=Role.RELAY)


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE, BOB)


# -- trust ------------------------------------------------------------------------------------------------------------


def test_attested_trust_changes_act_on_a_running_socket_at_once(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH, identity=ALICE), net.socket(zmq.PULL)
    net.join(push, pull)
    trust = net.keyring.trust

    def outcome() -> str:
        push.send(b"x")
        before = refusals(pull)
        if pull.recv_many(1, timeout=0.5):
            return "opened"
        (reason,) = [one for one, count in refusals(pull).items() if count != before.get(one, 0)]
        return reason

    assert outcome() == "opened"
    trust.block(ALICE.key)
    assert outcome() == "blocked"
    trust.unblock(ALICE.key)
    assert outcome() == "opened"
    trust.unpin(ALICE.key)
    assert outcome() == "not-permitted"
    trust.pin(ALICE.public, replace(PINNED, roles=Role.RECEIVE))
    assert outcome() == "not-permitted"
    trust.pin(ALICE.public)
    assert outcome() == "opened"


def test_attested_refusal_says_who_and_why(net: Net) -> None:
    seen: list[zmqsec.Refusal] = []
    push, pull = net.socket(zmq.PUSH, identity=SECOND), net.socket(zmq.PULL, on_refused=seen.append)
    net.join(push, pull)
    push.send(b"x")
    assert nothing_comes(pull, 100)
    assert [(one.reason, one.spi) for one in seen] == [("not-permitted", net.key.spi)]
    assert SECOND.key.hex() in seen[0].detail and "neither pinned nor has a credential" in seen[0].detail


def test_attested_where_none_is_required_trust_is_only_shown(implementation: ModuleType, tmp_path: Path) -> None:
    with Net(implementation, tmp_path) as net:
        net.trusting(ALICE, BOB)
        pull = net.socket(zmq.PULL)
        address = net.bind(pull, "inproc")
        for identity, trusted in ((ALICE, True), (SECOND, False), (None, None)):
            push = net.socket(zmq.PUSH, identity=identity)
            push.connect(address)
            push.send(b"x")
            origin = pull.recv_message().origin
            assert (None if origin is None else origin.trusted) is trusted
            assert origin is None or identity is None or origin.key == identity.key
        net.keyring.trust.block(SECOND.key)
        push = net.socket(zmq.PUSH, identity=SECOND)
        push.connect(address)
        push.send(b"x")
        assert nothing_comes(pull, 100) and refusals(pull) == {"blocked": 1}


# -- credentials ------------------------------------------------------------------------------------------------------


def credential(serial: int = 7, not_after: int = 2**33, **rights: Any) -> Credential:
    may = Rights(**{"roles": Role.SEND, "routing_ids": [b"*"], "publish": [b"*"], **rights})
    return Credential.issue(BOB, SECOND.public, rights=may, serial=serial, not_before=0, not_after=not_after)


def revoking() -> RevocationList:
    """The list that takes that credential back."""
    now = int(time.time())
    return RevocationList.issue(BOB, number=1, issued=now, next_update=now + 60, serials=[credential().serial])


class Credited:
    """SECOND sends with a credential of Bob's, whom the receiver trusts as an authority, and nothing more."""

    def __init__(self, net: Net, sender: int, receiver: int, **fields: Any) -> None:
        own = self.keyring = Keyring([net.key], identities=[SECOND])
        own.add_credential(credential(**fields))
        self.context = zmqsec.Context(keyring=own, shadow=net.context, _implementation=net.implementation)
        self.sender = net._tracked(self.context.socket(sender, association="orders", identity=SECOND))
        self.receiver = net.socket(receiver)
        net.keyring.trust.add_authority(BOB.public)
        self.address = net.bind(self.receiver, "inproc")
        self.sender.connect(self.address)
        if receiver == zmq.SUB:
            self.receiver.subscribe(b"")
            self.hear()

    def hear(self) -> None:
        """Publish until the subscription is there, and the credential, which is shown once in a second."""
        eventually(lambda: self.sender.send(b"probe") or self.receiver.recv_many(1, timeout=0.02))
        self.sender.send(b"last probe")
        while self.receiver.recv() != b"last probe":
            pass


def test_attested_by_credential_that_came_with_the_message(net: Net) -> None:
    one = Credited(net, zmq.PUSH, zmq.PULL)
    one.sender.send_many([b"%d" % i for i in range(100)])
    message = one.receiver.recv_message()
    assert (message.body, message.origin.trusted, message.origin.identity) == ([b"0"], True, SECOND.public)
    assert "cred" not in message.metadata
    assert [one.receiver.recv() for _ in range(99)] == [b"%d" % i for i in range(1, 100)]


def test_attested_credential_is_shown_once_in_a_second(net: Net) -> None:
    raw = net.raw(zmq.PULL)
    address = net.bind(raw, "tcp")
    one = Credited(net, zmq.PUSH, zmq.PULL)
    shown = credential().raw
    push = net._tracked(one.context.socket(zmq.PUSH, association="orders", identity=SECOND))
    push.connect(address)
    until, count = time.time() + 1.5, 0
    while time.time() < until:
        push.send(b"x")
        push.send_multipart([b"a", b"b"])
        count += 2
        time.sleep(0.05)
    messages = [raw.recv_multipart() for _ in range(count)]
    with_credential = [at for at, frames in enumerate(messages) if shown in frames[0]]
    assert with_credential[0] == 0 and 2 <= len(with_credential) <= 3


def test_attested_credential_that_does_not_fit_is_left_out(net: Net) -> None:
    own = Keyring([net.key], identities=[SECOND])
    own.add_credential(credential())
    context = zmqsec.Context(keyring=own, shadow=net.context, _implementation=net.implementation)
    push = net._tracked(context.socket(zmq.PUSH, association="orders", identity=SECOND, max_message=300))
    raw = net.raw(zmq.PULL)
    push.connect(net.bind(raw, "tcp"))
    for part in (bytes(150), b"short"):
        push.send(part)
        assert (len(raw.recv_multipart()[0]) <= 300) and not raw.get(zmq.RCVMORE)
    with pytest.raises(zmqsec.PartsError, match="would pass 300 bytes"):
        push.send(bytes(300))


def test_attested_credential_is_taken_back_on_a_running_socket(net: Net) -> None:
    one = Credited(net, zmq.PUSH, zmq.PULL)
    one.sender.send(b"before")
    assert one.receiver.recv() == b"before"
    net.keyring.trust.revoke(revoking())
    one.sender.send(b"after")
    assert nothing_comes(one.receiver) and refusals(one.receiver) == {"not-permitted": 1}


def test_attested_credential_ends_with_its_time_on_a_running_socket(net: Net) -> None:
    clock = FakeClock(time.time())
    pull = net.socket(zmq.PULL, clock=clock)
    push = net.socket(zmq.PUSH, identity=SECOND)
    net.join(push, pull)
    net.keyring.trust.add_authority(BOB.public)
    end = int(clock.now) + 60
    net.keyring.trust.learn(credential(not_after=end).raw)
    for clock.now, expected in ((end - 1, [b"x"]), (end + 0.9, [b"x"]), (end + 1, [])):
        push.send(b"x")
        assert pull.recv_many(1, timeout=0.3) == expected
    assert refusals(pull) == {"not-permitted": 1}


@pytest.mark.parametrize("call", ["recv", "recv_many", "recv_message"])
def test_attested_revocation_reaches_a_receiver_that_waits_in_another_thread(net: Net, call: str) -> None:
    """The thread is in libzmq when the list comes; the very next message is judged by it."""
    one = Credited(net, zmq.PUSH, zmq.PULL)
    one.sender.send(b"before")
    assert one.receiver.recv() == b"before"
    one.receiver.rcvtimeo = -1
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(getattr(one.receiver, call)()), daemon=True)
    thread.start()
    eventually(lambda: sleeping(thread))
    net.keyring.trust.revoke(revoking())
    one.sender.send(b"after")
    trusted = net.socket(zmq.PUSH, identity=ALICE)
    trusted.connect(one.address)
    eventually(lambda: refusals(one.receiver))
    trusted.send(b"of one who is trusted still")
    thread.join(TIMEOUT / 1000)
    assert not thread.is_alive() and refusals(one.receiver) == {"not-permitted": 1}
    (first,) = got
    assert (first.body if call == "recv_message" else [first] if call == "recv" else first) == [
        b"of one who is trusted still"
    ]


def test_attested_revocation_of_an_identity_takes_back_credentials_that_come_later(net: Net) -> None:
    """Whoever is taken back as an identity gets nothing for a credential that its messages show anew."""
    one = Credited(net, zmq.PUSH, zmq.PULL)
    now = int(time.time())
    net.keyring.trust.revoke(RevocationList.issue(BOB, number=1, issued=now, next_update=now + 60, keys=[SECOND.key]))
    one.keyring.add_credential(credential(serial=8))
    for _ in range(3):
        one.sender.send(b"x")
    assert nothing_comes(one.receiver) and refusals(one.receiver) == {"not-permitted": 3}


def test_attested_lists_that_are_read_again_act_on_running_sockets(net: Net, tmp_path: Path) -> None:
    """As a service does it: the directory changes, and it is told to look."""
    keys = tmp_path / "keys"
    keys.mkdir()
    net.key.save(keys / "orders.toml")
    (keys / "bob.toml").write_text(BOB.public.to_toml("authority"))
    credential().save(keys / "second.cred")
    own = Keyring.load(keys)
    context = zmqsec.Context(keyring=own, shadow=net.context, _implementation=net.implementation)
    pull = net._tracked(context.socket(zmq.PULL, association="orders"))
    push = net.socket(zmq.PUSH, identity=SECOND)
    push.connect(net.bind(pull, "inproc"))
    push.send(b"before")
    assert pull.recv() == b"before"
    revoking().save(keys / "bob.revoked")
    own.reload_trust(keys)
    push.send(b"after")
    assert nothing_comes(pull) and refusals(pull) == {"not-permitted": 1}
    (keys / "bob.revoked").unlink()
    own.reload_trust(keys)
    push.send(b"an older directory takes nothing back")
    assert nothing_comes(pull) and refusals(pull) == {"not-permitted": 2}


def test_attested_publisher_keeps_to_the_topics_of_its_credential(net: Net) -> None:
    one = Credited(net, zmq.PUB, zmq.SUB, publish=[b"weather.*"])
    refused = refusals(one.receiver).get("not-permitted", 0)
    one.sender.send_multipart([b"weather.oslo", b"sun"])
    one.sender.send_multipart([b"prices", b"1"])
    one.sender.send_multipart([b"weather.rome", b"rain"])
    assert [one.receiver.recv_multipart()[0] for _ in range(2)] == [b"weather.oslo", b"weather.rome"]
    assert refusals(one.receiver) == {"not-permitted": refused + 1}


def test_attested_sender_keeps_to_the_routing_ids_of_its_credential(net: Net) -> None:
    one = Credited(net, zmq.PUSH, zmq.PULL, routing_ids=[b"place.*"])
    for name, expected in ((b"place.1", True), (b"other", False), (b"place.2", True)):
        one.sender.setsockopt(zmq.IDENTITY, name)
        one.sender.send(name)
        assert one.receiver.recv_many(1, timeout=0.3) == ([name] if expected else [])


# -- hops -------------------------------------------------------------------------------------------------------------


class Way:
    """Alice's messages to a PULL, each with the attestations of these hops behind it."""

    def __init__(self, net: Net, *hops: Any) -> None:
        self.push, self.raw_pull, self.raw_push = (
            net.socket(zmq.PUSH, identity=ALICE),
            net.raw(zmq.PULL),
            net.raw(zmq.PUSH),
        )
        self.push.connect(net.bind(self.raw_pull, "tcp"))
        self.pull = net.socket(zmq.PULL)
        self.raw_push.connect(net.bind(self.pull, "tcp"))
        self.hops = hops

    def send(self, text: bytes) -> None:
        self.push.send(text)
        frames = self.raw_pull.recv_multipart()
        for at, one in enumerate(self.hops):
            frames.append(hop(one, frames[0], frames[-1], b"hop %d" % at))
        self.raw_push.send_multipart(frames)


@pytest.mark.parametrize(
    ("policy", "hops", "expected"),
    [
        ({}, (), "opened"),
        ({}, (RELAY, SECOND), "opened"),
        ({"hops_max": 0}, (), "opened"),
        ({"hops_max": 0}, (RELAY,), "not-permitted"),
        ({"hops_max": 1}, (RELAY, RELAY), "not-permitted"),
        ({"hops_min": 1}, (), "unattested"),
        ({"hops_min": 1}, (RELAY,), "opened"),
        ({"hops_min": 1}, (SECOND,), "not-permitted"),
        ({"hops": [RELAY.public]}, (), "unattested"),
        ({"hops": [RELAY.public]}, (RELAY,), "opened"),
        ({"hops": [RELAY.public, SECOND.public]}, (RELAY,), "unattested"),
        ({"hops": [RELAY.public, SECOND.public]}, (SECOND, RELAY), "opened"),
    ],
)
def test_attested_route_is_shown_and_judged(
    implementation: ModuleType, tmp_path: Path, policy: dict[str, Any], hops: tuple[Any, ...], expected: str
) -> None:
    with Net(implementation, tmp_path, attestation="required", **policy) as net:
        net.trusting(ALICE).keyring.trust.pin(RELAY.public, RELAYS)
        way = Way(net, *hops)
        way.send(b"x")
        if expected != "opened":
            assert nothing_comes(way.pull) and refusals(way.pull) == {expected: 1}
            return
        message = way.pull.recv_message()
        assert [(one.identity, one.routing_id) for one in message.route] == [
            (one.public, b"hop %d" % at) for at, one in enumerate(hops)
        ]
        assert [one.trusted for one in message.route] == [one is RELAY for one in hops]


def test_attested_by_an_unblocked_origin_over_a_blocked_hop(net: Net) -> None:
    way = Way(net, RELAY)
    net.keyring.trust.block(RELAY.key)
    way.send(b"x")
    assert nothing_comes(way.pull) and refusals(way.pull) == {"blocked": 1}


def test_attested_header_parts_of_a_hop_cannot_be_written_by_it(net: Net) -> None:
    """A relay that writes into the header parts breaks the tag, and is not heard in the origin's name."""
    way = Way(net)
    way.push.send(b"x")
    sealed, attestation = way.raw_pull.recv_multipart()
    longer = int.from_bytes(sealed[6:8], "little") + len(metadata(b"note", b"x"))
    changed = sealed[:6] + longer.to_bytes(2, "little") + sealed[8:32] + metadata(b"note", b"x") + sealed[32:]
    way.raw_push.send_multipart([changed, attestation])
    assert nothing_comes(way.pull) and refusals(way.pull) == {"forged": 1}
