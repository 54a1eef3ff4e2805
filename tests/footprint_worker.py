"""A process that moves messages through a pair of secured sockets and says what memory it took; see test_footprint.py.

python -m tests.footprint_worker WAY ENDPOINT MESSAGES SIZE
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import zmq

import zmqsec

BATCH = 64
Move = Callable[["zmqsec.Socket", "zmqsec.Socket", bytes], None]


def batches(push: zmqsec.Socket, pull: zmqsec.Socket, message: bytes) -> None:
    """Batches of 64."""
    push.send_many([message] * BATCH)
    taken = 0
    while taken < BATCH:
        taken += len(pull.recv_many(BATCH))


def single(push: zmqsec.Socket, pull: zmqsec.Socket, message: bytes) -> None:
    """One by one."""
    for _ in range(BATCH):
        push.send(message)
    for _ in range(BATCH):
        pull.recv()


def bundles(push: zmqsec.Socket, pull: zmqsec.Socket, message: bytes) -> None:
    """Bundles of 64."""
    push.send_many([message] * BATCH, bundle=True)
    pull.recv_many(BATCH)


def views(push: zmqsec.Socket, pull: zmqsec.Socket, message: bytes) -> None:
    """Batches whose messages are not copied out."""
    push.send_many([message] * BATCH)
    taken = 0
    while taken < BATCH:
        taken += len(pull.recv_many(BATCH, copy=False))


def identities(push: zmqsec.Socket, pull: zmqsec.Socket, message: bytes) -> None:
    """Each message of an identity that was never met, with a session of its own."""
    channel, binding = push._state.channel, push._state.binding
    assert channel is not None and binding is not None
    for _ in range(BATCH):
        me = zmqsec.Identity.generate()
        channel.use_session(push.context.implementation.Session(binding.sealing, identity=me, attest="message"))
        push.send(message)
    for _ in range(BATCH):
        assert pull.recv_message().origin is not None


WAYS: dict[str, Move] = {
    "batches": batches, "single": single, "bundles": bundles, "views": views, "identities": identities
}  # fmt: skip


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def allocations() -> int:
    """Calls of malloc so far, where the counter is preloaded."""
    try:
        return int(ctypes.c_size_t.in_dll(ctypes.CDLL(None), "malloc_calls").value)
    except ValueError:
        return 0


def main() -> None:
    way, endpoint, messages, size = WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    association = zmqsec.Association.generate("memory")
    with (
        zmqsec.Context(keyring=[association]) as context,
        context.socket(zmq.PULL, association="memory") as pull,
        context.socket(zmq.PUSH, association="memory") as push,
    ):
        pull.bind(endpoint)
        push.connect(str(pull.get(zmq.LAST_ENDPOINT).decode().rstrip("\0")))
        message = bytes(size)
        for _ in range(messages // BATCH // 4):  # until every pool and every window has its size
            way(push, pull, message)
        held, called = resident(), allocations()
        for _ in range(messages // BATCH):
            way(push, pull, message)
        called = allocations() - called
        print(json.dumps({"grown": resident() - held, "allocations": called, "opened": pull.stats.opened}))


if __name__ == "__main__":
    main()
