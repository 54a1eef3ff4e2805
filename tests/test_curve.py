"""CURVE and ZAP underneath sealed messages: connections are encrypted and turned away, messages sealed all the same."""

from __future__ import annotations

import select
import socket as plain_sockets
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import ALICE, SECOND
from service_helpers import free_port, running
from socket_helpers import Net, eventually, nothing_comes, refusals
from zmq.auth import create_certificates, load_certificate
from zmq.auth.thread import ThreadAuthenticator

from zmqsec import Association
from zmqsec.relay.blocks import BlockStore, Entry

SECRET_TEXT, CLEAR_TEXT = b"what the body says", b"what a header part says"
HONEST, ROGUE = "127.0.0.8", "127.0.0.9"


class Wire:
    """Forwards TCP connections to a port, and keeps every byte that passes."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._listener = plain_sockets.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen = b""
        self._peers: dict[plain_sockets.socket, plain_sockets.socket] = {}
        self._stopped, self._stop = plain_sockets.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._stopped, self._listener, *self._peers], [], [])
            for one in ready:
                if one is self._stopped:
                    return
                if one is self._listener:
                    near, far = one.accept()[0], plain_sockets.create_connection(self._target)
                    self._peers.update({near: far, far: near})
                elif one in self._peers:
                    self._pass(one)

    def _pass(self, one: plain_sockets.socket) -> None:
        try:
            data = one.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.seen += data
        if data:
            self._peers[one].sendall(data)
            return
        other = self._peers.pop(one)
        del self._peers[other]
        one.close()
        other.close()

    def stop(self) -> None:
        self._stop.send(b".")
        self._thread.join()
        for one in (self._listener, self._stop, self._stopped, *self._peers):
            one.close()


class Gate:
    """A network whose receiver is behind CURVE, with a ZAP handler that knows one client's key."""

    def __init__(self, net: Net, folder: Path) -> None:
        self.net = net
        for name in ("server", "clients", "strangers"):
            (folder / name).mkdir()
        self.server = load_certificate(create_certificates(folder / "server", "server")[1])
        self.client = load_certificate(create_certificates(folder / "clients", "client")[1])
        self.stranger = load_certificate(create_certificates(folder / "strangers", "stranger")[1])
        self.zap = ThreadAuthenticator(net.context)  # makes plain sockets of its own in the secured context
        self.zap.start()
        self.zap.configure_curve(domain="public", location=str(folder / "clients"))
        self.zap.deny(ROGUE)

    def receiver(self, kind: int = zmq.PULL, **options: Any) -> tuple[Any, str]:
        made = self.net.socket(kind, **options)
        made.curve_server, made.curve_secretkey = True, self.server[1]
        made.zap_domain = b"public"
        return made, self.net.bind(made, "tcp")

    def join(self, made: Any, address: str, keys: Any, source: str = HONEST) -> Any:
        made.curve_serverkey = self.server[0]
        made.curve_publickey, made.curve_secretkey = keys
        made.connect(address.replace("tcp://", f"tcp://{source}:0;"))
        return made

    def turn_away(self, made: Any, address: str, keys: Any, source: str = HONEST) -> None:
        """Connect to no avail: returns once libzmq has said that it was the authentication that failed."""
        monitor = made.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.join(made, address, keys, source).send(b"let me in")
        assert monitor.poll(4000)
        event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
        assert event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        made.disable_monitor()
        monitor.close(0)


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, attestation="required") as made:
        yield made.trusting(ALICE, SECOND)


@pytest.fixture
def gate(net: Net, tmp_path: Path) -> Iterator[Gate]:
    made = Gate(net, tmp_path)
    yield made
    made.zap.stop()


def test_curve_hides_on_the_wire_what_a_sealed_part_leaves_readable(net: Net, gate: Gate) -> None:
    """A sealed part's head and header parts are in clear for each relay; with CURVE they are for nobody on the wire."""
    seen = {}
    for with_curve in (False, True):
        if with_curve:
            pull, address = gate.receiver()
        else:
            pull = net.socket(zmq.PULL)
            address = net.bind(pull, "tcp")
        wire = Wire(address)
        push = net.socket(zmq.PUSH, identity=ALICE)
        if with_curve:
            push.curve_serverkey = gate.server[0]
            push.curve_publickey, push.curve_secretkey = gate.client
        push.connect(wire.address)
        push.send_message(header=[CLEAR_TEXT], body=[SECRET_TEXT])
        message = pull.recv_message()
        assert (message.header, message.body) == ([CLEAR_TEXT], [SECRET_TEXT])
        assert message.origin.identity == ALICE.public and refusals(pull) == {}
        push.close()
        pull.close()
        wire.stop()
        seen[with_curve] = wire.seen
    assert CLEAR_TEXT in seen[False] and b"\x00ZS\x01" in seen[False] and SECRET_TEXT not in seen[False]
    assert all(one not in seen[True] for one in (CLEAR_TEXT, b"\x00ZS\x01", SECRET_TEXT))


