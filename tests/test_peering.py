"""Sockets that make their keys by handshakes: who talks to whom, new keys in mid-stream, lost peers, strangers."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import ALICE, BOB
from socket_helpers import TIMEOUT, Net, eventually, refusals

import zmqsec
import zmqsec.asyncio
from zmqsec import HandshakeError, Identity, SocketError, Trust, limits
from zmqsec.handshake import anyone
from zmqsec.lost import LostTokens

CAROL = Identity.from_seed(bytes(range(64, 96)))
MALLORY = Identity.from_seed(bytes(range(96, 128)))

#: New keys ten times a second, and old ones that go soon.
QUICK = {"rekey_after": 0.1, "reject_after": 0.4}


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


def opener(net: Net, kind: int = zmq.DEALER, peer: Any = BOB.public, identity: Identity = ALICE, **options: Any) -> Any:
    return net.socket(kind, association=None, identity=identity, peer=peer, **options)


def answerer(net: Net, kind: int = zmq.ROUTER, peer: Any = anyone, identity: Identity = BOB, **options: Any) -> Any:
    return net.socket(kind, association=None, identity=identity, peer=peer, **options)


class Echo:
    """A ROUTER or a REP in a thread that sends back what it gets."""

    def __init__(self, socket: Any) -> None:
        self.socket, self._on = socket, True
        self.seen: list[list[bytes]] = []
        socket.setsockopt(zmq.RCVTIMEO, 20)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._on:
            try:
                parts = self.socket.recv_multipart()
            except zmq.Again:
                continue
            self.seen.append(parts)
            self.socket.send_multipart(parts)

    def stop(self) -> None:
        self._on = False
        self._thread.join()


@pytest.fixture
def echo(net: Net) -> Iterator[Callable[[Any], Echo]]:
    made: list[Echo] = []

    def make(socket: Any) -> Echo:
        made.append(Echo(socket))
        return made[-1]

    yield make
    for one in made:
        one.stop()


# -- who talks to whom -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_dealer_and_router_make_their_keys_themselves(net: Net, echo: Any, transport: str) -> None:
    router, dealer = answerer(net), opener(net)
    dealer.connect(net.bind(router, transport))
    served = echo(router)
    for number in range(50):
        dealer.send(b"%d" % number)
    assert [dealer.recv() for _ in range(50)] == [b"%d" % number for number in range(50)]
    assert {parts[0] for parts in served.seen} == {ALICE.fingerprint}
    state = dealer.peer
    assert state.peer == BOB.public and state.established and state.alive and state.handshakes == 1
    assert refusals(dealer) == refusals(router) == {}


def test_origin_is_told_at_both_ends(net: Net) -> None:
    router, dealer = answerer(net), opener(net)
    dealer.connect(net.bind(router, "inproc"))
    sender = threading.Thread(target=lambda: dealer.send(b"who am I?"))
    sender.start()
    message = router.recv_message()
    sender.join()
    assert message.origin is not None and message.origin.fingerprint == ALICE.fingerprint and message.origin.trusted
    router.send_message(message.reply([b"you are Alice"]))
    answer = dealer.recv_message()
    assert answer.origin is not None and answer.origin.fingerprint == BOB.fingerprint
    assert list(answer.body) == [b"you are Alice"]


def test_rep_answers_many_reqs(net: Net, echo: Any) -> None:
    rep = answerer(net, zmq.REP)
    address = net.bind(rep, "tcp")
    echo(rep)
    reqs = [opener(net, zmq.REQ, identity=one) for one in (ALICE, CAROL, MALLORY)]
    for req in reqs:
        req.connect(address)
    for turn in range(20):
        for number, req in enumerate(reqs):
            req.send(b"%d of %d" % (turn, number))
        for number, req in enumerate(reqs):
            assert req.recv() == b"%d of %d" % (turn, number)


def test_router_sends_to_the_peer_that_it_names(net: Net) -> None:
    router = answerer(net)
    address = net.bind(router, "inproc")
    dealers = {one: opener(net, identity=one) for one in (ALICE, CAROL, MALLORY)}
    senders = []
    for dealer in dealers.values():
        dealer.connect(address)
        senders.append(threading.Thread(target=dealer.send, args=(b"here",)))
        senders[-1].start()
    for _ in dealers:
        assert router.recv_multipart()[1] == b"here"
    for sender in senders:
        sender.join()
    batch = [[one.fingerprint, b"%d" % number] for number in range(40) for one in dealers]
    assert router.send_many(batch) == 120
    for dealer in dealers.values():
        assert [dealer.recv() for _ in range(40)] == [b"%d" % number for number in range(40)]
        assert refusals(dealer) == {}
    bundled = [[one.fingerprint, b"%d" % number] for one in dealers for number in range(40)]
    assert router.send_many(bundled, bundle=True) == 120
    for dealer in dealers.values():
        assert [dealer.recv() for _ in range(40)] == [b"%d" % number for number in range(40)]
        assert dealer.stats.opened == 41


def test_sockets_of_one_identity_each_get_their_answers(net: Net, echo: Any) -> None:
    router = answerer(net)
    address = net.bind(router, "tcp")
    echo(router)
    dealers = [opener(net) for _ in range(4)]
    for turn in range(10):
        for number, dealer in enumerate(dealers):
            if turn == 0:
                dealer.connect(address)
            dealer.send(b"%d" % number)
            assert dealer.recv() == b"%d" % number


@pytest.mark.parametrize("kinds", [(zmq.DEALER, zmq.ROUTER), (zmq.REQ, zmq.REP)])
def test_handshake_goes_through_a_chain_of_plain_relays(net: Net, echo: Any, kinds: tuple[int, int]) -> None:
    near, far = net.relay(zmq.ROUTER, zmq.DEALER, tap=True), net.relay(zmq.ROUTER, zmq.DEALER)
    near.chain(far.front).start()
    far.start()
    server, client = answerer(net, kinds[1]), opener(net, kinds[0])
    server.connect(far.back)
    client.connect(near.front)
    served = echo(server)
    for number in range(5):
        client.send(b"secret %d" % number)
        assert client.recv() == b"secret %d" % number
    assert near.tap is not None and len(served.seen) == 5
    wire = b""
    while near.tap.poll(50):
        wire += b"".join(near.tap.recv_multipart())
    assert b"secret" not in wire and limits.MAGIC in wire


def test_asyncio_sockets_make_their_keys_themselves(implementation: ModuleType, tmp_path: Path) -> None:
    async def run(net: Net) -> None:
        router, dealer = answerer(net), opener(net)
        dealer.connect(net.bind(router, "tcp"))

        async def serve() -> None:
            for _ in range(20):
                await router.send_multipart(await router.recv_multipart())

        serving = asyncio.ensure_future(serve())
        for number in range(20):
            await dealer.send(b"%d" % number)
            assert await dealer.recv() == b"%d" % number
        await serving

    with Net(implementation, tmp_path, zmqsec.asyncio.Context) as net:
        asyncio.run(run(net))


# -- new keys ----------------------------------------------------------------------------------------------------------


def test_keys_change_in_mid_stream_and_nothing_is_lost_or_refused(
    net: Net, echo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAIR_OVERLAP_TIME", 0.3)
    router, dealer = answerer(net, handshake=QUICK), opener(net, handshake=QUICK)
    dealer.connect(net.bind(router, "tcp"))
    echo(router)
    sent = received = 0
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        dealer.send_many([b"%d" % (sent + i) for i in range(16)])
        sent += 16
        while received < sent:
            for data in dealer.recv_many(64, timeout=2):
                assert data == b"%d" % received
                received += 1
    assert dealer.peer.handshakes >= 8
    assert refusals(dealer) == refusals(router) == {}
    pairs = router._state.pairs
    held = [len(peer.held) for peer in pairs._peers.values()]
    assert len(held) == 1 and held[0] <= 8, "old pairs must go"
    assert len(dealer._state.binding.opening) <= 9


def test_keys_that_are_too_old_seal_no_more(net: Net, echo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAIR_OVERLAP_TIME", 0.1)
    times = {"rekey_after": 0.2, "reject_after": 0.4}
    router, dealer = answerer(net, handshake=times), opener(net, handshake=times)
    address = net.bind(router, "tcp")
    dealer.connect(address)
    served = echo(router)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    served.stop()
    router.unbind(address)  # from now on no handshake comes through
    eventually(lambda: not dealer.peer.established)
    dealer.setsockopt(zmq.SNDTIMEO, 100)
    with pytest.raises(zmq.Again):
        dealer.send(b"two")
    assert dealer._state.pairing.sending is None
    eventually(lambda: dealer._state.pairing.receiving == ())
    router.setsockopt(zmq.RCVTIMEO, 0)
    eventually(lambda: _forgot(router))
    assert len(router._state.pairs) == 0


def _forgot(router: Any) -> bool:
    with pytest.raises(zmq.Again):
        router.recv()
    return len(router._state.pairs) == 0


def test_messages_of_the_pair_before_are_opened_after_the_change(net: Net) -> None:
    """What is on its way while the keys change, longer than any handshake takes, is not lost."""
    router, dealer = answerer(net), opener(net, handshake={"rekey_after": 0.15})
    relay = net.relay(zmq.ROUTER, zmq.DEALER)
    relay.start()
    dealer.connect(relay.front)
    router.connect(relay.back)
    sender = threading.Thread(target=dealer.send, args=(b"first",))
    sender.start()
    assert router.recv_multipart()[1] == b"first"
    sender.join()
    dealer.send_many([b"%d" % number for number in range(100)])  # queued while nobody receives
    handshakes = dealer.peer.handshakes
    got = [router.recv_multipart()[1]]
    until = time.monotonic() + TIMEOUT / 1000
    while dealer.peer.handshakes < handshakes + 2 and time.monotonic() < until:
        if router.poll(10):
            got.append(router.recv_multipart()[1]) if len(got) < 100 else router.recv_many(1, timeout=0)
        else:
            router.recv_many(1, timeout=0)
    dealer.send(b"last")
    while b"last" not in got:
        got.append(router.recv_multipart()[1])
    assert [one for one in got if one != b"last"] == [b"%d" % number for number in range(100)]
    assert refusals(router) == {}


# -- peers that go -----------------------------------------------------------------------------------------------------


def test_router_that_starts_anew_is_found_again(net: Net, echo: Any) -> None:
    first, dealer = answerer(net), opener(net)
    address = net.bind(first, "tcp")
    dealer.connect(address)
    served = echo(first)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    served.stop()
    first.close(0)
    second = answerer(net)
    eventually(lambda: _bound(second, address))
    echo(second)
    dealer._state.pairing._born -= limits.REKEY_TIMEOUT  # which a test need not wait for

    def answered() -> bool:
        dealer.send(b"two")
        return b"two" in dealer.recv_many(8, timeout=0.1)

    eventually(answered)
    assert dealer.peer.handshakes == 2


def _bound(socket: Any, address: str) -> bool:
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        assert error.errno == zmq.EADDRINUSE  # of the one before, which closes in its own time
        return False
    return True


def test_router_that_starts_anew_behind_a_relay_says_that_it_lost_its_keys(net: Net, echo: Any) -> None:
    relay = net.relay(zmq.ROUTER, zmq.DEALER)
    relay.start()
    first, dealer = answerer(net), opener(net)
    dealer.connect(relay.front)
    first.connect(relay.back)
    served = echo(first)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    served.stop()
    first.close(0)
    second = answerer(net)
    second.connect(relay.back)
    echo(second)
    dealer._state.pairing._born -= limits.REKEY_TIMEOUT

    def answered() -> bool:
        dealer.send(b"two")
        return b"two" in dealer.recv_many(8, timeout=0.1)

    eventually(answered)
    assert dealer.peer.handshakes == 2
    assert refusals(second)["unknown-spi"] >= 1


def test_stranger_cannot_make_a_dealer_begin_again(net: Net, echo: Any) -> None:
    """A lost frame without the token, from whoever stands between, is nothing."""
    router, dealer = answerer(net), opener(net)
    dealer.connect(net.bind(router, "tcp"))
    echo(router)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    pairing = dealer._state.pairing
    spi = pairing.sending.spi
    forged = LostTokens(MALLORY).frame(spi, bytes(12))
    honest = LostTokens(BOB).frame(spi, bytes(12))
    pairing._born -= limits.REKEY_TIMEOUT
    assert not pairing.hint(forged) and pairing._due() > time.monotonic()
    assert pairing.hint(honest)
    eventually(lambda: dealer.peer.handshakes == 2)


def test_peer_that_says_nothing_is_asked_whether_it_is_there(net: Net) -> None:
    router, dealer = answerer(net), opener(net, handshake={"quiet_after": 0.2})
    address = net.bind(router, "tcp")
    dealer.connect(address)
    sender = threading.Thread(target=dealer.send, args=(b"one",))
    sender.start()
    assert router.recv_multipart()[1] == b"one"
    sender.join()
    assert dealer.peer.alive and dealer.peer.handshakes == 1
    dealer.send(b"two")  # to which no answer comes

    def serve() -> bool:
        router.recv_many(8, timeout=0)
        return bool(dealer.peer.handshakes >= 2)

    eventually(serve)


def test_peer_that_is_not_there_is_a_clear_error(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REKEY_ATTEMPT_TIME", 0.3)
    dealer = opener(net)
    dealer.connect("tcp://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(HandshakeError, match=r"no keys for .*: timeout: no answer within"):
        dealer.send(b"anyone?")
    assert time.monotonic() - began < 3
    assert dealer.peer.failure is not None and not dealer.peer.alive


def test_send_without_keys_waits_as_long_as_it_may_and_queues_nothing(net: Net, echo: Any) -> None:
    router, dealer = answerer(net), opener(net)
    address = net.bind(router, "tcp")
    dealer.connect(address)
    with pytest.raises(zmq.Again):
        dealer.send(b"lost", zmq.DONTWAIT)
    dealer.setsockopt(zmq.SNDTIMEO, 50)
    for _ in range(3):
        with pytest.raises(zmq.Again):
            dealer.send_many([b"lost"] * 1000)
    served = echo(router)
    dealer.setsockopt(zmq.SNDTIMEO, TIMEOUT)
    dealer.send(b"found")
    assert dealer.recv() == b"found"
    assert [parts[1] for parts in served.seen] == [b"found"]


# -- strangers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["one", "list", "trust", "function"])
def test_router_lets_in_whom_its_policy_permits(net: Net, echo: Any, policy: str) -> None:
    trust = Trust([ALICE.public])
    permitted = {
        "one": ALICE.public,
        "list": [ALICE.public, CAROL.public],
        "trust": trust,
        "function": lambda key, credential: None if key == ALICE.key else zmqsec.Refusal(zmqsec.Reason.NOT_PERMITTED),
    }[policy]
    router = answerer(net, peer=permitted)
    address = net.bind(router, "tcp")
    served = echo(router)
    alice, mallory = opener(net), opener(net, identity=MALLORY)
    for dealer in (alice, mallory):
        dealer.connect(address)
    alice.send(b"let me in")
    assert alice.recv() == b"let me in"
    mallory.setsockopt(zmq.SNDTIMEO, 300)
    with pytest.raises(zmq.Again):
        mallory.send(b"let me in")
    assert [parts[0] for parts in served.seen] == [ALICE.fingerprint]
    assert [one.fingerprint for one in router._state.pairs.peers] == [ALICE.fingerprint]
    assert router._state.pairs.responder.refused["not-permitted"] >= 1


def test_dealer_takes_no_other_peer_than_the_one_it_named(net: Net, echo: Any) -> None:
    impostor = answerer(net, identity=MALLORY)
    dealer = opener(net)
    dealer.connect(net.bind(impostor, "tcp"))
    echo(impostor)
    dealer.setsockopt(zmq.SNDTIMEO, 400)
    with pytest.raises(zmq.Again):
        dealer.send(b"for Bob")
    assert not dealer.peer.established and impostor.stats.opened == 0
    assert impostor._state.pairs.responder.refused["forged"] >= 1  # an opening that is not for this responder


def test_blocked_peer_is_cut_off_at_once(net: Net, echo: Any) -> None:
    net.trusting(ALICE)
    router, dealer = answerer(net, peer=net.keyring.trust), opener(net)
    dealer.connect(net.bind(router, "tcp"))
    echo(router)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    net.keyring.trust.block(ALICE.key)
    dealer.send(b"two")
    eventually(lambda: refusals(router).get("unknown-spi", 0) >= 1)
    assert len(router._state.pairs) == 0


def test_blocked_peer_is_cut_off_before_a_waiting_call_opens_what_wakes_it(net: Net) -> None:
    net.trusting(ALICE, CAROL)
    router, dealer = answerer(net, peer=net.keyring.trust), opener(net)
    address = net.bind(router, "tcp")
    dealer.connect(address)
    sender = threading.Thread(target=dealer.send, args=(b"one",))
    sender.start()
    assert router.recv_multipart()[1] == b"one"
    sender.join()
    router.setsockopt(zmq.RCVTIMEO, -1)
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(router.recv_many(1)))
    waiting.start()
    eventually(lambda: router._state.channel.is_used_elsewhere())
    net.keyring.trust.block(ALICE.key)
    dealer.send(b"two")
    eventually(lambda: refusals(router).get("unknown-spi", 0) >= 1)
    assert got == []
    carol = opener(net, identity=CAROL)
    carol.connect(address)
    carol.send(b"three")
    waiting.join()
    assert got == [[[CAROL.fingerprint, b"three"]]]


def test_dealer_seals_no_more_for_a_peer_that_is_blocked(net: Net, echo: Any) -> None:
    router, dealer = answerer(net), opener(net)
    dealer.connect(net.bind(router, "tcp"))
    echo(router)
    dealer.send(b"one")
    assert dealer.recv() == b"one"
    net.keyring.trust.block(BOB.key)
    with pytest.raises(HandshakeError, match=r"blocked: .*not permitted any more"):
        dealer.send(b"two")


def test_impostor_who_takes_over_a_routing_id_gets_nothing(net: Net) -> None:
    router = answerer(net)
    router.setsockopt(zmq.ROUTER_HANDOVER, 1)
    address = net.bind(router, "tcp")
    alice = opener(net)
    alice.setsockopt(zmq.ROUTING_ID, b"alice")
    alice.connect(address)
    sender = threading.Thread(target=alice.send, args=(b"hello",))
    sender.start()
    assert router.recv_multipart() == [ALICE.fingerprint, b"hello"]
    sender.join()
    impostor = net.raw(zmq.DEALER)
    impostor.setsockopt(zmq.ROUTING_ID, b"alice")
    impostor.connect(address)
    impostor.send(b"x" * 60)
    eventually(lambda: _skips(router))
    router.send_multipart([ALICE.fingerprint, b"for Alice alone"])
    stolen = impostor.recv_multipart()
    assert b"for Alice alone" not in b"".join(stolen)


def _skips(router: Any) -> bool:
    assert router.recv_many(1, timeout=0.05) == []
    return refusals(router).get("malformed", 0) >= 1


def test_plain_and_shared_key_messages_are_refused(net: Net) -> None:
    router = answerer(net)
    address = net.bind(router, "tcp")
    shared, plain = net.socket(zmq.DEALER), net.raw(zmq.DEALER)
    for one in (shared, plain):
        one.connect(address)
    shared.send(b"sealed with a shared key")
    plain.send(b"plain")

    def both() -> bool:
        assert router.recv_many(4, timeout=0.05) == []
        return refusals(router) == {"unknown-spi": 1, "malformed": 1}

    eventually(both)


# -- life and mistakes -------------------------------------------------------------------------------------------------


def test_context_ends_while_handshakes_are_under_way(implementation: ModuleType) -> None:
    context = zmqsec.Context(_implementation=implementation)
    dealer = context.socket(zmq.DEALER, identity=ALICE, peer=BOB.public)
    dealer.connect("tcp://127.0.0.1:9")
    assert dealer.poll(10) == 0
    dealer.close(0)
    context.term()
    assert not any(thread.name == "zmqsec-handshake" for thread in threading.enumerate())


def test_socket_that_is_forgotten_takes_its_handshakes_along(net: Net) -> None:
    dealer = net.context.socket(zmq.DEALER, identity=ALICE, peer=BOB.public)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.connect("tcp://127.0.0.1:9")
    assert dealer.poll(10) == 0
    lines = net.context.handshaker._lines
    assert len(lines) == 1
    dealer.close()
    del dealer
    gc.collect()
    eventually(lambda: len(lines) == 0)


@pytest.mark.parametrize(
    ("kind", "options", "fault"),
    [
        (zmq.PUB, {"peer": anyone}, "peer= with PUB: DEALER and REQ open handshakes"),
        (zmq.DEALER, {"peer": BOB.public, "identity": None}, "needs identity=, an Identity of one's own"),
        (zmq.DEALER, {"peer": BOB.public, "identity": ALICE.public}, "and not PublicIdentity"),
        (zmq.DEALER, {"peer": "bob"}, "peer='bob': a public identity, a list of them"),
        (zmq.DEALER, {"peer": []}, r"peer=\[\]: a public identity"),
        (zmq.DEALER, {"peer": BOB.public, "association": "orders"}, "association= and receive= are for shared ones"),
        (zmq.DEALER, {"handshake": {}}, "need association=, the one to seal with, or peer="),
    ],
)
def test_peering_with_wrong_arguments_says_what_is_allowed(
    net: Net, kind: int, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(SocketError, match=fault):
        net.context.socket(kind, **{"identity": ALICE, **options})


def test_dealer_with_a_peer_does_not_bind(net: Net) -> None:
    with pytest.raises(SocketError, match="opens handshakes, so it connects"):
        opener(net).bind("inproc://here")


def test_hybrid_mode_is_mixed_in_and_can_be_demanded(net: Net, echo: Any) -> None:
    router = answerer(net, handshake={"hybrid": "off"})
    address = net.bind(router, "tcp")
    echo(router)
    willing, strict = opener(net), opener(net, handshake={"hybrid": "required"}, identity=CAROL)
    for dealer in (willing, strict):
        dealer.connect(address)
    willing.send(b"one")
    assert willing.recv() == b"one" and not willing.peer.hybrid
    with pytest.raises(HandshakeError, match="hybrid: the hybrid mode is required here"):
        strict.send(b"one")
    both = answerer(net)
    dealer = opener(net)
    dealer.connect(net.bind(both, "tcp"))
    echo(both)
    dealer.send(b"one")
    assert dealer.recv() == b"one" and dealer.peer.hybrid
