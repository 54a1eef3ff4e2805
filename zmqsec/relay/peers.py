"""What a relay knows of its peers, and what it makes of their refusals (floor 11): counts, scores that decay, verdicts.

The loop in C counts; this file judges. A connection answers for what came over it; an identity only for what it signed
itself, so that nobody is blocked for what others send in his name.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..errors import ConfigError, Reason

PeerKind = Literal["address", "routing-id", "identity"]

#: How much one refusal weighs. What an honest peer can meet with weighs little: a key that changes, a network that
#: doubles messages, a clock that lags.
WEIGHTS: Mapping[str, float] = {
    Reason.MALFORMED: 10.0,
    Reason.TOO_LARGE: 10.0,
    Reason.VERSION: 2.0,
    Reason.SUITE: 2.0,
    Reason.UNKNOWN_SPI: 1.0,
    Reason.BLOCKED: 0.0,
    Reason.STALE_SESSION: 0.5,
    Reason.REPLAYED: 0.5,
    Reason.FORGED: 5.0,
    Reason.UNKNOWN_CRITICAL: 1.0,
    Reason.TOPIC_MISMATCH: 5.0,
    Reason.UNATTESTED: 2.0,
    Reason.BAD_ATTESTATION: 5.0,
    Reason.NOT_PERMITTED: 1.0,
    Reason.RATE_LIMITED: 0.1,
}
_LONGEST_BLOCK = 86400.0
_MAX_DOUBLINGS = 16


class Verdict(enum.IntEnum):
    """What is done with a peer; each is worse than the one before."""

    FINE = 0
    WARNED = 1
    THROTTLED = 2
    BLOCKED = 3


class PeerKey(NamedTuple):
    """Who is judged: an IP address, or a routing id or identity as lower-case hexadecimal digits."""

    kind: PeerKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from which a peer is warned, throttled and blocked; `half_life` and `block_seconds` in seconds.

    A peer that is blocked again is blocked for twice as long, up to a day.
    """

    warn: float = 100.0
    throttle: float = 500.0
    block: float = 1000.0
    half_life: float = 60.0
    block_seconds: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.warn <= self.throttle <= self.block:
            raise ConfigError(
                f"warn={self.warn:g}, throttle={self.throttle:g}, block={self.block:g}: "
                "scores above 0 are allowed, none smaller than the one before"
            )
        for name in ("half_life", "block_seconds"):
            if not 0 < getattr(self, name) <= _LONGEST_BLOCK:
                raise ConfigError(f"{name}={getattr(self, name):g}: above 0 and at most {_LONGEST_BLOCK:g} is allowed")


class Observation(NamedTuple):
    """What the loop counted of one peer since the last look.

    `identity` is the key, in hexadecimal digits, whose signature held on all that `signed_refused` counts; "" if
    nothing was proven. `refused` holds everything else that was refused on the connection.
    """

    address: str
    routing_id: bytes = b""
    identity: str = ""
    forwarded: int = 0
    refused: Mapping[str, int] = {}
    signed_refused: Mapping[str, int] = {}


