"""The responder's half of a socket with keys for each peer (floor 10): its pairs, and the sessions that seal for them.

Spec, "Pairs in use". `zmqsec.pairing` is the initiator's half.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import limits
from .handshake_events import Accept, Established, Event, Send
from .handshake_frames import is_handshake
from .identity import PublicIdentity
from .pair import Pair
from .party import Party
from .responder import TOO_MANY, Responder

#: A frame to send, behind the frames that lead to its receiver.
Outgoing = tuple[list[bytes], bytes]


@dataclass(slots=True, eq=False)
class _Held:
    """A pair, what seals with it, and since when it is there."""

    pair: Pair
    session: Any
    born: float


@dataclass(slots=True, eq=False)
class _Peer:
    """One peer with its pairs by the SPI that it seals with, the newest last; `seen` is the one that it used last."""

    identity: PublicIdentity
    credential: bytes = b""
    held: dict[int, _Held] = field(default_factory=dict)
    seen: int = 0


class Pairs:
    """All pairs of one socket that answers handshakes.

    `receiver` opens with what they agree on; `session` makes the session that seals with an association. A pair seals
    for `reject_after` and opens a little longer, so that it overlaps with the next one. The newest `most` peers are
    kept, and the newest few pairs of each: several sockets may have one identity. Every call is the socket's own
    thread's; times are monotonic seconds.
    """

    def __init__(
        self,
        party: Party,
        receiver: Any,
        session: Callable[[Any], Any],
        *,
        clock: Callable[[], float],
        most: int = limits.MAX_PEERS,
        reject_after: float = limits.PAIR_REJECT_TIME,
    ) -> None:
        self._party, self._receiver, self._session, self._clock = party, receiver, session, clock
        self._most, self._reject_after = most, reject_after
        self._peers: dict[bytes, _Peer] = {}
        self._by_spi: dict[int, _Peer] = {}
        self._ends: list[tuple[float, int]] = []  # a heap: when to forget which SPI
        self.responder = Responder(party, taken=self._by_spi.__contains__)

    def __len__(self) -> int:
        return len(self._peers)

    # -- handshakes ----------------------------------------------------------------------------------------------------

    def receive_many(self, frames: Iterable[tuple[list[bytes], bytes]]) -> Iterator[Outgoing]:
        """Take what came, as `receive` does; of a hop that sends too many nothing more is looked at in this batch."""
        self.expire()
        silent: set[bytes] = set()
        passed_over = 0
        for front, frame in frames:
            hop = front[0] if front else b""
            if hop in silent:
                passed_over += 1
                continue
            now = self._clock()
            if is_handshake(frame):
                events = self.responder.receive(frame, front, now)
                if events is TOO_MANY:
                    silent.add(hop)
            else:
                events = self.responder.unknown(frame, front, now)
            yield from self._carry_out(events, front, now)
        if passed_over:
            self.responder.pass_over(passed_over)

    def receive(self, front: list[bytes], frame: bytes) -> list[Outgoing]:
        """Take a handshake frame, or a message with an SPI that nobody has; the answers go the same way."""
        return list(self.receive_many([(front, frame)]))

    def _carry_out(self, events: list[Event], front: list[bytes], now: float) -> list[Outgoing]:
        out: list[Outgoing] = []
        for event in events:
            if isinstance(event, Send):
                out.append((front, event.frame))
            elif isinstance(event, Accept):
                self._receiver.add(event.association)
            elif isinstance(event, Established):
                self._establish(event.pair, now)
        return out

    def _establish(self, pair: Pair, now: float) -> None:
        """From now on this pair seals for its peer; the one before goes on opening until its time is over."""
        fingerprint, spi = pair.peer.fingerprint, pair.receive.spi
        peer = self._peers.pop(fingerprint, None) or _Peer(pair.peer)
        self._peers[fingerprint] = peer  # the newest last
        peer.credential = pair.credential
        peer.held[spi] = _Held(pair, self._session(pair.send), now)
        self._by_spi[spi] = peer
        heapq.heappush(self._ends, (now + self._reject_after + limits.PAIR_OVERLAP_TIME, spi))
        if len(peer.held) > limits.MAX_PAIRS_OF_ONE:
            self._drop(peer, next(iter(peer.held)))
        if len(self._peers) > self._most:
            self._forget(next(iter(self._peers.values())))

    def expire(self, now: float | None = None) -> None:
        """Forget the pairs whose time is over."""
        if not self._ends:
            return
        now = self._clock() if now is None else now
        while self._ends and self._ends[0][0] <= now:
            _, spi = heapq.heappop(self._ends)
            peer = self._by_spi.get(spi)
            if peer is None:
                continue
            self._drop(peer, spi)
            if not peer.held:
                del self._peers[peer.identity.fingerprint]

    def review(self) -> None:
        """Forget the pairs of peers that are not permitted any more."""
        permit = self._party.permit
        assert permit is not None  # a responder has one
        for peer in tuple(self._peers.values()):
            if permit(peer.identity.key, peer.credential) is not None:
                self._forget(peer)

    def _forget(self, peer: _Peer) -> None:
        for spi in tuple(peer.held):
            self._drop(peer, spi)
        del self._peers[peer.identity.fingerprint]

    def _drop(self, peer: _Peer, spi: int) -> None:
        self._receiver.remove(spi)
        del peer.held[spi], self._by_spi[spi]

    # -- messages ------------------------------------------------------------------------------------------------------

    def session_for(self, fingerprint: bytes) -> Any | None:
        """What seals for this peer now, with the pair that it used last or the newest; None where there is none."""
        peer = self._peers.get(fingerprint)
        if peer is None:
            return None
        least = self._clock() - self._reject_after
        seen = peer.held.get(peer.seen)
        if seen is not None and seen.born > least:
            return seen.session
        newest = next(reversed(peer.held.values()))
        return newest.session if newest.born > least else None

    def origin_of(self, spi: int) -> bytes | None:
        """The fingerprint of the peer whose message has opened with this SPI: the pair that it uses now."""
        peer = self._by_spi.get(spi)
        if peer is None:
            return None
        peer.seen = spi
        return peer.identity.fingerprint

    def identity_of(self, spi: int) -> PublicIdentity | None:
        """The identity of the peer that seals with this SPI."""
        peer = self._by_spi.get(spi)
        return None if peer is None else peer.identity

    def sessions_of(self, spi: int) -> Sequence[Any]:
        """What this side has sealed with for the peer that seals with this SPI."""
        peer = self._by_spi.get(spi)
        return () if peer is None else [held.session for held in peer.held.values()]

    @property
    def peers(self) -> tuple[PublicIdentity, ...]:
        """The peers with keys now."""
        return tuple(peer.identity for peer in self._peers.values())
