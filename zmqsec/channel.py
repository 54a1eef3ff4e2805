"""A socket's traffic in batches, over pyzmq's own calls (floor 9); spec, "The frames around the sealed part"."""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zmq

from . import limits
from .answers import WRONG_REPLY, Answers
from .aside import Aside
from .bundle import bundles_of
from .errors import Reason, Refusal, SocketError
from .header import is_sealed
from .message import Message, Part
from .parts import as_bytes, leaves
from .receiver import Receiver, as_views
from .session import Session, seal_many

_MAX_FRAMES = limits.MAX_ENVELOPE_FRAMES + 1 + limits.MAX_ATTESTATION_FRAMES


@dataclass(slots=True)
class _Taken:
    """One opened message with the frames that stood in front of it."""

    message: Message
    front: list[bytes]


class Channel:
    """A socket's traffic in batches; `layout` says where the sealed part stands.

    `receiver` opens what comes, `session` seals what goes; either may be None for a socket of one direction.
    """

    def __init__(
        self,
        socket: zmq.Socket[Any],
        session: Session | None,
        receiver: Receiver | None,
        *,
        layout: int = limits.LAYOUT_PLAIN,
        accept_subscriptions: bool = False,
    ) -> None:
        if layout not in (limits.LAYOUT_PLAIN, limits.LAYOUT_TOPIC, limits.LAYOUT_ENVELOPE):
            raise SocketError(f"layout {layout}: 0 (plain), 1 (topic) or 2 (envelope) is allowed")
        self._socket = weakref.ref(socket)
        self.session, self.receiver = session, receiver
        self._layout, self._subscriptions = layout, accept_subscriptions
        self._lock, self._owner = threading.Lock(), 0
        self._refusals: deque[Refusal] = deque(maxlen=limits.MAX_KEPT_REFUSALS)
        #: How many frames stood in front of each item that the last receive gave; empty where none can.
        self.fronts: list[int] = []
        #: What is to be known of answers.
        self.answers = Answers()
        #: What came of handshakes, where it is kept.
        self.aside = Aside()
        #: Sealed parts sent, and refusals that take_refusals would give.
        self.sealed = self.waiting_refusals = 0
        self.max_message = limits.MAX_MESSAGE_BYTES if receiver is None else receiver.max_message
        #: Whether the keyring has changed since the receiver followed it, and what makes it follow.
        self.stale = False
        self.follow: Callable[[], None] | None = None

    @property
    def socket(self) -> zmq.Socket[Any]:
        """The socket that this channel belongs to."""
        socket = self._socket()
        if socket is None:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        return socket

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """Take the socket for one call."""
        if not self._lock.acquire(blocking=False):
            raise SocketError(
                "this socket is in use by another call, of another thread or around a signal's handler; "
                "ZeroMQ's sockets are not thread-safe"
            )
        self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._lock.release()

    def is_used_elsewhere(self) -> bool:
        """Whether another thread is in a call on the socket now: libzmq ends the process if it is closed then."""
        return self._lock.locked() and self._owner != threading.get_ident()

    def poll(self, timeout: int | None, flags: int) -> int:
        """As zmq.Socket.poll, in milliseconds."""
        with self._entered():
            return int(zmq.Socket.poll(self.socket, timeout, flags))

    def use_session(self, session: Session | None) -> None:
        """Seal with another session from now on; None: seal nothing."""
        self.answers.keep(self.session)
        self.session = session

    def seal_with(self, session: Session) -> None:
        """Seal with a session that `Answers.pairs` knows, for as long as messages go to its peer."""
        self.session = session

    @property
    def last_id(self) -> bytes:
        """The id of the message that was sent last."""
        assert self.session is not None, "nothing was sent"
        return self.session.last_id

    # -- send --

    def send_one(self, message: Any, flags: int = 0) -> None:
        """Seal and send one message; raises zmq.Again where it cannot be queued, as pyzmq does."""
        if self.send_many([message], flags) == 0:
            raise zmq.Again

    def send_many(self, messages: Iterable[Any], flags: int = 0) -> int:
        """Seal and send; returns how many went, fewer than given only with DONTWAIT or SNDTIMEO."""
        if self.session is None:
            raise SocketError("this socket has no session to seal with")
        before = self.sealed
        every = list(messages)
        with self._entered(), contextlib.suppress(zmq.Again):
            for start in range(0, len(every), limits.BATCH):
                batch = every[start : start + limits.BATCH]
                sealed = seal_many(batch, self.session, max_message=self.max_message)
                behind = [[frame] for frame in self.session.attest_many(sealed)] if self.session.identity else ()
                for message, part, attestations in itertools.zip_longest(batch, sealed, behind, fillvalue=()):
                    frames = [*_front(message), part, *attestations]
                    for at, frame in enumerate(frames, 1):
                        zmq.Socket.send(self.socket, frame, flags | (zmq.SNDMORE if at < len(frames) else 0))
                    self.sealed += 1
        return self.sealed - before

    @staticmethod
    def are_plain(messages: list[Any], lists: bool) -> bool:
        """Is each message one part of bytes, or with `lists` a list or tuple of parts? Then none needs a look."""
        allowed = {bytes, bytearray, memoryview, *((list, tuple) if lists else ())}
        return allowed.issuperset(map(type, messages))

    def send_bundles(self, messages: list[Any], flags: int = 0) -> int:
        """Seal messages of one part each in bundles as large as may be; returns how many messages went."""
        sent = 0
        for bundle, count in self.bundles_of(messages):
            if self.send_many([bundle], flags) == 0:
                break
            sent += count
        return sent

    def bundles_of(self, messages: Sequence[Any]) -> Iterator[tuple[Message, int]]:
        """Bundles of these messages as large as may be, with the number of messages in each."""
        return bundles_of(messages, self.max_message, (0, 0) if self.session is None else self.session.lead_size)

    # -- receive --

    def recv_one(self, flags: int = 0, form: int = limits.FORM_PARTS, copy: bool = True) -> list[Any] | None:
        """The messages of one sealed part, or None if it was refused; raises zmq.Again as pyzmq does."""
        return self.recv_many(1, flags, form, copy) or None

    def recv_many(
        self, max_messages: int, flags: int = 0, form: int = limits.FORM_PARTS, copy: bool = True
    ) -> list[Any]:
        """Up to `max_messages` sealed parts, opened; blocks for the first as `flags` and RCVTIMEO say.

        A bundle gives one item for each of its messages, all of them. [] if all that came was refused.
        """
        if self.receiver is None:
            raise SocketError("this socket has no association to open with")
        out: list[Any] = []
        with self._entered():
            self.fronts, self.answers.marks = [], {}
            self._receive(out, max_messages, flags, form, copy)
        return out

    def _receive(self, out: list[Any], max_messages: int, flags: int, form: int, copy: bool) -> None:
        assert self.receiver is not None
        now = None
        for _ in range(max_messages):
            if len(out) >= max_messages:
                break
            try:
                frames = self._receive_frames(flags)
            except zmq.ZMQError:
                if now is None:
                    raise
                break  # what was received before goes out; the next call meets the error again
            flags |= zmq.DONTWAIT
            if self.stale and self.follow is not None:
                self.stale = False
                self.follow()
            now = self.receiver._now() if now is None else now
            items, front = self._open(frames, now, form, copy)
            out += items
            if self._layout != limits.LAYOUT_PLAIN:
                self.fronts += [front] * len(items)

    def take_refusals(self) -> list[Refusal]:
        """The refusals since the last call, at most the newest 4,096; all are counted in the receiver."""
        taken = list(self._refusals)
        self._refusals.clear()
        self.waiting_refusals = 0
        return taken

    def _receive_frames(self, flags: int) -> list[bytes] | None:
        """All frames of one message, or None if there were more than may be."""
        frames = [zmq.Socket.recv(self.socket, flags)]
        too_many = False
        while zmq.Socket.getsockopt(self.socket, zmq.RCVMORE):
            frame = zmq.Socket.recv(self.socket)
            too_many = too_many or len(frames) == _MAX_FRAMES
            if not too_many:
                frames.append(frame)
        return None if too_many else frames

    def _place(self, frames: list[bytes]) -> int | None:
        """Where the sealed part stands; never looked for further than the envelope can reach."""
        reach = (0, 1, limits.MAX_ENVELOPE_FRAMES)[self._layout]
        for at, frame in enumerate(frames[: reach + 1]):
            if is_sealed(frame):
                behind = frames[at + 1 :]
                if len(behind) > limits.MAX_ATTESTATION_FRAMES:
                    return None
                return at if all(one.startswith(limits.ATTESTATION_MAGIC) for one in behind) else None
        return None

    def _refuse(self, refusal: Refusal) -> tuple[list[Any], int]:
        self._refusals.append(refusal)
        self.waiting_refusals += 1
        return [], 0

    def _open(self, frames: list[bytes] | None, now: int, form: int, copy: bool) -> tuple[list[Any], int]:
        """The items of one ZeroMQ message, and how many frames stood in front of its sealed part."""
        assert self.receiver is not None
        at = None if frames is None else self._place(frames)
        if frames is None or at is None:
            if frames is not None and self._subscriptions and len(frames) == 1 and frames[0][:1] in (b"\0", b"\1"):
                return [_subscription(frames[0], form)], 0
            self.receiver.refused[str(Reason.MALFORMED)] += 1
            return self._refuse(Refusal(Reason.MALFORMED))
        if self.aside.note(frames[:at], frames[at]):
            return [], 0
        topic = frames[0] if self._layout == limits.LAYOUT_TOPIC and at == 1 else None
        opened = self.receiver.open(frames[at], topic, now, frames[at + 1 :])
        if isinstance(opened, Message) and not self.answers.fit(opened, self.session):
            opened = self.receiver.refuse(opened, Reason.NOT_PERMITTED, WRONG_REPLY)
        if isinstance(opened, Refusal):
            if opened.reason == Reason.UNKNOWN_SPI:
                self.aside.note_unknown(frames[:at], frames[at])
            return self._refuse(opened)
        if not copy:
            opened.body = as_views(opened.body)
        items = _deliver(_Taken(opened, frames[:at]), form)
        self.answers.mark(opened, at, len(self.fronts), len(items))
        return items, at


