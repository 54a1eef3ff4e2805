"""Over real sockets: nesting, parts and frames without end, and nothing at all wherever there can be none."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from cli_helpers import COMMAND, ENVIRONMENT, run
from helpers import ALICE, leaf, listed, metadata, nested, part, seal_attested, seal_raw, session_id
from socket_helpers import Net, eventually, nothing_comes, refusals

from zmqsec import Message, Metadata, PartsError, SocketError, limits

KINDS = {
    "PULL": (zmq.PUSH, zmq.PULL),
    "SUB": (zmq.PUB, zmq.SUB),
    "ROUTER": (zmq.DEALER, zmq.ROUTER),
    "REP": (zmq.REQ, zmq.REP),
    "PAIR": (zmq.PAIR, zmq.PAIR),
}
HEADS_ALONE = b"\0\0\0\0"
#: Each level's head says that all behind it is within: 1,000 levels in 4,000 bytes.
BOTTOMLESS = b"".join((4 * left << 2 | limits.PART_LIST).to_bytes(4, "little") for left in range(999, -1, -1))


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made.trusting(ALICE)


@pytest.fixture
def signed(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE)


class Bomber:
    """A member that seals what no other implementation would, at a receiver that hears an honest one beside it."""

    def __init__(self, net: Net, kind: str = "PULL", **options: Any) -> None:
        self.net = net
        sender, receiver = KINDS[kind]
        self.receiver = net.socket(receiver, **options)
        address = net.bind(self.receiver, "tcp")
        self.raw = net.raw(zmq.DEALER if sender == zmq.REQ else sender)
        self.front = [b""] if sender == zmq.REQ else []
        self.honest = None if sender == zmq.PAIR else net.socket(sender)
        for one in (self.raw, self.honest):
            if one is not None:
                one.connect(address)
        if sender == zmq.PUB:
            self.receiver.subscribe(b"")
            for one, frames in ((self.raw, [b"probe"]), (self.honest, [b"probe", b"probe"])):
                eventually(lambda one=one, frames=frames: one.send_multipart(frames) or self.receiver.poll(20))
                while self.receiver.poll(50):
                    self.receiver.recv_many(100, timeout=0)
        self.before = refusals(self.receiver)
        self.numbers = iter(range(1_000))

    def sealed(self, body: bytes = leaf(b"x"), **fields: Any) -> bytes:
        session = session_id(int(time.time()), b"a bomber")
        return seal_raw(self.net.key, body, session=session, sequence=next(self.numbers), **fields)

    def refused(self, *frames: bytes) -> dict[str, int]:
        """What the receiver refuses of it, by reason; within two seconds, and without harm to the honest one."""
        self.raw.send_multipart([*self.front, *frames])
        began = time.monotonic()
        before = sum(self.before.values())
        eventually(lambda: (nothing_comes(self.receiver, 1), sum(refusals(self.receiver).values()) > before)[1])
        assert time.monotonic() - began < 2
        now = refusals(self.receiver)
        found = {reason: count - self.before.get(reason, 0) for reason, count in now.items()}
        self.before = now
        if self.honest is not None:
            self.honest.send_multipart([b"still", b"heard"])
            assert self.receiver.recv_message().body[-1] == b"heard"
            if self.honest.type == zmq.REQ:
                self.receiver.send(b"yes")
                assert self.honest.recv() == b"yes"
        return {reason: count for reason, count in found.items() if count}


# -- too deep, too many, too long -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [nested(9), nested(65), BOTTOMLESS, BOTTOMLESS * 100], ids=["9", "65", "1000", "wide"])
def test_extremes_of_nesting_are_too_large_on_every_socket(net: Net, kind: str, body: bytes) -> None:
    bomber = Bomber(net, kind)
    assert bomber.refused(bomber.sealed(body)) == {"too-large": 1}
    if len(body) < limits.MAX_HEADER_PARTS_BYTES:
        assert bomber.refused(bomber.sealed(header_parts=body)) == {"too-large": 1}
    assert bomber.refused(bomber.sealed(listed(body), kind=limits.KIND_BUNDLE)) == {"too-large": 1}


def test_extremes_of_nesting_in_the_limits_are_opened(net: Net) -> None:
    """As deep as a receiver may allow, which is deeper than any other lets through."""
    deep: Any = b"x"
    for _ in range(limits.DEPTH_LIMIT - 1):
        deep = [deep]
    bomber = Bomber(net, max_depth=limits.DEPTH_LIMIT)
    bomber.raw.send(bomber.sealed(nested(limits.DEPTH_LIMIT)))
    assert bomber.receiver.recv_message().body == [deep]
    assert bomber.refused(bomber.sealed(nested(limits.DEPTH_LIMIT + 1))) == {"too-large": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_extremes_of_counts_are_too_large_on_every_socket(net: Net, kind: str) -> None:
    """Millions of parts, each of no byte: the receiver stops at its limit, and makes no object for any."""
    bomber = Bomber(net, kind)
    for body in (
        leaf(b"") * (limits.MAX_PARTS + 1),
        leaf(b"") * (1 << 21),
        listed() * (1 << 20),
        metadata(b"m") * (1 << 18),
        listed(leaf(b"") * (1 << 20)),
    ):
        assert bomber.refused(bomber.sealed(body)) == {"too-large": 1}
    assert bomber.refused(bomber.sealed(listed() * (1 << 20), kind=limits.KIND_BUNDLE)) == {"too-large": 1}
    assert bomber.refused(bomber.sealed(header_parts=leaf(b"") * 16_000)) == {"too-large": 1}


def test_extremes_of_counts_in_the_limits_are_opened(net: Net) -> None:
    bomber = Bomber(net)
    bomber.raw.send(bomber.sealed(leaf(b"") * limits.MAX_PARTS))
    assert bomber.receiver.recv_multipart() == [b""] * limits.MAX_PARTS
    bomber.raw.send(bomber.sealed(listed(leaf(b"")) * (limits.MAX_PARTS // 2), kind=limits.KIND_BUNDLE))
    assert [bomber.receiver.recv() for _ in range(limits.MAX_PARTS // 2)] == [b""] * (limits.MAX_PARTS // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_extremes_of_lengths_that_are_not_there_are_malformed(net: Net, kind: str) -> None:
    """Heads that promise up to a gigabyte, and header parts that would end behind the message."""
    bomber = Bomber(net, kind)
    longest = limits.MAX_PART_BYTES << 2
    for which in (limits.PART_LEAF, limits.PART_LIST, limits.PART_IGNORABLE, limits.PART_CRITICAL):
        assert bomber.refused(bomber.sealed((longest | which).to_bytes(4, "little"))) == {"malformed": 1}
    assert bomber.refused(bomber.sealed(listed((longest | limits.PART_LEAF).to_bytes(4, "little")))) == {"malformed": 1}
    lying = bytearray(bomber.sealed())
    lying[6:8] = b"\xff\xff"
    assert bomber.refused(bytes(lying)) == {"malformed": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [34, 1_000, 10_000])
def test_extremes_of_frames_are_one_malformed_message(net: Net, kind: str, count: int) -> None:
    """All in front of a sealed part, all behind it, and all behind it with an attestation's magic."""
    bomber = Bomber(net, kind)
    sealed, behind = bomber.sealed(), [b"\0ZA" + bytes(9)] * count
    for frames in ([b"x"] * count + [sealed], [sealed] + [b"x"] * count, [sealed, *behind]):
        assert bomber.refused(*frames) == {"malformed": 1}


