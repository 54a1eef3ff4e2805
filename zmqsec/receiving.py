"""The receiving half of a secured socket (floor 11): refused messages are skipped and counted, the rest handed out."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Literal, overload

import zmq

from . import limits
from .errors import Reason, Refusal, SocketError
from .message import Message
from .parts import leaves
from .peering import Peering
from .signer import Signer
from .state import State

if TYPE_CHECKING:
    from .answers import Mark
    from .channel import Channel

_MAX_REFUSED_IN_A_ROW = 1000

# Plain integers: arithmetic with enum members costs as much as a whole message.
_DONTWAIT = int(zmq.DONTWAIT)
_POLLIN = int(zmq.POLLIN)
_SNDMORE = int(zmq.SNDMORE)


class Receiving(zmq.Socket[bytes]):
    """recv, recv_multipart, recv_many, recv_message."""

    _state: State

    @overload  # type: ignore[override]
    def recv(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> bytes: ...
    @overload
    def recv(self, flags: int = 0, *, copy: Literal[False], track: bool = False) -> memoryview: ...
    @overload
    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> bytes | memoryview: ...
    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """The next part, opened: bytes, or with ``copy=False`` a memoryview that owns its memory.

        Refused messages are skipped, and never raise. RCVMORE tells whether the message has more parts. Raises
        zmq.Again as pyzmq does, with NOBLOCK also after 1,000 refused messages in a row. `recv_pyobj` unpickles what
        an authenticated peer sent, which lets that peer run code here.
        """
        state = self._state
        if track:
            raise SocketError("track=True is for plain sockets; a secured one opens in its own memory")
        if state.rest:
            return state.rest.popleft()
        return self._first_part(self._next(flags, limits.FORM_PARTS, copy)[0])

    def _recv_received(self, items: list[Any], flags: int) -> Any:
        """Go on with what the short path received and cannot hand out."""
        channel = self._receiving()
        if channel.waiting_refusals:
            self._state.reporter.report(channel.take_refusals())
        taken = self._accept(items, channel) if items else None
        return self._first_part((taken or self._next(flags, limits.FORM_PARTS, True))[0])

    def _first_part(self, item: Any) -> Any:
        """The first part of a message; the others wait."""
        state = self._state
        if isinstance(item, (list, Message)):
            parts = _parts(item)
            state.rest.extend(parts[1:])
            return parts[0] if parts else b""
        return item

    @overload  # type: ignore[override]
    def recv_multipart(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> list[bytes]: ...
    @overload
    def recv_multipart(self, flags: int = 0, *, copy: Literal[False], track: bool = False) -> list[memoryview]: ...
    @overload
    def recv_multipart(
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> list[bytes] | list[memoryview]: ...
    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """All parts of the next message: envelope or topic, then the body's leaves, depth first."""
        state = self._state
        if track:
            raise SocketError("track=True is for plain sockets; a secured one opens in its own memory")
        if state.rest:
            parts = list(state.rest)
            state.rest.clear()
            return parts
        item, _ = self._next(flags, limits.FORM_LISTS, copy)
        return _parts(item)

    def recv_many(
        self,
        max_messages: int = limits.BATCH,
        timeout: float | None = None,
        *,
        multipart: bool = False,
        copy: bool = True,
    ) -> list[Any]:
        """Up to `max_messages` messages, as soon as there is one; [] if none came.

        `timeout` is in seconds: None waits as RCVTIMEO says, 0 takes what is there. A message of one part without
        topic or envelope comes as that part, any other as a list; with ``multipart=True`` all come as lists.
        """
        if max_messages < 1:
            raise SocketError(f"max_messages={max_messages}: 1 or more are allowed")
        channel = self._receiving()
        if self._state.rest:
            raise SocketError(f"{len(self._state.rest)} parts of the message before still wait; receive them first")
        form = limits.FORM_LISTS if multipart else limits.FORM_PARTS
        if out := self._take_ready(max_messages, form):
            return out
        deadline = self._deadline(timeout)
        flags = 0 if deadline is None and self._state.receive_timeout < 0 else _DONTWAIT
        refused = 0
        while True:
            if self._state.stale:
                self._state.refresh()
            try:
                items, refused_now = self._drain(channel, max_messages, flags, form, copy)
            except zmq.Again:
                if not self._wait(deadline):
                    return []
                continue
            if items:
                return items
            refused += refused_now
            if _given_up(deadline, refused):
                return []

    def _recv_many_received(self, items: list[Any], max_messages: int, timeout: float | None) -> list[Any]:
        """Go on with what the short path received and cannot hand out."""
        items, _ = self._drained(items, self._receiving(), max_messages)
        return items or Receiving.recv_many(self, max_messages, timeout)

    def recv_message(self, flags: int = 0, *, copy: bool = True) -> Message:
        """The next message with its whole structure: nested parts, metadata, envelope, topic, session and sequence.

        Of a bundle that another call has begun to hand out it gives the leaves alone.
        """
        if self._state.rest:
            raise SocketError(f"{len(self._state.rest)} parts of the message before still wait; receive them first")
        item, front = self._next(flags, limits.FORM_MESSAGES, copy)
        if isinstance(item, Message):
            self._name_origin(item)
            return item
        parts = item if isinstance(item, list) else [item]
        topic = parts[0] if front and self._state.pattern.layout == limits.LAYOUT_TOPIC else None
        return Message(body=parts[front:], topic=topic, envelope=() if topic is not None else tuple(parts[:front]))

    def _receiving(self) -> Channel:
        """The channel, for a socket that may receive, up to date with its keyring."""
        state = self._state
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        if not state.pattern.receives:
            raise zmq.ZMQError(zmq.ENOTSUP)
        if state.channel is None:
            raise SocketError(
                "this socket has no association, so it accepts nothing; pass association= to Context.socket"
            )
        if state.stale:
            state.refresh()
        if state.lockstep is not None:
            state.lockstep.before_receive()
        if state.pairs is not None:
            state.pairs.expire()
        elif isinstance(state.binding, Peering):
            state.binding.begin()
        return state.channel

    def _answer_handshakes(self, channel: Channel) -> None:
        """What came of handshakes since the last call; an answer that cannot be sent is asked for again."""
        pairs, pairing = self._state.pairs, self._state.pairing
        if pairing is not None:
            for _, frame in channel.aside.take():
                pairing.hint(frame)
        if pairs is None:
            return
        for front, answer in pairs.receive_many(channel.aside.take()):
            with contextlib.suppress(zmq.ZMQError):
                for part in front:
                    zmq.Socket.send(self, part, _DONTWAIT | _SNDMORE)
                zmq.Socket.send(self, answer, _DONTWAIT)

    def _name_origin(self, message: Message) -> None:
        """Keys that one peer alone has tell whom a message is from."""
        state = self._state
        identity = None
        if state.pairs is not None:
            identity = state.pairs.identity_of(message.spi)
        elif state.pairing is not None:
            identity = state.pairing.state.peer
        if identity is not None and message.origin is None:
            message.origin = Signer(identity, b"", True)

    def _next(self, flags: int, form: int, copy: bool) -> tuple[Any, int]:
        """The next item and how many frames stood in front of it."""
        state = self._state
        if state.ready:
            return state.ready.popleft()
        channel = self._receiving()
        if state.receive_timeout < 0 and not flags & _DONTWAIT:
            while True:
                items = channel.recv_one(flags, form, copy)
                if self._state.shakes_hands:
                    self._answer_handshakes(channel)
                if channel.waiting_refusals:
                    state.reporter.report(channel.take_refusals())
                if items and (taken := self._accept(items, channel)):
                    return taken
                if state.stale:
                    state.refresh()
        return self._next_in_time(channel, flags, form, copy)

    def _next_in_time(self, channel: Channel, flags: int, form: int, copy: bool) -> tuple[Any, int]:
        """As `_next` with NOBLOCK or RCVTIMEO: refused messages cost time and no more than that."""
        deadline = 0.0 if flags & _DONTWAIT else self._deadline(None)
        refused = 0
        while True:
            if self._state.stale:
                self._state.refresh()
            try:
                items = channel.recv_one(flags | _DONTWAIT, form, copy)
            except zmq.Again:
                if not self._wait(deadline):
                    raise
                continue
            if self._state.shakes_hands:
                self._answer_handshakes(channel)
            if channel.waiting_refusals:
                self._state.reporter.report(channel.take_refusals())
            if items and (taken := self._accept(items, channel)):
                return taken
            refused += 1
            if _given_up(deadline, refused):
                raise zmq.Again

    def _accept(self, items: list[Any], channel: Channel) -> tuple[Any, int] | None:
        """The first of the items of one sealed part; the others wait. None if it is not for this socket's state."""
        state = self._state
        if state.pattern.plain:
            if len(items) > 1:
                state.ready.extend((item, 0) for item in items[1:])
            return items[0], 0
        kept = self._fronted(items, channel)
        if not kept:
            return None
        state.ready.extend(kept[1:])
        return kept[0]

    def _fronted(self, items: list[Any], channel: Channel) -> list[tuple[Any, int]]:
        """Each item with the number of its front parts, after what the socket's type makes of them."""
        state = self._state
        lockstep, fronts, marks = state.lockstep, channel.fronts, channel.answers.marks
        kept: list[tuple[Any, int]] = []
        for at, (item, front) in enumerate(zip(items, fronts, strict=True)):
            mark = marks.get(at) if marks else None
            envelope = list(item.envelope) if isinstance(item, Message) else item[:front] if front else []
            if lockstep is not None:
                if kept or not lockstep.accept(envelope, mark):  # one at a time, so a bundle's first alone
                    state.refused += 1
                    state.reporter.report([Refusal(Reason.MALFORMED, "not what this socket waits for")])
                    continue
                kept.append((_strip(item, front), 0))
            elif mark is not None and envelope:
                kept.append(self._from_peer(item, envelope, mark))
            else:
                if state.pattern.routes:
                    state.envelopes.remember(envelope)
                kept.append((item, front))
        return kept

    def _from_peer(self, item: Any, envelope: list[bytes], mark: Mark) -> tuple[Any, int]:
        """What a ROUTER received, with the peer's address in front: its fingerprint, or its envelope as it came."""
        state = self._state
        message_id, origin = mark
        if origin is None or not state.by_identity:
            state.envelopes.remember(envelope)
            state.requests.seen(envelope, message_id)
            return item, len(envelope)
        shown = state.peers.seen(origin, envelope, message_id)
        if isinstance(item, Message):
            item.envelope = shown
            return item, len(shown)
        return [*shown, *item[len(envelope) :]], len(shown)

    def _drain(self, channel: Channel, max_messages: int, flags: int, form: int, copy: bool) -> tuple[list[Any], int]:
        """At most `max_messages` of what is there, and how many were refused; those behind wait for the next call.

        Raises zmq.Again if nothing is there and `flags` say not to wait.
        """
        wanted = 1 if self._state.lockstep is not None else max_messages
        return self._drained(channel.recv_many(wanted, flags, form, copy), channel, max_messages)

    def _drained(self, items: list[Any], channel: Channel, max_messages: int) -> tuple[list[Any], int]:
        state = self._state
        if self._state.shakes_hands:
            self._answer_handshakes(channel)
        refused = channel.waiting_refusals
        if refused:
            state.reporter.report(channel.take_refusals())
        if state.lockstep is not None or state.pattern.routes:
            kept = self._fronted(items, channel)
            state.ready.extend(kept[max_messages:])
            return [item for item, _ in kept[:max_messages]], refused or len(items)
        if len(items) > max_messages:  # a bundle brought more than were asked for
            fronts = channel.fronts or [0] * len(items)
            state.ready.extend(zip(items[max_messages:], fronts[max_messages:], strict=True))
            return items[:max_messages], refused
        return items, refused

    def _take_ready(self, max_messages: int, form: int) -> list[Any]:
        ready = self._state.ready
        out: list[Any] = []
        while ready and len(out) < max_messages:
            item, _ = ready.popleft()
            parts = _parts(item)
            out.append(parts[0] if form == limits.FORM_PARTS and len(parts) == 1 else parts)
        return out

    def _deadline(self, timeout: float | None) -> float | None:
        """When to give up, on the monotonic clock; None: never, 0.0: at once."""
        if timeout is None:
            milliseconds = self._state.receive_timeout
            timeout = None if milliseconds < 0 else milliseconds / 1000
        if timeout is None:
            return None
        return time.monotonic() + timeout if timeout > 0 else 0.0

    def _wait(self, deadline: float | None) -> bool:
        """Wait for something to receive; False if the deadline passed."""
        channel = self._receiving()
        if deadline is None:
            channel.poll(None, _POLLIN)
            return True
        left = deadline - time.monotonic()
        return left > 0 and bool(channel.poll(max(1, int(left * 1000)), _POLLIN))


def _given_up(deadline: float | None, refused: int) -> bool:
    """Whether refused messages have used up a receiver's time; one that does not wait gives up after 1,000."""
    if deadline is None:
        return False
    return refused >= _MAX_REFUSED_IN_A_ROW if deadline == 0.0 else time.monotonic() >= deadline


def _strip(item: Any, front: int) -> Any:
    """The item without its front parts."""
    if isinstance(item, Message):
        item.envelope = ()
        return item
    if not front:
        return item
    return item[front] if len(item) == front + 1 else item[front:]


def _parts(item: Any) -> list[Any]:
    """An item of any form as a list of parts."""
    if isinstance(item, Message):
        return [*item.envelope, *([] if item.topic is None else [item.topic]), *leaves(item.body)]
    return item if isinstance(item, list) else [item]
