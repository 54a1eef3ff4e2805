"""The responder of any number of handshakes, sans-I/O (floor 10); spec, "The responder" and "Floods".

An opening goes through the checks that cost least first; what is known of it afterwards is a half-open handshake, until
the initiator confirms. A responder sends nothing by itself: it answers, and a frame that comes again gets the same
bytes again. Times are monotonic seconds that are passed in, as is randomness.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from . import limits, sodium
from .cookie import CookieJar, mac1
from .errors import HandshakeError, HandshakeReason
from .halfopen import HalfOpen, HalfOpenTable
from .handshake_events import Accept, Established, Event, Refused, Send
from .handshake_frames import (
    HYBRID_OFF,
    MACS,
    OFFER_END,
    FrameHeader,
    FrameRefused,
    Offer,
    choose_kem,
    choose_suite,
    fault_of_offers,
    pattern_of,
    prologue_of,
)
from .identity import PublicIdentity, fingerprint_text
from .initiator import draw_spi
from .lost import LostTokens
from .message import Random
from .noise import NoiseError
from .noise_handshake import HandshakeState
from .pair import Agreed, finish
from .party import INITIATOR, RESPONDER, Party
from .ratelimiter import Bounds, LoadMeter, RateLimiter

Source = bytes | Sequence[bytes]

_NOBODY: Final = bytes(limits.FINGERPRINT_BYTES)
_LONGEST_SOURCE: Final = 31  # shorter than a hash, so that none can be taken for one
_ALL: Final = b""

#: What `Responder.receive` gives for a frame of a hop that sends too many: the next ones in a row are not worth a call.
TOO_MANY: Final[list[Event]] = [Refused(HandshakeReason.RATE, "more frames than one hop may send")]


class Responder:
    """Answers handshakes for one party; `party.permit` says whose.

    With ``anonymous=True`` it also answers openings that do not name it; otherwise who does not know its fingerprint
    gets no sign that it is there. `name` is what a peer's associations are called, by default its fingerprint. `taken`
    says whether this side opens with an SPI, as `Keyring.opens` does; only a responder that is given it tells
    initiators that their pairs are lost. `bounds` limit what strangers cost.
    """

    def __init__(
        self,
        party: Party,
        *,
        anonymous: bool = False,
        name: Callable[[PublicIdentity], str] = lambda peer: fingerprint_text(peer.fingerprint),
        taken: Callable[[int], bool] | None = None,
        random: Random = sodium.random_bytes,
        bounds: Bounds | None = None,
    ) -> None:
        if party.permit is None:
            raise HandshakeError("a responder without a permit would answer nobody: give Party(permit=...)")
        bounds = Bounds() if bounds is None else bounds
        self._party, self._name, self._taken, self._random = party, name, taken, random
        self._fingerprint = party.identity.fingerprint
        self._addresses = (self._fingerprint, _NOBODY) if anonymous else (self._fingerprint,)
        self._lost = LostTokens(party.identity)
        self._table = HalfOpenTable(bounds.half_open, bounds.half_open_of_source)
        self._cookies, self._load = CookieJar(random), LoadMeter(bounds.under_load)
        self._looks, self._of_hop = RateLimiter(bounds.looks_of_hop), RateLimiter(bounds.of_hop)
        self._of_source, self._of_all = RateLimiter(bounds.of_source), RateLimiter(bounds.of_all)
        # Of its own: who sends a stream to a responder that has lost the pair must be able to begin again.
        self._told = RateLimiter(bounds.of_source)
        #: Refusals so far, by reason; `cookie` counts the openings that were answered with one.
        self.refused: Counter[HandshakeReason] = Counter()

    def __len__(self) -> int:
        """The handshakes that are remembered, half-open and just confirmed ones."""
        return len(self._table)

    def next_deadline(self) -> float | None:
        """When `poll` is due; None while there is nothing to forget."""
        return self._table.next_deadline()

    def poll(self, now: float) -> list[Event]:
        """Forget handshakes whose time is over."""
        self._table.expire(now)
        return []

    def receive(self, frame: bytes, source: Source, now: float) -> list[Event]:
        """Take a handshake frame; what is to be sent goes to `source`.

        `source` is the envelope that the frame came with, its outermost frame first: that one a ROUTER has put there,
        one for each connection, and what follows it may be anything. Bytes are an envelope of one frame.
        """
        hop, source = _keys(source)
        if not self._looks.take(hop, now):
            self.refused[HandshakeReason.RATE] += 1
            return TOO_MANY
        try:
            header = FrameHeader.decode(frame)
            if header.type == limits.OPENING:
                return self._on_opening(header, frame, hop, source, now)
            if header.type == limits.CONFIRM:
                return self._on_confirm(header, frame, now)
            raise FrameRefused(HandshakeReason.MALFORMED, "a frame that only responders send")
        except FrameRefused as refused:
            return self._refuse(refused.reason, refused.detail)
        except NoiseError as error:
            return self._refuse(HandshakeReason.FORGED, str(error))

    def unknown(self, sealed: bytes, source: Source, now: float) -> list[Event]:
        """Take a sealed part whose SPI belongs to no association: the sender is told that its pair is lost.

        The one that is told can tell that it is this identity's own word, and nobody else learns more than that. Too
        many of one source are passed over in silence.
        """
        found = self._lost.frame_for(sealed)
        if found is None or self._taken is None or self._is_taken(found[0]):
            return []
        if not self._told.take(_keys(source)[1], now):
            return self._refuse(HandshakeReason.RATE, "more lost pairs than one source may ask for")
        return [Send(found[1])]

    def pass_over(self, count: int) -> None:
        """So many frames of a hop that sends too many were not looked at."""
        self.refused[HandshakeReason.RATE] += count

    def _refuse(self, reason: HandshakeReason, detail: str) -> list[Event]:
        self.refused[reason] += 1
        return [Refused(reason, detail)]

    # -- openings ------------------------------------------------------------------------------------------------------

    def _on_opening(self, header: FrameHeader, frame: bytes, hop: bytes, source: bytes, now: float) -> list[Event]:
        covered, first = frame[:-MACS], frame[-MACS : -limits.MAC_BYTES]
        address = self._address(covered, first)
        if self._load.count(now) and not self._cookies.holds(frame, source, now):
            self.refused[HandshakeReason.COOKIE] += 1
            spi = int.from_bytes(covered[limits.HEADER_BYTES : limits.HEADER_BYTES + 4], "little")  # the offer's first
            front = FrameHeader(spi, header.id, limits.COOKIE, header.mode).encode()
            return [Send(self._cookies.frame(address, front, source, first, now))]
        if not self._of_source.take(source, now):
            raise FrameRefused(HandshakeReason.RATE, "more openings than one source may send")
        self._table.expire(now)
        known = self._table.by_opening(first)
        if known is not None:
            return _again(known.answer)
        if self._table.is_full_for(source):
            raise FrameRefused(HandshakeReason.BUSY, "more half-open handshakes than one source may have")
        if not (self._of_hop.take(hop, now) and self._of_all.take(_ALL, now)):
            raise FrameRefused(HandshakeReason.RATE, "more openings than one hop, or all together, may send")
        offer = self._read_offer(header, covered)
        return self._answer(header, offer, covered, HalfOpen(first, source, now + limits.HALF_OPEN_TIME), address)

    def _address(self, covered: bytes, first: bytes) -> bytes:
        for address in self._addresses:
            if hmac.compare_digest(first, mac1(address, covered)):
                return address
        raise FrameRefused(HandshakeReason.FORGED, "an opening that is not for this responder")

    def _read_offer(self, header: FrameHeader, covered: bytes) -> Offer:
        offer = Offer.decode(covered[limits.HEADER_BYTES : OFFER_END])
        has_psk = bool(header.mode & limits.MODE_PSK)
        if bool(header.mode & limits.MODE_KEM) != (offer.hybrid != HYBRID_OFF) or (
            not has_psk and offer.psk_id != bytes(4)
        ):
            raise FrameRefused(HandshakeReason.MALFORMED, "a mode that does not follow from the offer")
        if has_psk != bool(self._party.psks) or (has_psk and offer.psk_id not in self._party.psks):
            raise FrameRefused(HandshakeReason.PSK, "a pre-shared key that is not known, or none where one is wanted")
        return offer

    def _answer(
        self, header: FrameHeader, theirs: Offer, covered: bytes, entry: HalfOpen, address: bytes
    ) -> list[Event]:
        is_ik = bool(header.mode & limits.MODE_IK)
        noise = HandshakeState(
            pattern_of(header.mode), False, prologue_of(address, covered), self._party.static,
            random=self._random, psk=self._party.psks.get(theirs.psk_id),
        )  # fmt: skip
        rest = noise.read_tokens(covered[OFFER_END:])
        h, static = noise.h, noise.rs
        payload = noise.read_payload(rest)
        if is_ik:
            assert static is not None
            entry.peer, entry.credential = self._party.check_statement(INITIATOR, h, static, payload, None)
        elif payload:
            raise FrameRefused(HandshakeReason.MALFORMED, "a payload where XX has none")
        mine = self._party.offer(draw_spi(self._random, self._is_taken), psk=False)
        kem = choose_kem(theirs, mine)
        if not kem:
            noise.leave_out_kem()
        mode = header.mode if kem else header.mode & ~limits.MODE_KEM
        tokens = noise.write_tokens()
        payload = self._party.state(RESPONDER, noise.h, mine.encode() + self._lost.token(mine.spi))
        entry.answer = (
            FrameHeader(theirs.spi, header.id, limits.ANSWER, mode).encode() + tokens + noise.write_payload(payload)
        )
        if (fault := fault_of_offers(theirs, mine)) is not None:
            # The answer says why nothing will come of it, and nothing is remembered.
            self.refused[fault] += 1
            return [Send(entry.answer), Refused(fault, "the two offers do not come together")]
        entry.confirm = FrameHeader(mine.spi, header.id, limits.CONFIRM, mode)
        entry.done = FrameHeader(theirs.spi, header.id, limits.DONE, mode)
        entry.suite, entry.noise = choose_suite(theirs, mine) or 0, noise
        if is_ik:
            self._finish(entry)
        self._table.add(entry)
        return [Send(entry.answer)]

    def _is_taken(self, spi: int) -> bool:
        return self._table.by_spi(spi) is not None or (self._taken is not None and self._taken(spi))

    # -- confirmations -------------------------------------------------------------------------------------------------

    def _on_confirm(self, header: FrameHeader, frame: bytes, now: float) -> list[Event]:
        self._table.expire(now)
        entry = self._table.by_spi(header.spi)
        if entry is None and self._taken is not None and not self._taken(header.spi):
            # The initiator would go on in vain: say so. It costs one hash, and no more bytes than came.
            self._refuse(HandshakeReason.LOST, "")
            return [Send(self._lost.frame(header.spi, header.id))]
        if entry is None or entry.confirm != header:
            raise FrameRefused(HandshakeReason.UNKNOWN_HANDSHAKE, "no handshake waits for this confirmation")
        if entry.confirmed:
            if entry.confirmed != _digest(frame):
                raise FrameRefused(HandshakeReason.FORGED, "another confirmation than the one that held")
            return _again(entry.done_frame)
        if entry.confirmation is None:
            self._read_third(entry, frame)
        elif not entry.confirmation.holds(frame):
            raise FrameRefused(HandshakeReason.FORGED, "the tag of a confirmation does not hold")
        assert entry.confirmation is not None and entry.pair is not None and entry.done is not None
        entry.done_frame = entry.confirmation.seal(entry.done.encode())
        pair = entry.pair
        self._table.conclude(entry, _digest(frame))
        return [Accept(pair.receive), Send(entry.done_frame), Established(pair)]

    def _read_third(self, entry: HalfOpen, frame: bytes) -> None:
        """XX: only now does the initiator say who it is."""
        assert entry.noise is not None
        noise = entry.noise.copy()
        try:
            rest = noise.read_tokens(frame[limits.HEADER_BYTES :])
            h, static = noise.h, noise.rs
            payload = noise.read_payload(rest)
            assert static is not None
            entry.peer, entry.credential = self._party.check_statement(INITIATOR, h, static, payload, None)
        except (NoiseError, FrameRefused):
            # Beyond the static key only its owner comes, and each time costs us an X25519 at least.
            entry.tries += noise.rs is not None
            if entry.tries == limits.MAX_CONFIRM_TRIES:
                self._table.drop(entry)
            raise
        entry.noise = noise
        self._finish(entry)

    def _finish(self, entry: HalfOpen) -> None:
        assert entry.noise is not None and entry.peer is not None
        assert entry.confirm is not None and entry.done is not None
        agreed = Agreed(
            self._name(entry.peer), entry.suite, entry.done.spi, entry.confirm.spi, entry.peer, entry.credential,
            bool(entry.confirm.mode & limits.MODE_KEM), self._party.policy,
        )  # fmt: skip
        entry.pair, entry.confirmation = finish(entry.noise, agreed)
        entry.noise = None


def _keys(source: Source) -> tuple[bytes, bytes]:
    """What stands for the hop of a source, and for the source itself: short, and one for each."""
    if isinstance(source, bytes):
        return (source, source) if len(source) <= _LONGEST_SOURCE else (_short(source), _short(source))
    frames = tuple(source) or (b"",)
    hop, _ = _keys(frames[0])
    return hop, hop if len(frames) == 1 else _short(b"".join(len(one).to_bytes(4, "little") + one for one in frames))


def _short(source: bytes) -> bytes:
    return sodium.hash_unkeyed(b"zmqsec.source", source)


def _digest(frame: bytes) -> bytes:
    return sodium.hash_unkeyed(b"zmqsec.confirmed", frame)


def _again(frame: bytes) -> list[Event]:
    """The same bytes once more; nothing for an opening that was confirmed long ago."""
    return [Send(frame)] if frame else []
