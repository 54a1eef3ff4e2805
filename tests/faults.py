"""A plain relay that misbehaves when it is told to: it alters, drops, doubles, reorders, cuts and exchanges messages.

A hop binds its front and connects its back, as the relay of any ZeroMQ network does; it has no key. What comes in front
goes through `fault`, which gives the messages to send on in its place, and `seen` keeps what came, from both sides.
"""

from __future__ import annotations

import abc
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq
from socket_helpers import TIMEOUT, Net

Frames = list[bytes]
Fault = Callable[[Frames], list[Frames]]
FRONTS = {"publish": zmq.XSUB, "request": zmq.ROUTER, "push": zmq.PULL}
BACKS = {"publish": zmq.XPUB, "request": zmq.DEALER, "push": zmq.PUSH}
_numbers = itertools.count()


def honest(frames: Frames) -> list[Frames]:
    """What a relay should do."""
    return [frames]


class Hop:
    """A forwarder in a thread, with plain sockets of the network's context, so that inproc reaches it too."""

    def __init__(self, net: Net, kind: str, transport: str, to: str) -> None:
        self.fault: Fault = honest
        self.answer_fault: Fault = honest
        self.seen: list[Frames] = []
        self._front, self._back = net.raw(FRONTS[kind]), net.raw(BACKS[kind])
        for socket in (self._front, self._back):
            socket.set_hwm(0)
        self.address = net.bind(self._front, transport)
        self._back.connect(to)
        self._order, self._control = net.raw(zmq.PAIR), net.raw(zmq.PAIR)
        name = f"inproc://hop-{next(_numbers)}"
        self._control.bind(name)
        self._order.connect(name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._front, self._back, self._control):
            if socket.type != zmq.PUSH:
                poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._control in ready:
                return
            if self._front in ready:
                self._forward(self._front, self._back, self.fault)
            if self._back in ready:
                self._forward(self._back, self._front, self.answer_fault)

    def _forward(self, source: Any, target: Any, fault: Fault) -> None:
        frames = source.recv_multipart()
        self.seen.append(frames)
        for sent in fault(frames):
            target.send_multipart(sent)

    def stop(self) -> None:
        """Return once the thread has ended; its sockets go with the network."""
        self._order.send(b"")
        self._thread.join(TIMEOUT / 1000)
        assert not self._thread.is_alive()


class Chain:
    """Three hops in a row, from `front` to an address that the receiver has bound."""

    def __init__(self, net: Net, kind: str, transport: str, to: str) -> None:
        self.hops: list[Hop] = []
        for _ in range(3):
            self.hops.insert(0, Hop(net, kind, transport, self.hops[0].address if self.hops else to))
        self.front = self.hops[0].address

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        for hop in self.hops:
            hop.stop()

    @property
    def middle(self) -> Hop:
        return self.hops[1]

    def seen(self) -> bytes:
        """Every byte that any hop has seen, in one."""
        return b"|".join(frame for hop in self.hops for frames in hop.seen for frame in frames)


# -- faults -----------------------------------------------------------------------------------------------------------


class Counting(abc.ABC):
    """A fault at the message with that number, counted from 0; all others go on as they came."""

    def __init__(self, number: int) -> None:
        self._number, self._count = number, 0
        self._held: Frames = []

    def __call__(self, frames: Frames) -> list[Frames]:
        behind = self._count - self._number
        self._count += 1
        return self.act(frames, behind)

    @abc.abstractmethod
    def act(self, frames: Frames, behind: int) -> list[Frames]:
        """What becomes of the message that comes so many behind that one."""

    def hold(self, frames: Frames) -> list[Frames]:
        self._held = frames
        return []


class Nth(Counting):
    """Another fault, once."""

    def __init__(self, number: int, fault: Fault) -> None:
        super().__init__(number)
        self._fault = fault

    def act(self, frames: Frames, behind: int) -> list[Frames]:
        return self._fault(frames) if behind == 0 else [frames]


