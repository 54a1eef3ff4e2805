"""Established traffic and an honest handshake while 10^5 openings of strangers come to the same ROUTER.

    python -m bench.flood [--rounds N] [--size N] [--count N]

Four processes over ipc: the ROUTER, a DEALER that sends as fast as it can, the flood, and in its midst a newcomer. The
flood's senders know the fingerprint; each opening would cost the ROUTER a whole answer if it did not bound them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any

import zmq

import zmqsec
from zmqsec import limits
from zmqsec.cookie import mac1
from zmqsec.handshake import anyone
from zmqsec.handshake_frames import FrameHeader, Offer
from zmqsec.identity import Identity

SERVER, SENDER, NEWCOMER = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
GOAL, GOAL_SECONDS = 0.8, 1.0
_BATCH = 64


def opening() -> bytes:
    """What costs its sender least, and holds until somebody works for it."""
    header = FrameHeader(0, os.urandom(limits.HANDSHAKE_ID_BYTES), limits.OPENING, 0)
    covered = header.encode() + Offer(1, (1,), 0).encode() + os.urandom(32)
    return covered + mac1(SERVER.fingerprint, covered) + bytes(limits.MAC_BYTES)


def send(address: str, size: int) -> None:
    """Established traffic, until the process is ended."""
    with zmqsec.Context() as context:
        socket: Any = context.socket(zmq.DEALER, identity=SENDER, peer=SERVER.public)
        socket.connect(address)
        while True:
            socket.send_many([bytes(size)] * _BATCH)


def flood(address: str, count: int, ready: Event, go: Event) -> None:
    """All openings at once, over one connection."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(address)
        frames = [opening() for _ in range(count)]
        ready.set()
        go.wait()
        for frame in frames:
            socket.send(frame)


def greet(address: str, go: Event, seconds: Any) -> None:
    """A handshake in the midst of the flood, and how long it took."""
    with zmqsec.Context() as context:
        go.wait()
        time.sleep(0.1)
        socket: Any = context.socket(zmq.DEALER, identity=NEWCOMER, peer=SERVER.public)
        socket.connect(address)
        began = time.monotonic()
        socket.send(b"hello")
        seconds.value = time.monotonic() - began


def rate(router: Any, is_over: Callable[[], bool]) -> float:
    """Messages a second that the ROUTER opens until then."""
    began, opened = time.monotonic(), 0
    while not is_over():
        opened += len(router.recv_many(_BATCH))
    return opened / (time.monotonic() - began)


def one_round(size: int, count: int) -> tuple[float, float]:
    """The rate in the flood over that just before and after it, and the newcomer's seconds."""
    ready, go = multiprocessing.Event(), multiprocessing.Event()
    seconds = multiprocessing.Value("d", float("inf"))
    with tempfile.TemporaryDirectory() as folder, zmqsec.Context() as context:
        address = f"ipc://{Path(folder) / 'router'}"
        router: Any = context.socket(zmq.ROUTER, identity=SERVER, peer=anyone)
        router.bind(address)
        others = [
            multiprocessing.Process(target=target, args=arguments, daemon=True)
            for target, arguments in (
                (send, (address, size)),
                (flood, (address, count, ready, go)),
                (greet, (address, go, seconds)),
            )
        ]
        for other in others:
            other.start()
        rate(router, ready.is_set)

        def after(span: float) -> Callable[[], bool]:
            end = time.monotonic() + span
            return lambda: time.monotonic() > end

        before = rate(router, after(1.0))
        refused, give_up = router._state.pairs.responder.refused, after(30.0)
        go.set()
        during = rate(router, lambda: sum(refused.values()) > 0.98 * count or give_up())
        rate(router, after(0.5))  # the newcomer may need that
        later = rate(router, after(1.0))
        for other in others:
            other.kill()
            other.join()
    return during / ((before + later) / 2), seconds.value


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a message of the established traffic")
    parser.add_argument("--count", type=int, default=100_000, help="openings of the flood")
    options = parser.parse_args()
    found = [one_round(options.size, options.count) for _ in range(options.rounds)]
    share, seconds = median(one for one, _ in found), max(one for _, one in found)
    print(f"established traffic in the flood: {share:.2f} of its rate (goal {GOAL}), {sorted(one for one, _ in found)}")
    print(f"the slowest honest handshake: {seconds:.3f} s (goal {GOAL_SECONDS})")


if __name__ == "__main__":
    main()
