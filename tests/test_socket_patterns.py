"""What stands in clear on ROUTER, DEALER, XPUB and XSUB, and the order of calls on REQ and REP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from socket_helpers import Net, eventually, nothing_comes, refusals

from zmqsec import Association, Message, SocketError
from zmqsec.pattern import Envelopes


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


def frames_of(sealed_socket: Any, raw: Any, transport: Net) -> None:
    sealed_socket.connect(transport.bind(raw, "tcp"))


# -- ROUTER and DEALER ------------------------------------------------------------------------------------------------


def test_router_reply_finds_its_dealer(net: Net) -> None:
    router = net.socket(zmq.ROUTER)
    address = net.bind(router, "tcp")
    dealers = []
    for name in (b"one", b"two"):
        dealer = net.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, name)
        dealer.connect(address)
        dealer.send_multipart([b"hello from", name])
        dealers.append(dealer)
    for _ in dealers:
        name, *parts = router.recv_multipart()
        assert parts == [b"hello from", name]
        router.send_multipart([name, b"hello", name])
    assert [dealer.recv_multipart() for dealer in dealers] == [[b"hello", b"one"], [b"hello", b"two"]]


def test_router_shows_only_what_is_envelope(net: Net) -> None:
    router, raw = net.socket(zmq.ROUTER), net.raw(zmq.DEALER)
    raw.setsockopt(zmq.IDENTITY, b"id")
    raw.connect(net.bind(router, "tcp"))
    dealer = net.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IDENTITY, b"me")
    dealer.connect(router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    dealer.send(b"x")
    assert router.recv_multipart() == [b"me", b"x"]
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    expected: list[tuple[list[bytes], dict[str, int], list[bytes]]] = [
        ([b"id", b"secret"], {}, []),
        ([b"id", b"", b"secret"], {}, [b""]),
        ([b"id", b"secret", b"", b"secret"], {}, []),
        ([b"id", b""], {}, []),
        ([b"id", b"", b"", b"secret"], {}, [b""]),
        ([b"id", b"hop", b"", b"secret"], {"envelope": 3}, [b"hop", b""]),
    ]
    for parts, options, front in expected:
        eventually(lambda parts=parts, options=options: sent(router, parts, options))
        *before, sealed = raw.recv_multipart()
        assert before == front and sealed.startswith(b"\0ZS") and b"secret" not in sealed


def sent(router: Any, parts: list[bytes], options: dict[str, int]) -> bool:
    try:
        router.send_multipart(parts, **options)
    except zmq.ZMQError as error:
        assert error.errno == zmq.EHOSTUNREACH
        return False
    return True


def test_router_mandatory_passes_through(net: Net) -> None:
    router = net.socket(zmq.ROUTER)
    router.router_mandatory = 1
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_multipart([b"nobody", b"x"])
    assert caught.value.errno == zmq.EHOSTUNREACH


def test_router_remembers_the_envelope_of_an_opened_message(net: Net) -> None:
    router, raw = net.socket(zmq.ROUTER), net.raw(zmq.DEALER)
    raw.setsockopt(zmq.IDENTITY, b"relay")
    raw.connect(net.bind(router, "tcp"))
    sealed = net.implementation.seal_many([b"question"], net.implementation.Session(net.key))[0]
    raw.send_multipart([b"hop", b"client", b"", sealed])
    assert router.recv_multipart() == [b"relay", b"hop", b"client", b"", b"question"]
    for answer in (b"answer", bytearray(b"answer"), zmq.Frame(b"answer")):
        router.send_multipart([b"relay", b"hop", b"client", b"", answer, b"more"])
        *front, body = raw.recv_multipart()
        assert front == [b"hop", b"client", b""] and b"answer" not in body
    router.send_multipart([b"relay", b"hop", b"another", b"", b"answer"])
    assert len(raw.recv_multipart()) == 1


def test_router_remembers_nothing_of_a_refused_message(net: Net) -> None:
    router, raw = net.socket(zmq.ROUTER), net.raw(zmq.DEALER)
    raw.setsockopt(zmq.IDENTITY, b"relay")
    raw.connect(net.bind(router, "tcp"))
    forged = bytearray(net.implementation.seal_many([b"question"], net.implementation.Session(net.key))[0])
    forged[-1] ^= 1
    raw.send_multipart([b"guess", b"", forged])
    assert nothing_comes(router) and router.stats.refused["forged"] == 1
    router.send_multipart([b"relay", b"guess", b"", b"answer"])
    assert len(raw.recv_multipart()) == 1


def test_envelopes_keep_the_newest_4096() -> None:
    known = Envelopes()
    for number in range(5000):
        known.remember([b"id", b"%d" % number, b""])
    assert len(known._known) == 4096
    assert known.length([b"id", b"4999", b"", b"x"], True) == 3
    assert known.length([b"id", b"0", b"", b"x"], True) == 1
    assert known.length([b"id", b"4999", b""], True) == 1, "a part must be left for the body"


def test_router_message_without_envelope_is_refused(net: Net) -> None:
    router, dealer = net.pair(zmq.ROUTER, zmq.DEALER)
    with pytest.raises(SocketError, match=r"1 parts with an envelope of 0|1 parts with an envelope of 1"):
        router.send(b"id")
    with pytest.raises(SocketError, match="has no envelope; a routing id"):
        router.send_message(body=[b"x"])
    with pytest.raises(SocketError, match="2 parts with an envelope of 2"):
        router.send_multipart([b"id", b"x"], envelope=2)
    with pytest.raises(SocketError, match="an envelope of 17 parts; at most 16"):
        router.send_multipart([b"%d" % i for i in range(18)], envelope=17)
    with pytest.raises(SocketError, match=r"envelope part .* has the form of a sealed part"):
        router.send_multipart([b"id", b"\0ZS" + bytes(60), b"x"], envelope=2)
    assert nothing_comes(dealer, 30)


def test_dealer_envelope_is_the_delimiter_that_it_gave(net: Net) -> None:
    dealer, router = net.pair(zmq.DEALER, zmq.ROUTER)
    dealer.send_multipart([b"", b"question"])
    got = router.recv_message()
    assert len(got.envelope) == 2 and got.envelope[1] == b"" and got.body == [b"question"]
    router.send_message(Message([b"answer"], envelope=got.envelope))
    assert dealer.recv_multipart() == [b"", b"answer"]
    dealer.send_many([b"1", [b"", b"2"], Message([b"3"], envelope=(b"deep", b""))])
    assert [router.recv_multipart()[1:] for _ in range(3)] == [[b"1"], [b"", b"2"], [b"deep", b"", b"3"]]


def test_envelope_of_16_parts_arrives_and_one_of_17_is_refused(net: Net) -> None:
    pull, raw = net.socket(zmq.DEALER), net.raw(zmq.DEALER)
    raw.connect(net.bind(pull, "tcp"))
    first, second = net.implementation.seal_many([b"a", b"b"], net.implementation.Session(net.key))
    raw.send_multipart([b"%d" % i for i in range(17)] + [second])
    raw.send_multipart([b"%d" % i for i in range(16)] + [first])
    assert len(pull.recv_multipart()) == 17
    assert pull.stats.refused["malformed"] == 1


# -- XPUB and XSUB ----------------------------------------------------------------------------------------------------


def test_xpub_hands_subscriptions_over_as_pyzmq_does(net: Net) -> None:
    sub, xpub = net.socket(zmq.SUB), net.socket(zmq.XPUB)
    sub.connect(net.bind(xpub, "tcp"))
    sub.subscribe(b"topic")
    assert xpub.recv() == b"\x01topic"
    sub.unsubscribe(b"topic")
    got = xpub.recv_message()
    assert got.body == [b"\x00topic"] and got.spi == 0 and got.session == b""
    sub.subscribe(b"t")
    assert xpub.recv_many(multipart=True) == [[b"\x01t"]]
    xpub.send_multipart([b"t", b"x"])
    assert sub.recv_multipart() == [b"t", b"x"]


def test_xpub_accepts_no_other_plain_message(net: Net) -> None:
    xsub, xpub = net.raw(zmq.XSUB), net.socket(zmq.XPUB)
    xsub.connect(net.bind(xpub, "tcp"))
    eventually(lambda: xsub.send(b"\x01x") or xpub.poll(20))
    assert xpub.recv() == b"\x01x"
    xsub.send(b"user data")
    xsub.send_multipart([b"", b"data"])
    assert nothing_comes(xpub) and xpub.stats.refused["malformed"] == 2


def test_xsub_subscribes_and_sends_nothing_else(net: Net) -> None:
    xpub, xsub = net.pair(zmq.XPUB, zmq.XSUB)
    xsub.send(b"\x01a")
    assert xpub.recv() == b"\x01a"
    xpub.send_multipart([b"ab", b"x"])
    assert xsub.recv_multipart() == [b"ab", b"x"]
    for call in (
        lambda: xsub.send(b"user data"),
        lambda: xsub.send_multipart([b"\x01a", b"b"]),
        lambda: xsub.send_message(body=[b"x"]),
        lambda: xsub.send_many([b"x"]),
    ):
        with pytest.raises(SocketError, match="XSUB sends subscriptions only"):
            call()
    assert nothing_comes(xpub, 30)


# -- REQ and REP ------------------------------------------------------------------------------------------------------


def test_req_and_rep_keep_the_order_of_calls(net: Net) -> None:
    req, rep = net.pair(zmq.REQ, zmq.REP)
    for call in (req.recv, rep.recv_multipart and req.recv_multipart, req.recv_message, lambda: rep.send(b"x")):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.EFSM
    req.send_multipart([b"question", b"two"])
    for call in (lambda: req.send(b"again"), lambda: req.send(b"again", zmq.SNDMORE)):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.EFSM
    assert rep.recv() == b"question"
    with pytest.raises(zmq.ZMQError) as caught:
        rep.send(b"too early")
    assert caught.value.errno == zmq.EFSM
    assert rep.recv() == b"two"
    with pytest.raises(zmq.ZMQError) as caught:
        rep.recv(zmq.NOBLOCK)
    assert caught.value.errno == zmq.EFSM
    rep.send(b"answer", zmq.SNDMORE)
    rep.send(b"two")
    assert req.recv_multipart() == [b"answer", b"two"]
    with pytest.raises(SocketError, match="REQ sends one message at a time"):
        req.send_many([b"x"])


def test_rep_answers_many_clients(net: Net) -> None:
    rep = net.socket(zmq.REP)
    address = net.bind(rep, "tcp")
    clients = [net.socket(zmq.REQ) for _ in range(5)]
    for number, req in enumerate(clients):
        req.connect(address)
        req.send(b"%d" % number)
    for _ in clients:
        rep.send(b"re " + rep.recv())
    assert [req.recv() for req in clients] == [b"re %d" % number for number in range(5)]


def test_req_message_structure_goes_both_ways(net: Net) -> None:
    req, rep = net.pair(zmq.REQ, zmq.REP)
    question = Message([[b"nested"]], metadata={"sent": b"now"})
    req.send_message(question)
    assert question.envelope == ()
    got = rep.recv_message()
    assert got.body == [[b"nested"]] and got.envelope == () and got.metadata == {"sent": b"now"}
    rep.send_message(got)
    assert req.recv_message().body == [[b"nested"]]
    with pytest.raises(SocketError, match="REQ takes no envelope"):
        req.send_message(body=[b"x"], envelope=[b"e"])


def test_rep_refused_request_leaves_it_receiving(net: Net) -> None:
    rep = net.socket(zmq.REP)
    address = net.bind(rep, "tcp")
    plain, stranger = net.raw(zmq.REQ), net.context.socket(zmq.REQ, association=Association.generate("stranger"))
    plain.connect(address)
    plain.send(b"in clear")
    with stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.connect(address)
        stranger.send(b"another key")
        eventually(lambda: nothing_comes(rep, 20) and rep.stats.total_refused == 2)
    req = net.socket(zmq.REQ)
    req.connect(address)
    req.send(b"sealed")
    assert rep.recv() == b"sealed"
    rep.send(b"answer")
    assert req.recv() == b"answer"
    assert rep.stats.refused["malformed"] == 1 and rep.stats.refused["unknown-spi"] == 1


def test_req_refused_reply_leaves_it_waiting_for_the_right_one(net: Net) -> None:
    req, liar = net.socket(zmq.REQ), net.raw(zmq.ROUTER)
    req.connect(net.bind(liar, "tcp"))
    req.send(b"question")
    client, delimiter, sealed = liar.recv_multipart()
    session = net.implementation.Session(net.key)
    early, right = (Message(body=[text], reply_to=sealed[12:32]) for text in (b"wrong place", b"right"))
    early, right, unbound = net.implementation.seal_many([early, right, b"no reply"], session)
    liar.send_multipart([client, b"", b"in clear"])
    liar.send_multipart([client, b"", sealed[:-1] + b"?"])
    liar.send_multipart([client, early])
    liar.send_multipart([client, b"", unbound])
    assert nothing_comes(req)
    liar.send_multipart([client, b"", right])
    assert req.recv() == b"right"
    assert refusals(req) == {"malformed": 2, "forged": 1, "not-permitted": 1} and delimiter == b""


def test_req_times_out_and_still_receives_later(net: Net) -> None:
    req, rep = net.pair(zmq.REQ, zmq.REP)
    req.rcvtimeo = 50
    req.send(b"question")
    with pytest.raises(zmq.Again):
        req.recv()
    rep.send(rep.recv() + b"!")
    req.rcvtimeo = 2000
    assert req.recv() == b"question!"


def test_req_relaxed_and_correlate_take_only_the_newest_reply(net: Net) -> None:
    req, rep = net.socket(zmq.REQ), net.socket(zmq.REP)
    req.setsockopt(zmq.REQ_RELAXED, 1)
    req.req_correlate = 1
    net.join(req, rep)
    req.send(b"first")
    req.send(b"second")
    for _ in range(2):
        rep.send(b"re " + rep.recv())
    assert req.recv() == b"re second"
    assert refusals(req) == {"not-permitted": 1}


def test_req_correlate_writes_a_request_id_before_the_delimiter(net: Net) -> None:
    req, raw = net.socket(zmq.REQ), net.raw(zmq.ROUTER)
    req.set(zmq.REQ_CORRELATE, 1)
    req.connect(net.bind(raw, "tcp"))
    req.send(b"x")
    _, number, delimiter, sealed = raw.recv_multipart()
    assert len(number) == 4 and delimiter == b"" and sealed.startswith(b"\0ZS")


def test_rep_takes_one_message_of_a_bundle(net: Net) -> None:
    dealer, rep = net.pair(zmq.DEALER, zmq.REP)
    assert dealer.send_many([[b"", b"1"], [b"", b"2"]], bundle=True) == 2
    assert rep.recv() == b"1"
    rep.send(b"answer")
    assert dealer.recv_multipart() == [b"", b"answer"]
    assert nothing_comes(rep, 30) and rep.stats.refused["malformed"] == 1


def test_rep_answer_to_a_client_that_left_is_dropped(net: Net) -> None:
    req, rep = net.pair(zmq.REQ, zmq.REP, "tcp")
    req.send(b"question")
    assert rep.recv() == b"question"
    req.close(0)
    time.sleep(0.1)
    rep.send(b"answer")
    assert nothing_comes(rep, 30)


def test_req_and_rep_work_with_plain_devices_that_see_only_dealer_and_router(net: Net) -> None:
    relay = net.relay(zmq.ROUTER, zmq.DEALER).start()
    rep, req = net.socket(zmq.REP), net.socket(zmq.REQ)
    rep.connect(relay.back)
    req.connect(relay.front)
    for number in range(20):
        req.send(b"%d" % number)
        assert rep.recv() == b"%d" % number
        rep.send(b"re %d" % number)
        assert req.recv() == b"re %d" % number
