"""Sockets that attest: what is signed and how often, what a receiver makes of it, and what other members cannot do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
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
    USERS_SUITE,
    hop,
    leaf,
    metadata,
    register_users_suite,
    seal_attested,
    seal_raw,
    session_id,
    signed_by,
    suite_key,
)
from poly1305 import body_of_two_readings, of_the_same_tag, under_two_keys
from socket_helpers import TIMEOUT, Net, eventually, hear, nothing_comes, refusals

import zmqsec
import zmqsec.asyncio
from zmqsec import Association, Keyring, Message, Role, SocketError, Trust, limits
from zmqsec.attestation import Attestation, Attester
from zmqsec.credential import Credential
from zmqsec.revocation import RevocationList
from zmqsec.rights import PINNED, Rights
from zmqsec.suites import suite_by_number

ATTESTED = limits.FLAG_ORIGIN_ATTESTED
RELAYS = replace(PINNED, roles=Role.RELAY)


def trusting(net: Net, *relays: Any) -> Net:
    """The network trusts Alice and Bob to send, and these to relay."""
    for one in relays:
        net.keyring.trust.pin(one.public, RELAYS)
    return net.trusting(ALICE, BOB)


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield trusting(made)


@pytest.fixture
def tap(net: Net) -> tuple[Any, Any]:
    """A secured PUSH of Alice's with what it sends seen by a plain PULL."""
    push, raw = net.socket(zmq.PUSH, identity=ALICE), net.raw(zmq.PULL)
    push.connect(net.bind(raw, "tcp"))
    return push, raw


def signatures(messages: list[list[bytes]]) -> set[bytes]:
    found = [Attestation.decode(frames[-1]) for frames in messages]
    return {one.signature for one in found if one is not None}


def received(raw: Any, count: int) -> list[list[bytes]]:
    return [raw.recv_multipart() for _ in range(count)]


# -- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attest", "expected"), [("message", 150), ("batch", 3), (None, 3)])
def test_attested_batches_have_as_many_signatures_as_asked(net: Net, attest: Any, expected: int) -> None:
    push, raw = net.socket(zmq.PUSH, identity=ALICE, attest=attest), net.raw(zmq.PULL)
    push.connect(net.bind(raw, "tcp"))
    assert push.send_many([b"%d" % i for i in range(150)]) == 150
    messages = received(raw, 150)
    assert all(len(frames) == 2 for frames in messages) and len(signatures(messages)) == expected
    verdicts = net.implementation.Verifier().verify_many([one[0] for one in messages], [one[1:] for one in messages])
    assert verdicts == [None] * 150


def test_attested_none_sends_no_attestation(net: Net) -> None:
    push, raw = net.socket(zmq.PUSH, identity=ALICE, attest="none"), net.raw(zmq.PULL)
    push.connect(net.bind(raw, "tcp"))
    push.send(b"unsigned")
    (sealed,) = raw.recv_multipart()
    assert not sealed[5] & ATTESTED and b"from" not in sealed


def test_attested_part_names_its_origin_in_the_header(net: Net, tap: tuple[Any, Any]) -> None:
    push, raw = tap
    push.setsockopt(zmq.IDENTITY, b"alice's place")
    push.send(b"x")
    sealed, attestation = raw.recv_multipart()
    assert sealed[5] & ATTESTED and signed_by(ALICE, b"alice's place") in sealed
    found = Attestation.decode(attestation)
    assert found is not None and (found.key, found.routing_id) == (ALICE.key, b"alice's place")


