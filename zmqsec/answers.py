"""Which messages a channel's traffic answers, and what is to be known for answering it (floor 9).

Spec, "Routing metadata". ``_answers.pyx`` is the same for the C core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from . import limits
from .message import Message
from .session import Session

#: The detail of a refusal for this.
WRONG_REPLY = "a reply to another message"

#: A message's id, and its proven origin's fingerprint.
Mark = tuple[bytes, "bytes | None"]


class PairsLike(Protocol):
    """What `zmqsec.pairs.Pairs` tells of the peers that have keys of their own."""

    def origin_of(self, spi: int) -> bytes | None: ...

    def sessions_of(self, spi: int) -> Sequence[Any]: ...


class Answers:
    """The sessions that a channel has sealed with, the reply it expects, and the marks of what it received."""

    def __init__(self) -> None:
        #: For a socket that answers: whether to fill `marks`, the messages that items came in by their number.
        self.marking = False
        self.marks: dict[int, Mark] = {}
        #: Whether replies must answer a message that was sent here.
        self.matching = False
        #: The one message that a reply must answer where that is so, and there is one.
        self.expected: bytes | None = None
        #: For a socket with keys for each peer: who they are by SPI, and what was sealed for them.
        self.pairs: PairsLike | None = None
        self._past: deque[Session] = deque(maxlen=limits.KEPT_SESSIONS)

    def keep(self, session: Session | None) -> None:
        """This session seals no more; replies to its messages may still come."""
        if session is not None:
            self._past.append(session)

    def fit(self, message: Message, session: Session | None) -> bool:
        """Is the message no reply, or one to a message of ours: to the one that is expected, if there is one?"""
        if not self.matching:
            return True
        if self.expected is not None:
            return message.reply_to == self.expected
        if message.reply_to is None:
            return True
        reply_to = message.reply_to
        known = (*self._past, session) if self.pairs is None else self.pairs.sessions_of(message.spi)
        return any(one.has_sealed(reply_to) for one in known if one is not None)

    def mark(self, message: Message, front: int, start: int, count: int) -> None:
        """The `count` items from number `start` on came in this message, behind so many frames."""
        if self.pairs is not None:
            origin = self.pairs.origin_of(message.spi)
        else:
            origin = None if message.origin is None else message.origin.fingerprint
        if self.marking and (front > 1 or origin is not None):  # else nobody will ask
            self.marks.update((start + i, (message.id, origin)) for i in range(count))
