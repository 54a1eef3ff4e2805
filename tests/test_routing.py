"""Who a message is for, and which one it answers: by verified identity, through proxies, against those who lie."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from faults import Chain
from helpers import ALICE, BOB, RELAY, SECOND, FakeClock
from socket_helpers import TRANSPORTS, Net, eventually, hear, nothing_comes, refusals

from zmqsec import Association, Message, PartsError, SocketError, limits

HERE = Path(__file__).parent


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    """A network whose members are all identified."""
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE, BOB, SECOND)


@pytest.fixture
def plain(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    """A network whose members share a key, and that is all."""
    with Net(implementation, tmp_path) as made:
        yield made


def router_of(net: Net) -> tuple[Any, str]:
    router = net.socket(zmq.ROUTER, identity=SECOND)
    router.setsockopt(zmq.ROUTER_HANDOVER, 1)
    return router, net.bind(router, "tcp")


def dealer(net: Net, address: str, identity: Any, routing_id: bytes | None = None, kind: int = zmq.DEALER) -> Any:
    made = net.socket(kind, identity=identity)
    if routing_id is not None:
        made.setsockopt(zmq.IDENTITY, routing_id)
    made.connect(address)
    return made


# -- to ---------------------------------------------------------------------------------------------------------------


def test_to_reaches_the_identity_and_no_other(plain: Net) -> None:
    push, alice, bob, nobody = (
        plain.socket(kind, **{"identity": identity} if identity else {})
        for kind, identity in ((zmq.PUB, None), (zmq.SUB, ALICE), (zmq.SUB, BOB.public), (zmq.SUB, None))
    )
    for sub in (alice, bob, nobody):
        push.connect(plain.bind(sub, "inproc"))
        sub.subscribe(b"")
    hear(push, alice, bob, nobody)
    push.send_message(body=[b"for Alice"], to=ALICE.public)
    push.send_message(body=[b"for Bob"], to=BOB.fingerprint)
    push.send(b"for all")
    message = alice.recv_message()
    assert (message.body, message.to) == ([b"for Alice"], ALICE.fingerprint)
    assert bob.recv() == b"for Bob"
    assert [one.recv() for one in (alice, bob, nobody)] == [b"for all"] * 3
    assert [refusals(one) for one in (alice, bob, nobody)] == [
        {"not-permitted": 1}, {"not-permitted": 1}, {"not-permitted": 2}
    ]  # fmt: skip


def test_to_and_reply_to_must_have_their_form(plain: Net) -> None:
    push = plain.socket(zmq.PUSH)
    for bad in (b"short", "text", 5, bytes(33)):
        with pytest.raises(PartsError, match="an identity or a fingerprint, 32 bytes, is allowed"):
            push.send_message(body=[b"x"], to=bad)
    with pytest.raises(PartsError, match="reply_to of 3 bytes: the 20 bytes of a Message's id are allowed"):
        push.send_message(body=[b"x"], reply_to=b"abc")
    for name in ("from", "to", "reply-to", "cred", "topic"):
        with pytest.raises(PartsError, match=f"metadata '{name}' is written by zmqsec itself"):
            push.send_message(body=[b"x"], metadata={name: bytes(32)})


def test_to_and_reply_to_travel_in_a_bundle(plain: Net) -> None:
    push, pull = plain.pair(zmq.PUSH, zmq.PULL, identity=ALICE)
    answered = bytes(range(20))
    messages = [Message(body=[b"%d" % i], to=ALICE, reply_to=answered) for i in range(3)]
    assert push.send_many([*messages, b"for all"], bundle=True) == 4
    got = [pull.recv_message() for _ in range(4)]
    assert [(one.to, one.reply_to) for one in got] == [(ALICE.fingerprint, answered)] * 3 + [(None, None)]
    assert got[0].id == got[2].id != got[3].id


# -- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", [zmq.REP, zmq.ROUTER])
def test_reply_is_bound_to_its_request(plain: Net, server: int) -> None:
    req, rep = plain.socket(zmq.REQ), plain.socket(server)
    plain.join(req, rep)
    sent = req.send_message(body=[b"question"])
    request = rep.recv_message()
    assert request.id == sent and request.reply_to is None
    if server == zmq.REP:
        rep.send(b"answer")
    else:
        rep.send_multipart([*request.envelope, b"answer"])
    reply = req.recv_message()
    assert (reply.body, reply.reply_to) == ([b"answer"], sent) and refusals(req) == {}


def test_reply_of_a_dealer_names_the_request_it_answers(plain: Net) -> None:
    """Two requests of one client: the server answers in the other order, and says which is which."""
    client, router = plain.pair(zmq.DEALER, zmq.ROUTER)
    ids = [client.send_message(body=[b"%d" % i]) for i in range(2)]
    requests = [router.recv_message() for _ in range(2)]
    for request in reversed(requests):
        router.send_message(request.reply([b"re " + request.body[0]]))
    replies = [client.recv_message() for _ in range(2)]
    assert [(one.body, one.reply_to) for one in replies] == [([b"re 1"], ids[1]), ([b"re 0"], ids[0])]


def test_reply_without_delimiter_or_message_is_bound_to_nothing(plain: Net) -> None:
    client, router = plain.pair(zmq.DEALER, zmq.ROUTER)
    client.send(b"hello")
    peer, _ = router.recv_multipart()
    router.send_multipart([peer, b"news"])
    assert client.recv_message().reply_to is None


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_reply_to_anothers_message_is_refused(plain: Net, kind: int) -> None:
    client, raw = plain.socket(kind), plain.raw(zmq.ROUTER)
    client.connect(plain.bind(raw, "tcp"))
    mine = client.send_message(body=[b"question"])
    envelope = raw.recv_multipart()[:-1]
    session = plain.implementation.Session(plain.key)
    seen: list[Any] = []
    client._state.reporter._on_refused = seen.append
    later = mine[:12] + (int.from_bytes(mine[12:], "little") + 1).to_bytes(8, "little")
    for other in (bytes(20), later, bytes(12) + mine[12:], mine[:12] + b"\xff" * 8):
        (wrong,) = plain.implementation.seal_many([Message(body=[b"wrong"], reply_to=other)], session)
        raw.send_multipart([*envelope, wrong])
    (right,) = plain.implementation.seal_many([Message(body=[b"right"], reply_to=mine)], session)
    raw.send_multipart([*envelope, right])
    assert client.recv() == b"right" and refusals(client) == {"not-permitted": 4}
    assert {one.detail for one in seen} == {"a reply to another message"}


def test_reply_to_a_message_of_the_session_before_is_taken(plain: Net) -> None:
    """A request that went out before the session was rotated, and one from before the key changed, are still ours."""
    clock = FakeClock(1_700_000_000)
    client = plain.socket(zmq.DEALER, clock=clock)
    router = plain.socket(zmq.ROUTER, clock=clock)
    plain.join(client, router)
    client.send(b"one")
    clock.now += limits.REKEY_AFTER_TIME
    client.send(b"two")
    new = Association.generate("orders")
    requests = [router.recv_message() for _ in range(2)]
    assert requests[0].session != requests[1].session
    plain.keyring.replace(new)
    client.send(b"three")
    requests.append(router.recv_message())
    assert requests[2].spi == new.spi
    for request in requests:
        router.send_message(request.reply([request.body[0]]))
    assert [client.recv() for _ in range(3)] == [b"one", b"two", b"three"] and refusals(client) == {}


def test_reply_thrown_at_a_server_is_no_request(plain: Net) -> None:
    """What REP has sent to one client comes back to another REP as if it were a request."""
    req, rep = plain.socket(zmq.REQ), plain.socket(zmq.REP)
    raw = plain.raw(zmq.ROUTER)
    back = plain.raw(zmq.DEALER)
    req.connect(plain.bind(raw, "tcp"))
    back.connect(plain.bind(rep, "tcp"))
    req.send(b"question")
    client, *request = raw.recv_multipart()
    back.send_multipart(request)
    rep.send(b"answer to " + rep.recv())
    reply = back.recv_multipart()
    other = plain.socket(zmq.REP)
    thrower = plain.raw(zmq.DEALER)
    thrower.connect(plain.bind(other, "tcp"))
    thrower.send_multipart(reply)
    assert nothing_comes(other) and refusals(other) == {"not-permitted": 1}
    raw.send_multipart([client, *reply])
    assert req.recv() == b"answer to question"


@pytest.fixture
def broker() -> Iterator[Any]:
    """Starts brokers, each a process of its own: gives the addresses of front and back."""
    running = []

    def start(how: str) -> list[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "broker.py"), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        return [process.stdout.readline().strip() for _ in range(2)]

    yield start
    for process in running:
        process.communicate(timeout=10)
        assert process.returncode == 0


@pytest.mark.parametrize("identified", [False, True])
@pytest.mark.parametrize("how", ["honest", "swap", "reflect"])
def test_broker_that_exchanges_replies_is_caught(
    implementation: ModuleType, tmp_path: Path, broker: Any, how: str, identified: bool
) -> None:
    """Two clients with request and reply: what the other one should get is not taken, nor what the other one asked."""
    policy = {"attestation": "required"} if identified else {}
    with Net(implementation, tmp_path, **policy) as net:
        net.trusting(ALICE, BOB, SECOND)
        front, back = broker(how)
        server = net.socket(zmq.REP, **{"identity": SECOND} if identified else {})
        server.connect(back)
        clients = [net.socket(zmq.REQ, **{"identity": one} if identified else {}) for one in (ALICE, BOB)]
        for client, text in zip(clients, (b"what is Alice's?", b"what is Bob's?"), strict=True):
            client.connect(front)
            client.send(text)
        for _ in clients:
            server.send(b"re " + server.recv())
        if how == "honest":
            assert [one.recv() for one in clients] == [b"re what is Alice's?", b"re what is Bob's?"]
        elif how == "swap":
            assert all(nothing_comes(one, 300) for one in clients)
            assert [refusals(one) for one in clients] == [{"not-permitted": 1}] * 2
        else:
            got = {bytes(one.recv()) for one in clients}
            assert got == {b"re what is Alice's?", b"re what is Bob's?"}
            assert sum(refusals(one).get("not-permitted", 0) for one in clients) == 1


def test_broker_between_a_dealer_and_a_router_by_identity_is_caught(net: Net, broker: Any) -> None:
    """Without `reply-to`, replies that are exchanged between two identities are still for the other one."""
    front, back = broker("swap")
    router = net.socket(zmq.ROUTER, identity=SECOND)
    router.connect(back)
    clients = [dealer(net, front, one) for one in (ALICE, BOB)]
    for client in clients:
        client.send_multipart([b"", b"question"])
    for _ in clients:
        peer, delimiter, _ = router.recv_multipart()
        router.send_multipart([peer, delimiter, b"for " + peer])
    assert all(nothing_comes(one, 300) for one in clients)
    assert [refusals(one) for one in clients] == [{"not-permitted": 1}] * 2


# -- ROUTER by identity -----------------------------------------------------------------------------------------------


def test_router_gives_and_takes_identities(net: Net) -> None:
    router, address = router_of(net)
    alice, bob = dealer(net, address, ALICE, b"a"), dealer(net, address, BOB, kind=zmq.REQ)
    alice.send_multipart([b"from", b"Alice"])
    bob.send(b"from Bob")
    got = sorted((router.recv_multipart() for _ in range(2)), key=len)
    assert {tuple(one) for one in got} == {
        (ALICE.fingerprint, b"from", b"Alice"), (BOB.fingerprint, b"", b"from Bob")
    }  # fmt: skip
    router.send_multipart([ALICE.fingerprint, b"to", b"Alice"])
    router.send_multipart([BOB.public, b"", b"to Bob"])
    message = alice.recv_message()
    assert message.body == [b"to", b"Alice"] and message.to == ALICE.fingerprint
    assert message.origin.identity == SECOND.public
    assert bob.recv() == b"to Bob"


def test_router_by_identity_in_every_form(net: Net) -> None:
    router, address = router_of(net)
    alice = dealer(net, address, ALICE)
    alice.send(b"one")
    assert router.recv() == ALICE.fingerprint and router.get(zmq.RCVMORE) and router.recv() == b"one"
    alice.send_many([b"%d" % i for i in range(70)])
    got: list[Any] = []
    while len(got) < 70:
        got += router.recv_many(70)
    assert got == [[ALICE.fingerprint, b"%d" % i] for i in range(70)]
    alice.send_many([b"a", b"b"], bundle=True)
    messages = [router.recv_message() for _ in range(2)]
    assert [(one.envelope, one.body) for one in messages] == [((ALICE.fingerprint,), [t]) for t in (b"a", b"b")]
    router.send(ALICE.public, zmq.SNDMORE)
    router.send(b"in parts")
    router.send_many([[ALICE.fingerprint, b"x"], [ALICE, b"y"], Message(body=[b"z"], envelope=(ALICE.public,))])
    router.send_message(messages[0].reply([b"bound"]))
    assert [alice.recv() for _ in range(4)] == [b"in parts", b"x", b"y", b"z"]
    assert alice.recv_message().reply_to == messages[0].id


def test_router_sends_where_the_identity_was_last_seen(net: Net) -> None:
    router, address = router_of(net)
    first = dealer(net, address, ALICE, b"first place")
    first.send(b"here")
    assert router.recv_multipart() == [ALICE.fingerprint, b"here"]
    second = dealer(net, address, ALICE, b"second place")
    second.send(b"now here")
    assert router.recv_multipart() == [ALICE.fingerprint, b"now here"]
    router.send_multipart([ALICE.fingerprint, b"found"])
    assert second.recv() == b"found" and nothing_comes(first, 50)


def test_router_does_not_go_after_a_message_that_was_held_back(net: Net) -> None:
    """Whoever taps the way and delivers an older message later, by his own connection, gets no answer."""
    router, address = router_of(net)
    alice, raw = net.socket(zmq.DEALER, identity=ALICE), net.raw(zmq.ROUTER)
    alice.connect(net.bind(raw, "tcp"))
    alice.send_many([b"older", b"newer"])
    older, newer = (raw.recv_multipart()[1:] for _ in range(2))
    honest, thief = net.raw(zmq.DEALER), net.raw(zmq.DEALER)
    honest.connect(address)
    thief.connect(address)
    for one, frames in ((honest, newer), (thief, older)):
        one.send_multipart(frames)
        assert router.recv_multipart()[0] == ALICE.fingerprint
    router.send_multipart([ALICE.fingerprint, b"answer"])
    assert honest.poll(1000) and not thief.poll(50)


def test_router_answers_no_impostor_that_has_spoken(net: Net) -> None:
    """Bob takes over Alice's routing id and speaks as himself: what is for Alice goes nowhere until she is heard."""
    router, address = router_of(net)
    alice = dealer(net, address, ALICE, b"the id")
    alice.send(b"hello")
    assert router.recv_multipart() == [ALICE.fingerprint, b"hello"]
    alice.close(0)
    bob = dealer(net, address, BOB, b"the id")
    bob.send(b"hello from the same place")
    assert router.recv_multipart()[0] == BOB.fingerprint
    router.send_multipart([ALICE.fingerprint, b"secret"])
    router.send_multipart([BOB.fingerprint, b"for Bob"])
    assert bob.recv() == b"for Bob" and nothing_comes(bob, 50) and refusals(bob) == {}
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_multipart([ALICE.fingerprint, b"secret"])
    assert caught.value.errno == zmq.EHOSTUNREACH
    again = dealer(net, address, ALICE, b"elsewhere")
    again.send(b"back")
    assert router.recv_multipart() == [ALICE.fingerprint, b"back"]
    router.send_multipart([ALICE.fingerprint, b"secret"])
    assert again.recv() == b"secret"