@pytest.mark.parametrize("how", ["send", "send_multipart", "send_message", "send_many", "bundle", "long"])
def test_attested_message_of_every_call_arrives_with_its_origin(net: Net, how: str) -> None:
    push, pull = net.socket(zmq.PUSH, identity=ALICE), net.socket(zmq.PULL)
    net.join(push, pull, "tcp")
    long = bytes(300_000)
    calls: dict[str, Callable[[], Any]] = {
        "send": lambda: push.send(b"a"),
        "send_multipart": lambda: push.send_multipart([b"a"]),
        "send_message": lambda: push.send_message(body=[b"a"], header=[b"h"], metadata={"note": b"n"}),
        "send_many": lambda: push.send_many([b"a"]),
        "bundle": lambda: push.send_many([b"a"], bundle=True),
        "long": lambda: push.send(long),
    }
    for _ in range(2):
        calls[how]()
    message = pull.recv_message()
    assert message.body == [long if how == "long" else b"a"]
    assert (message.origin.identity, message.origin.name, message.origin.trusted) == (ALICE.public, "identity 0", True)
    assert message.route == () and message.origin.fingerprint == ALICE.fingerprint
    assert pull.recv() == message.body[0] and refusals(pull) == {}


def test_attested_bundles_of_a_thousand_messages(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH, identity=ALICE), net.socket(zmq.PULL)
    net.join(push, pull)
    texts = [b"%d" % i for i in range(1500)]
    assert push.send_many(texts, bundle=True) == 1500 and push.send_many([[one] for one in texts], bundle=True) == 1500
    got: list[bytes] = []
    while len(got) < 3000:
        got += pull.recv_many(100, timeout=TIMEOUT / 1000)
    assert got == texts * 2 and refusals(pull) == {}


@pytest.mark.parametrize("size", [0, 64, 5000, 200_000])
def test_attested_multicast_is_opened_by_all_who_share_its_memory(net: Net, size: int) -> None:
    """On inproc two subscribers share a message: the hash is taken before either opens it in place."""
    pub, subs = net.socket(zmq.PUB, identity=ALICE), [net.socket(zmq.SUB) for _ in range(2)]
    address = net.bind(pub, "inproc")
    for sub in subs:
        sub.connect(address)
        sub.subscribe(b"")
    hear(pub, *subs)
    pub.send_many([[b"topic", b"%d" % i + bytes(size)] for i in range(100)])
    for sub in subs:
        for i in range(100):
            message = sub.recv_message(copy=False)
            assert (message.topic, bytes(message.body[0])) == (b"topic", b"%d" % i + bytes(size))
            assert message.origin.identity == ALICE.public
        assert refusals(sub) == {}


@pytest.mark.parametrize("users_suite", [False, True])
def test_attested_messages_under_a_clock_or_a_suite_in_python(net: Net, users_suite: bool) -> None:
    register_users_suite()
    suite = USERS_SUITE.name if users_suite else "xchacha20poly1305"
    net.keyring.add(Association.generate("other", suite=suite, attestation="required"))
    push = net.socket(zmq.PUSH, association="other", identity=ALICE, clock=time.time)
    pull = net.socket(zmq.PULL, association="other", clock=lambda: time.time())
    net.join(push, pull)
    push.send_many([b"%d" % i for i in range(70)])
    assert [pull.recv() for _ in range(69)] == [b"%d" % i for i in range(69)]
    assert pull.recv_message().origin.identity == ALICE.public


def test_attested_asyncio_sockets(implementation: ModuleType, tmp_path: Path) -> None:
    async def main(net: Net) -> None:
        push, pull = net.socket(zmq.PUSH, identity=ALICE), net.socket(zmq.PULL, identity=BOB)
        net.join(push, pull)
        sent = await push.send_message(body=[b"one"], to=BOB)
        assert await push.send_many([b"two", b"three"]) == 2
        message = await pull.recv_message()
        assert message.origin.identity == ALICE.public and message.id == sent
        assert [await pull.recv(), await pull.recv()] == [b"two", b"three"]

    with Net(implementation, tmp_path, zmqsec.asyncio.Context, attestation="required") as net:
        asyncio.run(main(trusting(net)))


