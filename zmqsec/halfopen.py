"""Half-open handshakes: a bounded table that forgets the oldest (floor 10); spec, "Floods"."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from .handshake_frames import FrameHeader
from .identity import PublicIdentity
from .noise_handshake import HandshakeState
from .pair import Confirmation, Pair


@dataclass(slots=True, eq=False)
class HalfOpen:
    """One handshake at its responder: `first`, the mac1 of its opening, where that came from, and until when it lives.

    `answer` is what a repeated opening gets, `confirm` and `done` are the only headers that the next two frames may
    have; `tries` counts the confirmations of XX that did not hold. XX keeps its `noise` until the confirmation; IK has
    its `pair` already. After the confirmation only the digest of the frame that brought it stays, and the frame that
    answers it.
    """

    first: bytes
    source: bytes
    deadline: float
    answer: bytes = b""
    confirm: FrameHeader | None = None
    done: FrameHeader | None = None
    suite: int = 0
    peer: PublicIdentity | None = None
    credential: bytes = b""
    noise: HandshakeState | None = None
    pair: Pair | None = None
    confirmation: Confirmation | None = None
    tries: int = 0
    confirmed: bytes = b""
    done_frame: bytes = b""


class HalfOpenTable:
    """At most `most` handshakes, the oldest leaving first, and at most `most_of_one` of one source unconfirmed."""

    __slots__ = ("_by_opening", "_by_spi", "_most", "_most_of_one", "_of_source")

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._by_opening: OrderedDict[bytes, HalfOpen] = OrderedDict()  # in the order of their deadlines
        self._by_spi: dict[int, HalfOpen] = {}
        self._of_source: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._by_opening)

    def by_opening(self, first: bytes) -> HalfOpen | None:
        """The handshake whose opening has this mac1."""
        return self._by_opening.get(first)

    def by_spi(self, spi: int) -> HalfOpen | None:
        """The handshake whose responder receives on this SPI."""
        return self._by_spi.get(spi)

    def is_full_for(self, source: bytes) -> bool:
        """Whether the source has as many as one may have."""
        return self._of_source[source] >= self._most_of_one

    def add(self, entry: HalfOpen) -> None:
        """Remember a handshake, and forget the oldest if there are too many."""
        assert entry.confirm is not None
        self._by_opening[entry.first] = entry
        self._by_spi[entry.confirm.spi] = entry
        self._of_source[entry.source] += 1
        if len(self._by_opening) > self._most:
            self._drop_first()

    def conclude(self, entry: HalfOpen, confirmed: bytes) -> None:
        """Confirmed by a frame with this digest: forget all keys, and the answer."""
        entry.confirmed, entry.answer, entry.credential = confirmed, b"", b""
        entry.noise = entry.pair = entry.confirmation = None
        self._release(entry.source)

    def expire(self, now: float) -> None:
        """Forget all whose deadline has passed."""
        while self._by_opening and next(iter(self._by_opening.values())).deadline <= now:
            self._drop_first()

    def next_deadline(self) -> float | None:
        """When the next one is to be forgotten."""
        return next((entry.deadline for entry in self._by_opening.values()), None)

    def _drop_first(self) -> None:
        self.drop(next(iter(self._by_opening.values())))

    def drop(self, entry: HalfOpen) -> None:
        """Forget one."""
        assert entry.confirm is not None
        del self._by_opening[entry.first]
        del self._by_spi[entry.confirm.spi]
        if not entry.confirmed:
            self._release(entry.source)

    def _release(self, source: bytes) -> None:
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]
