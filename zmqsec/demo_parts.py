"""The demonstration's processes: a key server, a plain relay, a sealed publisher, sealed subscribers (floor 13).

Each is ``python -m zmqsec.demo_parts ROLE``, told by JSON lines on its standard input what to do, and tells by JSON
lines on its standard output what it saw. Where its input ends, whoever started it is gone, and it ends too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import queue
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import zmq

from .association import Association
from .context import Context
from .identity import Identity
from .keyring import Keyring
from .socket import Socket

#: The name of the key, and of the group that it is for.
GROUP = "demo"
HELLO, CHUNK, END, SPARE = range(4)
HEAD = struct.Struct("<BQ")
FRAMES = struct.Struct("<I")
BATCH = 64
MAX_AHEAD = 4096
_TELL_EVERY = 0.05
_HELLO_EVERY = 0.02
_TICK_MS = 20
_PACE = 0.002

Orders = queue.SimpleQueue[dict[str, Any]]


def tell(event: str, **values: Any) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def _listen(orders: Orders) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def _taken(orders: Orders) -> dict[str, Any] | None:
    with contextlib.suppress(queue.Empty):
        return orders.get_nowait()
    return None


# -- relay -------------------------------------------------------------------------------------------------------------


def relay(config: dict[str, Any], orders: Orders) -> None:
    """A forwarder that anyone could have written with pyzmq alone, with a tap that writes down all that passes."""
    context: zmq.Context[Any] = zmq.Context()
    inside, outside = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    capture, tap = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    for socket in (inside, outside, capture, tap):
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
    tap.bind("inproc://tap")
    capture.connect("inproc://tap")
    inside.bind("tcp://127.0.0.1:*")
    outside.bind("tcp://127.0.0.1:*")
    endpoints = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (inside, outside)]
    threading.Thread(target=zmq.proxy, args=(inside, outside, capture), daemon=True).start()
    tell("ready", publish=endpoints[0], subscribe=endpoints[1])
    with open(config["capture"], "wb") as file:
        _tap(tap, file, orders)


def _tap(tap: zmq.Socket[Any], file: BinaryIO, orders: Orders) -> None:
    messages = size = 0
    told, stopping = 0.0, False
    while True:
        waiting = tap.poll(_TICK_MS)
        for _ in range(BATCH if waiting else 0):
            try:
                frames = tap.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            file.write(FRAMES.pack(len(frames)))
            for frame in frames:
                file.write(FRAMES.pack(len(frame)) + frame)
            if len(frames) > 1:
                messages += 1
                size += sum(map(len, frames))
        if time.monotonic() - told >= _TELL_EVERY:
            file.flush()
            tell("progress", messages=messages, bytes=size)
            told = time.monotonic()
        order = _taken(orders)
        stopping = stopping or (order is not None and order["do"] == "stop")
        if stopping and not waiting:
            return


# -- key server --------------------------------------------------------------------------------------------------------


def key_server(config: dict[str, Any], orders: Orders) -> None:
    """The key server of the realm that stands in a configuration."""
    from .keyserver.config import Config
    from .keyserver.server import Service

    service = Service(Config.load(Path(config["config"])))
    service.start()
    tell("ready", endpoint=service.endpoint)
    while service.alive:
        tell("progress", messages=sum(service.requests.values()), bytes=0, announced=service.announced)
        with contextlib.suppress(queue.Empty):
            if orders.get(timeout=_TELL_EVERY)["do"] == "stop":
                service.stop()
                return
    raise RuntimeError(f"the key server has ended: {service.failure}")


def _keyring(config: dict[str, Any]) -> Keyring:
    """The key of a file, or the keys that a key server gives to an identity."""
    if "key" in config:
        return Keyring([Association.load(config["key"])])
    return Keyring.from_server(
        config["server"], identity=Identity.load(config["identity"]), server=config["pinned"], groups=[GROUP]
    )


# -- publisher ---------------------------------------------------------------------------------------------------------


class Publisher:
    """Streams a file in numbered chunks: the first half slowly, to be watched, the second as fast as it goes.

    The slow half waits wherever it was told to; hellos go out meanwhile.
    """

    def __init__(self, config: dict[str, Any], orders: Orders) -> None:
        self._orders, self._watch = orders, float(config["watch"])
        self._path, self._size, self._chunk = config["file"], config["size"], config["chunk"]
        self._count = -(-self._size // self._chunk)
        self._topic = config["topic"].encode()
        self._keyring = _keyring(config)
        self._context = Context(keyring=self._keyring)
        self._socket: Socket = self._context.socket(zmq.PUB, association=GROUP)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.connect(config["endpoint"])
        self._credit = self._until = 0
        self._started = self._full = self._stop = False
        self._told = 0.0
        self.next = self.sent = self.bytes = 0

    def _send(self, records: list[tuple[int, int, bytes]]) -> None:
        self._socket.send_many([[self._topic, HEAD.pack(kind, number), data] for kind, number, data in records])
        self.sent += len(records)
        self.bytes += sum(len(data) for _, _, data in records)

    def _obey(self, wait: float = 0.0) -> None:
        until = time.monotonic() + wait
        while True:
            try:
                order = self._orders.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            verb = order["do"]
            self._started |= verb == "start"
            self._full |= verb == "full"
            self._stop |= verb == "stop"
            if verb == "until":
                self._until = max(self._until, order["chunk"])
            elif verb == "credit":
                self._credit = max(self._credit, order["chunks"])
            elif verb == "spare":
                self._spare()

    def _tell(self, force: bool = False) -> None:
        if force or time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            key = self._keyring.get(GROUP).spi
            tell("progress", messages=self.sent, bytes=self.bytes, chunks=self.next, key=key)

    def _spare(self) -> None:
        """One more sealed message that goes to nobody: for the experiments with it on the way."""
        from . import Session, seal_many
        from .message import Message

        message = Message(body=[HEAD.pack(SPARE, 0), b"delivered by someone else"], topic=self._topic)
        (sealed,) = seal_many([message], Session(self._keyring.get(GROUP)))
        tell("spare", sealed=bytes(sealed).hex())

    def _wait_for(self, flag: str) -> None:
        while not getattr(self, flag):
            self._send([(HELLO, 0, b"")])
            self._tell()
            self._obey(_HELLO_EVERY)

    def run(self) -> None:
        """Hellos until the subscribers are there, then the stream, then the experiments."""
        self._wait_for("_started")
        digest = hashlib.blake2b(digest_size=32)
        with open(self._path, "rb") as file:
            self._slowly(file, digest)
            self._wait_for("_full")
            tell("full", chunk=self.next, at=time.monotonic())
            self._fast(file, digest)
        self._send([(END, self._count, digest.digest())])
        self._tell(force=True)
        tell("sent", messages=self.sent, chunks=self.next, digest=digest.hexdigest())
        while not self._stop:
            self._obey(1.0)

    def _read(self, file: BinaryIO, most: int, digest: hashlib.blake2b) -> list[tuple[int, int, bytes]]:
        records: list[tuple[int, int, bytes]] = []
        while len(records) < most and self.next < self._count:
            data = file.read(min(self._chunk, self._size - self.next * self._chunk))
            digest.update(data)
            records.append((CHUNK, self.next, data))
            self.next += 1
        return records

    def _slowly(self, file: BinaryIO, digest: hashlib.blake2b) -> None:
        half, began, hello_at = self._count // 2, time.monotonic(), 0.0
        while self.next < half:
            now = time.monotonic()
            due = half if now - began >= self._watch else int(half * (now - began) / self._watch)
            if min(due, self._until) > self.next:
                self._send(self._read(file, min(BATCH, min(due, self._until) - self.next), digest))
            elif due > self.next and now >= hello_at:
                hello_at = now + _HELLO_EVERY
                self._send([(HELLO, 0, b"")])
            else:
                time.sleep(_PACE)
            self._tell()
            self._obey()

    def _fast(self, file: BinaryIO, digest: hashlib.blake2b) -> None:
        while self.next < self._count:
            if self.next - self._credit < MAX_AHEAD:
                self._send(self._read(file, BATCH, digest))
                self._obey()
            else:
                self._obey(_TELL_EVERY)
            self._tell()


def publisher(config: dict[str, Any], orders: Orders) -> None:
    """The sealed publisher."""
    Publisher(config, orders).run()


# -- subscribers -------------------------------------------------------------------------------------------------------


class Subscriber:
    """Opens what comes, and keeps the digest of the chunks, which must come without a gap."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._topic = config["topic"].encode()
        self._keyring = _keyring(config)
        self._context = Context(keyring=self._keyring)
        self._socket: Socket = self._context.socket(zmq.SUB, association=GROUP)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, self._topic)
        self._socket.connect(config["endpoint"])
        self._digest = hashlib.blake2b(digest_size=32)
        self.first: int | None = None
        self.count = self.bytes = self.hellos = self.spares = 0
        self.last_at = 0.0
        self.complaint = ""
        self.announced = ""
        self._told = 0.0

    def run(self, orders: Orders) -> None:
        """Receive and tell until told to stop."""
        while True:
            if self._socket.poll(_TICK_MS):
                with contextlib.suppress(zmq.Again):
                    for topic, head, data in self._socket.recv_many(BATCH, timeout=0, multipart=True):
                        self._take(topic, head, data)
            if time.monotonic() - self._told >= _TELL_EVERY:
                self._tell()
            order = _taken(orders)
            if order is not None and order["do"] == "keep":
                self._keyring.close()  # from now on nobody takes its keys away
            if order is not None and order["do"] == "stop":
                self._tell()
                return

    def _take(self, topic: bytes, head: bytes, data: bytes) -> None:
        kind, number = HEAD.unpack(head)
        if topic != self._topic:
            self.complaint = self.complaint or f"a message under the topic {topic!r}"
        if kind == HELLO:
            self.hellos += 1
        elif kind == SPARE:
            self.spares += 1
        elif kind == END:
            self.announced = data.hex()
        else:
            self._chunk(number, data)

    def _chunk(self, number: int, data: bytes) -> None:
        self.first = number if self.first is None else self.first
        if number != self.first + self.count:
            self.complaint = self.complaint or f"chunk {number} came where {self.first + self.count} was due"
        self.count += 1
        self.bytes += len(data)
        self._digest.update(data)
        self.last_at = time.monotonic()

    def _tell(self) -> None:
        self._told = time.monotonic()
        stats = self._socket.stats
        tell(
            "progress",
            messages=stats.opened,
            refused={str(reason): count for reason, count in stats.refused.items() if count},
            bytes=self.bytes,
            first=self.first,
            chunks=self.count,
            hellos=self.hellos,
            keys=[one.spi for one in self._keyring.opening(GROUP)],
            spares=self.spares,
            announced=self.announced,
            digest=self._digest.hexdigest(),
            complaint=self.complaint,
            last_at=self.last_at,
        )


def subscriber(config: dict[str, Any], orders: Orders) -> None:
    """A sealed subscriber, which connects when told to."""
    tell("loaded")
    while orders.get()["do"] != "join":
        pass
    Subscriber(config).run(orders)


ROLES = {"key server": key_server, "relay": relay, "publisher": publisher, "subscriber": subscriber}


def main(role: str) -> NoReturn:
    """Run one part to its end; an error goes to stderr as one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the process that started this one
    logging.getLogger("zmqsec").addHandler(logging.NullHandler())
    code = 0
    try:
        config = json.loads(sys.stdin.readline())
        orders: Orders = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(orders,), daemon=True).start()
        ROLES[role](config, orders)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