def test_attested_send_that_would_block_sends_whole_messages_or_none(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH, identity=ALICE), net.socket(zmq.PULL)
    push.set_hwm(10)
    pull.set_hwm(10)
    net.join(push, pull)
    texts = [b"%d" % i for i in range(500)]
    sent = push.send_many(texts, flags=zmq.DONTWAIT)
    assert 0 < sent < 500
    got = []
    while len(got) < 500:
        got += pull.recv_many(64, timeout=0.005)
        sent += push.send_many(texts[sent:], flags=zmq.DONTWAIT)
    assert got == texts and refusals(pull) == {}


@pytest.mark.parametrize(
    ("kind", "options", "fault"),
    [
        (zmq.PUSH, {"attest": "all"}, "attest='all': 'none', 'message' or 'batch' is allowed"),
        (zmq.PUSH, {"attest": "batch"}, "needs identity=, an Identity, and not NoneType"),
        (
            zmq.PUSH,
            {"attest": "batch", "identity": ALICE.public},
            "an Identity, and not PublicIdentity",
        ),
        (zmq.PULL, {"attest": "batch", "identity": ALICE}, "PULL sends nothing that it could attest"),
        (zmq.PUSH, {"association": None, "identity": ALICE}, "receive=, identity= and attest= need association="),
        (zmq.PULL, {"identity": b"short"}, "me=b'short': an identity or a fingerprint, 32 bytes, is allowed"),
    ],
)
def test_attested_socket_says_what_is_allowed(net: Net, kind: int, options: dict[str, Any], fault: str) -> None:
    with pytest.raises((SocketError, zmqsec.PartsError), match=fault.replace("(", r"\(")):
        net.socket(kind, **options)


# -- what other members cannot do -------------------------------------------------------------------------------------


class Member:
    """Whoever holds the group's key and an identity of its own, and sends whatever it likes."""

    def __init__(self, net: Net) -> None:
        self.net, self.key = net, net.key
        self.raw, self.pull = net.raw(zmq.PUSH), net.socket(zmq.PULL)
        self.address = net.bind(self.pull, "tcp")
        self.raw.connect(self.address)
        self.alice = net.socket(zmq.PUSH, identity=ALICE)
        self.listener = net.raw(zmq.PULL)
        self.alice.connect(net.bind(self.listener, "tcp"))

    def overheard(self, text: bytes = b"from Alice") -> tuple[bytes, bytes]:
        """A message of Alice's that was on its way."""
        self.alice.send(text)
        sealed, attestation = self.listener.recv_multipart()
        return sealed, attestation

    def forged(self, header: bytes, body: bytes = b"forged", flags: int = ATTESTED, **fields: Any) -> bytes:
        """A part of Bob's making with a tag that holds, in Alice's running session unless told."""
        now = int(time.time())
        fields.setdefault("session", session_id(now, b"BobsOwn!"))
        return seal_raw(self.key, leaf(body), header_parts=header, flags=flags, **fields)

    def signed(self, identity: Any, sealed: bytes, key: bytes | None = None) -> bytes:
        (frame,) = Attester(identity, suite_key(self.key) if key is None else key).attest([sealed])
        return frame

    def gives(self, reason: str, *frames: bytes) -> None:
        """The receiver refuses this for the reason, and Alice is heard as before."""
        before = self.pull.stats.refused[reason]
        self.raw.send_multipart(frames)
        eventually(lambda: (nothing_comes(self.pull, 1), self.pull.stats.refused[reason] == before + 1)[1])
        assert refusals(self.pull) == {reason: before + 1}
        sealed, attestation = self.overheard(b"still heard")
        self.raw.send_multipart([sealed, attestation])
        assert self.pull.recv() == b"still heard"


@pytest.fixture
def bob(net: Net) -> Member:
    return Member(net)


def test_attested_member_strips_the_attestation(bob: Member) -> None:
    bob.gives("unattested", bob.overheard()[0])


def test_attested_member_sends_unsigned_in_anothers_name(bob: Member) -> None:
    bob.gives("unattested", bob.forged(signed_by(ALICE), flags=0))