def test_router_is_not_read_by_an_impostor_that_keeps_silent(net: Net) -> None:
    """Bob takes over Alice's routing id and waits: libzmq brings him the message, and it is not for him."""
    router, address = router_of(net)
    alice = dealer(net, address, ALICE, b"the id")
    alice.send(b"hello")
    assert router.recv_multipart() == [ALICE.fingerprint, b"hello"]
    bob = dealer(net, address, BOB, b"the id")  # with the router's handover Alice's own connection is left
    stranger = net.raw(zmq.DEALER)
    eventually(lambda: (router.send_multipart([ALICE.fingerprint, b"secret"]), bob.poll(20))[1])
    assert nothing_comes(bob, 50) and set(refusals(bob)) == {"not-permitted"}
    stranger.setsockopt(zmq.IDENTITY, b"the id")
    stranger.connect(address)
    eventually(lambda: (router.send_multipart([ALICE.fingerprint, b"secret"]), stranger.poll(20))[1])
    assert all(b"secret" not in frame for frame in stranger.recv_multipart())


def test_router_does_not_take_a_routing_id_for_an_identity(net: Net) -> None:
    """Bob sets Alice's fingerprint as his routing id: he is addressed by his own, and gets what is for him."""
    router, address = router_of(net)
    alice, bob = dealer(net, address, ALICE), dealer(net, address, BOB, ALICE.fingerprint)
    bob.send(b"I am Alice")
    assert router.recv_multipart() == [BOB.fingerprint, b"I am Alice"]
    alice.send(b"and I")
    assert router.recv_multipart() == [ALICE.fingerprint, b"and I"]
    router.send_multipart([ALICE.fingerprint, b"for Alice"])
    assert alice.recv() == b"for Alice" and nothing_comes(bob, 50) and refusals(bob) == {}


