"""A publisher, or four subscribers, of the multicast benchmark in a process of its own; see bench/peer.py."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import zmq

from .contenders import BATCH, BY_NAME, Contender
from .peer import answer

SUBSCRIBERS_HERE = 4


def publish(contender: Contender, endpoint: str, size: int, settings: dict[str, str]) -> None:
    socket = contender.open(zmq.XPUB, settings)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.bind(endpoint)
    answer(ready=socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0"))
    message, cpu = os.urandom(size), 0.0
    for line in sys.stdin:
        command, number = line.split()
        if command == "wait":
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
            for _ in range(int(number)):
                socket.recv()
            answer(subscribers=int(number))
            continue
        if command == "cpu":  # asked when every subscriber has everything: libzmq's threads have done their part
            answer(cpu=time.process_time() - cpu)
            continue
        cpu = time.process_time()
        contender.send(socket, message, int(number))
        answer(sent=int(number))


def drain(contender: Contender, socket: Any, most: int) -> int:
    """Take what is there, in the contender's own way."""
    if contender.batches:
        return len(socket.recv_many(min(BATCH, most), 0))
    taken = 0
    try:
        while taken < min(BATCH, most):
            socket.recv(zmq.NOBLOCK)
            taken += 1
    except zmq.Again:
        pass
    return taken


def subscribe(contender: Contender, endpoint: str, settings: dict[str, str]) -> None:
    sockets = []
    for _ in range(SUBSCRIBERS_HERE):
        socket = contender.open(zmq.SUB, settings)
        socket.connect(endpoint)
        socket.subscribe(b"")
        sockets.append(socket)
    answer(ready=endpoint)
    for line in sys.stdin:
        count = int(line.split()[1])
        poller = zmq.Poller()
        left = dict.fromkeys(sockets, count)
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        poller.poll()
        start = time.perf_counter()
        while left:
            for socket, _ in poller.poll():
                left[socket] -= drain(contender, socket, left[socket])
                if left[socket] == 0:
                    del left[socket]
                    poller.unregister(socket)
        answer(seconds=time.perf_counter() - start)


def main() -> None:
    role, name, endpoint, size = sys.argv[1:5]
    settings = {key: os.environ.get(key.upper(), "") for key in ("curve_public", "curve_secret")}
    if role == "pub":
        publish(BY_NAME[name], endpoint, int(size), settings)
    else:
        subscribe(BY_NAME[name], endpoint, settings)


if __name__ == "__main__":
    main()
