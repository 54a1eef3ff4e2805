"""The thread that moves the handshakes of a context's sockets (floor 10), over connections of their own.

A socket that has a peer connects twice to each endpoint: once for its messages, and once, here, for the handshakes
that give it its keys. So keys come, and are replaced, whatever the program is doing meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket as sockets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from .handshake_frames import is_handshake
from .pairing import Pairing

_log = logging.getLogger("zmqsec.handshake")

_QUEUED = 16  # frames; what does not fit is sent again by its handshake
_LONGEST_WAIT = 1.0
_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


@dataclass(slots=True, eq=False)
class _Line:
    """One pairing with its connection; `front` are the frames in front of those that it sends."""

    pairing: Pairing
    front: list[bytes]
    socket: Any
    events: Any
    was_cut: bool = False
    connects: dict[str, None] = field(default_factory=dict)


class Handshaker:
    """One thread for a context; `underlying` is its address. It holds no reference to the context itself."""

    def __init__(self, underlying: int) -> None:
        self._context: zmq.Context[Any] = zmq.Context.shadow(underlying)
        self._lines: dict[Pairing, _Line] = {}
        self._work: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._reader, self._waker = sockets.socketpair()
        self._reader.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, daemon=True, name="zmqsec-handshake")
        self._thread.start()

    # -- any thread ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the thread look at its pairings."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it wakes anyway; closed: it has ended
            self._waker.send(b"\0")

    def connect(self, pairing: Pairing, endpoint: str, front: list[bytes], options: Mapping[int, Any]) -> None:
        """A pairing's handshakes go to this endpoint too, with the transport's options of its socket."""
        self._do(lambda: self._connect(pairing, endpoint, front, dict(options)))

    def disconnect(self, pairing: Pairing, endpoint: str) -> None:
        """And no more."""
        self._do(lambda: self._disconnect(pairing, endpoint))

    def forget(self, pairing: Pairing) -> None:
        """The pairing's socket is closed."""
        self._do(lambda: self._forget(pairing))

    def stop(self) -> None:
        """End the thread and close its sockets, before the context is terminated."""
        if self._pid != os.getpid():
            return  # a child has no such thread
        self._stopping = True
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _do(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._work.append(work)
        self.wake()

    # -- its own thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._reader, zmq.POLLIN)
        try:
            while not self._stopping:
                wait = self._look()
                self._poll(poller, wait)
        except zmq.ContextTerminated:
            pass
        except Exception:
            _log.exception("the thread for handshakes has ended: sockets with a peer get no more keys")
        finally:
            for pairing in tuple(self._lines):
                self._forget(pairing)
            self._reader.close()
            self._waker.close()

    def _look(self) -> float:
        """Do what other threads asked for and what is due; seconds until something is due again."""
        with self._lock:
            work, self._work = self._work, []
        for one in work:
            try:
                one()
            except zmq.ZMQError as error:
                _log.error("a connection for handshakes: %s", error)
        for line in tuple(self._lines.values()):
            deadline = line.pairing.next_deadline()
            if deadline is not None and deadline <= time.monotonic():
                self._send(line, line.pairing.poll())
        deadlines = [due for line in self._lines.values() if (due := line.pairing.next_deadline()) is not None]
        return max(0.0, min(min(deadlines, default=float("inf")) - time.monotonic(), _LONGEST_WAIT))

    def _poll(self, poller: zmq.Poller, seconds: float) -> None:
        for line in self._lines.values():
            poller.register(line.socket, zmq.POLLIN)
            poller.register(line.events, zmq.POLLIN)
        found = dict(poller.poll(int(seconds * 1000) + 1))
        for line in self._lines.values():
            poller.unregister(line.socket)
            poller.unregister(line.events)
        if self._reader.fileno() in found:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)
        for line in tuple(self._lines.values()):
            if line.events in found:
                self._look_at_events(line)
            if line.socket in found:
                self._receive(line)

    def _receive(self, line: _Line) -> None:
        for _ in range(_QUEUED):
            try:
                frames = line.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            frame = next((one for one in frames if is_handshake(one)), None)
            if frame is not None:
                self._send(line, line.pairing.receive(frame))

    def _send(self, line: _Line, frames: list[bytes]) -> None:
        for frame in frames:
            with contextlib.suppress(zmq.Again):
                line.socket.send_multipart([*line.front, frame], zmq.DONTWAIT)

    def _look_at_events(self, line: _Line) -> None:
        """A connection that was cut and came again may lead to a peer that has begun anew without its keys."""
        with contextlib.suppress(zmq.Again):
            while True:
                event = recv_monitor_message(line.events, zmq.DONTWAIT)["event"]
                if event == zmq.EVENT_DISCONNECTED:
                    line.was_cut = True
                elif line.was_cut:
                    line.was_cut = False
                    line.pairing.renew()

    def _connect(self, pairing: Pairing, endpoint: str, front: list[bytes], options: dict[int, Any]) -> None:
        line = self._lines.get(pairing)
        if line is None:
            socket = self._context.socket(zmq.DEALER)
            for option, value in options.items():
                socket.setsockopt(option, value)
            for option in (zmq.SNDHWM, zmq.RCVHWM):
                socket.setsockopt(option, _QUEUED)
            socket.setsockopt(zmq.LINGER, 0)
            line = self._lines[pairing] = _Line(pairing, front, socket, socket.get_monitor_socket(_EVENTS))
        line.socket.connect(endpoint)
        line.connects[endpoint] = None

    def _disconnect(self, pairing: Pairing, endpoint: str) -> None:
        line = self._lines.get(pairing)
        if line is not None and endpoint in line.connects:
            del line.connects[endpoint]
            with contextlib.suppress(zmq.ZMQError):  # gone by itself
                line.socket.disconnect(endpoint)

    def _forget(self, pairing: Pairing) -> None:
        line = self._lines.pop(pairing, None)
        if line is not None:
            line.socket.disable_monitor()
            line.events.close(0)
            line.socket.close(0)
