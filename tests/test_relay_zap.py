"""The ZAP handler: blocked addresses and unknown CURVE keys get no connection, on real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq
from zmq.utils import z85

from zmqsec.relay.zap import ZapHandler

QUIET, TIMEOUT = 150, 5000


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as made:
        yield made


@pytest.fixture
def blocked() -> set[str]:
    return set()


@pytest.fixture
def handler(context: zmq.Context[zmq.Socket[bytes]], blocked: set[str]) -> Iterator[ZapHandler]:
    made = ZapHandler(context, blocked.__contains__)
    made.start()
    yield made
    made.stop()


def pull(context: zmq.Context[zmq.Socket[bytes]]) -> tuple[zmq.Socket[bytes], str]:
    socket = context.socket(zmq.PULL)
    socket.zap_domain = b"relay"
    return socket, f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


def push_from(source: str, endpoint: str) -> zmq.Socket[bytes]:
    """A stranger with a context and an address of his own."""
    socket = zmq.Context().socket(zmq.PUSH)
    socket.linger = 0
    socket.connect(endpoint.replace("tcp://", f"tcp://{source}:0;"))
    return socket


def ask(context: zmq.Context[zmq.Socket[bytes]], question: list[bytes]) -> list[bytes]:
    """As libzmq asks."""
    with context.socket(zmq.REQ) as asking:
        asking.connect("inproc://zeromq.zap.01")
        asking.send_multipart(question)
        return asking.recv_multipart()


def end(*sockets: zmq.Socket[bytes]) -> None:
    for socket in sockets:
        socket.close()
        socket.context.term()


def test_zap_denies_a_blocked_address_and_no_other(
    context: zmq.Context[zmq.Socket[bytes]], handler: ZapHandler, blocked: set[str]
) -> None:
    blocked.add("127.0.0.9")
    socket, endpoint = pull(context)
    rogue, honest = push_from("127.0.0.9", endpoint), push_from("127.0.0.8", endpoint)
    rogue.send(b"rogue")
    honest.send(b"honest")
    assert socket.poll(TIMEOUT) and socket.recv() == b"honest"
    assert not socket.poll(QUIET)
    assert handler.allowed == 1 and handler.denied >= 1
    end(rogue, honest)
    socket.close()


def test_zap_block_that_was_lifted_lets_connect_again(
    context: zmq.Context[zmq.Socket[bytes]], handler: ZapHandler, blocked: set[str]
) -> None:
    blocked.add("127.0.0.9")
    socket, endpoint = pull(context)
    rogue = push_from("127.0.0.9", endpoint)
    rogue.reconnect_ivl = 10
    assert not socket.poll(QUIET)
    blocked.clear()
    rogue.disconnect(rogue.last_endpoint)
    rogue.connect(endpoint.replace("tcp://", "tcp://127.0.0.9:0;"))
    rogue.send(b"again")
    assert socket.poll(TIMEOUT) and socket.recv() == b"again"
    end(rogue)
    socket.close()


def test_zap_with_curve_underneath_lets_known_keys_in(
    context: zmq.Context[zmq.Socket[bytes]], blocked: set[str]
) -> None:
    known, unknown, server = zmq.curve_keypair(), zmq.curve_keypair(), zmq.curve_keypair()
    handler = ZapHandler(context, blocked.__contains__, {z85.decode(known[0])})
    handler.start()
    socket = context.socket(zmq.PULL)
    socket.zap_domain, socket.curve_server, socket.curve_secretkey = b"relay", True, server[1]
    endpoint = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    sockets = []
    for public, secret in (unknown, known):
        one = zmq.Context().socket(zmq.PUSH)
        one.linger, one.curve_serverkey, one.curve_publickey, one.curve_secretkey = 0, server[0], public, secret
        one.connect(endpoint)
        one.send(public)
        sockets.append(one)
    assert socket.poll(TIMEOUT) and socket.recv() == known[0]
    assert not socket.poll(QUIET)
    end(*sockets)
    socket.close()
    handler.stop()


@pytest.mark.parametrize(
    "request_frames",
    (
        [],
        [b"1.0"],
        [b"2.0", b"1", b"relay", b"127.0.0.1", b"", b"NULL"],
        [b"1.0", b"1", b"relay", b"127.0.0.1", b"", b"PLAIN", b"name", b"word"],
        [b"1.0", b"1", b"relay", b"127.0.0.1", b"", b"CURVE"],
        [b"1.0", b"1", b"relay", b"127.0.0.9", b"", b"NULL"],
    ),
)
def test_zap_question_in_another_form_is_denied(
    context: zmq.Context[zmq.Socket[bytes]], handler: ZapHandler, blocked: set[str], request_frames: list[bytes]
) -> None:
    blocked.add("127.0.0.9")
    assert ask(context, request_frames or [b""])[2] == b"400"


def test_zap_list_that_cannot_be_asked_denies(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    def broken(address: str) -> bool:
        raise OSError("no database")

    handler = ZapHandler(context, broken)
    handler.start()
    assert ask(context, [b"1.0", b"7", b"relay", b"127.0.0.1", b"", b"NULL"])[1:3] == [b"7", b"400"]
    handler.stop()


def test_zap_second_handler_in_a_context_is_an_error(
    context: zmq.Context[zmq.Socket[bytes]], handler: ZapHandler
) -> None:
    with pytest.raises(zmq.ZMQError):
        ZapHandler(context, lambda address: False).start()
