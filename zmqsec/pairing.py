"""The initiator's half of a socket with keys for one peer (floor 10), sans-I/O: when which key seals and opens.

Spec, "Pairs in use". `zmqsec.pairs` is the responder's half, `zmqsec.handshaker` moves the frames of this one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from . import limits
from .association import Association
from .errors import HandshakeError, HandshakeReason, Reason
from .handshake_events import Accept, Established, Event, Failed, Send
from .identity import PublicIdentity
from .initiator import Initiator
from .pair import Pair
from .party import Party

_log = logging.getLogger("zmqsec.handshake")

#: Seconds between the end of a handshake that failed and the next one, doubled each time up to REKEY_ATTEMPT_TIME.
_FIRST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class PeerState:
    """What is known of the peer of a socket: who it is, whether there are keys, whether it answers.

    `peer` is None before the first handshake, `hybrid` says whether ML-KEM-768 was mixed into the keys, `age` how many
    seconds old they are, `alive` whether the last handshake came to its end.
    """

    peer: PublicIdentity | None
    established: bool
    alive: bool
    hybrid: bool
    age: float | None
    handshakes: int
    failure: HandshakeError | None


class Pairing:
    """The keys of one socket for its one peer, over any number of handshakes.

    A thread that moves frames calls `poll`, `receive` and `next_deadline`; the socket's own thread reads `sending` and
    `receiving`, and waits. `changed` is called, by either, after these have changed; `used` tells how many messages the
    socket has sealed and opened. Times are monotonic seconds.
    """

    def __init__(
        self,
        party: Party,
        peer: PublicIdentity | None,
        *,
        clock: Callable[[], float],
        rekey_after: float = limits.PAIR_REKEY_TIME,
        reject_after: float = limits.PAIR_REJECT_TIME,
        quiet_after: float = limits.PAIR_QUIET_TIME,
    ) -> None:
        self._party, self._expected, self._clock = party, peer, clock
        self._rekey_after, self._reject_after, self._quiet_after = rekey_after, reject_after, quiet_after
        self._condition = threading.Condition()
        self.changed: Callable[[], None] = lambda: None
        self.used: Callable[[], tuple[int, int]] = lambda: (0, 0)
        #: What seals now, and all that opens, the newest last; each a value that is put in its place whole.
        self.sending: Association | None = None
        self.receiving: tuple[Association, ...] = ()
        self.wanted = False
        self._initiator: Initiator | None = None
        self._peer: PublicIdentity | None = None
        self._pair: Pair | None = None  # the newest
        self._static: bytes | None = None
        self._ends: dict[int, float] = {}
        self._born: float | None = None
        self._next = 0.0  # when the next handshake begins
        self._pause = _FIRST_PAUSE
        self._alive, self._hybrid, self._handshakes = False, False, 0
        self._sealed = self._opened = 0  # by the socket, when it was last looked at
        self._sealed_then = 0  # when the pair was made
        self._heard, self._speaks = 0.0, False  # when something came last, and whether something went since
        self._failure: HandshakeError | None = None
        self._blocked = False

    # -- the socket's thread -------------------------------------------------------------------------------------------

    def want(self) -> bool:
        """The socket is in use: handshakes begin. True if they had not begun before."""
        with self._condition:
            begins, self.wanted = not self.wanted, True
        return begins

    def wait(self, seconds: float | None) -> bool:
        """Wait until something seals; False if the time is over. A handshake that failed raises its HandshakeError."""
        with self._condition:
            seen = None if self._blocked else self._failure

            def is_over() -> bool:
                return self.sending is not None or (self._failure is not None and self._failure is not seen)

            done = self._condition.wait_for(is_over, seconds)
            if self.sending is None and self._failure is not None and self._failure is not seen:
                raise self._failure
            return done

    @property
    def state(self) -> PeerState:
        """What is known of the peer."""
        with self._condition:
            age = None if self._born is None or self.sending is None else self._clock() - self._born
            return PeerState(
                self._peer, self.sending is not None, self._alive, self._hybrid, age, self._handshakes, self._failure
            )

    def hint(self, frame: bytes) -> bool:
        """Whether a handshake frame that came among the messages says that the peer has lost its keys: begin again."""
        with self._condition:
            lost = self._pair is not None and self._pair.is_lost(frame)
        if lost:
            self.renew()
        return lost

    def review(self) -> None:
        """Forget the keys at once if the peer is not permitted any more."""
        with self._condition:
            if self._peer is None or self._party.permit is None:
                return
            credential = b"" if self._pair is None else self._pair.credential
            refusal = self._party.permit(self._peer.key, credential)
            self._blocked = refusal is not None and refusal.reason == Reason.BLOCKED
            if refusal is None or (self._expected is not None and refusal.reason != Reason.BLOCKED):
                return
            self.sending, self.receiving, self._ends, self._born = None, (), {}, None
            self._initiator, self._alive = None, False
            why = f"{self._peer} is not permitted any more: {refusal.detail}"
            self._fail(HandshakeReason.BLOCKED, why, self._clock())
        self.changed()

    # -- the thread that moves frames ----------------------------------------------------------------------------------

    def renew(self) -> None:
        """Begin a handshake now, unless one is under way or has begun a moment ago: the peer may have lost its keys."""
        with self._condition:
            now = self._clock()
            if self._initiator is None and (self._born is None or now - self._born >= limits.REKEY_TIMEOUT):
                self._next = min(self._next, now)

    def next_deadline(self) -> float | None:
        """When `poll` is due; None while the socket is not in use. To be asked once a second: it looks at the use."""
        with self._condition:
            if not self.wanted:
                return None
            self._look_at_use(self._clock())
            due = self._due() if self._initiator is None else self._initiator.next_deadline()
            times = [*self._ends.values(), *([] if due is None else [due]), *([self._until()] if self.sending else [])]
            return min(times, default=None)

    def _until(self) -> float:
        assert self._born is not None
        return self._born + self._reject_after

    def _due(self) -> float:
        """When the next handshake begins."""
        if self.sending is None or not self._speaks:
            return self._next
        return min(self._next, self._heard + self._quiet_after)

    def poll(self) -> list[bytes]:
        """The frames to send now."""
        return self._step(self._turn)

    def receive(self, frame: bytes) -> list[bytes]:
        """Take a frame that has come; the frames to send now."""
        return self._step(lambda now: [] if self._initiator is None else self._initiator.receive(frame, now))

    def _step(self, step: Callable[[float], list[Event]]) -> list[bytes]:
        """Carry out the events of a step; the frames to send. Who uses the keys is told if they have changed."""
        with self._condition:
            now, before = self._clock(), (self.sending, self.receiving)
            out = self._take(step(now), now)
            has_changed = before != (self.sending, self.receiving)
        if has_changed:
            self.changed()
        return out

    def _turn(self, now: float) -> list[Event]:
        self._expire(now)
        if self._initiator is None and self.wanted and now >= self._due():
            self._begin()
        return [] if self._initiator is None else self._initiator.poll(now)

    def _begin(self) -> None:
        taken = self._ends.__contains__
        self._initiator = Initiator(self._party, self._expected or self._peer, static=self._static, taken=taken)

    def _take(self, events: list[Event], now: float) -> list[bytes]:
        frames = []
        for event in events:
            if isinstance(event, Send):
                frames.append(event.frame)
            elif isinstance(event, Accept):
                self.receiving = (*self.receiving, event.association)
                self._ends[event.association.spi] = now + self._reject_after + limits.PAIR_OVERLAP_TIME
                self._close([one.spi for one in self.receiving[: -limits.MAX_PAIRS_OF_ONE]])
            elif isinstance(event, Established):
                self._establish(event, now)
            elif isinstance(event, Failed):
                self._give_up(event, now)
        return frames

    def _establish(self, event: Established, now: float) -> None:
        pair = event.pair
        if self._expected is None and self._peer is not None and pair.peer != self._peer:
            _log.warning("the peer is %s now and was %s", pair.peer, self._peer)
        self.sending, self._peer, self._static, self._born = pair.send, pair.peer, pair.static, now
        self._pair, self._hybrid = pair, pair.hybrid
        self._alive, self._failure, self._pause, self._initiator = True, None, _FIRST_PAUSE, None
        self._handshakes += 1
        self._sealed, self._opened = self._sealed_then, _ = self.used()
        self._heard, self._speaks = now, False
        self._next = now + self._rekey_after
        self._condition.notify_all()

    def _give_up(self, event: Failed, now: float) -> None:
        if event.spi is not None and event.reason == HandshakeReason.LOST:
            self._close([event.spi])  # else the confirmation may have come, and the peer seals with this pair
        self._initiator, self._alive = None, False
        self._static = None  # the peer may have another key by now: XX finds out
        self._fail(event.reason, event.detail, now)

    def _fail(self, reason: HandshakeReason, detail: str, now: float) -> None:
        who = self._expected or self._peer or "the peer"
        self._failure = HandshakeError(f"no keys for {who}: {reason}: {detail}")
        _log.warning("%s; trying again in %g s", self._failure, self._pause)
        self._next, self._pause = now + self._pause, min(2 * self._pause, limits.REKEY_ATTEMPT_TIME)
        self._condition.notify_all()

    def _close(self, spis: list[int]) -> None:
        for spi in spis:
            self._ends.pop(spi, None)
        self.receiving = tuple(one for one in self.receiving if one.spi not in spis)

    def _expire(self, now: float) -> None:
        """Forget what is too old to seal, and what is too old to open."""
        if self.sending is not None and now >= self._until():
            self.sending = None
        if gone := [spi for spi, end in self._ends.items() if now >= end]:
            self._close(gone)

    def _look_at_use(self, now: float) -> None:
        """A pair that has sealed much is replaced, and so is one whose peer says nothing for long to what is sent.

        That one may be gone, or have begun anew without its keys.
        """
        sealed, opened = self.used()
        if opened != self._opened:
            self._opened, self._sealed, self._heard, self._speaks = opened, sealed, now, False
        elif sealed != self._sealed and not self._speaks:
            self._sealed, self._heard, self._speaks = sealed, now, True
        if sealed - self._sealed_then >= limits.PAIR_REKEY_MESSAGES:
            self._next = min(self._next, now)
