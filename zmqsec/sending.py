"""The sending half of a secured socket (floor 11): what stands in clear is set apart, the rest goes to the channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from . import limits
from .bundle import bundles_of
from .errors import SocketError
from .message import Message, Metadata, Part, Protect
from .state import State

if TYPE_CHECKING:
    from .channel import Channel

# Plain integers: arithmetic with enum members costs as much as a whole message.
_SNDMORE = int(zmq.SNDMORE)


class Sending(zmq.Socket[bytes]):
    """send, send_multipart, send_many, send_message."""

    _state: State

    def send(self, data: Any, flags: int = 0, copy: bool = True, track: bool = False, **routing: Any) -> None:  # type: ignore[override]
        """Seal and send one part; with SNDMORE it waits for the others of its message."""
        state = self._state
        if state.direct and not flags & _SNDMORE and not state.partial and not track:
            state.channel.send_one(data, flags)  # type: ignore[union-attr]
            return
        if track or routing.get("group") is not None or routing.get("routing_id") is not None:
            raise SocketError("track=, group= and routing_id= are for plain sockets; a secured one copies and seals")
        if isinstance(data, (list, tuple, Message, Metadata)):
            raise SocketError(f"send takes one bytes-like part, not {type(data).__name__}; see send_multipart")
        if flags & _SNDMORE:
            self._sending()
            state.partial.append(bytes(data.buffer if isinstance(data, zmq.Frame) else memoryview(data)))
            return
        parts, state.partial = [*state.partial, data], []
        self._send_parts(parts, flags)

    def send_multipart(  # type: ignore[override]
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        *,
        envelope: int | None = None,
        **routing: Any,
    ) -> None:
        """Seal and send a message of several parts.

        On PUB the first of two or more parts is the topic, in clear and bound. On ROUTER and DEALER the envelope goes
        in front in clear: by default the routing id (ROUTER) and the empty delimiter if it follows, or the envelope
        that the parts share with a message received before; `envelope` gives its number of parts instead.
        """
        if track:
            raise SocketError("track=True is for plain sockets; a secured one copies and seals")
        if flags & _SNDMORE:
            for part in msg_parts:
                self.send(part, flags)
            return
        parts, self._state.partial = [*self._state.partial, *msg_parts], []
        self._send_parts(parts, flags, envelope)

    def send_many(self, messages: Iterable[Any], *, bundle: bool = False, flags: int = 0) -> int:
        """Seal and send a batch; returns how many were sent, fewer than given only with DONTWAIT or SNDTIMEO.

        A message is bytes-like, or a sequence of parts as for `send_multipart`, or a Message. With `bundle=True`
        messages that follow each other and share topic and envelope travel in one sealed part.
        """
        channel = self._sending()
        state = self._state
        if state.lockstep is not None:
            raise SocketError(f"{self._type_name} sends one message at a time; use send")
        if bundle:
            messages = list(messages)
            if state.direct and not any(isinstance(message, (list, tuple, Message)) for message in messages):
                return channel.send_bundles(messages, flags)
            return self._send_bundles([self._outgoing(message) for message in messages], flags)
        if state.direct:
            return channel.send_many(messages, flags)
        return channel.send_many([self._outgoing(message) for message in messages], flags)

    def send_message(
        self,
        message: Message | None = None,
        *,
        header: Sequence[Part] = (),
        body: Sequence[Part] = (),
        metadata: Mapping[str, bytes | Metadata] | None = None,
        protect: Protect = "sealed",
        topic: bytes | None = None,
        envelope: Sequence[bytes] = (),
        flags: int = 0,
    ) -> None:
        """Seal and send a whole structure: a Message, or its fields.

        Header parts and metadata are readable on the way and authenticated; body parts nest as lists and are encrypted,
        or with ``protect="authenticated"`` readable too.
        """
        if message is None:
            message = Message(body, header, metadata or {}, protect, limits.KIND_DATA, topic, envelope)
        if message.topic is not None and not self._state.pattern.topics:
            raise SocketError(f"{self._type_name} has no topics; PUB and XPUB have")
        self._send_item(self._outgoing(message), flags)

    def _sending(self) -> Channel:
        """The channel, for a socket that may send."""
        state = self._state
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        if not state.pattern.sends:
            raise zmq.ZMQError(zmq.ENOTSUP)
        if state.stale:
            state.refresh()
        if state.channel is None or state.channel.session is None:
            raise SocketError(
                "this socket has no association (or its keyring lost it), so it sends nothing; "
                "pass association= to Context.socket"
            )
        return state.channel

    def _send_parts(self, parts: list[Any], flags: int, envelope: int | None = None) -> None:
        self._sending()
        if not parts:
            raise SocketError("a message of 0 parts; 1 or more are allowed")
        if self._state.pattern.type == zmq.XSUB and len(parts) == 1 and bytes(parts[0][:1]) in (b"\0", b"\1"):
            super().send(parts[0], flags)  # a subscription: ZeroMQ's own, not a message
            return
        self._send_item(self._outgoing(parts, envelope), flags)

    def _send_item(self, item: Any, flags: int) -> None:
        channel = self._sending()
        lockstep = self._state.lockstep
        if lockstep is None:
            channel.send_one(item, flags)
            return
        item = item if isinstance(item, Message) else Message(body=item if isinstance(item, list) else [item])
        item.envelope = lockstep.before_send()
        channel.send_one(item, flags)
        lockstep.after_send()

    def _send_bundles(self, items: list[Any], flags: int) -> int:
        sent = 0
        channel = self._sending()
        for bundle, count in bundles_of(items, channel.max_message):
            if channel.send_many([bundle], flags) == 0:
                break
            sent += count
        return sent

    def _outgoing(self, message: Any, envelope: int | None = None) -> Any:
        """A user's message as the channel takes it, with what stands in clear apart."""
        pattern = self._state.pattern
        if isinstance(message, Message) and pattern.type != zmq.XSUB:
            return message
        parts = list(message) if isinstance(message, (list, tuple)) else [message]
        if pattern.type == zmq.XSUB:
            raise SocketError(
                "XSUB sends subscriptions only, one part that begins with byte 1 or 0: "
                "libzmq takes every frame that begins so as one, and a sealed part begins with 0"
            )
        if pattern.topics and len(parts) > 1:
            return Message(body=parts[1:], topic=_topic(parts[0]))
        if not pattern.routes:
            return parts if len(parts) != 1 else parts[0]
        router = pattern.type == zmq.ROUTER
        count = envelope if envelope is not None else self._state.envelopes.length(parts, router)
        if not (1 if router else 0) <= count < len(parts):
            raise SocketError(
                f"{self._type_name}: {len(parts)} parts with an envelope of {count}; "
                f"{'a routing id' if router else 'no part'} or more, and at least one part behind it, are allowed"
            )
        return Message(body=parts[count:], envelope=tuple(map(bytes, parts[:count])))


def _topic(part: Any) -> bytes:
    topic = bytes(part)
    if len(topic) >= limits.MIN_SEALED_BYTES and topic.startswith(limits.MAGIC):
        raise SocketError(f"the topic {topic[:8]!r}... has the form of a sealed part; choose another")
    return topic