def test_extremes_of_attestations_are_refused_before_a_signature_is_looked_at(signed: Net) -> None:
    """Sixteen hops, each with a tree of the greatest height and the longest routing id, none of which was signed."""
    pull, raw = signed.socket(zmq.PULL), signed.raw(zmq.PUSH)
    raw.connect(signed.bind(pull, "tcp"))
    hop = b"\0ZA\x01\x01\x08\xff\xff" + bytes(32) + bytes(255) + bytes(64) + bytes(8 * 32)
    sealed, attestation = seal_attested(signed.key, ALICE, leaf(b"x"), session=session_id(int(time.time())))
    raw.send_multipart([sealed, attestation, *[hop] * 15])
    raw.send_multipart([sealed, *[hop] * 16])
    raw.send_multipart([sealed, attestation, *[hop] * 16])
    expected = {"bad-attestation": 1, "unattested": 1, "malformed": 1}
    eventually(lambda: (nothing_comes(pull, 1), refusals(pull) == expected)[1])
    raw.send_multipart([sealed, attestation])
    assert pull.recv() == b"x"


# -- nothing at all ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_extremes_of_empty_frames_are_malformed_on_every_socket(net: Net, kind: str) -> None:
    bomber = Bomber(net, kind)
    for count in (1, 2, 17, 33, 34, 500):
        assert bomber.refused(*[b""] * count) == {"malformed": 1}
    assert bomber.refused(bomber.sealed(), b"") == {"malformed": 1}, "where attestations stand"


