"""A small network for the tests of sockets: secured and plain sockets, addresses, relays."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import zmq

import zmqsec

TIMEOUT = 4000  # milliseconds: far more than any test needs
TRANSPORTS = ("tcp", "ipc", "inproc")
_numbers = itertools.count()


class Net:
    """Contexts, sockets and relays that all go when the test ends."""

    def __init__(
        self, implementation: ModuleType, folder: Path, context_class: Any = zmqsec.Context, **policy: Any
    ) -> None:
        self.folder = folder
        self.key = zmqsec.Association.generate("orders", **policy)
        self.keyring = zmqsec.Keyring([self.key])
        self.context = context_class(keyring=self.keyring, _implementation=implementation)
        self.implementation = implementation
        self._sockets: list[zmq.Socket[Any]] = []
        self._relays: list[Relay] = []

    def __enter__(self) -> Net:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for relay in self._relays:
            relay.stop()
        for socket in self._sockets:
            socket.close(0)
        self.context.destroy(0)

    def trusting(self, *identities: zmqsec.Identity) -> Net:
        """This network, whose members trust these identities to send and to receive."""
        for one in identities:
            self.keyring.trust.pin(one.public)
        return self

    def _tracked(self, socket: Any) -> Any:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, TIMEOUT)
        socket.setsockopt(zmq.SNDTIMEO, TIMEOUT)
        self._sockets.append(socket)
        return socket

    def socket(self, kind: int, **options: Any) -> Any:
        """A secured socket of the association "orders", unless the options say otherwise."""
        options.setdefault("association", "orders")
        return self._tracked(self.context.socket(kind, **options))

    def raw(self, kind: int) -> Any:
        """A plain socket in the same context."""
        return self._tracked(self.context.socket(kind, zmq.Socket))

    def bind(self, socket: Any, transport: str) -> str:
        """Bind at a new address and return it."""
        if transport == "tcp":
            socket.bind("tcp://127.0.0.1:*")
            return str(socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
        address = f"ipc://{self.folder}/{next(_numbers)}" if transport == "ipc" else f"inproc://net-{next(_numbers)}"
        socket.bind(address)
        return address

    def join(self, first: Any, second: Any, transport: str = "inproc") -> None:
        """Connect `first` to `second`; a PUB waits until its SUB, subscribed to all, hears it."""
        first.connect(self.bind(second, transport))
        publisher, subscriber = (second, first) if first.type in (zmq.SUB, zmq.XSUB) else (first, second)
        if publisher.type == zmq.PUB and subscriber.type == zmq.SUB:
            subscriber.subscribe(b"")
            hear(publisher, subscriber)

    def pair(self, sender: int, receiver: int, transport: str = "inproc", **options: Any) -> tuple[Any, Any]:
        """Two connected secured sockets; the options are the receiver's."""
        first, second = self.socket(sender), self.socket(receiver, **options)
        self.join(first, second, transport)
        return first, second

    def fan(self, subscribers: int) -> tuple[Any, list[Any]]:
        """A secured PUB over inproc, and SUBs that are subscribed to all and hear it."""
        publisher = self.socket(zmq.PUB)
        address = self.bind(publisher, "inproc")
        made = [self.socket(zmq.SUB) for _ in range(subscribers)]
        for one in made:
            one.subscribe(b"")
            one.connect(address)
        hear(publisher, *made)
        return publisher, made

    def relay(self, frontend: int, backend: int, tap: bool = False) -> Relay:
        """A plain zmq.proxy in a thread, over tcp."""
        relay = Relay(frontend, backend, tap)
        self._relays.append(relay)
        return relay


def hear(publisher: Any, *subscribers: Any) -> None:
    """Publish until every subscriber hears, then let them forget it."""
    until = time.monotonic() + TIMEOUT / 1000
    deaf = list(subscribers)
    while deaf and time.monotonic() < until:
        publisher.send(b"probe")
        deaf = [one for one in deaf if not one.poll(20)]
    assert not deaf, "the subscription did not arrive"
    publisher.send(b"last probe")
    for one in subscribers:
        while one.recv() != b"last probe":
            pass


class Relay:
    """A plain proxy between two sockets that it binds, until it is stopped; it can be fed by another relay."""

    def __init__(self, frontend: int, backend: int, tap: bool = False) -> None:
        self.context = zmq.Context()
        self._front, self._back = self.context.socket(frontend), self.context.socket(backend)
        self._control = self.context.socket(zmq.PAIR)
        self._order = self.context.socket(zmq.PAIR)
        self._control.bind("inproc://control")
        self._order.connect("inproc://control")
        self.tap: zmq.Socket[bytes] | None = None
        capture = None
        if tap:
            capture, self.tap = self.context.socket(zmq.PUSH), self.context.socket(zmq.PULL)
            for one in (capture, self.tap):
                one.set_hwm(0)
            self.tap.bind("inproc://tap")
            capture.connect("inproc://tap")
        self._capture = capture
        self.front = f"tcp://127.0.0.1:{self._front.bind_to_random_port('tcp://127.0.0.1')}"
        self.back = f"tcp://127.0.0.1:{self._back.bind_to_random_port('tcp://127.0.0.1')}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def chain(self, to: str) -> Relay:
        """Connect this relay's back to another relay's front as well."""
        self._back.connect(to)
        return self

    def start(self) -> Relay:
        self._thread.start()
        return self

    def _run(self) -> None:
        zmq.proxy_steerable(self._front, self._back, self._capture, self._control)

    def captured(self) -> list[list[bytes]]:
        """Every message that passed since the last call, once nothing more comes."""
        assert self.tap is not None
        seen = []
        while self.tap.poll(150):
            seen.append(self.tap.recv_multipart())
        return seen

    def stop(self) -> None:
        if self._thread.is_alive():
            self._order.send(b"TERMINATE")
            self._thread.join(TIMEOUT / 1000)
        self.context.destroy(0)


def refusals(socket: Any) -> dict[str, int]:
    """The reasons for which a socket has refused anything."""
    return {reason: count for reason, count in socket.stats.refused.items() if count}


def eventually(holds: Callable[[], Any]) -> Any:
    """What `holds` gives, once it is true."""
    until = time.monotonic() + TIMEOUT / 1000
    while not (got := holds()):
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)
    return got


def nothing_comes(socket: Any, milliseconds: int = 150) -> bool:
    """Whether a receive gives nothing in that time."""
    return bool(socket.recv_many(1, timeout=milliseconds / 1000) == [])
