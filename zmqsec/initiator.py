"""The initiator of a handshake, sans-I/O: opens, tries again, confirms (floor 10); spec, "The initiator".

Whoever moves its frames calls `poll` whenever `next_deadline` has passed and `receive` with what comes, and carries out
the events that both give, in their order. Times are monotonic seconds that are passed in, as is randomness.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from . import limits, sodium
from .cookie import mac1, mac2, read_cookie
from .errors import HandshakeError, HandshakeReason
from .handshake_events import Accept, Established, Event, Failed, Refused, Send
from .handshake_frames import (
    HYBRID_OFF,
    RESPONDER_FRONT,
    FrameHeader,
    FrameRefused,
    Offer,
    check_fingerprint,
    choose_kem,
    choose_suite,
    fault_of_offers,
    pattern_of,
    prologue_of,
)
from .identity import PublicIdentity, fingerprint_text
from .message import Random
from .noise import NoiseError
from .noise_handshake import HandshakeState
from .pair import Agreed, Confirmation, Pair, finish
from .party import INITIATOR, RESPONDER, Party

#: The share of its length by which a wait is made longer or shorter at random, so that retries do not march in step.
_JITTER: Final = 0.25


class _Stage(enum.Enum):
    NEW = "new"
    OPENING = "opening"
    CONFIRMING = "confirming"
    OVER = "over"


class Initiator:
    """One handshake with one responder, from its opening to a pair of associations or to its failure.

    `peer` is whom it is for: a public identity, or a fingerprint of 32 bytes, or None for whomever `party.permit` lets
    in. With `static`, the peer's Noise key as an earlier pair has it, it is IK, and else XX. `name` is what the
    associations are called, by default the peer's fingerprint. `taken` says whether an SPI is in use on this side.
    """

    def __init__(
        self,
        party: Party,
        peer: PublicIdentity | bytes | None,
        *,
        static: bytes | None = None,
        name: str | None = None,
        taken: Callable[[int], bool] = lambda spi: False,
        random: Random = sodium.random_bytes,
    ) -> None:
        if peer is None and party.permit is None:
            raise HandshakeError("an initiator with neither a peer nor a permit would talk to nobody")
        if peer is None and static is not None:
            raise HandshakeError("a peer's static key without the peer: give the identity that it belongs to")
        fingerprint = peer.fingerprint if isinstance(peer, PublicIdentity) else peer
        self._fingerprint = check_fingerprint(fingerprint)
        self._expected = None if fingerprint is None else self._fingerprint
        self._party, self._name, self._random, self._static = party, name, random, static
        self._offer = party.offer(draw_spi(random, taken), bool(party.psks))
        self._mode = (
            (limits.MODE_IK if static is not None else 0)
            | (limits.MODE_PSK if party.psks else 0)
            | (limits.MODE_KEM if self._offer.hybrid != HYBRID_OFF else 0)
        )
        self._stage = _Stage.NEW
        self._noise: HandshakeState | None = None
        self._pair: Pair | None = None
        self._confirmation: Confirmation | None = None
        self._kem = False
        self._id = b""
        self._frame = self._first = b""  # what is sent again, and the mac1 of the opening
        self._cookie_at = float("-inf")
        self._wait = limits.FIRST_RETRY_MS / 1000
        self._retry_at = self._end = 0.0
        self._last_refusal = ""

    @property
    def spi(self) -> int:
        """The SPI that this side receives on."""
        return self._offer.spi

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, the good or the bad one."""
        return self._stage is _Stage.OVER

    def next_deadline(self) -> float | None:
        """When `poll` is due; None once it is over. Before its first call it is due at once."""
        if self._stage is _Stage.OVER:
            return None
        return float("-inf") if self._stage is _Stage.NEW else min(self._retry_at, self._end)

    def poll(self, now: float) -> list[Event]:
        """What is due now: the opening, a frame once more, or the end of patience."""
        if self._stage is _Stage.OVER:
            return []
        if self._stage is _Stage.NEW:
            self._open(now)
        elif now >= self._end:
            what = "answer" if self._stage is _Stage.OPENING else "word that the confirmation came"
            last = f"; the last frame was refused: {self._last_refusal}" if self._last_refusal else ""
            return self._fail(HandshakeReason.TIMEOUT, f"no {what} within the time that a handshake has{last}")
        elif now < self._retry_at:
            return []
        self._wait_again(now)
        return [Send(self._frame)]

    def receive(self, frame: bytes, now: float) -> list[Event]:
        """Take a frame that has come; one that does not hold changes nothing."""
        try:
            header = FrameHeader.decode(frame)
            if self._stage not in (_Stage.OPENING, _Stage.CONFIRMING):
                raise FrameRefused(HandshakeReason.UNKNOWN_HANDSHAKE, "no handshake is under way")
            if header.type == limits.LOST:
                return self._on_lost(frame)
            if (header.spi, header.id) != (self._offer.spi, self._id):
                raise FrameRefused(HandshakeReason.UNKNOWN_HANDSHAKE, "another handshake's frame")
            if header.type == limits.COOKIE:
                return self._on_cookie(header, frame, now)
            if header.type == limits.ANSWER:
                return self._on_answer(header, frame, now)
            if header.type == limits.DONE:
                return self._on_done(header, frame)
            raise FrameRefused(HandshakeReason.MALFORMED, "a frame that only initiators send")
        except FrameRefused as refused:
            reason, detail = refused.reason, refused.detail
        except NoiseError as error:
            reason, detail = HandshakeReason.FORGED, str(error)
        self._last_refusal = f"{reason}: {detail}"
        return [Refused(reason, detail)]

    def heard(self) -> list[Event]:
        """Something has opened with the association of `Accept`: as good as the word that the confirmation came."""
        return self._establish() if self._stage is _Stage.CONFIRMING else []

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        self._id = self._random(limits.HANDSHAKE_ID_BYTES)
        front = FrameHeader(0, self._id, limits.OPENING, self._mode).encode() + self._offer.encode()
        self._noise = HandshakeState(
            pattern_of(self._mode), True, prologue_of(self._fingerprint, front), self._party.static,
            random=self._random, rs=self._static, psk=self._party.psks.get(self._offer.psk_id),
        )  # fmt: skip
        tokens = self._noise.write_tokens()
        # XX has nobody to prove anything to yet: its first payload is empty.
        payload = self._party.state(INITIATOR, self._noise.h) if self._mode & limits.MODE_IK else b""
        opening = front + tokens + self._noise.write_payload(payload)
        self._first = mac1(self._fingerprint, opening)
        self._frame = opening + self._first + bytes(limits.MAC_BYTES)
        self._stage, self._end = _Stage.OPENING, now + limits.REKEY_ATTEMPT_TIME

    def _on_cookie(self, header: FrameHeader, frame: bytes, now: float) -> list[Event]:
        if self._stage is not _Stage.OPENING or header.mode != self._mode:
            raise FrameRefused(HandshakeReason.REPLAYED, "a cookie that comes too late")
        cookie = read_cookie(self._fingerprint, self._first, frame)
        if cookie is None:
            raise FrameRefused(HandshakeReason.FORGED, "the MAC of a cookie does not hold")
        covered = self._frame[: -limits.MAC_BYTES]
        self._frame = covered + mac2(cookie, covered)
        if now < self._cookie_at:
            return []  # cookies make nobody send more often than once in a while; the next retry has this one
        self._cookie_at = now + limits.FIRST_RETRY_MS / 1000
        self._wait_again(now)
        return [Send(self._frame)]

    def _on_answer(self, header: FrameHeader, frame: bytes, now: float) -> list[Event]:
        if self._stage is not _Stage.OPENING:
            raise FrameRefused(HandshakeReason.REPLAYED, "an answer after the answer")
        kem = bool(header.mode & limits.MODE_KEM)
        if header.mode not in (self._mode, _mode(self._mode, False)):
            raise FrameRefused(HandshakeReason.MALFORMED, "an answer in another mode")
        assert self._noise is not None
        noise = self._noise.copy()
        if not kem:
            noise.leave_out_kem()
        rest = noise.read_tokens(frame[limits.HEADER_BYTES :])
        h, static = noise.h, noise.rs
        payload = noise.read_payload(rest)
        assert static is not None
        offer = Offer.decode(payload[: limits.OFFER_BYTES].ljust(limits.OFFER_BYTES, b"\0"))
        token = payload[limits.OFFER_BYTES : RESPONDER_FRONT]
        peer, credential = self._party.check_statement(
            RESPONDER, h, static, payload, self._expected, front=RESPONDER_FRONT
        )
        # From here on the answer is the responder's own: what is wrong with it now will not get better.
        if (fault := fault_of_offers(self._offer, offer)) is not None:
            return self._fail(fault, _mismatch(fault, self._offer, offer))
        if kem != choose_kem(self._offer, offer) or offer.psk_id != bytes(4):
            raise FrameRefused(HandshakeReason.MALFORMED, "an answer that does not follow from the offers")
        suite = choose_suite(self._offer, offer)
        assert suite is not None
        agreed = Agreed(
            self._name or fingerprint_text(peer.fingerprint), suite, offer.spi, self._offer.spi, peer, credential, kem,
            self._party.policy, token,
        )  # fmt: skip
        return self._confirm(noise, agreed, now)

    def _confirm(self, noise: HandshakeState, agreed: Agreed, now: float) -> list[Event]:
        mode = _mode(self._mode, agreed.hybrid)
        header = FrameHeader(agreed.send_spi, self._id, limits.CONFIRM, mode).encode()
        third = b""
        if not self._mode & limits.MODE_IK:
            tokens = noise.write_tokens()
            third = tokens + noise.write_payload(self._party.state(INITIATOR, noise.h))
        self._pair, self._confirmation = finish(noise, agreed)
        self._frame = header + third if third else self._confirmation.seal(header)
        self._noise, self._kem, self._stage = None, agreed.hybrid, _Stage.CONFIRMING
        self._wait, self._end = limits.FIRST_RETRY_MS / 1000, now + limits.CONFIRM_ATTEMPT_TIME
        self._wait_again(now)
        return [Accept(self._pair.receive), Send(self._frame)]

    def _on_done(self, header: FrameHeader, frame: bytes) -> list[Event]:
        if self._stage is not _Stage.CONFIRMING or header.mode != _mode(self._mode, self._kem):
            raise FrameRefused(HandshakeReason.UNKNOWN_HANDSHAKE, "nothing was confirmed in this mode")
        assert self._confirmation is not None and self._pair is not None
        if not self._confirmation.holds(frame):
            raise FrameRefused(HandshakeReason.FORGED, "the last tag does not hold")
        return self._establish()

    def _on_lost(self, frame: bytes) -> list[Event]:
        if self._pair is None or not self._pair.is_lost(frame):
            raise FrameRefused(HandshakeReason.FORGED, "a token that is not this responder's")
        return self._fail(HandshakeReason.LOST, "the responder has started anew, and forgot this handshake")

    def _establish(self) -> list[Event]:
        pair = self._pair
        assert pair is not None
        self._forget()
        return [Established(pair)]

    def _wait_again(self, now: float) -> None:
        """The wait until the frame is sent again: twice the last one, up to REKEY_TIMEOUT, give or take a quarter."""
        share = int.from_bytes(self._random(2), "little") / 0xFFFF
        self._retry_at = now + self._wait * (1 - _JITTER + 2 * _JITTER * share)
        self._wait = min(2 * self._wait, limits.REKEY_TIMEOUT)

    def _fail(self, reason: HandshakeReason, detail: str) -> list[Event]:
        spi = None if self._pair is None else self._pair.receive.spi
        self._forget()
        return [Failed(reason, detail, spi)]

    def _forget(self) -> None:
        self._stage, self._noise, self._pair, self._confirmation = _Stage.OVER, None, None, None


def draw_spi(random: Random, taken: Callable[[int], bool]) -> int:
    """An SPI at random that is not 0 and not taken."""
    for _ in range(1000):
        spi = int.from_bytes(random(4), "little")
        if spi != 0 and not taken(spi):
            return spi
    raise HandshakeError("1000 SPIs drawn at random are all taken; retire associations, or mend the randomness")


def _mode(mode: int, kem: bool) -> int:
    return mode if kem else mode & ~limits.MODE_KEM


def _mismatch(fault: HandshakeReason, mine: Offer, theirs: Offer) -> str:
    if fault == HandshakeReason.SUITE:
        return f"no suite in common: {list(mine.suites)} here, {list(theirs.suites)} there"
    return "the hybrid mode is required here and not to be had there" if theirs.hybrid == HYBRID_OFF else (
        "the responder requires the hybrid mode, which is off here"
    )  # fmt: skip
