"""Loss, delay, disorder, doubling and damage at once, on real connections: each whole message opens once, no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from faults import Chain, Storm
from socket_helpers import Net, hear, refusals

import zmqsec.asyncio

SEEDS = (1, 2, 3)
LAST = b"the last one"


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


def count_of(net: Net) -> int:
    return 3000 if net.implementation.__name__ == "zmqsec._core" else 1000


def bodies(count: int) -> list[bytes]:
    """Of many lengths, so that every path of the receiver has its share."""
    return [b"%d:" % i + bytes(i * 37 % 701 if i % 100 else 9000) for i in range(count)]


def check(receiver: Any, storm: Storm, got: list[bytes], expected: list[bytes]) -> None:
    """Each message that went on whole came once, and whatever else arrived was refused and counted."""
    numbers = [int(body.split(b":")[0]) for body in got]
    assert sorted(numbers) == sorted(set(storm.whole) - {len(expected)})
    assert all(body == expected[number] for number, body in zip(numbers, got, strict=True))
    assert numbers != sorted(numbers), "the premise: they came in disorder"
    found = refusals(receiver)
    doubled = sum(storm.whole.values()) - len(storm.whole)
    assert sum(found.values()) == doubled + storm.altered and found["replayed"] >= doubled > 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
@pytest.mark.parametrize("call", ["one by one", "in batches"])
def test_storm_on_a_chain_of_hops_harms_no_whole_message(net: Net, seed: int, transport: str, call: str) -> None:
    expected = bodies(count_of(net))
    pull, push = net.socket(zmq.PULL), net.socket(zmq.PUSH)
    for one in (pull, push):
        one.set_hwm(0)
    with Chain(net, "push", transport, net.bind(pull, transport)) as chain:
        storm = chain.middle.fault = Storm(seed, len(expected))
        push.connect(chain.front)
        push.send_many([*expected, LAST])
        got: list[bytes] = []
        while LAST not in got:
            got += [pull.recv()] if call == "one by one" else pull.recv_many(100)
        assert got.pop() == LAST
        check(pull, storm, got, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_storm_on_the_way_to_subscribers_leaves_each_what_the_other_has(net: Net, seed: int) -> None:
    expected = bodies(count_of(net))
    pub = net.socket(zmq.PUB)
    subs = [net.socket(zmq.SUB) for _ in range(2)]
    pub.set_hwm(0)
    with Chain(net, "publish", "tcp", net.bind(subs[0], "tcp")) as chain:
        subs[1].bind(away := f"ipc://{net.folder}/second")
        chain.hops[2]._back.connect(away)
        for sub in subs:
            sub.set_hwm(0)
            sub.subscribe(b"")
        pub.connect(chain.front)
        hear(pub, *subs)
        storm = chain.middle.fault = Storm(seed, len(expected))
        pub.send_many([[b"topic", body] for body in (*expected, LAST)])
        for sub in subs:
            got: list[bytes] = []
            while LAST not in got:
                topic, body = sub.recv_multipart()
                assert topic == b"topic"
                got.append(body)
            assert got.pop() == LAST
            check(sub, storm, got, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_storm_of_questions_and_answers_is_asked_through(net: Net, seed: int) -> None:
    """Whoever asks again until the answer to this very question comes gets every one, each way through the storm."""
    count = 12
    req, rep = net.socket(zmq.REQ), net.socket(zmq.REP)
    req.set(zmq.REQ_RELAXED, 1)
    req.set(zmq.REQ_CORRELATE, 1)
    req.rcvtimeo, rep.rcvtimeo = 20, 5
    with Chain(net, "request", "tcp", net.bind(rep, "tcp")) as chain:
        chain.middle.fault, chain.middle.answer_fault = Storm(seed, 100_000), Storm(seed + 100, 100_000)
        req.connect(chain.front)
        answers: list[bytes] = []
        for i in range(count):
            for _ in range(200):
                req.send(b"%d" % i)
                try:
                    while True:
                        rep.send(b"answer to " + rep.recv())
                except zmq.Again:
                    pass
                try:
                    answers.append(req.recv())
                    break
                except zmq.Again:
                    continue
    assert answers == [b"answer to %d" % i for i in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_storm_before_a_receiver_of_coroutines_harms_no_whole_message(
    implementation: ModuleType, tmp_path: Path, seed: int
) -> None:
    async def receive(pull: Any) -> list[bytes]:
        got: list[bytes] = []
        while LAST not in got:
            got += await pull.recv_many(50)
        return got

    with Net(implementation, tmp_path, zmqsec.asyncio.Context) as net:
        expected = bodies(count_of(net))
        pull = net.socket(zmq.PULL)
        pull.set_hwm(0)
        with Chain(net, "push", "tcp", net.bind(pull, "tcp")) as chain:
            storm = chain.middle.fault = Storm(seed, len(expected))
            push = net.raw(zmq.PUSH)
            push.set_hwm(0)
            push.connect(chain.front)
            session = implementation.Session(net.key)
            for sealed in implementation.seal_many([*expected, LAST], session):
                push.send(sealed)
            got = asyncio.run(asyncio.wait_for(receive(pull), 20))
            assert got.pop() == LAST
            check(pull, storm, got, expected)