def test_router_drops_what_is_for_an_identity_that_it_never_heard(net: Net) -> None:
    router, _ = router_of(net)
    router.send_multipart([RELAY.fingerprint, b"x"])
    assert router.send_message(body=[b"x"], envelope=(RELAY,)) == b""
    assert router.send_many([[RELAY.fingerprint, b"x"]] * 3) == 3 and router.stats.sealed == 0
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    for send in (lambda: router.send_multipart([RELAY, b"x"]), lambda: router.send_many([[RELAY, b"x"]])):
        with pytest.raises(zmq.ZMQError, match="Host unreachable"):
            send()


def test_router_by_identity_says_what_is_allowed(net: Net) -> None:
    router, address = router_of(net)
    alice = dealer(net, address, ALICE)
    alice.send(b"x")
    router.recv_multipart()
    with pytest.raises(PartsError, match=r"a peer of this ROUTER, by identity: envelope\[0\]=b'short'"):
        router.send_multipart([b"short", b"x"])
    with pytest.raises(SocketError, match="addressed by its fingerprint, with the empty delimiter behind it"):
        router.send_multipart([ALICE.fingerprint, b"more", b"x"], envelope=2)
    with pytest.raises(SocketError, match="1 parts with an envelope of 1"):
        router.send_multipart([ALICE.fingerprint])