def test_attested_member_promises_what_is_not_there(bob: Member) -> None:
    bob.gives("unattested", bob.forged(signed_by(ALICE)))


def test_attested_member_signs_in_anothers_name(bob: Member) -> None:
    sealed = bob.forged(signed_by(ALICE))
    bob.gives("bad-attestation", sealed, bob.signed(BOB, sealed))


def test_attested_member_writes_anothers_key_over_his_signature(bob: Member) -> None:
    sealed = bob.forged(signed_by(ALICE))
    frame = Attestation.decode(bob.signed(BOB, sealed))
    assert frame is not None
    bob.gives("bad-attestation", sealed, replace(frame, key=ALICE.key).encode())


def test_attested_member_grafts_anothers_attestation_on_his_message(bob: Member) -> None:
    bob.gives("bad-attestation", bob.forged(signed_by(ALICE)), bob.overheard()[1])


def test_attested_member_swaps_the_attestations_of_two_messages(bob: Member) -> None:
    one, two = bob.overheard(b"one"), bob.overheard(b"two")
    bob.gives("bad-attestation", one[0], two[1])


def test_attested_member_signs_anothers_message_as_his_own(bob: Member) -> None:
    sealed, _ = bob.overheard()
    bob.gives("bad-attestation", sealed, bob.signed(BOB, sealed))


def test_attested_member_changes_the_message_and_keeps_the_tag(bob: Member) -> None:
    sealed, attestation = bob.overheard(b"pay Bob 10 crowns, and give to Carol the rest of it")
    bob.gives("bad-attestation", of_the_same_tag(bob.key, sealed), attestation)


def test_attested_member_uses_anothers_session_and_its_last_number(bob: Member) -> None:
    """With a signature that does not hold nothing moves: Alice's next number is not behind the window."""
    sealed, attestation = bob.overheard()
    bob.raw.send_multipart([sealed, attestation])
    assert bob.pull.recv() == b"from Alice"
    last = bob.forged(signed_by(ALICE), session=sealed[12:24], sequence=limits.MAX_SEQUENCE - 1)
    bob.gives("bad-attestation", last, bob.signed(BOB, last))


def test_attested_member_uses_anothers_session_in_his_own_name(bob: Member) -> None:
    """It is opened, as Bob's; Alice's window is another one."""
    sealed, attestation = bob.overheard()
    bob.raw.send_multipart([sealed, attestation])
    assert bob.pull.recv() == b"from Alice"
    last = bob.forged(signed_by(BOB), session=sealed[12:24], sequence=limits.MAX_SEQUENCE - 1)
    bob.raw.send_multipart([last, bob.signed(BOB, last)])
    assert bob.pull.recv_message().origin.identity == BOB.public
    for text in (b"one", b"two"):
        bob.raw.send_multipart(bob.overheard(text))
        assert bob.pull.recv() == text
    assert refusals(bob.pull) == {}


def test_attested_stranger_with_a_broken_attestation_in_front_uses_up_nothing(bob: Member) -> None:
    """Whoever taps the way, without any key, cannot make the true message a replay."""
    sealed, attestation = bob.overheard()
    bob.raw.send_multipart([sealed, attestation[:-1] + bytes([attestation[-1] ^ 1])])
    bob.raw.send_multipart([sealed])
    bob.raw.send_multipart([sealed, attestation])
    assert bob.pull.recv() == b"from Alice"
    assert refusals(bob.pull) == {"bad-attestation": 1, "unattested": 1}


def test_attested_member_replays_the_whole(bob: Member) -> None:
    whole = bob.overheard()
    bob.raw.send_multipart(whole)
    assert bob.pull.recv() == b"from Alice"
    bob.gives("replayed", *whole)


# -- collisions of Poly1305 -------------------------------------------------------------------------------------------


def opened_by_suite(association: Any, sealed: bytes) -> bytes | None:
    """What standard XChaCha20-Poly1305 says of a sealed part."""
    before = limits.HEADER_BYTES + int.from_bytes(sealed[6:8], "little")
    suite = suite_by_number(association.suite)
    return suite.open(suite_key(association), sealed[8:32], sealed[:before], sealed[before:])


