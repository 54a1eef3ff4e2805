"""The sender's session and sealing in Python (floor 8); spec, "Sessions" and "Sealing"."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from . import limits, sodium
from .errors import AssociationError, PartsError, SequenceExhausted
from .header import Header, derive_suite_key
from .message import AssociationLike, Clock, Message, Metadata, Random
from .parts import encode_metadata, encode_parts
from .suites import Suite, suite_by_number

random_bytes = sodium.random_bytes

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Session:
    """The sending side of an association: one session at a time, which rotates at its limits (spec, "Sessions").

    `clock` gives unix seconds, `random` bytes; both are for tests and vectors, as is `sequence`, the first number.
    With ``rotate=False`` a limit raises SequenceExhausted instead.
    """

    def __init__(
        self,
        association: AssociationLike,
        *,
        clock: Clock = time.time,
        random: Random = random_bytes,
        sequence: int = 0,
        rotate: bool = True,
    ) -> None:
        if not 0 <= sequence <= limits.MAX_SEQUENCE:
            raise AssociationError(f"sequence {sequence}: 0 to {limits.MAX_SEQUENCE} is allowed")
        self.association = association
        self.suite: Suite = suite_by_number(association.suite)
        self.key = derive_suite_key(association.secret, association.suite, association.spi)
        self._clock, self._random, self._may_rotate = clock, random, rotate
        self.rotate()
        self.sequence = sequence

    def rotate(self) -> None:
        """Begin a new session now."""
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


def _encode_header_parts(message: Message) -> bytes:
    out = b"" if message.topic is None else encode_metadata("topic", message.topic, True)
    for name, value in message.metadata.items():
        if name == "topic":
            raise PartsError("metadata 'topic' is written by zmqsec itself; give it as Message.topic")
        critical = isinstance(value, Metadata) and value.critical
        out += encode_metadata(name, value.value if isinstance(value, Metadata) else value, critical)
    return out + encode_parts(message.header)


def _seal_one(session: Session, sequence: int, message: Message, header_parts: bytes, body: bytes) -> bytes:
    clear = message.protect == "authenticated"
    header = Header(
        suite=session.association.suite,
        kind=message.kind,
        flags=limits.FLAG_CLEAR_BODY if clear else 0,
        header_parts=len(header_parts),
        spi=session.association.spi,
        session=session.session_id,
        sequence=sequence,
    )
    front = header.encode() + header_parts + (body if clear else b"")
    nonce = front[limits.NONCE_OFFSET : limits.HEADER_BYTES]
    return front + session.suite.seal(session.key, nonce, front, b"" if clear else body)


def _measure(index: int, header_parts: bytes, body: bytes, max_message: int) -> None:
    size = limits.HEADER_BYTES + len(header_parts) + len(body) + limits.TAG_BYTES
    if not limits.MIN_SEALED_BYTES <= size <= max_message or len(header_parts) > limits.MAX_HEADER_PARTS_BYTES:
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
        for index, given in enumerate(every[start : start + 64], start):
            message = _normal(given)
            if message.protect not in ("sealed", "authenticated"):
                raise PartsError(f"protect={message.protect!r}: 'sealed' or 'authenticated' is allowed")
            header_parts, body = _encode_header_parts(message), encode_parts(message.body)
            _measure(index, header_parts, body, max_message)
            ready.append((message, header_parts, body))
        first = session.reserve(len(ready))
        sealed += [_seal_one(session, first + i, *item) for i, item in enumerate(ready)]
    return sealed
