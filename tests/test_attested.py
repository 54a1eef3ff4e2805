"""Sockets that attest: what is signed, how often, and what a receiver shows of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import (
    ALICE,
    BOB,
    USERS_SUITE,
    register_users_suite,
    signed_by,
)
from socket_helpers import TIMEOUT, Net, hear, refusals

import zmqsec
import zmqsec.asyncio
from zmqsec import Association, SocketError, limits
from zmqsec.attestation import Attestation

ATTESTED = limits.FLAG_ORIGIN_ATTESTED


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE, BOB)


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
        asyncio.run(main(net.trusting(ALICE, BOB)))


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
        (zmq.PUSH, {"association": None, "identity": ALICE}, "attest= and handshake= need association="),
        (zmq.PULL, {"identity": b"short"}, "me=b'short': an identity or a fingerprint, 32 bytes, is allowed"),
    ],
)
def test_attested_socket_says_what_is_allowed(net: Net, kind: int, options: dict[str, Any], fault: str) -> None:
    with pytest.raises((SocketError, zmqsec.PartsError), match=fault.replace("(", r"\(")):
        net.socket(kind, **options)
