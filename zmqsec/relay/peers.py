"""What a relay knows of its peers, and what it makes of their refusals (floor 11): counts, scores that decay, verdicts.

The loop in C counts; this file judges. A connection answers for what came over it; an identity only for what it signed
itself, so that nobody is blocked for what others send in his name.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
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
    Reason.RATE_LIMITED: 0.01,
}
_LONGEST_BLOCK = 86400.0
_NOTHING: Mapping[str, int] = MappingProxyType({})
_MAX_SPARED = 64
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


def _none() -> Mapping[str, int]:
    return _NOTHING


@dataclass(slots=True)
class Peer:
    """Counts and score of one peer; times are of the ledger's clock, in seconds."""

    key: PeerKey
    first_seen: float
    last_seen: float
    forwarded: int = 0
    refused: Mapping[str, int] = field(default_factory=_none)
    score: float = 0.0
    scored_at: float = 0.0
    blocks: int = 0
    verdict: Verdict = Verdict.FINE
    settles: float = 0.0  # when its verdict grows milder, as the ledger's heap has it

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
    """The peers of a relay, at most `max_peers`: the one seen longest ago leaves first, those that are blocked last.

    Only peers whose verdict is to change are looked at: they stand in a heap by the time at which their score, if it
    does not grow, falls below the threshold of their verdict.
    """

    def __init__(self, thresholds: Thresholds | None = None, *, max_peers: int = 100_000) -> None:
        if max_peers < 1:
            raise ConfigError(f"max_peers={max_peers}: 1 or more is allowed")
        self._thresholds = thresholds if thresholds is not None else Thresholds()
        self._max_peers = max_peers
        self._peers: OrderedDict[PeerKey, Peer] = OrderedDict()
        self._milder: list[tuple[float, PeerKey]] = []
        self._rejudge = False
        self._counts = dict.fromkeys(Verdict, 0)
        self._throttled: set[PeerKey] = set()
        #: Grows whenever somebody is throttled or is so no longer.
        self.version = 0

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds; others count for every peer from the next `settle` on."""
        return self._thresholds

    @thresholds.setter
    def thresholds(self, given: Thresholds) -> None:
        self._rejudge = self._rejudge or given != self._thresholds
        self._thresholds = given

    @property
    def throttled(self) -> frozenset[PeerKey]:
        """Whom to slow down now."""
        return frozenset(self._throttled)

    def states(self) -> dict[Verdict, int]:
        """How many peers there are of each verdict."""
        return {**self._counts, Verdict.FINE: len(self._peers) - sum(self._counts.values())}

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
        if self._rejudge:
            self._rejudge = False
            return [judgement for peer in tuple(self._peers.values()) for judgement in self._judge(peer, now)]
        changed = []
        while self._milder and self._milder[0][0] <= now:
            at, key = heapq.heappop(self._milder)
            peer = self._peers.get(key)
            if peer is not None and peer.settles == at:
                peer.settles = 0.0
                changed += self._judge(peer, now)
        return changed

    def forgive(self, key: PeerKey) -> None:
        """An operator's word: the score begins anew, and so does the length of a block."""
        peer = self._peers.get(key)
        if peer is not None:
            peer.score, peer.blocks = 0.0, 0
            self._change(peer, Verdict.FINE)

    def get(self, key: PeerKey) -> Peer | None:
        """What is known of a peer."""
        return self._peers.get(key)

    def worst(self, count: int, now: float) -> list[Peer]:
        """The `count` peers with the highest scores."""
        half_life = self._thresholds.half_life
        return heapq.nsmallest(count, self._peers.values(), key=lambda peer: (-peer.score_at(now, half_life), peer.key))

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
        if not refused:
            return []
        peer.refused = {**peer.refused, **{one: peer.refused.get(one, 0) + count for one, count in refused.items()}}
        weight = sum(WEIGHTS[reason] * count for reason, count in refused.items())
        if weight:
            peer.score = peer.score_at(now, self._thresholds.half_life) + weight
            peer.scored_at = now
        return self._judge(peer, now)

    def _judge(self, peer: Peer, now: float) -> list[Judgement]:
        limits = self._thresholds
        score = peer.score_at(now, limits.half_life)
        verdict = Verdict((score >= limits.warn) + (score >= limits.throttle) + (score >= limits.block))
        if verdict is not Verdict.FINE and (verdict is not peer.verdict or not peer.settles):
            least = (limits.warn, limits.throttle, limits.block)[verdict - 1]
            # a little later, so that rounding leaves nobody to be asked again and again
            self._wait(peer, max(now, peer.scored_at) + limits.half_life * (math.log2(score / least) + 1e-6))
        if verdict is peer.verdict:
            return []
        self._change(peer, verdict)
        seconds = 0.0
        if verdict is Verdict.BLOCKED:
            seconds = min(_LONGEST_BLOCK, limits.block_seconds * 2.0 ** min(peer.blocks, _MAX_DOUBLINGS))
            peer.blocks += 1
        return [Judgement(peer.key, verdict, score, dict(peer.refused), seconds)]

    def _wait(self, peer: Peer, until: float) -> None:
        peer.settles = until
        heapq.heappush(self._milder, (until, peer.key))
        if len(self._milder) > 2 * self._max_peers:  # most are of peers who are gone, or wait for another time
            self._milder = [(one.settles, key) for key, one in self._peers.items() if one.settles]
            heapq.heapify(self._milder)

    def _change(self, peer: Peer, verdict: Verdict) -> None:
        if peer.verdict is not Verdict.FINE:
            self._counts[peer.verdict] -= 1
        if verdict is not Verdict.FINE:
            self._counts[verdict] += 1
        if Verdict.THROTTLED in (peer.verdict, verdict) and verdict is not peer.verdict:
            (self._throttled.add if verdict is Verdict.THROTTLED else self._throttled.discard)(peer.key)
            self.version += 1
        peer.verdict = verdict

    def _make_room(self) -> None:
        """Those who are blocked are spared, as long as not all of those seen longest ago are: their blocks stand in the
        block list all the same."""
        if len(self._peers) < self._max_peers:
            return
        for _ in range(min(_MAX_SPARED, len(self._peers) - 1)):
            key, peer = next(iter(self._peers.items()))
            if peer.verdict is not Verdict.BLOCKED:
                break
            self._peers.move_to_end(key)
        _, gone = self._peers.popitem(last=False)
        self._change(gone, Verdict.FINE)


def connection_keys(observation: Observation) -> list[PeerKey]:
    """Who answers for what came over a connection: its address.

    A routing id is what its peer says that it is, so it is judged together with the address, never alone.
    """
    keys = [PeerKey("address", observation.address)] if observation.address else []
    if observation.routing_id and observation.address:
        keys.append(PeerKey("routing-id", f"{observation.routing_id.hex()}@{observation.address}"))
    return keys
