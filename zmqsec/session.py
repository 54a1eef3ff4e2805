"""The sender's session and sealing in Python (floor 9); spec, "Sessions" and "Sealing"."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from . import limits, sodium
from .address import check_name, encode_address
from .admission import admission_part, derive_admission_key
from .attestation import Attester
from .errors import AssociationError, PartsError, SequenceExhausted, SocketError
from .header import Header, derive_suite_key
from .identity import Identity
from .message import AssociationLike, Attest, Clock, Message, Metadata, Random, Show
from .parts import encode_metadata, encode_parts
from .suites import Suite, suite_by_number

random_bytes = sodium.random_bytes

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def check_attest(identity: Any, attest: str) -> Any:
    """The identity that is to attest, or None for "none"; SocketError says what is allowed."""
    if attest not in ("none", "message", "batch"):
        raise SocketError(f"attest={attest!r}: 'none', 'message' or 'batch' is allowed")
    if attest == "none":
        return None
    if not isinstance(identity, Identity):
        raise SocketError(f"attest={attest!r} needs identity=, an Identity, and not {type(identity).__name__}")
    return identity


class Session:
    """The sending side of an association: one session at a time, which rotates at its limits (spec, "Sessions").

    `clock` gives unix seconds, `random` bytes; both are for tests and vectors, as is `sequence`, the first number.
    With ``rotate=False`` a limit raises SequenceExhausted instead. With an `identity` and `attest` of ``"message"`` or
    ``"batch"`` each sealed part says from whom it is, `identity` and `routing_id`, and has an attestation behind it.
    `show` gives the identity's credential at a time, or None: it travels in a session's first message, and again at
    most once in a second, where it fits.
    """

    def __init__(
        self,
        association: AssociationLike,
        *,
        clock: Clock = time.time,
        random: Random = random_bytes,
        sequence: int = 0,
        rotate: bool = True,
        identity: Identity | None = None,
        attest: Attest = "none",
        routing_id: bytes = b"",
        show: Show | None = None,
    ) -> None:
        if not 0 <= sequence <= limits.MAX_SEQUENCE:
            raise AssociationError(f"sequence {sequence}: 0 to {limits.MAX_SEQUENCE} is allowed")
        self.association = association
        self.session_id, self.sequence = b"", 0
        self.suite: Suite = suite_by_number(association.suite)
        self.key = derive_suite_key(association.secret, association.suite, association.spi)
        self.admission_key = derive_admission_key(association.secret, association.spi) if association.admit else None
        self._clock, self._random, self._may_rotate = clock, random, rotate
        self._past: deque[tuple[bytes, int]] = deque(maxlen=limits.KEPT_SESSIONS)
        self.identity, self.attest = check_attest(identity, attest), attest
        self._show, self._shown = (show if self.identity is not None else None), -1
        self.use_routing_id(routing_id)
        self.rotate()
        self._past.clear()
        self.sequence = sequence

    def use_routing_id(self, routing_id: bytes) -> None:
        """Attest with another routing id from now on."""
        #: The metadata with which the header parts of every message begin.
        self.lead = b""
        if self.identity is not None:
            self._attester = Attester(self.identity, self.key, routing_id)
            self.lead = encode_metadata("from", self.identity.fingerprint + routing_id, False)

    def next_lead(self) -> bytes:
        """The metadata with which the next message's header parts begin: `lead`, and a credential where it is due."""
        now = int(self._clock())
        if self._show is None or now == self._shown:
            return self.lead
        self._shown = now
        credential = self._show(now)
        return self.lead + (b"" if credential is None else encode_metadata("cred", credential, False))

    @property
    def lead_size(self) -> tuple[int, int]:
        """How many parts, at most, are written into the header here, and the bytes of those that are always there."""
        parts = 0 if self.identity is None else 1 if self._show is None else 2
        return parts + (self.admission_key is not None), len(self.lead) + self.admission_size

    @property
    def admission_size(self) -> int:
        """Bytes of the admission behind the header parts of each message, 0 where there is none."""
        return 0 if self.admission_key is None else limits.ADMIT_BYTES

    def attest_many(self, sealed: Sequence[bytes]) -> list[bytes]:
        """The attestations of sealed parts of this session: one signature for each, or with "batch" for up to 64."""
        if self.identity is None:
            raise SocketError("this session has no identity to attest with")
        size = limits.BATCH if self.attest == "batch" else 1
        groups = [sealed[at : at + size] for at in range(0, len(sealed), size)]
        return [frame for group in groups for frame in self._attester.attest(group)]

    def has_sealed(self, message_id: bytes) -> bool:
        """Whether this is the id (session and sequence number) of a message of this session, or of one before it."""
        session, sequence = message_id[: limits.SESSION_BYTES], message_id[limits.SESSION_BYTES :]
        number = int.from_bytes(sequence, "little")
        ours = ((self.session_id, self.sequence), *self._past)
        return any(session == known and number < following for known, following in ours)

    @property
    def last_id(self) -> bytes:
        """The id of the message that was sealed last."""
        return self.session_id + (self.sequence - 1).to_bytes(8, "little")

    def rotate(self) -> None:
        """Begin a new session now."""
        if self.session_id:
            self._past.append((self.session_id, self.sequence))
        self._shown = -1
        self.start = int(self._clock())
        self.session_id = self.start.to_bytes(4, "little") + self._random(8)
        self.sequence = 0
        self._generation = _forks, os.getpid()  # the number is also that of a child which C forked

    def reserve(self, n: int) -> int:
        """Take `n` consecutive sequence numbers of one session and return the first."""
        if not 1 <= n <= limits.MAX_SEQUENCE:
            raise AssociationError(f"{n} sequence numbers: 1 to {limits.MAX_SEQUENCE} can be reserved at once")
        age = int(self._clock()) - self.start
        full = self.sequence + n > limits.REKEY_AFTER_MESSAGES
        if self._generation != (_forks, os.getpid()) or full or not 0 <= age < limits.REKEY_AFTER_TIME:
            if not self._may_rotate:
                raise SequenceExhausted(
                    f"this session may not rotate and has reached a limit: {self.sequence} of "
                    f"{limits.REKEY_AFTER_MESSAGES} messages, {age} of {limits.REKEY_AFTER_TIME} seconds, or a fork"
                )
            self.rotate()
        first = self.sequence
        self.sequence += n
        return first

    def __reduce__(self) -> Any:
        raise TypeError("a session cannot be pickled: its nonces must not be used twice")