def test_curve_with_zap_turns_away_a_member_whose_key_or_address_is_denied(net: Net, gate: Gate) -> None:
    """Each holds the association's key and a trusted identity, so that it is ZAP alone that keeps them out."""
    pull, address = gate.receiver()
    gate.turn_away(net.socket(zmq.PUSH, identity=SECOND), address, gate.stranger)
    gate.turn_away(net.socket(zmq.PUSH, identity=SECOND), address, gate.client, ROGUE)
    honest = gate.join(net.socket(zmq.PUSH, identity=ALICE), address, gate.client)
    honest.send_many([b"%d" % i for i in range(100)])
    assert [pull.recv() for _ in range(100)] == [b"%d" % i for i in range(100)]
    assert nothing_comes(pull) and refusals(pull) == {} and pull.stats.opened == 100


def test_curve_server_takes_nothing_in_clear(net: Net, gate: Gate) -> None:
    """A member without CURVE, at an allowed address, has no connection either."""
    pull, address = gate.receiver()
    push = net.socket(zmq.PUSH, identity=ALICE)
    push.connect(address)
    push.send(b"in clear")
    assert nothing_comes(pull, 300)
    gate.join(net.socket(zmq.PUSH, identity=ALICE), address, gate.client).send(b"encrypted")
    assert pull.recv() == b"encrypted" and refusals(pull) == {}


def test_curve_connection_that_is_let_in_is_no_member(net: Net, gate: Gate) -> None:
    """The other way round: whoever may connect still needs the association's key, and an identity that is trusted."""
    pull, address = gate.receiver()
    raw = gate.join(net.raw(zmq.PUSH), address, gate.client)
    raw.send(b"no sealed part, as long as one that is")
    elsewhere = Association.generate("other")
    other = gate.join(net.socket(zmq.PUSH, association=elsewhere, identity=ALICE), address, gate.client)
    other.send(b"of another association")
    unsigned = gate.join(net.socket(zmq.PUSH), address, gate.client)
    unsigned.send(b"of nobody")
    expected = {"malformed": 1, "unknown-spi": 1, "unattested": 1}
    eventually(lambda: (nothing_comes(pull, 10), refusals(pull) == expected)[1])


@pytest.mark.parametrize("kinds", [(zmq.REQ, zmq.REP), (zmq.DEALER, zmq.ROUTER)])
def test_curve_carries_requests_and_replies(net: Net, gate: Gate, kinds: tuple[int, int]) -> None:
    server, address = gate.receiver(kinds[1], identity=SECOND)
    client = gate.join(net.socket(kinds[0], identity=ALICE), address, gate.client)
    for text in (b"one", b"two"):
        asked = client.send_message(body=[text])
        if kinds[1] == zmq.REP:
            server.send(b"re " + server.recv())
        else:
            request = server.recv_message()
            assert request.envelope == (ALICE.fingerprint,)
            server.send_message(request.reply([b"re " + request.body[0]]))
        reply = client.recv_message()
        assert (reply.body, reply.reply_to) == ([b"re " + text], asked)
    assert refusals(client) == refusals(server) == {}


def test_curve_under_publishing_reaches_subscribers_that_are_let_in(net: Net, gate: Gate) -> None:
    pub, address = gate.receiver(zmq.PUB, identity=ALICE)
    sub = gate.join(net.socket(zmq.SUB), address, gate.client)
    shut_out = gate.join(net.socket(zmq.SUB), address, gate.stranger)
    for one in (sub, shut_out):
        one.subscribe(b"weather.")
    eventually(lambda: pub.send_multipart([b"weather.oslo", b"sun"]) or sub.recv_many(1, timeout=0.02))
    assert nothing_comes(shut_out, 200) and refusals(shut_out) == refusals(sub) == {}


def test_curve_in_front_of_and_behind_a_relay_with_blocked_addresses(net: Net, gate: Gate, tmp_path: Path) -> None:
    """A relay of its own process: two connections that are encrypted, and one message that is sealed through both."""
    front, back = free_port(), free_port()
    (tmp_path / "relay.toml").write_text(
        f'[relay]\nname = "edge"\nblocks = "sqlite:///{tmp_path}/blocks.db"\n'
        '[[leg]]\nname = "in"\npattern = "push-pull"\n'
        f'front = {{ bind = "tcp://127.0.0.1:{front}", curve = "server/server.key_secret" }}\n'
        f'back = {{ bind = "tcp://127.0.0.1:{back}", curve = "server/server.key_secret" }}\n'
    )
    store = BlockStore(f"sqlite:///{tmp_path}/blocks.db")
    store.put(Entry("address", ROGUE))
    store.close()
    pull = gate.join(net.socket(zmq.PULL), f"tcp://127.0.0.1:{back}", gate.client)
    with running(tmp_path / "relay.toml"):
        gate.turn_away(net.socket(zmq.PUSH, identity=SECOND), f"tcp://127.0.0.1:{front}", gate.client, ROGUE)
        push = gate.join(net.socket(zmq.PUSH, identity=ALICE), f"tcp://127.0.0.1:{front}", gate.client)
        push.send_many([b"%d" % i for i in range(100)])
        assert [pull.recv() for _ in range(100)] == [b"%d" % i for i in range(100)]
        assert nothing_comes(pull) and refusals(pull) == {}
