"""The sending half of a secured socket (floor 11): what stands in clear is set apart, the rest goes to the channel."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import zmq

from . import limits
from .address import fingerprint_of
from .errors import SocketError
from .message import Message, Metadata, Part, Protect
from .parts import as_bytes
from .peering import Peering
from .state import State

if TYPE_CHECKING:
    from .channel import Channel

# Plain integers: arithmetic with enum members costs as much as a whole message.
_SNDMORE = int(zmq.SNDMORE)
_DONTWAIT = int(zmq.DONTWAIT)

_NOWHERE = object()  # where a message goes that no route leads to


class Sending(zmq.Socket[bytes]):
    """send, send_multipart, send_many, send_message."""

    _state: State

    def send(  # type: ignore[override]
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> None:
        """Seal and send one part; with SNDMORE it waits for the others of its message.

        Raises zmq.Again if it cannot be queued in time, and PartsError for what is not bytes-like. `copy` changes
        nothing: sealing reads `data` once, and keeps no reference to it.
        """
        if track or group is not None or routing_id is not None:
            raise SocketError("track=, group= and routing_id= are for plain sockets; a secured one copies and seals")
        if isinstance(data, (list, tuple, Message, Metadata)):
            raise SocketError(f"send takes one bytes-like part, not {type(data).__name__}; see send_multipart")
        if flags & _SNDMORE:
            self._keep_part(data)
        else:
            self._send_parts([data], flags)

    def send_multipart(
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

        On PUB and XPUB the first of two or more parts is the topic, in clear and bound. On ROUTER and DEALER the
        envelope goes in front in clear: by default the routing id (ROUTER) and the empty delimiter if it follows, or
        the longest envelope of a message received before that the parts begin with. `envelope` gives its number of
        parts instead; use it where parts behind the routing id could by chance equal an envelope that was received.
        """
        if track:
            raise SocketError("track=True is for plain sockets; a secured one copies and seals")
        if flags & _SNDMORE:
            for part in msg_parts:
                self._keep_part(part)
        else:
            self._send_parts(list(msg_parts), flags, envelope)

    def send_many(self, messages: Iterable[Any], *, bundle: bool = False, flags: int = 0) -> int:
        """Seal and send a batch; returns how many were sent, fewer than given only with DONTWAIT or SNDTIMEO.

        A message is bytes-like, or a sequence of parts as for `send_multipart`, or a Message. With `bundle=True`
        messages that follow each other and share topic and envelope travel in one sealed part, of at most 1,024 parts
        (each message counts one, and one for each of its parts) and `max_message` bytes. Where it raises,
        `stats.sealed` tells how many sealed parts had gone before.
        """
        state = self._state
        channel = self._sending_whole(flags)
        if state.lockstep is not None:
            raise SocketError(f"{self._type_name} sends one message at a time; use send")
        messages = list(messages)
        if state.direct and channel.are_plain(messages, state.pattern.plain and not bundle):
            return channel.send_bundles(messages, flags) if bundle else channel.send_many(messages, flags)
        ready = [one for one in map(self._outgoing, messages) if one is not _NOWHERE]
        dropped = len(messages) - len(ready)
        return dropped + self._send_ready(ready, bundle, flags)

    def send_message(
        self,
        message: Message | None = None,
        *,
        header: Sequence[Part] = (),
        body: Sequence[Part] = (),
        metadata: Mapping[str, bytes | Metadata] | None = None,
        protect: Protect = "sealed",
        topic: bytes | None = None,
        envelope: Sequence[Any] = (),
        to: Any = None,
        reply_to: bytes | None = None,
        flags: int = 0,
    ) -> bytes:
        """Seal and send a whole structure, a Message or its fields, and return its id, which a reply repeats.

        Header parts and metadata are readable on the way and authenticated; body parts nest as lists and are encrypted,
        or with ``protect="authenticated"`` readable too. `topic` is for PUB and XPUB, `envelope` for ROUTER (the
        routing id first) and DEALER. `to` is whom the message is for, a fingerprint or an identity: all others refuse
        it. `reply_to` is the id of the message that it answers; :meth:`Message.reply` fills all of these in. The id is
        empty where ROUTER has no route to the peer and drops the message, as libzmq does without ROUTER_MANDATORY.
        """
        if message is None:
            message = Message(
                body, header, metadata or {}, protect, limits.KIND_DATA, topic, envelope, to=to, reply_to=reply_to
            )
        elif not isinstance(message, Message):
            raise SocketError(f"send_message takes a Message, not {type(message).__name__}; see send and send_many")
        channel = self._sending_whole(flags)
        return channel.last_id if self._send_item(self._outgoing(message), flags) else b""

    def _sending(self, flags: int = 0, *, with_keys: bool = True) -> Channel:
        """The channel, for a socket that may send; where handshakes make its keys, once they are there."""
        state = self._state
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        if not state.pattern.sends:
            raise zmq.ZMQError(zmq.ENOTSUP)
        if state.stale:
            state.refresh()
        if state.pairing is not None and with_keys:
            self._await_keys(flags)
        elif state.pairing is not None or state.pairs is not None:
            pass  # the session is that of the peer that a message goes to
        elif state.channel is None or state.channel.session is None:
            raise SocketError(
                "this socket has no association (or its keyring lost it), so it sends nothing; "
                "pass association= or peer= to Context.socket"
            )
        assert state.channel is not None
        return state.channel

    def _await_keys(self, flags: int) -> None:
        """Wait until there is a key to seal with, for as long as SNDTIMEO says; nothing is queued meanwhile."""
        state = self._state
        assert isinstance(state.binding, Peering) and state.pairing is not None and state.channel is not None
        state.binding.begin()
        milliseconds = 0 if flags & _DONTWAIT else int(zmq.Socket.getsockopt(self, zmq.SNDTIMEO))
        deadline = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
        while state.channel.session is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not state.pairing.wait(left):
                raise zmq.Again
            state.refresh()

    def _sending_whole(self, flags: int) -> Channel:
        """The channel, for a call that sends whole messages."""
        channel = self._sending(flags)
        if self._state.partial:
            raise SocketError(f"{len(self._state.partial)} parts given with SNDMORE wait for the last of their message")
        if flags & ~_DONTWAIT:
            raise SocketError(f"flags={int(flags)}: 0 or zmq.DONTWAIT is allowed here")
        return channel

    def _keep_part(self, data: Any) -> None:
        self._sending(with_keys=False)
        lockstep = self._state.lockstep
        if lockstep is not None:
            lockstep.before_send()
        self._state.partial.append(as_bytes(getattr(data, "fingerprint", data)))

    def _send_parts(self, parts: list[Any], flags: int, envelope: int | None = None) -> None:
        self._sending(flags)
        partial = self._state.partial
        whole = [*partial, *parts]
        if not whole:
            raise SocketError("a message of 0 parts; 1 or more are allowed")
        if self._state.pattern.type == zmq.XSUB and len(whole) == 1 and as_bytes(whole[0])[:1] in (b"\0", b"\1"):
            zmq.Socket.send(self, as_bytes(whole[0]), flags)  # a subscription: ZeroMQ's own, not a message
        else:
            self._send_item(self._outgoing(whole, envelope), flags)
        partial.clear()  # not before: after zmq.Again the last part can be given again

    def _send_item(self, item: Any, flags: int) -> bool:
        """Send what `_outgoing` gave; False where that leads nowhere."""
        channel = self._sending(flags)
        state = self._state
        lockstep = state.lockstep
        if item is _NOWHERE:
            return False
        if lockstep is None:
            if state.pairs is not None:
                self._seal_for(item.to)
            channel.send_one(item, flags)
            return True
        if state.rest:
            raise zmq.ZMQError(zmq.EFSM)  # parts of the message before are not yet received
        envelope = lockstep.before_send()
        if not isinstance(item, Message):
            item = Message(body=item if isinstance(item, list) else [item])
        to = lockstep.to if item.to is None else item.to
        reply_to = lockstep.reply_to or item.reply_to
        if state.pairs is not None and not self._seal_for(to):
            lockstep.after_send(envelope, b"")  # its keys are gone with the peer, and so is the reply
            return False
        channel.send_one(replace(item, envelope=envelope, to=to, reply_to=reply_to), flags)
        lockstep.after_send(envelope, channel.last_id)
        channel.answers.expected = lockstep.expected
        return True

    def _seal_for(self, peer: bytes | None) -> bool:
        """Seal for this peer from now on; False where there are no keys for it."""
        state = self._state
        assert state.pairs is not None and state.channel is not None
        session = None if peer is None else state.pairs.session_for(peer)
        if session is not None:
            state.channel.seal_with(session)
        return session is not None

    def _send_ready(self, items: list[Any], bundle: bool, flags: int) -> int:
        """Send in one go what goes to one peer, or with one key for all."""
        channel = self._sending(flags)
        if self._state.pairs is None:
            return self._send_bundles(items, flags) if bundle else channel.send_many(items, flags)
        sent = 0
        for peer, run in itertools.groupby(items, operator.attrgetter("to")):
            self._seal_for(peer)
            every = list(run)
            went = self._send_bundles(every, flags) if bundle else channel.send_many(every, flags)
            sent += went
            if went < len(every):
                break
        return sent

    def _send_bundles(self, items: list[Any], flags: int) -> int:
        sent = 0
        channel = self._sending()
        for bundle, count in channel.bundles_of(items):
            if channel.send_many([bundle], flags) == 0:
                break
            sent += count
        return sent

    def _outgoing(self, message: Any, envelope: int | None = None) -> Any:
        """A user's message as the channel takes it, with what stands in clear apart; or _NOWHERE."""
        pattern = self._state.pattern
        if pattern.type == zmq.XSUB:
            raise SocketError(
                "XSUB sends subscriptions only, one part that begins with byte 1 or 0: "
                "libzmq takes every frame that begins so as one, and a sealed part begins with 0"
            )
        if isinstance(message, Message):
            return self._checked(message)
        parts = list(message) if isinstance(message, (list, tuple)) else [message]
        if pattern.topics and len(parts) > 1:
            return Message(body=parts[1:], topic=_in_clear(parts[0], "topic"))
        if not pattern.routes:
            return parts if len(parts) != 1 else parts[0]
        router = pattern.type == zmq.ROUTER
        count = envelope
        if count is None and self._state.by_identity:
            count = 2 if len(parts) > 2 and not isinstance(parts[1], list) and as_bytes(parts[1]) == b"" else 1
        elif count is None:
            count = self._state.envelopes.length(parts, router)
        if not (1 if router else 0) <= count < len(parts):
            raise SocketError(
                f"{self._type_name}: {len(parts)} parts with an envelope of {count}; "
                f"{'a routing id' if router else 'no part'} or more, and at least one part behind it, are allowed"
            )
        if count == 0:
            return parts if len(parts) != 1 else parts[0]
        return self._checked(Message(body=parts[count:], envelope=parts[:count]))

    def _routed(self, message: Message) -> tuple[Sequence[Any], Any, bytes | None] | None:
        """Envelope, addressee and answered request of a ROUTER's message; None where no route leads to its peer.

        It answers the newest request that came by its envelope, unless it says itself which one.
        """
        state, envelope = self._state, message.envelope
        if not state.by_identity:
            answered = message.reply_to
            if answered is None and len(envelope) > 1:
                answered = state.requests.find(tuple(map(as_bytes, envelope)))
            return envelope, message.to, answered
        peer = fingerprint_of(envelope[0], "a peer of this ROUTER, by identity: envelope[0]")
        delimiter = tuple(map(as_bytes, envelope[1:]))
        if delimiter not in ((), (b"",)):
            raise SocketError("a peer is addressed by its fingerprint, with the empty delimiter behind it or without")
        found = state.peers.find(peer)
        if found is None or (state.pairs is not None and state.pairs.session_for(peer) is None):
            if state.mandatory:
                raise zmq.ZMQError(zmq.EHOSTUNREACH)
            return None
        route, request = found
        return route + delimiter, peer, message.reply_to or (request if delimiter else None)

    def _checked(self, message: Message) -> Any:
        """The message, if what it shows in clear is what this socket's type allows."""
        pattern = self._state.pattern
        topic, envelope = message.topic, message.envelope
        if topic is not None:
            if not pattern.topics:
                raise SocketError(f"{self._type_name} has no topics; PUB and XPUB have")
            topic = _in_clear(topic, "topic")
        if envelope and not pattern.routes:
            raise SocketError(f"{self._type_name} takes no envelope from its user; ROUTER and DEALER do")
        if pattern.type == zmq.ROUTER and not envelope:
            raise SocketError("a message for ROUTER has no envelope; a routing id or more is allowed")
        if len(envelope) > limits.MAX_ENVELOPE_FRAMES:
            raise SocketError(f"an envelope of {len(envelope)} parts; at most {limits.MAX_ENVELOPE_FRAMES} are allowed")
        if topic is None and not envelope:
            return message
        to, reply_to = message.to, message.reply_to
        if pattern.type == zmq.ROUTER:
            routed = self._routed(message)
            if routed is None:
                return _NOWHERE
            envelope, to, reply_to = routed
        clear = tuple(_in_clear(one, "envelope part") for one in envelope)
        return replace(message, topic=topic, envelope=clear, to=to, reply_to=reply_to)


def _in_clear(part: Any, what: str) -> bytes:
    """What goes in front of a sealed part must not look like one."""
    data = as_bytes(part)
    if len(data) >= limits.MIN_SEALED_BYTES and data.startswith(limits.MAGIC):
        raise SocketError(f"the {what} {data[:8]!r}... has the form of a sealed part; choose another")
    return data
