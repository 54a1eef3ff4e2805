"""REQ and REP over DEALER and ROUTER (floor 11): the order of calls, the delimiter, request ids.

libzmq's own REQ and REP would stand still on a message that was refused; these go on waiting for the right one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import zmq

from . import limits

if TYPE_CHECKING:
    from .answers import Mark

_DELIMITER = b""


class Request:
    """The state of a REQ socket: send, receive, send; with `relaxed` a new request may replace one without reply."""

    __slots__ = ("_envelope", "_waiting", "correlate", "expected", "relaxed", "reply_to", "to")

    def __init__(self) -> None:
        self.relaxed = self.correlate = False
        self._waiting = False
        self._envelope: list[bytes] = [_DELIMITER]
        self.to: bytes | None = None
        self.reply_to: bytes | None = None
        #: The id of the request whose reply is waited for; no other message is one.
        self.expected: bytes | None = None

    def before_send(self) -> tuple[bytes, ...]:
        """The envelope of the next request."""
        if self._waiting and not self.relaxed:
            raise zmq.ZMQError(zmq.EFSM)
        return (os.urandom(4), _DELIMITER) if self.correlate else (_DELIMITER,)

    def after_send(self, envelope: tuple[bytes, ...], message_id: bytes) -> None:
        """The request of this id went out; its reply comes with the same envelope."""
        self._waiting, self._envelope, self.expected = True, list(envelope), message_id

    def before_receive(self) -> None:
        if not self._waiting:
            raise zmq.ZMQError(zmq.EFSM)

    def accept(self, front: list[bytes], mark: Mark | None) -> bool:
        """Is this the envelope of the reply that is waited for?"""
        if front != self._envelope:
            return False
        self._waiting = False
        return True


class Reply:
    """The state of a REP socket: receive, send, receive; the envelope of the request is that of the reply.

    The reply is bound to the request by its id, `reply_to`, and where its origin was proven it is for that one, `to`.
    """

    __slots__ = ("_envelope", "expected", "reply_to", "to")

    def __init__(self) -> None:
        self._envelope: tuple[bytes, ...] | None = None
        self.to: bytes | None = None
        self.reply_to: bytes | None = None
        self.expected: bytes | None = None  # a request answers nothing

    def before_send(self) -> tuple[bytes, ...]:
        if self._envelope is None:
            raise zmq.ZMQError(zmq.EFSM)
        return self._envelope

    def after_send(self, envelope: tuple[bytes, ...], message_id: bytes) -> None:
        """The reply went out; the next call is for a request."""
        self._envelope = None

    def before_receive(self) -> None:
        if self._envelope is not None:
            raise zmq.ZMQError(zmq.EFSM)

    def accept(self, front: list[bytes], mark: Mark | None) -> bool:
        """Keep the request's envelope, which ends with the delimiter, and the mark of who it is."""
        if len(front) < 2 or front[-1] != _DELIMITER or len(front) > limits.MAX_ENVELOPE_FRAMES:
            return False
        self.reply_to, self.to = (None, None) if mark is None else mark
        self._envelope = tuple(front)
        return True
