"""The receiver and opening in Python (floor 9): the checks of the specification in their order, cheapest first."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import limits
from .address import Address, fingerprint_of, is_ours, read_address
from .attestation import Attestation, Trees, commitment_of
from .errors import AssociationError, Reason, Refusal, SocketError
from .expected import Expected, check_floor
from .header import Header, derive_suite_key
from .identity import fingerprint
from .judge import Judge, TrustLike
from .message import AssociationLike, Clock, Message, Metadata, Part
from .parts import PartsRefused, Scanner, as_bytes
from .rights import Role
from .route import RoutePolicy, claimed_origin, verify_route
from .suites import Suite, opened_by, suite_by_number
from .window import Window


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class _Entry:
    """One association of a receiver: its key, and the sessions that have been authenticated.

    A session is its id and its origin's key: nobody moves the window of another's messages.
    """

    association: AssociationLike
    key: bytes
    suite: Suite
    policy: RoutePolicy
    floor: int = -1
    windows: dict[tuple[bytes, bytes], Window] = field(default_factory=dict)


class Receiver:
    """The receiving side: associations, sessions with their replay windows, limits, and counts.

    `max_message` is in bytes of a sealed part, `max_sessions` counts sessions of all associations together,
    `understood` names critical metadata besides ``topic``, `kinds` are the kinds of message that are accepted. `me` is
    whose messages are taken where they say whom they are for, an identity or a fingerprint; `trust` says what the
    identities that attestations prove are allowed.
    """

    def __init__(
        self,
        associations: Iterable[AssociationLike] = (),
        *,
        clock: Clock = time.time,
        max_message: int = limits.MAX_MESSAGE_BYTES,
        max_parts: int = limits.MAX_PARTS,
        max_depth: int = limits.MAX_DEPTH,
        max_sessions: int = limits.MAX_SESSIONS,
        understood: Collection[str] = (),
        kinds: Collection[int] = (limits.KIND_DATA, limits.KIND_BUNDLE),
        me: Any = None,
        trust: TrustLike | None = None,
    ) -> None:
        for name, value, most in (
            ("max_message", max_message, limits.MAX_PART_BYTES),
            ("max_parts", max_parts, 1 << 28),
            ("max_depth", max_depth, limits.DEPTH_LIMIT),
            ("max_sessions", max_sessions, 1 << 24),
        ):
            if not 1 <= value <= most:
                raise AssociationError(f"{name}={value}: 1 to {most} is allowed")
        self._clock = clock
        self._began = self._now()
        self.max_message, self._max_parts, self._max_depth = max_message, max_parts, max_depth
        self._max_sessions, self._understood, self._kinds = max_sessions, frozenset(understood), frozenset(kinds)
        self._me = None if me is None else fingerprint_of(me, "me")
        self._judge, self._trees = Judge(trust), Trees()
        self._entries: dict[int, _Entry] = {}
        self.opened = 0
        self.refused = {str(reason): 0 for reason in Reason}
        for association in associations:
            self.add(association)

    def __reduce__(self) -> Any:
        raise TypeError("a receiver is neither copied nor pickled: its windows must not be taken back")

    def add(self, association: AssociationLike) -> None:
        """Accept an association's messages from now on; its SPI must not stand yet."""
        if association.spi in self._entries:
            raise AssociationError(f"SPI {association.spi:#010x} stands already in this receiver")
        key = derive_suite_key(association.secret, association.suite, association.spi)
        policy = RoutePolicy(
            association.attestation == "required",
            max(association.hops_min, bool(association.hops)),
            association.hops_max,
            commitment_of(key),
        )
        self._entries[association.spi] = _Entry(association, key, suite_by_number(association.suite), policy)

    def remove(self, spi: int) -> None:
        """Forget an association and all of its sessions."""
        if spi not in self._entries:
            raise AssociationError(f"SPI {spi:#010x} is unknown to this receiver")
        del self._entries[spi]

    def raise_floor(self, spi: int, floor: int) -> None:
        """Unknown sessions of an association that began at that time or before are stale from now on."""
        check_floor(spi, floor, self._entries)
        self._entries[spi].floor = max(self._entries[spi].floor, floor)

    def expect(self, spi: int, expected: Expected) -> None:
        """Take a session that goes on although it began before the floor, from its sequence number on.

        Nothing happens to one that has a window, or is not below the floor.
        """
        check_floor(spi, 0, self._entries)
        entry, name = self._entries[spi], (expected.session, expected.origin)
        if int.from_bytes(expected.session[:4], "little") > entry.floor or name in entry.windows:
            return
        if self.sessions >= self._max_sessions:
            self._evict_oldest()
        entry.windows[name] = Window.begin_at(expected.sequence)

    @property
    def sessions(self) -> int:
        """How many sessions have a window now."""
        return sum(len(entry.windows) for entry in self._entries.values())

    def _now(self) -> int:
        return max(0, int(self._clock()))

    def open(self, frame: bytes, topic: bytes | None, now: int, route: Sequence[bytes] = ()) -> Message | Refusal:
        """Open one sealed part with the attestations behind it: the checks in the order of the specification.

        Counts the outcome.
        """
        try:
            message = self._open(frame, topic, now, route)
        except (_Refused, PartsRefused) as refused:
            self.refused[str(refused.reason)] += 1
            spi = int.from_bytes(frame[8:12], "little") if len(frame) >= 12 else None
            return Refusal(refused.reason, refused.detail, spi)
        self.opened += 1
        return message

    def refuse(self, message: Message, reason: Reason, detail: str) -> Refusal:
        """Refuse after all what `open` gave, for a reason that only its socket knows."""
        self.opened -= 1
        self.refused[str(reason)] += 1
        return Refusal(reason, detail, message.spi)

    def _open(self, frame: bytes, topic: bytes | None, now: int, route: Sequence[bytes]) -> Message:
        header = self._check_shape(frame)
        entry = self._check_association(header)
        name = (header.session, claimed_origin(route, header.flags))
        self._check_session(entry, header, name, now)
        plaintext = self._unseal(entry, header, frame)
        proven = verify_route(route, frame, header.flags, entry.policy, self._trees)
        if isinstance(proven, Reason):
            raise _Refused(proven)
        self._commit(entry, header, name)
        message, address = self._read(header, frame, plaintext, topic)
        self._address(message, address, proven)
        if proven and address.credential is not None:
            self._judge.learn(address.credential, now)
        self._identify(message, entry, proven, now)
        return message

    def _check_shape(self, frame: bytes) -> Header:
        """Length, magic, version, suite, kind, flags, H and sequence number within bounds."""
        if len(frame) > self.max_message:
            raise _Refused(Reason.TOO_LARGE)
        if len(frame) < limits.MIN_SEALED_BYTES or not frame.startswith(limits.MAGIC):
            raise _Refused(Reason.MALFORMED)
        header = Header.decode(frame)
        if frame[3] != limits.VERSION:
            raise _Refused(Reason.VERSION)
        if header.suite == 0 or limits.SUITE_AES256CTR_HMACSHA256 < header.suite < limits.FIRST_USER_SUITE:
            raise _Refused(Reason.SUITE)
        if header.kind > limits.KIND_CONTROL or header.flags & ~(limits.FLAG_CLEAR_BODY | limits.FLAG_ORIGIN_ATTESTED):
            raise _Refused(Reason.MALFORMED)
        if limits.HEADER_BYTES + header.header_parts + limits.TAG_BYTES > len(frame):
            raise _Refused(Reason.MALFORMED)
        if header.sequence >= limits.MAX_SEQUENCE:
            raise _Refused(Reason.MALFORMED)
        return header

    def _check_association(self, header: Header) -> _Entry:
        """SPI known, its suite equal, kind and protection permitted."""
        entry = self._entries.get(header.spi)
        if entry is None:
            raise _Refused(Reason.UNKNOWN_SPI)
        if entry.association.suite != header.suite:
            raise _Refused(Reason.SUITE)
        if header.kind not in self._kinds:
            raise _Refused(Reason.NOT_PERMITTED)
        if header.flags & limits.FLAG_CLEAR_BODY and not entry.association.allow_clear:
            raise _Refused(Reason.NOT_PERMITTED)
        return entry

    def _check_session(self, entry: _Entry, header: Header, name: tuple[bytes, bytes], now: int) -> None:
        """The session fresh, the sequence number neither seen nor behind the window."""
        policy, start = entry.association, header.start
        if now > start + policy.lifetime:
            raise _Refused(Reason.STALE_SESSION)
        window = entry.windows.get(name)
        if window is not None:
            if not window.check(header.sequence):
                raise _Refused(Reason.REPLAYED)
            return
        too_early = start > now + policy.skew
        too_late = start <= entry.floor or start + policy.late_join + policy.skew < self._began
        if too_early or too_late:
            raise _Refused(Reason.STALE_SESSION)

    def _unseal(self, entry: _Entry, header: Header, frame: bytes) -> bytes:
        """The body, once the tag has held."""
        before = limits.HEADER_BYTES + header.header_parts
        clear = bool(header.flags & limits.FLAG_CLEAR_BODY)
        covered = len(frame) - limits.TAG_BYTES if clear else before
        nonce = frame[limits.NONCE_OFFSET : limits.HEADER_BYTES]
        plaintext = opened_by(entry.suite, entry.key, nonce, frame[:covered], frame[covered:])
        if plaintext is None:
            raise _Refused(Reason.FORGED)
        return frame[before:covered] if clear else plaintext

    def _commit(self, entry: _Entry, header: Header, name: tuple[bytes, bytes]) -> None:
        """Only now does state move: the session's entry and its window."""
        window = entry.windows.get(name)
        if window is not None:
            window.commit(header.sequence)
            return
        if self.sessions >= self._max_sessions:
            self._evict_oldest()
        entry.windows[name] = Window(header.sequence)

    def _evict_oldest(self) -> None:
        """Its window is lost, so nothing as old as it is ever begun again."""
        oldest = min(
            ((int.from_bytes(name[0][:4], "little"), name, entry) for entry in self._entries.values()
             for name in entry.windows),
            key=lambda item: (item[0], item[1][0], item[1][1].ljust(limits.PUBLIC_KEY_BYTES, b"\0")),
        )  # fmt: skip
        start, name, entry = oldest
        entry.floor = max(entry.floor, start)
        del entry.windows[name]

    def _read(self, header: Header, frame: bytes, body: bytes, topic: bytes | None) -> tuple[Message, Address]:
        """Header parts, body parts, critical metadata, topic, routing metadata."""
        scanner = Scanner(self._max_parts, self._max_depth, self._understood)
        front = scanner.header(frame[limits.HEADER_BYTES : limits.HEADER_BYTES + header.header_parts])
        parts = scanner.body(body, bundle=header.kind == limits.KIND_BUNDLE)
        if scanner.topic != topic:
            raise _Refused(Reason.TOPIC_MISMATCH)
        address = read_address(front)
        metadata, rest = _split_metadata(front)
        message = Message(
            body=parts,
            header=rest,
            metadata=metadata,
            protect="authenticated" if header.flags & limits.FLAG_CLEAR_BODY else "sealed",
            kind=header.kind,
            topic=topic,
            spi=header.spi,
            session=header.session,
            sequence=header.sequence,
            to=address.to,
            reply_to=address.reply_to,
        )
        return message, address

    def _address(self, message: Message, address: Address, proven: Sequence[Attestation]) -> None:
        """Whom it is from, where that was proven, and whom it is for."""
        if proven and proven[0].role == limits.BY_ORIGIN:
            origin = proven[0]
            if address.sender != fingerprint(origin.key) + origin.routing_id:
                raise _Refused(Reason.BAD_ATTESTATION)
        if message.to is not None and message.to != self._me:
            raise _Refused(Reason.NOT_PERMITTED)

    def _identify(self, message: Message, entry: _Entry, proven: Sequence[Attestation], now: int) -> None:
        """Whether the receiver's trust allows what was done by whom; then the message says who they are."""
        promised = len(proven) > 0 and proven[0].role == limits.BY_ORIGIN
        claims = [(one.key, one.routing_id) for one in proven]
        origin, hops = (claims[0], claims[1:]) if promised else (None, claims)
        refusal = self._judge.verdict(entry.association, origin, hops, message.topic, now)
        if refusal is not None:
            raise _Refused(refusal.reason, refusal.detail)
        if origin is not None:
            message.origin = self._judge.signer(origin, Role.SEND, message.topic, now)
        message.route = tuple(self._judge.signer(hop, Role.RELAY, None, now) for hop in hops)


