"""What other members of an association cannot do where messages are attested, whatever they forge and sign."""

from __future__ import annotations

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
    leaf,
    seal_attested,
    seal_raw,
    session_id,
    signed_by,
    suite_key,
)
from poly1305 import body_of_two_readings, of_the_same_tag, under_two_keys
from socket_helpers import Net, eventually, nothing_comes, refusals

from zmqsec import Association, Message, Trust, limits
from zmqsec.attestation import Attestation, Attester
from zmqsec.suites import suite_by_number

ATTESTED = limits.FLAG_ORIGIN_ATTESTED


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE, BOB)


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
