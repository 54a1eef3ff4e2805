"""Frames without end: what the kernel has brought and no message came of is found, and laid to the right door."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import zmq
from service_helpers import RawPusher
from socket_helpers import TIMEOUT, eventually

from zmqsec.relay.hoard import Delivered, Hoard, read_of

A, B, C = ("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1)
MIB = 1 << 20


def push_from(context: zmq.Context[zmq.Socket[bytes]], source: str, port: int) -> zmq.Socket[bytes]:
    made = context.socket(zmq.PUSH)
    made.linger = 0
    made.connect(f"tcp://{source}:0;127.0.0.1:{port}")
    return made


def test_hoard_bytes_of_each_connection_are_what_it_has_sent() -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.rcvtimeo = TIMEOUT
        port = pull.bind_to_random_port("tcp://127.0.0.1")
        honest, rogue = push_from(context, "127.0.0.8", port), RawPusher("127.0.0.9", port)
        for _ in range(100):
            honest.send(bytes(1000))
        rogue.more(1000, 200)
        for _ in range(100):
            pull.recv()

        def sent() -> dict[str, int]:
            return {address: count for (address, _), count in read_of([port]).items()}

        found = eventually(lambda: (one := sent()).get("127.0.0.9", 0) > 200_000 and one)
        assert 100_000 < found["127.0.0.8"] < 102_000 and 200_000 < found["127.0.0.9"] < 204_000
        assert not pull.poll(50), "nothing of the unfinished message can be read"
        assert read_of([port + 1]) == {}
        hoard = Hoard()
        whole = {"127.0.0.8": Delivered(100, 100_000)}
        assert hoard.culprits(read_of([port]), whole, hwm=10, max_message=MIB) == {"127.0.0.9": found["127.0.0.9"]}
        honest.close()
        rogue.close()


@pytest.mark.parametrize(
    ("read", "delivered", "blamed"),
    (
        ({}, {}, set()),
        ({A: 65_535}, {}, set()),
        ({A: MIB}, {}, {"192.0.2.1"}),
        ({A: MIB, (A[0], 2): MIB}, {A[0]: Delivered(2000, 2 * MIB - 128_000)}, set()),
        ({A: MIB, B: 9 * MIB}, {}, {"192.0.2.2"}),
        ({A: 4 * MIB, B: 9 * MIB}, {}, {"192.0.2.1", "192.0.2.2"}),
        ({A: 9 * MIB, B: MIB}, {A[0]: Delivered(9000, 9 * MIB)}, {"192.0.2.2"}),
        ({A: 9 * MIB}, {A[0]: Delivered(10, 10_000)}, {"192.0.2.1"}),
        ({A: 9 * MIB}, {A[0]: Delivered(1, MIB)}, set()),  # more of its usual size may wait as whole messages
        ({A: 9 * MIB}, {A[0]: Delivered(refused=9)}, set()),  # its refusals are for the score to judge
        ({A: 9 * MIB, C: 100 * MIB}, {C[0]: Delivered(100, 100 * MIB)}, {"192.0.2.1"}),
    ),
)
def test_hoard_blames_whose_bytes_became_no_message(
    read: Mapping[tuple[str, int], int], delivered: Mapping[str, Delivered], blamed: set[str]
) -> None:
    assert set(Hoard().culprits(read, delivered, hwm=100, max_message=MIB)) == blamed


def test_hoard_counts_from_where_it_began() -> None:
    hoard = Hoard()
    hoard.begin({A: 50 * MIB, B: 50 * MIB})
    read = {A: 50 * MIB + 100, B: 52 * MIB, (A[0], 2): 1000}
    assert hoard.culprits(read, {}, hwm=100, max_message=MIB) == {"192.0.2.2": 2 * MIB}