@dataclass(slots=True)
class Peer:
    """Counts and score of one peer; times are of the ledger's clock, in seconds."""

    key: PeerKey
    first_seen: float
    last_seen: float
    forwarded: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    score: float = 0.0
    scored_at: float = 0.0
    blocks: int = 0
    verdict: Verdict = Verdict.FINE

    def score_at(self, now: float, half_life: float) -> float:
        """The score, halved every `half_life` seconds since it last grew."""
        return self.score * math.pow(0.5, max(0.0, now - self.scored_at) / half_life)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict that has just changed; `seconds` is how long a block lasts."""

    key: PeerKey
    verdict: Verdict
    score: float
    reasons: Mapping[str, int]
    seconds: float = 0.0


class Ledger:
    """The peers of a relay, at most `max_peers`: the one seen longest ago leaves first, those that are blocked last."""

    def __init__(self, thresholds: Thresholds | None = None, *, max_peers: int = 100_000) -> None:
        if max_peers < 1:
            raise ConfigError(f"max_peers={max_peers}: 1 or more is allowed")
        self.thresholds = thresholds if thresholds is not None else Thresholds()
        self._max_peers = max_peers
        self._peers: OrderedDict[PeerKey, Peer] = OrderedDict()

    def observe(self, observations: Iterable[Observation], now: float) -> list[Judgement]:
        """Take in what was counted; the verdicts that changed by it, in the order in which they did."""
        changed = []
        for one in observations:
            for key in connection_keys(one):
                changed += self._charge(key, one.forwarded, one.refused, now)
            if one.identity:
                changed += self._charge(PeerKey("identity", one.identity), one.forwarded, one.signed_refused, now)
        return changed

    def settle(self, now: float) -> list[Judgement]:
        """The verdicts that grew milder by the time that has passed."""
        return [judgement for peer in self._peers.values() for judgement in self._judge(peer, now)]

    def forgive(self, key: PeerKey) -> None:
        """An operator's word: the score begins anew, and so does the length of a block."""
        peer = self._peers.get(key)
        if peer is not None:
            peer.score, peer.blocks, peer.verdict = 0.0, 0, Verdict.FINE

    def get(self, key: PeerKey) -> Peer | None:
        """What is known of a peer."""
        return self._peers.get(key)

    def worst(self, count: int, now: float) -> list[Peer]:
        """The `count` peers with the highest scores."""
        half_life = self.thresholds.half_life
        return sorted(self._peers.values(), key=lambda peer: (-peer.score_at(now, half_life), peer.key))[:count]

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def __len__(self) -> int:
        return len(self._peers)

    def _charge(self, key: PeerKey, forwarded: int, refused: Mapping[str, int], now: float) -> list[Judgement]:
        peer = self._peers.get(key)
        if peer is None:
            self._make_room()
            peer = self._peers[key] = Peer(key, now, now, scored_at=now)
        self._peers.move_to_end(key)
        peer.last_seen = now
        peer.forwarded += forwarded
        weight = 0.0
        for reason, count in refused.items():
            peer.refused[reason] = peer.refused.get(reason, 0) + count
            weight += WEIGHTS[reason] * count
        if weight:
            peer.score = peer.score_at(now, self.thresholds.half_life) + weight
            peer.scored_at = now
        return self._judge(peer, now)

    def _judge(self, peer: Peer, now: float) -> list[Judgement]:
        limits = self.thresholds
        score = peer.score_at(now, limits.half_life)
        verdict = Verdict((score >= limits.warn) + (score >= limits.throttle) + (score >= limits.block))
        if verdict is peer.verdict:
            return []
        peer.verdict = verdict
        seconds = 0.0
        if verdict is Verdict.BLOCKED:
            seconds = min(_LONGEST_BLOCK, limits.block_seconds * 2.0 ** min(peer.blocks, _MAX_DOUBLINGS))
            peer.blocks += 1
        return [Judgement(peer.key, verdict, score, dict(peer.refused), seconds)]

    def _make_room(self) -> None:
        if len(self._peers) < self._max_peers:
            return
        for key, peer in self._peers.items():
            if peer.verdict is not Verdict.BLOCKED:
                del self._peers[key]
                return
        self._peers.popitem(last=False)  # all are blocked: their blocks stand in the block list all the same


def connection_keys(observation: Observation) -> list[PeerKey]:
    """Who answers for what came over a connection: its address.

    A routing id is what its peer says that it is, so it is judged together with the address, never alone.
    """
    keys = [PeerKey("address", observation.address)] if observation.address else []
    if observation.routing_id and observation.address:
        keys.append(PeerKey("routing-id", f"{observation.routing_id.hex()}@{observation.address}"))
    return keys
