"""What the tests of the relay share: a loop in a thread, and plain sockets around it."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from socket_helpers import TIMEOUT, eventually

from zmqsec import Identity, limits
from zmqsec.admission import admission_part, derive_admission_key
from zmqsec.header import Header, derive_suite_key
from zmqsec.parts import encode_metadata, encode_parts
from zmqsec.suites import suite_by_number
from zmqsec.trust import Trust

_relay: Any = pytest.importorskip("zmqsec._relay")
_policy: Any = pytest.importorskip("zmqsec._policy")
_attest: Any = pytest.importorskip("zmqsec._attest")

SECRET = bytes(range(32))
SPI = 7
MEMBERSHIP, ORIGIN = 1, 2


class Runner:
    """A loop in a thread, and plain sockets around it; the relay's sockets are the loop's thread's once it runs."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self._call = self.context.socket(zmq.PAIR)
        self._call.bind("inproc://call")
        control = self.context.socket(zmq.PAIR)
        control.connect("inproc://call")
        self.loop = _relay.Loop(control)
        self.ended: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lanes: list[Any] = []
        self._sockets: list[Any] = []

    def socket(self, kind: int, **options: int) -> Any:
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = TIMEOUT
        for name, value in options.items():
            setattr(socket, name, value)
        self._sockets.append(socket)
        return socket

    def bound(self, kind: int, **options: int) -> tuple[Any, str]:
        socket = self.socket(kind, **options)
        socket.bind("tcp://127.0.0.1:*")
        return socket, socket.last_endpoint.decode()

    def leg(
        self, front: int, back: int, policy: Any = None, back_policy: Any = None, waits: bool = False, **options: int
    ) -> tuple[str, str]:
        """A leg of two bound sockets, both directions where they have two; the addresses of its ends."""
        first, front_address = self.bound(front, **options)
        second, back_address = self.bound(back, **options)
        self.lanes.append(_relay.Lane(first, second, policy or _policy.Policy(), waits=waits))
        if front != zmq.PULL:
            self.lanes.append(_relay.Lane(second, first, back_policy or _policy.Policy(), waits=waits))
        return front_address, back_address

    def connected(self, kind: int, address: str, **options: int) -> Any:
        socket = self.socket(kind, **options)
        socket.connect(address)
        return socket

    def start(self, **limits: float) -> None:
        self._limits, self._stopping = limits, False
        self.loop.use_lanes(self.lanes)
        self._thread.start()

    def _run(self) -> None:
        end = self.loop.run(**self._limits)
        while end == "called" and not self._stopping:  # a call that came late, after the loop had ended
            end = self.loop.run(**self._limits)
        self.ended.append(end)

    def stop(self) -> str:
        """End the loop, as another thread does."""
        self._stopping = True
        if self._thread.is_alive():
            self.loop.call()
            self._call.send(b"")
        self._thread.join(TIMEOUT / 1000)
        assert not self._thread.is_alive()
        return self.ended[0]

    def again(self) -> None:
        """Run on after `stop`, with what was changed between."""
        self.ended.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.start()

    def close(self) -> None:
        if self._thread.ident is not None:
            self.stop()
        for socket in self._sockets:
            socket.close(0)
        self.context.destroy(0)


class Member:
    """Makes messages of one session by hand, as a member of the association does, and ones that are not quite right."""

    def __init__(self, identity: Identity | None = None, *, routing_id: bytes = b"", secret: bytes = SECRET) -> None:
        self.identity, self._routing_id, self._secret = identity, routing_id, secret
        self.session = int(time.time()).to_bytes(4, "little") + os.urandom(8)
        self._key = derive_suite_key(secret, limits.SUITE_XCHACHA20POLY1305, SPI)
        self._sequence = itertools.count()

    def seal(
        self,
        body: bytes,
        *,
        topic: bytes | None = None,
        metadata: bytes = b"",
        admit: bool = True,
        kind: int = 0,
        spi: int = SPI,
    ) -> bytes:
        """One sealed part."""
        parts = (b"" if topic is None else encode_metadata("topic", topic, True)) + metadata
        size = len(parts) + (limits.ADMIT_BYTES if admit else 0)
        flags = limits.FLAG_ORIGIN_ATTESTED if self.identity else 0
        header = Header(limits.SUITE_XCHACHA20POLY1305, kind, flags, size, spi, self.session, next(self._sequence))
        front = header.encode() + parts
        if admit:
            front += admission_part(derive_admission_key(self._secret, SPI), front)
        nonce = front[limits.NONCE_OFFSET : limits.HEADER_BYTES]
        return front + suite_by_number(header.suite).seal(self._key, nonce, front, encode_parts([body]))

    def attest(self, sealed: Sequence[bytes]) -> list[bytes]:
        """The origin's attestations, under one signature."""
        return list(_attest.Attester(self.identity, self._key, self._routing_id).attest(sealed))

    def messages(self, bodies: Sequence[bytes], **options: Any) -> list[list[bytes]]:
        """Messages as they stand on the wire: topic, sealed part, attestation."""
        topic = options.get("topic")
        sealed = [self.seal(body, **options) for body in bodies]
        front = [] if topic is None else [topic]
        if self.identity is None:
            return [[*front, part] for part in sealed]
        return [[*front, part, one] for part, one in zip(sealed, self.attest(sealed), strict=True)]


def refused(lane: Any) -> dict[str, int]:
    """Refusals of a lane by reason."""
    return dict(lane.counts["refused"])


def admissions(secret: bytes = SECRET, spi: int = SPI) -> Any:
    return _policy.Admissions([SimpleNamespace(spi=spi, key=derive_admission_key(secret, SPI))])


class Pipe:
    """PUSH, a lane with a policy, PULL."""

    def __init__(self, runner: Runner, policy: Any, front: int = zmq.PULL, back: int = zmq.PUSH) -> None:
        address, out = runner.leg(front, back, policy)
        kinds = {zmq.PULL: (zmq.PUSH, zmq.PULL), zmq.XSUB: (zmq.PUB, zmq.SUB)}[front]
        self.sender, self.receiver = runner.connected(kinds[0], address), runner.connected(kinds[1], out)
        self.lane = runner.lanes[0]
        if front == zmq.XSUB:
            self.receiver.subscribe(b"")
        runner.start()
        if front == zmq.XSUB:
            time.sleep(0.2)  # the subscription travels

    def pass_on(self, messages: list[list[bytes]], expected: int) -> list[list[bytes]]:
        """Send them, and take as many as are expected to pass; no more come."""
        for message in messages:
            self.sender.send_multipart(message)
        received = [self.receiver.recv_multipart() for _ in range(expected)]
        eventually(lambda: self.lane.counts["received"] >= len(messages))
        assert not self.receiver.poll(50)
        return received


def origin_policy(trust: Trust | None = None, **options: Any) -> Any:
    grants = None if trust is None else _policy.Grants(trust)
    return _policy.Policy(check=ORIGIN, grants=grants, peers=_policy.Peers(), **options)
