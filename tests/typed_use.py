"""What a user's type checker sees; `make lint` checks it, nothing runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import zmq

import zmqsec
import zmqsec.asyncio


def blocking(orders: zmqsec.Association, names: Sequence[str]) -> None:
    with zmqsec.Context(keyring=[orders]) as context, context.socket(zmq.PULL, association="orders") as pull:
        assert_type(context, zmqsec.Context)
        assert_type(pull, zmqsec.Socket)
        assert_type(pull.recv(), bytes)
        assert_type(pull.recv(zmq.NOBLOCK), bytes)
        assert_type(pull.recv(copy=False), memoryview)
        assert_type(pull.recv_multipart(), list[bytes])
        assert_type(pull.recv_multipart(copy=False), list[memoryview])
        assert_type(pull.recv_string(), str)
        assert_type(pull.recv_many(10, timeout=0.5), list[Any])
        assert_type(pull.recv_message(), zmqsec.Message)
        assert_type(pull.stats.refused, dict[str, int])
        assert_type(pull.send_many([b"x", [b"y", b"z"]], bundle=True), int)
        pull.send_message(body=[b"a", [b"b"]], metadata={"m": b"1"}, protect="authenticated")
        poller = zmqsec.Poller()
        poller.register(pull, zmq.POLLIN)
        plain: zmq.Socket[bytes] = pull
        plain.setsockopt(zmq.LINGER, 0)
    session, receiver = zmqsec.Session(orders), zmqsec.Receiver([orders], understood=names)
    for opened in zmqsec.open_many(zmqsec.seal_many([b"x"], session), receiver):
        if opened:
            assert_type(opened.sequence, int)


async def coroutines(context: zmqsec.asyncio.Context) -> None:
    pull = context.socket(zmq.PULL, association="orders")
    assert_type(pull, zmqsec.asyncio.Socket)
    assert_type(await pull.recv(), bytes)
    assert_type(await pull.recv_multipart(copy=False), list[memoryview])
    assert_type(await pull.recv_message(), zmqsec.Message)
    assert_type(await pull.send_many([b"x"]), int)
    assert_type(await pull.poll(100), int)