def _front(message: Any) -> list[bytes]:
    if not isinstance(message, Message):
        return []
    return [*map(as_bytes, message.envelope), *([] if message.topic is None else [message.topic])]


def _subscription(frame: bytes, form: int) -> Any:
    if form == limits.FORM_MESSAGES:
        return Message(body=[frame], protect="authenticated", kind=limits.KIND_CONTROL)
    return frame if form == limits.FORM_PARTS else [frame]


def _deliver(taken: _Taken, form: int) -> list[Any]:
    """One item, or one for each message of a bundle, in the form asked for."""
    message, front = taken.message, taken.front
    bundled = message.kind == limits.KIND_BUNDLE
    if form == limits.FORM_MESSAGES:
        envelope = tuple(front if message.topic is None else front[:-1])
        bodies: Sequence[Any] = [part for part in message.body if isinstance(part, list)] if bundled else [message.body]
        return [replace(message, body=body, envelope=envelope, kind=0 if bundled else message.kind) for body in bodies]
    groups: list[Sequence[Part]] = [message.body]
    if bundled:
        groups = [part for part in message.body if isinstance(part, list)]
    out: list[Any] = []
    for group in groups:
        parts = [*front, *leaves(group)]
        out.append(parts[0] if form == limits.FORM_PARTS and len(parts) == 1 and not front else parts)
    return out
