"""Three plain forwarders in a row, without a key: everything passes, nothing is readable, and what one of them does to
a message is refused for its reason and harms no other message."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import faults
import pytest
import zmq
from faults import Chain, Exchange, Fault, Hold, Merge, Nth
from socket_helpers import TRANSPORTS, Net, eventually, hear, nothing_comes, refusals

from zmqsec import Message, Metadata, limits
from zmqsec.header import Header

COUNT = 12
LONG = b"a long secret " * 5000


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


class Ends:
    """A sender and a receiver with a chain between them."""

    def __init__(self, net: Net, kind: str, sender: int, receiver: int, transport: str = "inproc") -> None:
        self.first, self.last = net.socket(sender), net.socket(receiver)
        for socket in (self.first, self.last):
            socket.set_hwm(0)
        self.chain = Chain(net, kind, transport, net.bind(self.last, transport))
        self.first.connect(self.chain.front)
        if kind == "publish":
            self.last.subscribe(b"")
            hear(self.first, self.last)

    def __enter__(self) -> Ends:
        self.chain.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.chain.__exit__()


# -- honest chains ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_push_and_pull_carries_everything_unread(net: Net, transport: str) -> None:
    with Ends(net, "push", zmq.PUSH, zmq.PULL, transport) as ends:
        push, pull = ends.first, ends.last
        push.send(b"a secret word")
        push.send_multipart([b"secret 1", b"", LONG])
        push.send_message(body=[b"secret", [b"nested secret", [b"deeper secret"]], Metadata("kind", b"secret")])
        push.send_many([b"secret %d" % i for i in range(200)], bundle=True)
        assert pull.recv() == b"a secret word"
        assert pull.recv_multipart() == [b"secret 1", b"", LONG]
        got = pull.recv_message()
        assert got.body == [b"secret", [b"nested secret", [b"deeper secret"]], Metadata("kind", b"secret")]
        assert [pull.recv() for _ in range(200)] == [b"secret %d" % i for i in range(200)]
        assert [len(hop.seen) for hop in ends.chain.hops] == [4, 4, 4], "a bundle is one message on its way"
        assert refusals(pull) == {} and b"secret" not in ends.chain.seen()
        assert ends.chain.hops[0].seen == ends.chain.hops[2].seen, "hops change nothing"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_xsub_and_xpub_shows_topics_and_nothing_else(net: Net, transport: str) -> None:
    with Ends(net, "publish", zmq.PUB, zmq.SUB, transport) as ends:
        pub, sub = ends.first, ends.last
        pub.send_multipart([b"prices", b"a secret", LONG])
        pub.send_message(topic=b"deep", body=[[b"nested secret", [b"secret"]]], header=[b"for the relays"])
        pub.send_many([[b"prices", b"secret %d" % i] for i in range(100)], bundle=True)
        assert sub.recv_multipart() == [b"prices", b"a secret", LONG]
        got = sub.recv_message()
        assert (got.topic, got.body, got.header) == (b"deep", [[b"nested secret", [b"secret"]]], [b"for the relays"])
        assert sub.recv_multipart() == [b"prices", b"secret 0"]
        assert [sub.recv_multipart()[1] for _ in range(99)] == [b"secret %d" % i for i in range(1, 100)]
        seen = ends.chain.seen()
        assert b"secret" not in seen and b"prices" in seen and b"for the relays" in seen
        assert refusals(sub) == {}


def test_chain_of_xsub_and_xpub_forwards_the_subscription_of_a_prefix(net: Net) -> None:
    xpub, sub = net.socket(zmq.XPUB), net.socket(zmq.SUB)
    with Chain(net, "publish", "tcp", net.bind(sub, "tcp")) as chain:
        xpub.connect(chain.front)
        sub.subscribe(b"wanted")
        eventually(lambda: sub.poll(0) or xpub.poll(20))  # libzmq attaches a connection within the SUB's own calls
        assert xpub.recv() == b"\x01wanted"
        for topic in (b"unwanted", b"wanted.1", b"other", b"wanted.2"):
            xpub.send_multipart([topic, b"x"])
        assert [sub.recv_multipart()[0] for _ in range(2)] == [b"wanted.1", b"wanted.2"]
        sub.unsubscribe(b"wanted")
        assert xpub.recv() == b"\x00wanted"
        assert all(b"unwanted" not in frames for frames in chain.hops[0].seen)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_router_and_dealer_carries_requests_and_replies(net: Net, transport: str) -> None:
    with Ends(net, "request", zmq.REQ, zmq.REP, transport) as ends:
        req, rep = ends.first, ends.last
        for body in ([b"a secret"], [b"secret", [b"nested secret"]], [LONG]):
            req.send_message(body=body)
            question = rep.recv_message()
            assert question.body == body
            rep.send_message(body=[b"secret answer to", *question.body])
            assert req.recv_message().body == [b"secret answer to", *body]
        assert refusals(req) == refusals(rep) == {}
        assert b"secret" not in ends.chain.seen()
        assert [len(hop.seen) for hop in ends.chain.hops] == [6, 6, 6]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_router_and_dealer_finds_the_way_back_to_each_of_two_dealers(net: Net, transport: str) -> None:
    with Ends(net, "request", zmq.DEALER, zmq.ROUTER, transport) as ends:
        one, router = ends.first, ends.last
        two = net.socket(zmq.DEALER)
        two.connect(ends.chain.front)
        one.send_multipart([b"", b"secret of one"])
        two.send_many([b"secret %d of two" % i for i in range(20)], bundle=True)
        routes: dict[bytes, Any] = {}
        for _ in range(21):
            got = router.recv_message()
            assert len(got.envelope) == (5 if got.body[0] == b"secret of one" else 4), "an id a hop, and the client's"
            routes[got.body[0]] = got.envelope
        router.send_message(Message([[b"secret answer"]], envelope=routes[b"secret of one"]))
        router.send_many([[*routes[b"secret 0 of two"], b"secret answer %d" % i] for i in range(20)], bundle=True)
        assert one.recv_message().body == [[b"secret answer"]]
        assert [two.recv() for _ in range(20)] == [b"secret answer %d" % i for i in range(20)]
        assert refusals(router) == refusals(one) == refusals(two) == {}
        assert b"secret" not in ends.chain.seen()


def test_chain_after_a_hop_is_replaced_goes_on_in_the_same_session(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH), net.socket(zmq.PULL)
    address = net.bind(pull, "tcp")
    sessions = []
    for text in (b"first", b"second"):
        with Chain(net, "push", "tcp", address) as chain:
            push.connect(chain.front)
            push.send(text)
            assert pull.recv() == text
            sessions.append(Header.decode(chain.middle.seen[0][-1]))
            push.disconnect(chain.front)
    assert sessions[0].session == sessions[1].session
    assert [header.sequence for header in sessions] == [0, 1] and refusals(pull) == {}


# -- a hop that misbehaves --------------------------------------------------------------------------------------------

MIDDLE = COUNT // 2
ALL = list(range(COUNT))
WITHOUT = [i for i in ALL if i != MIDDLE]
WITHOUT_TWO = [i for i in ALL if i not in (MIDDLE, MIDDLE + 1)]
LATER = [*range(MIDDLE), *range(MIDDLE + 1, MIDDLE + 4), MIDDLE, *range(MIDDLE + 4, COUNT)]

# What the hop does with one message or two, what arrives all the same, and what is refused.
FAULTS: list[tuple[str, Fault, list[int], dict[str, int]]] = [
    ("alter-body", Nth(MIDDLE, faults.flip(40)), WITHOUT, {"forged": 1}),
    ("alter-tag", Nth(MIDDLE, faults.flip(-1)), WITHOUT, {"forged": 1}),
    ("alter-sequence", Nth(MIDDLE, faults.flip(26)), WITHOUT, {"forged": 1}),
    ("alter-sequence-beyond-the-last", Nth(MIDDLE, faults.flip(28)), WITHOUT, {"malformed": 1}),
    ("alter-sequence-to-a-seen-one", Nth(MIDDLE, faults.flip(24, 2)), WITHOUT, {"replayed": 1}),
    ("alter-session", Nth(MIDDLE, faults.flip(20)), WITHOUT, {"forged": 1}),
    ("alter-session-start", Nth(MIDDLE, faults.flip(15, 0x80)), WITHOUT, {"stale-session": 1}),
    ("alter-spi", Nth(MIDDLE, faults.flip(8)), WITHOUT, {"unknown-spi": 1}),
    ("alter-suite", Nth(MIDDLE, faults.flip(4, 3)), WITHOUT, {"suite": 1}),
    ("alter-version", Nth(MIDDLE, faults.flip(3)), WITHOUT, {"version": 1}),
    ("alter-kind-to-bundle", Nth(MIDDLE, faults.flip(5)), WITHOUT, {"forged": 1}),
    ("alter-flags-to-clear", Nth(MIDDLE, faults.flip(5, 0x10)), WITHOUT, {"forged": 1}),
    ("alter-magic", Nth(MIDDLE, faults.flip(1)), WITHOUT, {"malformed": 1}),
    ("cut-to-nothing", Nth(MIDDLE, faults.cut(0)), WITHOUT, {"malformed": 1}),
    ("cut-into-the-header", Nth(MIDDLE, faults.cut(20)), WITHOUT, {"malformed": 1}),
    ("cut-by-one", Nth(MIDDLE, faults.cut(-1)), WITHOUT, {"forged": 1}),
    ("lengthen", Nth(MIDDLE, faults.lengthen), WITHOUT, {"forged": 1}),
    ("split", Nth(MIDDLE, faults.split), WITHOUT, {"malformed": 2}),
    ("append-a-frame", Nth(MIDDLE, faults.append(b"more")), WITHOUT, {"malformed": 1}),
    ("append-an-attestation", Nth(MIDDLE, faults.append(b"\0ZA of a hop")), WITHOUT, {"bad-attestation": 1}),
    ("merge", Merge(MIDDLE), WITHOUT_TWO, {"malformed": 1}),
    ("in-clear", Nth(MIDDLE, faults.in_clear), WITHOUT, {"malformed": 1}),
    ("drop", Nth(MIDDLE, faults.drop), WITHOUT, {}),
    ("duplicate", Nth(MIDDLE, faults.duplicate), ALL, {"replayed": 1}),
    ("reorder", Hold(MIDDLE, 3), LATER, {}),
]
TOPIC_FAULTS: list[tuple[str, Fault, list[int], dict[str, int]]] = [
    ("relabel", Nth(MIDDLE, faults.relabel(b"topic 9999")), WITHOUT, {"topic-mismatch": 1}),
    ("relabel-to-nothing", Nth(MIDDLE, faults.relabel(b"")), WITHOUT, {"topic-mismatch": 1}),
    ("strip", Nth(MIDDLE, faults.strip), WITHOUT, {"topic-mismatch": 1}),
    ("exchange", Exchange(MIDDLE), WITHOUT_TWO, {"topic-mismatch": 2}),
    ("second-topic", Nth(MIDDLE, faults.prepend(b"topic")), WITHOUT, {"malformed": 1}),
]


def check(ends: Ends, arriving: list[int], refused: dict[str, int]) -> None:
    """Exactly those come, in that order, each once; the last one, which no fault reaches, says that all have come."""
    got = []
    while not got or got[-1] != COUNT - 1:
        got.append(int(ends.last.recv_multipart()[-1].split()[-1]))
    assert got == arriving
    assert nothing_comes(ends.last, 0) and refusals(ends.last) == refused


@pytest.mark.parametrize(("fault", "arriving", "refused"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS])
def test_chain_push_fault_is_refused_and_harms_no_other(
    net: Net, fault: Fault, arriving: list[int], refused: dict[str, int]
) -> None:
    with Ends(net, "push", zmq.PUSH, zmq.PULL) as ends:
        ends.chain.middle.fault = copy.copy(fault)  # which counts from 0
        ends.first.send_many([b"number %d" % i for i in ALL])
        check(ends, arriving, refused)


@pytest.mark.parametrize(
    ("fault", "arriving", "refused"), [one[1:] for one in TOPIC_FAULTS], ids=[one[0] for one in TOPIC_FAULTS]
)
def test_chain_publish_fault_is_refused_and_harms_no_other(
    net: Net, fault: Fault, arriving: list[int], refused: dict[str, int]
) -> None:
    with Ends(net, "publish", zmq.PUB, zmq.SUB) as ends:
        ends.chain.middle.fault = copy.copy(fault)  # which counts from 0
        for i in ALL:
            ends.first.send_multipart([b"topic %d" % i, b"number %d" % i])
        check(ends, arriving, refused)


def test_chain_publish_alter_fault_with_a_topic_names_the_seal_and_not_the_topic(net: Net) -> None:
    """Both are wrong; nothing of a part that is forged is looked at."""
    with Ends(net, "publish", zmq.PUB, zmq.SUB) as ends:
        ends.chain.middle.fault = Nth(0, faults.relabel(b"another"))
        ends.chain.hops[2].fault = Nth(0, faults.flip(-1))
        ends.first.send_multipart([b"topic", b"x"])
        ends.first.send_multipart([b"topic", b"y"])
        assert ends.last.recv_multipart() == [b"topic", b"y"]
        assert refusals(ends.last) == {"forged": 1}


@pytest.mark.parametrize("name", ["alter", "drop", "duplicate", "swap-of-messages"])
def test_chain_fault_of_a_bundle_is_that_of_all_its_messages(net: Net, name: str) -> None:
    fault, arriving, refused = {
        "alter": (faults.flip(60), [0, 2], {"forged": 1}),
        "drop": (faults.drop, [0, 2], {}),
        "duplicate": (faults.duplicate, [0, 1, 2], {"replayed": 1}),
        # Two messages of one length change places in the ciphertext: the tag covers their order.
        "swap-of-messages": (swap_in_bundle, [0, 2], {"forged": 1}),
    }[name]
    with Ends(net, "push", zmq.PUSH, zmq.PULL) as ends:
        ends.chain.middle.fault = Nth(1, fault)
        for bundle in range(3):
            assert ends.first.send_many([b"%d.%02d" % (bundle, i) for i in range(50)], bundle=True) == 50
        expected = [b"%d.%02d" % (bundle, i) for bundle in arriving for i in range(50)]
        assert [ends.last.recv() for _ in expected] == expected
        assert nothing_comes(ends.last, 0) and refusals(ends.last) == refused


def swap_in_bundle(frames: list[bytes]) -> list[list[bytes]]:
    sealed, size = frames[-1], 2 * 4 + len(b"0.00")
    first, second = sealed[32 : 32 + size], sealed[32 + size : 32 + 2 * size]
    return [[*frames[:-1], sealed[:32] + second + first + sealed[32 + 2 * size :]]]


def test_chain_message_held_back_for_longer_than_the_window_is_refused(net: Net) -> None:
    width = limits.REPLAY_WINDOW
    with Ends(net, "push", zmq.PUSH, zmq.PULL) as ends:
        ends.chain.middle.fault = Hold(0, width - 1)  # the oldest that still opens
        ends.chain.hops[2].fault = Hold(1, width + 2)  # and one that was held until it lies behind the window
        messages = [b"%d" % i for i in range(width + 10)]
        assert ends.first.send_many(messages) == len(messages)
        got: list[bytes] = []
        while not got or got[-1] != messages[-1]:
            got += ends.last.recv_many(500)
        assert sorted(got, key=int) == [message for message in messages if message != messages[2]]
        assert refusals(ends.last) == {"replayed": 1}


# -- requests and replies through a hop that misbehaves ---------------------------------------------------------------

ASKING: list[tuple[str, Fault, dict[str, int]]] = [
    ("alter", faults.flip(40), {"forged": 1}),
    ("cut", faults.cut(-1), {"forged": 1}),
    ("in-clear", faults.in_clear, {"malformed": 1}),
    ("split", faults.split, {"malformed": 2}),
    ("drop", faults.drop, {}),
    ("duplicate", faults.duplicate, {"replayed": 1}),
    ("without-delimiter", lambda frames: [[*frames[:-2], frames[-1]]], {"malformed": 1}),
]
IDS = [one[0] for one in ASKING]


@pytest.mark.parametrize(("name", "fault", "refused"), ASKING, ids=IDS)
def test_chain_fault_of_a_request_is_refused_and_the_next_is_answered(
    net: Net, name: str, fault: Fault, refused: dict[str, int]
) -> None:
    with Ends(net, "request", zmq.REQ, zmq.REP) as ends:
        req, rep = ends.first, ends.last
        req.setsockopt(zmq.REQ_RELAXED, 1)
        req.setsockopt(zmq.REQ_CORRELATE, 1)
        ends.chain.middle.fault = Nth(0, fault)
        req.send(b"first")
        if name == "duplicate":
            assert rep.recv() == b"first"
            rep.send(b"re first")
            assert req.recv() == b"re first"
        req.send(b"second")
        assert rep.recv() == b"second"
        rep.send(b"re second")
        assert req.recv() == b"re second"
        assert refusals(rep) == refused and refusals(req) == {}


@pytest.mark.parametrize(("name", "fault", "refused"), ASKING, ids=IDS)
def test_chain_fault_of_a_reply_is_refused_and_the_next_is_taken(
    net: Net, name: str, fault: Fault, refused: dict[str, int]
) -> None:
    with Ends(net, "request", zmq.REQ, zmq.REP) as ends:
        req, rep = ends.first, ends.last
        req.setsockopt(zmq.REQ_RELAXED, 1)
        ends.chain.middle.answer_fault = Nth(0, fault)
        for text in (b"first", b"second"):
            req.send(text)
            assert rep.recv() == text
            rep.send(b"re " + text)
            if text == b"second" or name == "duplicate":
                assert req.recv() == b"re " + text
        if name == "without-delimiter":
            refused = {"not-permitted": 1}  # by now it answers another request, which is looked at first
        assert refusals(req) == refused and refusals(rep) == {}


def test_chain_replies_exchanged_between_two_requests_are_refused_with_request_ids(net: Net) -> None:
    """A hop puts the sealed reply to one request behind the id of another: opened, and not what was asked."""
    with Ends(net, "request", zmq.REQ, zmq.REP) as ends:
        req, rep = ends.first, ends.last
        req.setsockopt(zmq.REQ_RELAXED, 1)
        req.setsockopt(zmq.REQ_CORRELATE, 1)
        kept: list[list[bytes]] = []
        ends.chain.middle.answer_fault = Nth(0, lambda frames: kept.append(frames) or [])  # type: ignore[func-returns-value]
        for text in (b"first", b"second"):
            req.send(text)
            rep.send(b"re " + rep.recv())
        ends.chain.middle.answer_fault = faults.honest
        assert req.recv() == b"re second"
        assert len(kept) == 1
        req.send(b"third")
        ends.chain.middle.answer_fault = lambda frames: [kept[0], frames]
        rep.send(b"re " + rep.recv())
        assert req.recv() == b"re third"
        assert refusals(req) == {"not-permitted": 1}


def test_chain_reply_sent_to_another_client_of_the_same_key_is_opened_by_it(net: Net) -> None:
    """The envelope is not bound: whom a message reaches is the relays' to say (spec, "Security considerations")."""
    with Ends(net, "request", zmq.DEALER, zmq.ROUTER) as ends:
        one, router = ends.first, ends.last
        two = net.socket(zmq.DEALER)
        two.connect(ends.chain.front)
        routes = []
        for dealer in (one, two):
            dealer.send(b"question")
            routes.append(router.recv_message().envelope)
        ends.chain.hops[0].answer_fault = lambda frames: [[routes[1][-1], *frames[1:]]]
        router.send_message(body=[b"for one"], envelope=routes[0])
        assert two.recv() == b"for one" and nothing_comes(one, 30)