def _split_metadata(front: Sequence[Part]) -> tuple[dict[str, bytes | Metadata], list[Part]]:
    """The first metadata of each name as a mapping, everything else in the header as a list.

    Topic and routing metadata stand in the message's own fields, and an admission is for relays.
    """
    metadata: dict[str, bytes | Metadata] = {}
    rest: list[Part] = []
    for part in front:
        if is_ours(part):
            continue
        if not isinstance(part, Metadata) or part.name in metadata:
            rest.append(part)
        else:
            metadata[part.name] = part if part.critical else part.value
    return metadata, rest


def as_views(parts: Sequence[Part]) -> list[Part]:
    """The same parts with every leaf as a memoryview."""
    return [
        as_views(part) if isinstance(part, list) else part if isinstance(part, Metadata) else memoryview(part)
        for part in parts
    ]


def open_many(
    frames: Iterable[Any],
    receiver: Receiver,
    *,
    topics: Sequence[Any] | None = None,
    routes: Sequence[Sequence[Any]] | None = None,
    copy: bool = False,
) -> list[Message | Refusal]:
    """Open sealed parts (bytes-like or zmq.Frame), in order; a Message or a Refusal for each.

    This implementation opens in fresh memory always; with ``copy=False`` leaves are memoryviews of it, else bytes.
    `topics` gives the topic frame that came with each, or None; `routes` the attestation frames behind each.
    """
    every = list(frames)
    names = per_frame("topics", topics, len(every), None)
    behind = per_frame("routes", routes, len(every), ())
    out: list[Message | Refusal] = []
    for start in range(0, len(every), 64):
        now = receiver._now()
        for at in range(start, min(start + 64, len(every))):
            topic = None if names[at] is None else as_bytes(names[at])
            opened = receiver.open(as_bytes(every[at]), topic, now, check_route(behind[at]))
            if isinstance(opened, Message) and not copy:
                opened.body = as_views(opened.body)
            out.append(opened)
    return out


def per_frame(name: str, given: Sequence[Any] | None, count: int, absent: Any) -> list[Any]:
    """What was given for each frame, or `absent` for all."""
    found = [absent] * count if given is None else list(given)
    if len(found) != count:
        raise SocketError(f"{len(found)} {name} for {count} frames; give one (or None) for each")
    return found


def check_route(frames: Sequence[Any] | None) -> list[bytes]:
    """The attestation frames behind one sealed part, as bytes."""
    found = [as_bytes(frame) for frame in frames or ()]
    if len(found) > limits.MAX_ATTESTATION_FRAMES:
        raise SocketError(f"{len(found)} attestations; at most {limits.MAX_ATTESTATION_FRAMES} are allowed")
    return found