def test_router_of_which_one_association_demands_nothing_goes_by_routing_ids(net: Net) -> None:
    """If a peer could choose not to be identified, its routing id could be another's fingerprint."""
    net.keyring.add(Association.generate("open"))
    router = net.socket(zmq.ROUTER, identity=SECOND, receive=["orders", "open"])
    address = net.bind(router, "tcp")
    alice = dealer(net, address, ALICE, b"a place")
    alice.send(b"x")
    message = router.recv_message()
    assert message.envelope == (b"a place",) and message.origin.identity == ALICE.public
    router.send_multipart([b"a place", b"y"])
    assert alice.recv() == b"y"


# -- through chains of proxies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_proxies_between_req_and_rep_of_identities(net: Net, transport: str) -> None:
    rep = net.socket(zmq.REP, identity=SECOND)
    with Chain(net, "request", transport, net.bind(rep, transport)) as chain:
        clients = [net.socket(zmq.REQ, identity=one) for one in (ALICE, BOB)]
        for client in clients:
            client.connect(chain.front)
        for turn in range(3):
            for at, client in enumerate(clients):
                client.send(b"%d of %d" % (turn, at))
            for _ in clients:
                request = rep.recv_message()
                rep.send(b"re " + request.body[0])
            for at, client in enumerate(clients):
                reply = client.recv_message()
                assert reply.body == [b"re %d of %d" % (turn, at)] and reply.origin.identity == SECOND.public
        assert all(refusals(one) == {} for one in (*clients, rep))
        assert b"re 0 of 0" not in chain.seen()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_of_proxies_between_dealers_and_a_router_by_identity(net: Net, transport: str) -> None:
    router = net.socket(zmq.ROUTER, identity=SECOND)
    with Chain(net, "request", transport, net.bind(router, transport)) as chain:
        peers = {}
        for identity, parts in ((ALICE, [b"", b"hi"]), (BOB, [b"hi"])):
            peers[identity.fingerprint] = dealer(net, chain.front, identity)
            peers[identity.fingerprint].send_multipart(parts)
        for _ in peers:
            fingerprint, *rest = router.recv_multipart()
            assert rest == ([b"", b"hi"] if fingerprint == ALICE.fingerprint else [b"hi"])
        for fingerprint, peer in peers.items():
            for i in range(3):
                router.send_multipart([fingerprint, b"%d for you" % i])
            assert [peer.recv() for _ in range(3)] == [b"%d for you" % i for i in range(3)]
        assert all(refusals(one) == {} for one in (*peers.values(), router))
