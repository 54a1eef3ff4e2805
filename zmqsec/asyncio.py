"""Secured sockets whose calls are coroutines (floor 13): ``zmqsec.asyncio.Context`` in place of ``zmqsec.Context``.

ZeroMQ's file descriptor is edge-triggered, and every call on the socket may consume the edge that another coroutine
waits for. So each call first does its work without waiting; one that could not puts itself in line, and then, as after
every other call on the socket, EVENTS is read and whoever can go on is woken. Nothing waits while EVENTS shows that it
need not. What a call takes from the socket it returns in the same step, so a cancelled call has taken no message.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar, cast, overload

import zmq
import zmq.asyncio

from . import limits
from .context import Context as _Context
from .message import Message
from .socket import Socket as _Socket

_T = TypeVar("_T")

_POLLIN = int(zmq.POLLIN)
_POLLOUT = int(zmq.POLLOUT)
_DONTWAIT = int(zmq.DONTWAIT)

_CALLS_WITHOUT_PAUSE = 64  # then the other tasks of the loop have their turn
_SECONDS_BETWEEN_TRIES = 0.005  # where EVENTS shows readiness and the call still cannot go on


class _Lines:
    """Coroutines in line for a socket's events, in the order in which they came."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self._lines: dict[int, deque[asyncio.Future[None]]] = {_POLLIN: deque(), _POLLOUT: deque()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1

    def occupied(self, event: int) -> bool:
        """Whether someone waits for that event already."""
        return any(not future.done() for future in self._lines[event])

    def join(self, event: int, *, first: bool) -> asyncio.Future[None]:
        """A place in line; `first` for one that was woken and found nothing."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.close()
            self._loop, self._fd = loop, int(self._socket.get(zmq.FD))
            loop.add_reader(self._fd, self._edge)
        future: asyncio.Future[None] = loop.create_future()
        if first:
            self._lines[event].appendleft(future)
        else:
            self._lines[event].append(future)
        return future

    def leave(self, event: int, future: asyncio.Future[None]) -> None:
        """Give up a place."""
        if future in self._lines[event]:
            self._lines[event].remove(future)

    def look(self) -> None:
        """If anyone waits, read EVENTS and wake the first in each line that can go on."""
        if self._lines[_POLLIN] or self._lines[_POLLOUT]:
            self._wake(self._events())

    def _edge(self) -> None:
        self._wake(self._events())  # read even if nobody waits: the descriptor would stay readable

    def _events(self) -> int:
        try:
            return int(_Socket.get(self._socket, zmq.EVENTS))
        except zmq.ZMQError:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
                self._loop = None
            return _POLLIN | _POLLOUT  # closed, or its context terminated: their calls say so

    def _wake(self, events: int) -> None:
        for event, line in self._lines.items():
            while events & event and line:
                future = line.popleft()
                if not future.done():
                    future.set_result(None)
                    break

    def close(self) -> None:
        """Wake everyone and leave the loop."""
        for line in self._lines.values():
            while line:
                future = line.popleft()
                if not future.done() and not future.get_loop().is_closed():
                    future.set_result(None)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._loop = None


class Socket(_Socket):
    """A secured socket whose send and receive calls are coroutines, else the same; RCVTIMEO and SNDTIMEO hold."""

    _repr_cls = "zmqsec.asyncio.Socket"
    _plain_class = zmq.asyncio.Socket
    _lines: _Lines = None  # type: ignore[assignment]
    _calls = 0
    _send_timeout = -1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lines = _Lines(self)

    def set(self, option: int, value: Any) -> None:
        """As the secured socket's."""
        if option == zmq.SNDTIMEO:
            self._send_timeout = int(value)
        super().set(option, value)

    setsockopt = set

    def get(self, option: int) -> Any:
        """As the secured socket's."""
        value = super().get(option)
        if option == zmq.EVENTS and self._lines is not None:
            self._lines.look()
        return value

    getsockopt = get

    # Each of these lets libzmq do its work, and so may consume the edge that a coroutine waits for.

    def bind(self, addr: str) -> Any:
        """As pyzmq's."""
        made = super().bind(addr)
        self._lines.look()
        return made

    def connect(self, addr: str) -> Any:
        """As pyzmq's."""
        made = super().connect(addr)
        self._lines.look()
        return made

    def unbind(self, addr: str | bytes) -> None:
        """As pyzmq's."""
        super().unbind(addr)
        self._lines.look()

    def disconnect(self, addr: str | bytes) -> None:
        """As pyzmq's."""
        super().disconnect(addr)
        self._lines.look()

    def close(self, linger: int | None = None) -> None:
        """As pyzmq's; calls that wait raise ENOTSOCK."""
        if self._lines is not None:
            self._lines.close()
        super().close(linger)

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def _until(self, event: int, flags: int, timeout: float | None, attempt: Callable[[], _T]) -> _T:
        """What `attempt` gives, tried until it no longer raises zmq.Again; `timeout` in seconds."""
        self._calls += 1
        if self._calls % _CALLS_WITHOUT_PAUSE == 0:
            await asyncio.sleep(0)
        lines = self._lines
        deadline = None if timeout is None else time.monotonic() + timeout
        waited = woken = False
        while True:
            if flags & _DONTWAIT or woken or not lines.occupied(event):
                try:
                    return attempt()
                except zmq.Again:
                    if flags & _DONTWAIT or (deadline is not None and time.monotonic() >= deadline):
                        raise
                finally:
                    lines.look()
            if woken:  # EVENTS shows readiness, but what is there was refused, or may not go
                await asyncio.sleep(0 if event == _POLLIN else _SECONDS_BETWEEN_TRIES)
            woken = await self._in_line(event, deadline, first=waited)
            waited = True
            if not woken:
                raise zmq.Again

    async def _in_line(self, event: int, deadline: float | None, *, first: bool) -> bool:
        """Wait for a turn; False if the deadline passed."""
        lines = self._lines
        future = lines.join(event, first=first)
        lines.look()
        try:
            if deadline is None:
                await future
            elif not future.done():
                await asyncio.wait([future], timeout=max(0.0, deadline - time.monotonic()))
        except BaseException:
            lines.leave(event, future)
            lines.look()  # this one may have been woken already, for what another one can take
            raise
        lines.leave(event, future)
        return future.done()

    def _receive_seconds(self) -> float | None:
        milliseconds = self._state.receive_timeout
        return None if milliseconds < 0 else milliseconds / 1000

    async def _receive(self, flags: int, attempt: Callable[[], _T], timeout: float | None = None) -> _T:
        return await self._until(_POLLIN, flags, self._receive_seconds() if timeout is None else timeout, attempt)

    async def _deliver(self, flags: int, attempt: Callable[[], _T]) -> _T:
        seconds = None if self._send_timeout < 0 else self._send_timeout / 1000
        return await self._until(_POLLOUT, flags, seconds, attempt)

    async def poll(self, timeout: int | None = None, flags: int = zmq.POLLIN) -> int:  # type: ignore[override]
        """The events of `flags` that hold, after at most `timeout` milliseconds; 0 if none does."""

        def attempt() -> int:
            if self.closed:
                raise zmq.ZMQError(zmq.ENOTSUP)
            events = int(self.get(zmq.EVENTS)) & int(flags)
            if not events:
                raise zmq.Again
            return events

        event = _POLLIN if flags & _POLLIN else _POLLOUT
        if flags & _POLLIN and flags & _POLLOUT:
            return await self._poll_both(attempt, timeout)
        try:
            return await self._until(event, 0, None if timeout is None or timeout < 0 else timeout / 1000, attempt)
        except zmq.Again:
            return 0

    async def _poll_both(self, attempt: Callable[[], int], timeout: int | None) -> int:
        tasks = [
            asyncio.ensure_future(self._until(event, 0, None, attempt)) for event in (_POLLIN, _POLLOUT)
        ]  # fmt: skip
        try:
            seconds = None if timeout is None or timeout < 0 else timeout / 1000
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result() if done else 0
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- receiving -----------------------------------------------------------------------------------------------------

    @overload  # type: ignore[override]
    async def recv(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> bytes: ...
    @overload
    async def recv(self, flags: int = 0, *, copy: Literal[False], track: bool = False) -> memoryview: ...
    @overload
    async def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> bytes | memoryview: ...
    async def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """The next part; see :meth:`zmqsec.Socket.recv`."""
        take = super().recv
        return await self._receive(flags, lambda: take(flags | _DONTWAIT, copy, track))

    @overload  # type: ignore[override]
    async def recv_multipart(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> list[bytes]: ...
    @overload
    async def recv_multipart(
        self, flags: int = 0, *, copy: Literal[False], track: bool = False
    ) -> list[memoryview]: ...
    @overload
    async def recv_multipart(
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> list[bytes] | list[memoryview]: ...
    async def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """All parts of the next message; see :meth:`zmqsec.Socket.recv_multipart`."""
        take = super().recv_multipart
        return await self._receive(flags, lambda: take(flags | _DONTWAIT, copy, track))

    async def recv_message(self, flags: int = 0, *, copy: bool = True) -> Message:  # type: ignore[override]
        """The next message with its whole structure; see :meth:`zmqsec.Socket.recv_message`."""
        take = super().recv_message
        return await self._receive(flags, lambda: take(flags | _DONTWAIT, copy=copy))

    async def recv_many(  # type: ignore[override]
        self,
        max_messages: int = limits.BATCH,
        timeout: float | None = None,
        *,
        multipart: bool = False,
        copy: bool = True,
    ) -> list[Any]:
        """Up to `max_messages` messages, [] if none came in `timeout` seconds; see :meth:`zmqsec.Socket.recv_many`."""
        take = super().recv_many

        def attempt() -> list[Any]:
            taken = take(max_messages, 0, multipart=multipart, copy=copy)
            if not taken:
                raise zmq.Again
            return taken

        try:
            return await self._receive(_DONTWAIT if timeout == 0 else 0, attempt, timeout)
        except zmq.Again:
            return []

    async def _deserialize(self, recvd: Any, load: Callable[[Any], Any]) -> Any:  # type: ignore[override]
        return load(await recvd)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(  # type: ignore[override]
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> None:
        """Seal and send one part; see :meth:`zmqsec.Socket.send`."""
        give = super().send
        await self._deliver(flags, lambda: give(data, flags | _DONTWAIT, copy, track, routing_id, group))

    async def send_multipart(  # type: ignore[override]
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        *,
        envelope: int | None = None,
        **routing: Any,
    ) -> None:
        """Seal and send a message of several parts; see :meth:`zmqsec.Socket.send_multipart`."""
        give = super().send_multipart
        flags_now = flags | _DONTWAIT
        await self._deliver(flags, lambda: give(msg_parts, flags_now, copy, track, envelope=envelope, **routing))

    async def send_message(self, message: Message | None = None, *, flags: int = 0, **fields: Any) -> bytes:  # type: ignore[override]
        """Seal and send a whole structure; see :meth:`zmqsec.Socket.send_message`."""
        give = super().send_message
        return await self._deliver(flags, lambda: give(message, flags=flags | _DONTWAIT, **fields))

    async def send_many(  # type: ignore[override]
        self, messages: Iterable[Any], *, bundle: bool = False, flags: int = 0
    ) -> int:
        """Seal and send a batch; see :meth:`zmqsec.Socket.send_many`. Cancelled, it may have sent some of them."""
        give = super().send_many
        left = list(messages)
        total = len(left)

        def attempt() -> None:
            del left[: give(left, bundle=bundle, flags=flags | _DONTWAIT)]
            if left:
                raise zmq.Again

        try:
            await self._deliver(flags, attempt)
        except zmq.Again:
            return total - len(left)
        return total


class Context(_Context):
    """A secured context whose sockets' calls are coroutines."""

    _socket_class = Socket
    _instance: Any = None
    _repr_cls = "zmqsec.asyncio.Context"

    def socket(self, socket_type: int, socket_class: Any = None, **options: Any) -> Socket:
        """A secured socket, with the options of :meth:`zmqsec.Context.socket`."""
        return cast(Socket, super().socket(socket_type, socket_class, **options))


__all__ = ["Context", "Socket"]