def _normal(message: Any) -> Message:
    """Any accepted form of a message as a Message."""
    if isinstance(message, Message):
        return message
    return Message(body=message if isinstance(message, (list, tuple)) else [message])


def _encode_header_parts(message: Message, lead: bytes) -> bytes:
    out = b"" if message.topic is None else encode_metadata("topic", message.topic, True)
    out += encode_address(message, lead)
    for name, value in message.metadata.items():
        critical = isinstance(value, Metadata) and value.critical
        check_name(name, critical)
        out += encode_metadata(name, value.value if isinstance(value, Metadata) else value, critical)
    return out + encode_parts(message.header)


def _seal_one(session: Session, sequence: int, message: Message, header_parts: bytes, body: bytes) -> bytes:
    clear = message.protect == "authenticated"
    header = Header(
        suite=session.association.suite,
        kind=message.kind,
        flags=(limits.FLAG_CLEAR_BODY if clear else 0) | (limits.FLAG_ORIGIN_ATTESTED if session.identity else 0),
        header_parts=len(header_parts) + session.admission_size,
        spi=session.association.spi,
        session=session.session_id,
        sequence=sequence,
    )
    front = header.encode() + header_parts
    if session.admission_key is not None:
        front += admission_part(session.admission_key, front)
    front += body if clear else b""
    nonce = front[limits.NONCE_OFFSET : limits.HEADER_BYTES]
    return front + session.suite.seal(session.key, nonce, front, b"" if clear else body)


def _fits(header_parts: int, body: bytes, max_message: int) -> bool:
    size = limits.HEADER_BYTES + header_parts + len(body) + limits.TAG_BYTES
    return limits.MIN_SEALED_BYTES <= size <= max_message and header_parts <= limits.MAX_HEADER_PARTS_BYTES


def _measure(index: int, header_parts: int, body: bytes, max_message: int) -> None:
    if not _fits(header_parts, body, max_message):
        raise PartsError(
            f"message {index} cannot be sealed: its sealed part would pass {max_message} bytes "
            f"or its header parts {limits.MAX_HEADER_PARTS_BYTES}, or it has no part at all"
        )


def seal_many(messages: Iterable[Any], session: Session, *, max_message: int = limits.MAX_PART_BYTES) -> list[bytes]:
    """Seal each message (bytes-like, a list of parts, or a Message) and return the sealed parts, as bytes."""
    sealed = []
    every = list(messages)
    for start in range(0, len(every), 64):
        ready = []
        lead = session.next_lead()
        for index, given in enumerate(every[start : start + 64], start):
            message = _normal(given)
            if message.protect not in ("sealed", "authenticated"):
                raise PartsError(f"protect={message.protect!r}: 'sealed' or 'authenticated' is allowed")
            header_parts, body = _encode_header_parts(message, lead), encode_parts(message.body)
            if lead != session.lead and not _fits(len(header_parts) + session.admission_size, body, max_message):
                header_parts = _encode_header_parts(message, session.lead)
            _measure(index, len(header_parts) + session.admission_size, body, max_message)
            ready.append((message, header_parts, body))
            lead = session.lead
        first = session.reserve(len(ready))
        sealed += [_seal_one(session, first + i, *item) for i, item in enumerate(ready)]
    return sealed
