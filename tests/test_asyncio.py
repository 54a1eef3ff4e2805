"""Sockets whose calls are coroutines, over real connections, with ZeroMQ's edge-triggered descriptor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from socket_helpers import Net, refusals

import zmqsec
import zmqsec.asyncio

FOREVER = 20  # seconds, after which a test has stalled


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path, zmqsec.asyncio.Context) as made:
        yield made


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def in_time() -> Any:
        return await asyncio.wait_for(main, FOREVER)

    return asyncio.run(in_time())


def forged(net: Net) -> zmqsec.Association:
    """Another secret under the same SPI: what it seals is forged to the others."""
    return zmqsec.Association.from_secret(b"\x07" * 32, name="other", spi=net.key.spi)


@pytest.mark.parametrize("transport", ("tcp", "ipc", "inproc"))
def test_asyncio_every_call_moves_its_message(net: Net, transport: str) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, transport)
        await push.send(b"one")
        await push.send_multipart([b"two", b"parts"])
        await push.send_string("grüße")
        await push.send_json({"a": [1]})
        await push.send_pyobj((1, 2))
        await push.send_message(header=[b"h"], body=[b"x", [b"y"]], metadata={"m": b"1"})
        assert await push.send_many([b"%d" % i for i in range(100)]) == 100
        assert await push.send_many([b"a", b"b"], bundle=True) == 2
        assert await pull.recv() == b"one"
        assert await pull.recv_multipart() == [b"two", b"parts"]
        assert await pull.recv_string() == "grüße"
        assert await pull.recv_json() == {"a": [1]}
        assert await pull.recv_pyobj() == (1, 2)
        message = await pull.recv_message()
        assert (message.header, message.body, message.metadata) == ([b"h"], [b"x", [b"y"]], {"m": b"1"})
        taken: list[bytes] = []
        while len(taken) < 100:
            taken += await pull.recv_many(100 - len(taken))
        assert taken == [b"%d" % i for i in range(100)]
        assert [await pull.recv(), await pull.recv()] == [b"a", b"b"]
        assert await pull.recv_many(timeout=0) == []

    run(main())


@pytest.mark.parametrize("transport", ("tcp", "inproc"))
def test_asyncio_many_small_messages_never_stall(net: Net, transport: str) -> None:
    count = 20_000 if net.implementation.__name__ == "zmqsec._core" else 4_000

    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, transport)

        async def give() -> None:
            for i in range(count):
                await push.send(b"%d" % i)

        task = asyncio.ensure_future(give())
        for i in range(count):
            assert await pull.recv() == b"%d" % i
        await task

    run(main())


def test_asyncio_receivers_in_line_each_take_one(net: Net) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
        waiting = [asyncio.ensure_future(pull.recv()) for _ in range(50)]
        await asyncio.sleep(0.01)
        await push.send_many([b"%d" % i for i in range(50)])
        assert [await one for one in waiting] == [b"%d" % i for i in range(50)]

    run(main())


def test_asyncio_both_directions_of_one_socket_go_on_together(net: Net) -> None:
    async def main() -> None:
        dealer, router = net.pair(zmq.DEALER, zmq.ROUTER, "tcp")

        async def echo() -> None:
            for _ in range(500):
                await router.send_multipart(await router.recv_multipart())

        async def give() -> None:
            for i in range(500):
                await dealer.send(b"%d" % i)

        tasks = [asyncio.ensure_future(echo()), asyncio.ensure_future(give())]
        assert [await dealer.recv() for _ in range(500)] == [b"%d" % i for i in range(500)]
        await asyncio.gather(*tasks)

    run(main())


def test_asyncio_cancelled_receiver_loses_no_message(net: Net) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
        taken: list[bytes] = []

        async def give() -> None:
            for i in range(300):
                await push.send(b"%d" % i)
                await asyncio.sleep(0.0005)

        task = asyncio.ensure_future(give())
        while len(taken) < 300:
            receiving = asyncio.ensure_future(pull.recv())
            await asyncio.sleep(0.0007)
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                taken.append(await receiving)
        assert taken == [b"%d" % i for i in range(300)]
        await task

    run(main())


def test_asyncio_cancelled_receiver_wakes_the_next(net: Net) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
        first, second = asyncio.ensure_future(pull.recv()), asyncio.ensure_future(pull.recv())
        await asyncio.sleep(0.01)
        await push.send(b"for the second")
        first.cancel()
        assert await second == b"for the second" or first.result() == b"for the second"

    run(main())


def test_asyncio_close_wakes_those_who_wait(net: Net) -> None:
    async def main() -> None:
        pull = net.socket(zmq.PULL)
        net.bind(pull, "tcp")
        waiting = asyncio.ensure_future(pull.recv())
        await asyncio.sleep(0.01)
        pull.close(0)
        with pytest.raises(zmq.ZMQError) as caught:
            await waiting
        assert caught.value.errno == zmq.ENOTSOCK

    run(main())


def test_asyncio_receive_timeout_raises_again(net: Net) -> None:
    async def main() -> None:
        pull = net.socket(zmq.PULL)
        net.bind(pull, "tcp")
        pull.setsockopt(zmq.RCVTIMEO, 20)
        for call in (pull.recv, pull.recv_multipart, pull.recv_message):
            with pytest.raises(zmq.Again):
                await call()
        with pytest.raises(zmq.Again):
            await pull.recv(zmq.NOBLOCK)
        assert await pull.recv_many(timeout=0.02) == []
        assert await pull.poll(20) == 0

    run(main())


def test_asyncio_full_socket_waits_and_goes_on(net: Net) -> None:
    async def main() -> None:
        push, pull = net.socket(zmq.PUSH), net.socket(zmq.PULL)
        push.set_hwm(2)
        pull.set_hwm(2)
        net.join(push, pull, "inproc")
        messages = [b"%d" % i for i in range(200)]
        task = asyncio.ensure_future(push.send_many(messages))
        await asyncio.sleep(0.02)
        assert not task.done()
        assert [await pull.recv() for _ in range(200)] == messages
        assert await task == 200
        push.setsockopt(zmq.SNDTIMEO, 20)
        with pytest.raises(zmq.Again):
            for _ in range(100):
                await push.send(b"x")
        assert await push.send_many([b"x"] * 10) == 0

    run(main())


def test_asyncio_refused_messages_wake_nobody_and_stop_nobody(net: Net) -> None:
    async def main() -> None:
        pull = net.socket(zmq.PULL)
        address = net.bind(pull, "tcp")
        stranger, push = net.socket(zmq.PUSH, association=forged(net)), net.socket(zmq.PUSH)
        stranger.connect(address)
        waiting = asyncio.ensure_future(pull.recv())
        await stranger.send_many([b"bad"] * 2500)
        while refusals(pull) != {"forged": 2500}:
            await asyncio.sleep(0.005)
        assert not waiting.done()
        push.connect(address)
        await push.send(b"good")
        assert await waiting == b"good"

    run(main())


def test_asyncio_request_and_reply(net: Net) -> None:
    async def main() -> None:
        req, rep = net.pair(zmq.REQ, zmq.REP, "tcp")

        async def serve() -> None:
            for _ in range(50):
                await rep.send(b"re: " + await rep.recv())

        task = asyncio.ensure_future(serve())
        for i in range(50):
            await req.send(b"%d" % i)
            assert await req.recv() == b"re: %d" % i
        await task

    run(main())


def test_asyncio_poll_sees_what_waits(net: Net) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
        assert await push.poll(1000, zmq.POLLOUT) == zmq.POLLOUT
        await push.send_many([b"a", b"b", b"c"], bundle=True)
        assert await pull.poll(1000) == zmq.POLLIN
        assert await pull.recv() == b"a"
        assert await pull.poll(0) == zmq.POLLIN  # the bundle's others wait in the socket
        assert [await pull.recv(), await pull.recv()] == [b"b", b"c"]
        assert await pull.poll(0) == 0

    run(main())


def test_asyncio_publisher_reaches_its_subscriber(net: Net) -> None:
    async def main() -> None:
        pub, sub = net.socket(zmq.PUB), net.socket(zmq.SUB)
        sub.subscribe(b"t")
        sub.connect(net.bind(pub, "tcp"))
        hearing = asyncio.ensure_future(sub.recv_multipart())
        while not hearing.done():
            await pub.send_multipart([b"t", b"body"])
            await asyncio.sleep(0.001)
        assert await hearing == [b"t", b"body"]

    run(main())


def test_asyncio_flood_leaves_other_tasks_their_turn(net: Net) -> None:
    async def main() -> None:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, "inproc")
        push.set_hwm(0)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(tick())
        await push.send_many([b"x"] * 900)
        for _ in range(900):
            await pull.recv()
        task.cancel()
        assert ticks >= 10

    run(main())


def test_asyncio_socket_moves_to_another_loop(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")

    async def once(text: bytes) -> bytes:
        waiting = asyncio.ensure_future(pull.recv())
        await asyncio.sleep(0.005)
        await push.send(text)
        return bytes(await waiting)

    for text in (b"first loop", b"second loop"):
        assert run(once(text)) == text


def test_asyncio_and_ordinary_sockets_talk(net: Net) -> None:
    context = zmqsec.Context(keyring=net.keyring, _implementation=net.implementation)
    with context, context.socket(zmq.PUSH, association="orders") as push:
        pull = net.socket(zmq.PULL)
        push.connect(net.bind(pull, "tcp"))
        push.send(b"from another kind of socket")

        async def main() -> None:
            assert await pull.recv() == b"from another kind of socket"

        run(main())


@pytest.mark.parametrize(
    "call",
    (
        lambda pull: pull.recv(track=True),
        lambda pull: pull.recv_many(0),
    ),
)
def test_asyncio_mistakes_raise_at_once(net: Net, call: Callable[[Any], Any]) -> None:
    async def main() -> None:
        pull = net.socket(zmq.PULL)
        net.bind(pull, "tcp")
        with pytest.raises(zmqsec.SocketError):
            await call(pull)

    run(main())