def test_collision_of_one_tag_is_what_a_member_can_make(net: Net) -> None:
    """Two messages, one tag: the cipher takes both, the signature only the one that was signed."""
    sealed, attestation = seal_attested(net.key, ALICE, leaf(bytes(60)), session=session_id(int(time.time())))
    other = of_the_same_tag(net.key, sealed)
    assert other != sealed and other[-16:] == sealed[-16:]
    texts = [opened_by_suite(net.key, one) for one in (sealed, other)]
    assert None not in texts and texts[0] != texts[1] and texts[1][:4] == texts[0][:4]  # type: ignore[index]
    receiver = net.implementation.Receiver([net.key], trust=net.keyring.trust)
    opened = net.implementation.open_many([other, sealed], receiver, routes=[[attestation], [attestation]])
    assert opened[0].reason == "bad-attestation" and opened[1].body == [bytes(60)]


def test_collision_of_two_keys_is_refused_by_the_commitment(implementation: ModuleType) -> None:
    """One text that opens as two messages under two keys of the same SPI: each signature is good for one of the two."""
    secrets = [bytes(range(32)), bytes(range(1, 33))]
    both = [Association.from_secret(one, spi=0x01020304, attestation="required") for one in secrets]
    session = session_id(1_700_000_000, (988_997).to_bytes(8, "little"))
    pattern = seal_raw(both[0], bytes(516), header_parts=signed_by(ALICE), flags=ATTESTED, session=session)
    text = body_of_two_readings((both[0], both[1]), pattern[:-532], 516)
    assert text is not None
    sealed = under_two_keys((both[0], both[1]), pattern[:-532], text, free=12, other=10)
    texts = [opened_by_suite(one, sealed) for one in both]
    assert None not in texts and texts[0] != texts[1], "the cipher takes it under both keys"
    trust = Trust([ALICE.public])
    for signed_for in range(2):
        (attestation,) = implementation.Attester(ALICE, suite_key(both[signed_for])).attest([sealed])
        results = []
        for association in both:
            receiver = implementation.Receiver([association], trust=trust, clock=lambda: 1_700_000_000)
            (opened,) = implementation.open_many([sealed], receiver, routes=[[attestation]])
            results.append("opened" if isinstance(opened, Message) else str(opened.reason))
        expected = ["bad-attestation", "bad-attestation"]
        expected[signed_for] = "opened"
        assert results == expected


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
        trusting(net)
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


def credential(**fields: Any) -> Credential:
    fields = {"roles": Role.SEND, "routing_ids": [b"*"], "publish": [b"*"], **fields}
    return Credential.issue(BOB, SECOND.public, rights=Rights(**fields), serial=7, not_before=0, not_after=2**33)


class Credited:
    """SECOND sends with a credential of Bob's, whom the receiver trusts as an authority, and nothing more."""

    def __init__(self, net: Net, sender: int, receiver: int, **fields: Any) -> None:
        own = Keyring([net.key], identities=[SECOND])
        own.add_credential(credential(**fields))
        self.context = zmqsec.Context(keyring=own, shadow=net.context, _implementation=net.implementation)
        self.sender = net._tracked(self.context.socket(sender, association="orders", identity=SECOND))
        self.receiver = net.socket(receiver)
        net.keyring.trust.add_authority(BOB.public)
        self.sender.connect(net.bind(self.receiver, "inproc"))
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
    messages = received(raw, count)
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
    now = int(time.time())
    net.keyring.trust.revoke(
        RevocationList.issue(BOB, number=1, issued=now, next_update=now + 60, serials=[credential().serial])
    )
    one.sender.send(b"after")
    assert nothing_comes(one.receiver) and refusals(one.receiver) == {"not-permitted": 1}


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
        trusting(net, RELAY)
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