def test_extremes_of_sealed_parts_without_a_part_are_malformed(net: Net) -> None:
    """The shortest that there can be has one part of no byte; header and tag alone are no message."""
    bomber = Bomber(net)
    shortest = bomber.sealed(HEADS_ALONE)
    assert len(shortest) == limits.MIN_SEALED_BYTES
    bomber.raw.send(shortest)
    assert bomber.receiver.recv() == b""
    assert bomber.refused(bomber.sealed(b"")) == {"malformed": 1}
    assert bomber.refused(bomber.sealed(part(limits.PART_IGNORABLE, b""))) == {"malformed": 1}
    assert bomber.refused(bomber.sealed(part(limits.PART_CRITICAL, b"\0"))) == {"malformed": 1}


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_extremes_of_no_bytes_pass_as_any_others_do(signed: Net, transport: str) -> None:
    """Of every call and form: parts, lists, bundles, metadata and header parts of no byte, attested too."""
    push, pull = signed.socket(zmq.PUSH, identity=ALICE), signed.socket(zmq.PULL)
    push.connect(signed.bind(pull, transport))
    push.send(b"")
    assert pull.recv() == b""
    push.send_multipart([b"", b"", b""])
    assert pull.recv_multipart() == [b""] * 3
    assert push.send_many([b"", [b""], [b"", b""]]) == 3
    assert [pull.recv_multipart() for _ in range(3)] == [[b""], [b""], [b"", b""]]
    assert push.send_many([b""] * 512, bundle=True) == 512
    assert [pull.recv() for _ in range(512)] == [b""] * 512
    empty = {"none": b"", "critical": Metadata("critical", b"", critical=True)}
    understanding = signed.socket(zmq.PULL, understood=["critical"])
    other = signed.socket(zmq.PUSH, identity=ALICE)
    other.connect(signed.bind(understanding, transport))
    other.send_message(header=[b"", []], body=[[], [[], b""], b""], metadata=empty)
    message = understanding.recv_message()
    assert (message.header, message.body) == ([b"", []], [[], [[], b""], b""]) and message.metadata == empty
    assert message.origin.identity == ALICE.public and refusals(pull) == refusals(understanding) == {}


def test_extremes_of_no_message_say_so_or_send_nothing(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    assert push.send_many([]) == push.send_many([], bundle=True) == 0
    with pytest.raises(SocketError, match="a message of 0 parts; 1 or more are allowed"):
        push.send_multipart([])
    for give in (lambda: push.send_message(Message(body=[])), lambda: push.send_many([b"x", []])):
        with pytest.raises(PartsError, match="no part at all"):
            give()
    assert pull.recv_many(10, timeout=0.05) == [] and push.stats.sealed == 0


def test_extremes_of_topics_and_routing_ids_of_no_byte(signed: Net) -> None:
    pub, sub = signed.socket(zmq.PUB, identity=ALICE), signed.socket(zmq.SUB)
    signed.join(pub, sub)
    pub.send_multipart([b"", b""])
    message = sub.recv_message()
    assert (message.topic, message.body, message.origin.routing_id) == (b"", [b""], b"")
    topic, session = metadata(b"topic", b"", critical=True), session_id(int(time.time()))
    sealed, attestation = seal_attested(signed.key, ALICE, leaf(b"x"), header_parts=topic, session=session)
    raw = signed.raw(zmq.PUB)
    raw.connect(signed.bind(sub, "inproc"))
    eventually(lambda: raw.send_multipart([b"", sealed, attestation]) or sub.recv_many(1, timeout=0.02))
    before = refusals(sub)
    sealed, attestation = seal_attested(signed.key, ALICE, leaf(b"x"), header_parts=topic, session=session, sequence=1)
    raw.send_multipart([sealed, attestation])  # the topic frame is missing, which is not a topic of no byte
    expected = {**before, "topic-mismatch": 1}
    eventually(lambda: (nothing_comes(sub, 1), refusals(sub) == expected)[1])


def test_extremes_of_a_stream_of_no_byte_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "nothing").write_bytes(b"")
    assert run("keygen", "key.toml", cwd=tmp_path).returncode == 0
    address = f"ipc://{tmp_path}/pipe"
    receive = [*COMMAND, "recv", address, "-k", "key.toml", "-o", "copy"]
    receiver = subprocess.Popen(receive, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
    sent = run("send", address, "-k", "key.toml", "nothing", cwd=tmp_path)
    _, said = receiver.communicate(timeout=30)
    assert (sent.returncode, receiver.returncode) == (0, 0), (sent.stderr, said)
    assert (tmp_path / "copy").read_bytes() == b""