class Hold(Counting):
    """Keeps a message until so many others have passed."""

    def __init__(self, number: int, others: int) -> None:
        super().__init__(number)
        self._others = others

    def act(self, frames: Frames, behind: int) -> list[Frames]:
        if behind == 0:
            return self.hold(frames)
        return [frames, self._held] if behind == self._others else [frames]


class Exchange(Counting):
    """Puts the last frame of one message behind the leading frames of the next, and the other way round."""

    def act(self, frames: Frames, behind: int) -> list[Frames]:
        if behind == 0:
            return self.hold(frames)
        first = self._held
        return [[*first[:-1], frames[-1]], [*frames[:-1], first[-1]]] if behind == 1 else [frames]


class Merge(Counting):
    """Sends two messages as the frames of one."""

    def act(self, frames: Frames, behind: int) -> list[Frames]:
        if behind == 0:
            return self.hold(frames)
        return [self._held + frames] if behind == 1 else [frames]


_CHANCES = ("pass", "pass", "drop", "double", "hold", "hold", "alter", "cut")


class Storm:
    """Every fault by chance, from a seed, to all of the first `count` messages: lost, doubled, late, altered.

    What comes after them lets go whatever is held, and passes. `whole` counts how often a message went on unchanged,
    by its number; `altered` counts those that did not.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._random, self._count, self._number = random.Random(seed), count, -1
        self._held: list[tuple[int, int, Frames]] = []  # until which message, its number, itself
        self.whole: Counter[int] = Counter()
        self.altered = 0

    def __call__(self, frames: Frames) -> list[Frames]:
        self._number += 1
        number, calm = self._number, self._number >= self._count
        let_go = [(held, one) for until, held, one in self._held if calm or until <= number]
        self._held = [one for one in self._held if not calm and one[0] > number]
        self._random.shuffle(let_go)
        what = "pass" if calm else self._random.choice(_CHANCES)
        if what == "hold":
            self._held.append((number + self._random.randint(1, 500), number, frames))
        elif what in ("pass", "double"):
            let_go += [(number, frames)] * (2 if what == "double" else 1)
        for held, _ in let_go:
            self.whole[held] += 1
        sent = [one for _, one in let_go]
        if what in ("alter", "cut"):
            self.altered += 1
            size = len(frames[-1])
            fault = flip(self._random.randrange(size), 1 << self._random.randrange(8))
            sent += (fault if what == "alter" else cut(self._random.randrange(size)))(frames)
        return sent


def drop(frames: Frames) -> list[Frames]:
    return []


def duplicate(frames: Frames) -> list[Frames]:
    return [frames, frames]


def flip(at: int, mask: int = 1) -> Fault:
    """Changes a byte of the sealed part."""

    def fault(frames: Frames) -> list[Frames]:
        changed = bytearray(frames[-1])
        changed[at] ^= mask
        return [[*frames[:-1], bytes(changed)]]

    return fault


def cut(to: int) -> Fault:
    """Leaves so many bytes of the sealed part, or takes so many away."""
    return lambda frames: [[*frames[:-1], frames[-1][:to]]]


def lengthen(frames: Frames) -> list[Frames]:
    return [[*frames[:-1], frames[-1] + b"\0"]]


def relabel(topic: bytes) -> Fault:
    """Another topic in front of the same sealed part."""
    return lambda frames: [[topic, frames[-1]]]


def strip(frames: Frames) -> list[Frames]:
    """The sealed part alone."""
    return [frames[-1:]]


def split(frames: Frames) -> list[Frames]:
    """The sealed part in two messages."""
    middle = len(frames[-1]) // 2
    return [[*frames[:-1], frames[-1][:middle]], [*frames[:-1], frames[-1][middle:]]]


def prepend(*front: bytes) -> Fault:
    return lambda frames: [[*front, *frames]]


def append(*behind: bytes) -> Fault:
    return lambda frames: [[*frames, *behind]]


def in_clear(frames: Frames) -> list[Frames]:
    """A message of the relay's own in its place."""
    return [[*frames[:-1], b"a message that nobody sealed, as long as one that was, and so on"]]
