"""What the tests of handshakes share: parties, a clock of their own, and a line that loses, doubles and damages."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from helpers import ALICE, BOB

from zmqsec.handshake import (
    Bounds,
    Event,
    Failed,
    Initiator,
    Pair,
    Party,
    Refused,
    Responder,
    Send,
    anyone,
)
from zmqsec.handshake import Established as EstablishedEvent
from zmqsec.sodium import has_mlkem768

PSK = bytes(range(100, 132))
NO_BOUNDS = Bounds(under_load=1e9, of_source=1e9, of_hop=1e9, of_all=1e9, looks_of_hop=1e9)
HYBRIDS = ["off", "offered"] if has_mlkem768() else ["off"]
#: IK or XX, with a psk or without, with the hybrid mode or without: all that an opening can be.
MODES = [(ik, psk, hybrid) for ik in (False, True) for psk in (False, True) for hybrid in HYBRIDS]


def mode_name(mode: tuple[bool, bool, str]) -> str:
    ik, psk, hybrid = mode
    return ("IK" if ik else "XX") + ("psk" if psk else "") + ("" if hybrid == "off" else "hybrid")


class SeededRandom:
    """Randomness that is the same in every run with the same seed."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(repr(seed))

    def __call__(self, n: int) -> bytes:
        return self._random.randbytes(n)


def parties(mode: tuple[bool, bool, str] = (False, False, "off"), **changed: Any) -> tuple[Party, Party]:
    """Alice, who begins, and Bob; what is changed is given to both."""
    _, psk, hybrid = mode
    settings = {"permit": anyone, "psks": [PSK] if psk else [], "hybrid": hybrid, **changed}
    return Party(ALICE, **settings), Party(BOB, **settings)


def sent(events: Iterable[Event]) -> list[bytes]:
    """The frames that are to be sent."""
    return [one.frame for one in events if isinstance(one, Send)]


def only_sent(events: Iterable[Event]) -> bytes:
    (frame,) = sent(events)
    return frame


def reasons(events: Iterable[Event]) -> list[str]:
    """Why something was refused or failed."""
    return [str(one.reason) for one in events if isinstance(one, (Refused, Failed))]


def pairs(events: Iterable[Event]) -> list[Pair]:
    return [one.pair for one in events if isinstance(one, EstablishedEvent)]


def begin(
    mode: tuple[bool, bool, str] = (False, False, "off"), seed: object = 0, **changed: Any
) -> tuple[Initiator, Responder]:
    """Alice's handshake with Bob, and Bob's side of all handshakes."""
    alice, bob = parties(mode, **changed)
    static = bob.static.public if mode[0] else None
    initiator = Initiator(alice, BOB.public, static=static, random=SeededRandom((seed, "initiator")))
    return initiator, Responder(bob, random=SeededRandom((seed, "responder")), bounds=NO_BOUNDS)


def shake(initiator: Initiator, responder: Responder, now: float = 0.0, source: Any = b"alice") -> tuple[Pair, Pair]:
    """A whole handshake on a line without faults: the pair at the initiator, and that at the responder."""
    theirs: list[Event] = []
    ours = initiator.poll(now)
    frames = sent(ours)
    while frames:
        answers = responder.receive(frames.pop(0), source, now)
        theirs += answers
        for frame in sent(answers):
            more = initiator.receive(frame, now)
            ours += more
            frames += sent(more)
    (here,), (there,) = pairs(ours), pairs(theirs)
    return here, there


@dataclass
class Faults:
    """What a line does to a frame, as chances; `delay` is the most that a frame takes, in seconds."""

    lose: float = 0.0
    double: float = 0.0
    flip: float = 0.0
    cut: float = 0.0
    delay: float = 0.2


@dataclass
class Line:
    """A line between one initiator and one responder, with faults from a seed and a clock that jumps to what is due."""

    initiator: Initiator
    responder: Responder
    faults: Faults
    seed: int
    now: float = 0.0
    at_initiator: list[Event] = field(default_factory=list)
    at_responder: list[Event] = field(default_factory=list)
    on_way: list[tuple[float, int, bool, bytes]] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Until the initiator is over, and nothing is under way."""
        while not (self.initiator.is_over and not self.on_way) and not (until is not None and until()):
            due = self.initiator.next_deadline()
            arrives = self.on_way[0][0] if self.on_way else None
            if arrives is not None and (due is None or arrives <= due):
                self.now, _, to_responder, frame = heapq.heappop(self.on_way)
                self._arrive(to_responder, frame)
            else:
                assert due is not None
                self.now = max(self.now, due)
                self._take(self.initiator.poll(self.now), self.at_initiator, True)

    def begin_again(self, initiator: Initiator) -> None:
        """Another initiator in the place of one that failed."""
        self.initiator, self.at_initiator = initiator, []

    def _arrive(self, to_responder: bool, frame: bytes) -> None:
        if to_responder:
            self._take(self.responder.receive(frame, b"alice", self.now), self.at_responder, False)
        else:
            self._take(self.initiator.receive(frame, self.now), self.at_initiator, True)

    def _take(self, events: list[Event], log: list[Event], to_responder: bool) -> None:
        log += events
        for frame in sent(events):
            self.sent += 1
            for _ in range(2 if self._random.random() < self.faults.double else 1):
                if self._random.random() >= self.faults.lose:
                    arrives = self.now + self._random.random() * self.faults.delay
                    heapq.heappush(
                        self.on_way, (arrives, self._random.getrandbits(60), to_responder, self._damage(frame))
                    )

    def _damage(self, frame: bytes) -> bytes:
        if self._random.random() < self.faults.flip:
            at = self._random.randrange(8 * len(frame))
            frame = frame[: at // 8] + bytes([frame[at // 8] ^ 1 << at % 8]) + frame[at // 8 + 1 :]
        if self._random.random() < self.faults.cut:
            frame = frame[: self._random.randrange(len(frame))]
        return frame
