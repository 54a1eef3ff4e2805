"""The contenders of the PUSH to PULL benchmark: how each opens its sockets, sends `count` messages and receives them.

A contender is fair game only if a user would write it so: its best ordinary loop, nothing held back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

import zmqsec
from zmqsec import _core, reference

SECRET = bytes(range(32))
BATCH = 64
BUNDLE = 256
HWM = 10_000
# A fixed pair for the benchmark only: CURVE needs both ends to know the server's key.
CURVE_PUBLIC, CURVE_SECRET = zmq.curve_keypair() if zmq.has("curve") else (b"", b"")

Send = Callable[[Any, bytes, int], None]
Receive = Callable[[Any, int], None]
Open = Callable[[int, dict[str, str]], Any]


@dataclass(frozen=True)
class Contender:
    """One way to move messages: `open(type, settings)` gives a socket, `send` and `receive` move `count` messages."""

    name: str
    title: str
    open: Open
    send: Send
    receive: Receive
    slow: bool = False
    batches: bool = False  # receives by recv_many
    native: str = ""  # "plain" or "curve": a C program instead, bench/cpeer.c


def _association() -> zmqsec.Association:
    return zmqsec.Association.from_secret(SECRET, name="bench")


def _limits(socket: Any) -> Any:
    socket.setsockopt(zmq.SNDHWM, HWM)
    socket.setsockopt(zmq.RCVHWM, HWM)
    socket.setsockopt(zmq.LINGER, 0)
    return socket


def open_plain(kind: int, settings: dict[str, str]) -> Any:
    return _limits(zmq.Context().socket(kind))


def open_curve(kind: int, settings: dict[str, str]) -> Any:
    socket = open_plain(kind, settings)
    public, secret = settings["curve_public"].encode(), settings["curve_secret"].encode()
    if kind in (zmq.PULL, zmq.XPUB):
        socket.curve_server = True
        socket.curve_secretkey = secret
    else:
        socket.curve_serverkey = public
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    return socket


def open_sealed(kind: int, settings: dict[str, str]) -> Any:
    return _limits(zmqsec.Context(_implementation=_core).socket(kind, association=_association()))


def open_reference(kind: int, settings: dict[str, str]) -> Any:
    return _limits(zmqsec.Context(_implementation=reference).socket(kind, association=_association()))


def send_each(socket: Any, message: bytes, count: int) -> None:
    send = socket.send
    for _ in range(count):
        send(message)


def receive_each(socket: Any, count: int) -> None:
    receive = socket.recv
    for _ in range(count):
        receive()


def send_batches(socket: Any, message: bytes, count: int) -> None:
    batch = [message] * BATCH
    for _ in range(count // BATCH):
        socket.send_many(batch)


def receive_batches(socket: Any, count: int) -> None:
    taken = 0
    while taken < count:
        taken += len(socket.recv_many(BATCH))


def send_bundles(socket: Any, message: bytes, count: int) -> None:
    batch = [message] * BUNDLE
    for _ in range(count // BUNDLE):
        socket.send_many(batch, bundle=True)


def receive_bundles(socket: Any, count: int) -> None:
    taken = 0
    while taken < count:
        taken += len(socket.recv_many(BUNDLE))


def send_pysodium(socket: Any, message: bytes, count: int) -> None:
    """The loop that a user writes with pysodium and pyzmq: a random session, a counter, one call a message."""
    import pysodium

    session = os.urandom(16)
    seal, send = pysodium.crypto_aead_xchacha20poly1305_ietf_encrypt, socket.send
    for sequence in range(count):
        nonce = session + sequence.to_bytes(8, "little")
        send(nonce + seal(message, nonce, nonce, SECRET))


def receive_pysodium(socket: Any, count: int) -> None:
    import pysodium

    unseal, receive = pysodium.crypto_aead_xchacha20poly1305_ietf_decrypt, socket.recv
    for _ in range(count):
        frame = receive()
        unseal(frame[24:], frame[:24], frame[:24], SECRET)


CONTENDERS = (
    Contender("c-plain", "libzmq in C, plaintext", open_plain, send_each, receive_each, native="plain"),
    Contender("c-curve", "libzmq in C, CURVE", open_curve, send_each, receive_each, native="curve"),
    Contender("plain", "pyzmq, plaintext loop", open_plain, send_each, receive_each),
    Contender("curve", "pyzmq, CURVE", open_curve, send_each, receive_each),
    Contender("pysodium", "pysodium + pyzmq by hand", open_plain, send_pysodium, receive_pysodium, slow=True),
    Contender("reference", "zmqsec in pure Python", open_reference, send_each, receive_each, slow=True),
    Contender("single", "zmqsec, one by one", open_sealed, send_each, receive_each),
    Contender("batch", f"zmqsec, batches of {BATCH}", open_sealed, send_batches, receive_batches, batches=True),
    Contender("bundle", f"zmqsec, bundles of {BUNDLE}", open_sealed, send_bundles, receive_bundles, batches=True),
)
# Of the multicast benchmark: the others add nothing there.
MULTICAST = ("plain", "curve", "single", "batch")
BY_NAME = {contender.name: contender for contender in CONTENDERS}
