"""Moves a sealed pipe's records between files and sockets (floor 12); the protocol stands in `zmqsec.stream`."""

from __future__ import annotations

import contextlib
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import zmq

from .errors import StreamError
from .message import Message
from .parts import leaves
from .signer import Signer
from .socket import Socket
from .stream import CHUNK_BYTES, Incoming, NotARecord, Outgoing, Record

BATCH = 8
#: Messages that either end queues: with CHUNK_BYTES each, 8 MiB.
QUEUED = 64
DEFAULT_TIMEOUT = 30.0
_ALIVE_EVERY = 1.0
_TICK_MS = 100
_FAREWELL_MS = 2000

Progress = Callable[[int], None]
Read = Callable[[int], "bytes | None"]


class NoAnswer(StreamError):
    """The time was up before the peer answered, or went on."""


def prepare(socket: Socket) -> None:
    """Options of both ends: bounded queues. Never ZMQ_IMMEDIATE: with it an answer is lost if its sender leaves."""
    socket.setsockopt(zmq.SNDHWM, QUEUED)
    socket.setsockopt(zmq.RCVHWM, QUEUED)
    socket.setsockopt(zmq.LINGER, 0)


class Contact:
    """Whether anybody was ever connected to a socket, by libzmq's own monitor; to be made before bind or connect."""

    def __init__(self, socket: Socket) -> None:
        address = f"inproc://zmqsec-contact-{id(self)}"
        socket.monitor(address, zmq.EVENT_HANDSHAKE_SUCCEEDED)
        plain: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(socket.context.underlying)
        self._socket, self._events = socket, plain.socket(zmq.PAIR)
        self._events.connect(address)

    def made(self) -> bool:
        """Was there a connection?"""
        return bool(self._events.poll(0))

    def close(self) -> None:
        """Stop watching."""
        self._socket.disable_monitor()
        self._events.close(0)


def refusals(socket: Socket) -> str:
    """What a socket refused, for people: '40 messages refused: forged'; empty where it refused nothing."""
    counts = {str(reason): count for reason, count in socket.stats.refused.items() if count}
    if not counts:
        return ""
    total = sum(counts.values())
    noun = "message" if total == 1 else "messages"
    if len(counts) == 1:
        return f"{total} {noun} refused: {next(iter(counts))}"
    return f"{total} {noun} refused: " + ", ".join(f"{count} {reason}" for reason, count in counts.items())


@dataclass(slots=True)
class Deadline:
    """A time without progress after which a peer is given up; `seconds` None or 0 waits for ever."""

    seconds: float | None
    _since: float = 0.0

    def __post_init__(self) -> None:
        self.progress()

    def progress(self) -> None:
        """Begin anew."""
        self._since = time.monotonic()

    @property
    def passed(self) -> bool:
        """Is the time up?"""
        return bool(self.seconds) and time.monotonic() - self._since > (self.seconds or 0)


class Chunks:
    """Reads a source ahead in a thread, so that the socket is served while the source has nothing new."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._queue: queue.Queue[bytes | OSError] = queue.Queue(2 * BATCH)
        threading.Thread(target=self._run, daemon=True, name="zmqsec-read").start()

    def _run(self) -> None:
        while True:
            try:
                data = self._read(CHUNK_BYTES)
            except OSError as error:
                self._queue.put(error)
                return
            if data is None:  # a non-blocking source
                time.sleep(0.01)
                continue
            self._queue.put(data)
            if not data:
                return

    def take(self, wait: float) -> list[bytes]:
        """What is there, at most one batch, waiting for the first; b"" is the end of the source."""
        taken: list[bytes] = []
        with contextlib.suppress(queue.Empty):
            while len(taken) < BATCH and (not taken or taken[-1]):
                item = self._queue.get(timeout=wait) if not taken else self._queue.get_nowait()
                if isinstance(item, OSError):
                    raise StreamError(f"cannot read the input: {item.strerror or item}")
                taken.append(item)
        return taken


def _messages(socket: Socket, wait_ms: int) -> list[Message]:
    """The messages that came, opened; refused ones are not among them."""
    taken: list[Message] = []
    if socket.poll(wait_ms, zmq.POLLIN):
        with contextlib.suppress(zmq.Again):
            while len(taken) < BATCH:
                taken.append(socket.recv_message(zmq.NOBLOCK))
    return taken


def _signer(message: Message) -> bytes | None:
    """The fingerprint of the identity that signed a message."""
    return None if message.origin is None else message.origin.fingerprint


# -- files -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def source(file: str) -> Iterator[tuple[FileIO, int | None]]:
    """A file or "-" for standard input, unbuffered, and its size where that is known."""
    try:
        opened = FileIO(0 if file == "-" else file, "rb", closefd=file != "-")
    except OSError as error:
        raise StreamError(f"cannot read {file}: {error.strerror}") from None
    with opened:
        status = os.fstat(opened.fileno())
        yield opened, status.st_size if stat.S_ISREG(status.st_mode) else None


class Sink:
    """Where a stream goes: standard output, or PATH.part until `finish` gives it its name."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part = None if path is None else path.with_name(path.name + ".part")
        try:
            if self._part is None:
                self._file = FileIO(1, "wb", closefd=False)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = FileIO(os.open(self._part, flags, 0o666), "wb")
        except OSError as error:
            raise StreamError(f"cannot write {self._part}: {error.strerror}") from None

    def write(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            where = "standard output" if self._part is None else self._part
            raise StreamError(f"cannot write {where}: {error.strerror}") from None

    def finish(self) -> None:
        """The stream is whole and verified: make it lasting under its own name."""
        if self._path is None or self._part is None:
            return
        try:
            os.fsync(self._file.fileno())
            os.replace(self._part, self._path)
        except OSError as error:
            raise StreamError(f"cannot write {self._path}: {error.strerror}") from None
        self._part = None

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._part is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._part)


# -- sender ------------------------------------------------------------------------------------------------------------


class Sender:
    """Sends one stream, and returns from `run` when the receiver has confirmed its digest."""

    def __init__(
        self, socket: Socket, outgoing: Outgoing, contact: Contact, *, timeout: float | None, progress: Progress
    ) -> None:
        self._socket, self._outgoing, self._contact, self._progress = socket, outgoing, contact, progress
        self._deadline = Deadline(timeout)
        #: The identity that signed the receiver's answers.
        self.peer: Signer | None = None
        self._answered_by: bytes | None = None
        socket.setsockopt(zmq.SNDTIMEO, _TICK_MS)

    def run(self, read: Read) -> None:
        """Send all that `read` gives."""
        try:
            self._send([self._outgoing.begin()], "connected")
            self._await(lambda: self._outgoing.ready, "answered")
            self._send_chunks(Chunks(read))
            self._send([self._outgoing.end()], "taken the end of the stream")
            self._await(lambda: self._outgoing.done, "confirmed the stream")
        except BaseException as error:
            self._abort("interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
            raise

    def _send_chunks(self, chunks: Chunks) -> None:
        while True:
            batch = chunks.take(_ALIVE_EVERY)
            records = [self._outgoing.chunk(data) for data in batch if data] or [self._outgoing.alive()]
            self._send(records, "gone on taking the stream")
            self._progress(self._outgoing.length)
            self._take_answers(0)
            if batch and not batch[-1]:
                return

    def _send(self, records: list[Record], verb: str) -> None:
        waiting = [record.parts() for record in records]
        self._deadline.progress()
        while waiting:
            sent = 0
            with contextlib.suppress(zmq.Again):
                sent = self._socket.send_many(waiting)
            if sent:
                self._deadline.progress()
                waiting = waiting[sent:]
            else:
                self._take_answers(0)
                self._check_time(verb)

    def _await(self, done: Callable[[], bool], verb: str) -> None:
        self._deadline.progress()
        while not done():
            self._take_answers(_TICK_MS)
            self._check_time(verb)

    def _take_answers(self, wait_ms: int) -> None:
        """Of one receiver: the first whose answer counts, by the identity that signed it, if one did."""
        for message in _messages(self._socket, wait_ms):
            if self._outgoing.ready and _signer(message) != self._answered_by:
                continue
            with contextlib.suppress(NotARecord):
                self._outgoing.accept(Record.from_parts(leaves(message.body)))
            if self._outgoing.ready:
                self._answered_by, self.peer = _signer(message), message.origin

    def _check_time(self, verb: str) -> None:
        if not self._deadline.passed:
            return
        seconds = f"{self._deadline.seconds:g} s"
        if not self._contact.made():
            endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
            raise NoAnswer(f"no receiver within {seconds}; nobody is at the other end of {endpoint}")
        silent = "it may hold another key, not trust who sends, or be no zmqsec recv"
        why = refusals(self._socket) or ("it may be gone" if self._outgoing.ready else silent)
        raise NoAnswer(f"the receiver has not {verb} within {seconds}; {why}")

    def _abort(self, why: str) -> None:
        """Tell the receiver, where that can be done at once."""
        if self._outgoing.ready and not self._outgoing.done:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.send_many([self._outgoing.abort(why).parts()])
                self._socket.setsockopt(zmq.LINGER, _FAREWELL_MS)


# -- receiver ----------------------------------------------------------------------------------------------------------


class Receiver:
    """Receives one stream, and returns from `run` when its end was verified and confirmed."""

    def __init__(
        self,
        socket: Socket,
        incoming: Incoming,
        *,
        timeout: float | None,
        first_timeout: float | None,
        progress: Progress,
    ) -> None:
        self._socket, self._incoming, self._progress = socket, incoming, progress
        self._timeout = timeout
        self._deadline = Deadline(first_timeout)
        self._envelope: list[bytes] = []
        #: The identity that signed the stream.
        self.peer: Signer | None = None
        self._signed_by: bytes | None = None
        self._began = 0.0
        self.seconds = 0.0

    def run(self, finish: Callable[[], None]) -> None:
        """Receive a stream; `finish` makes it lasting, after it was verified and before the sender is told."""
        try:
            while not self._incoming.done:
                self._turn(finish)
        except BaseException as error:
            self._fail("interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
            raise

    def _turn(self, finish: Callable[[], None]) -> None:
        incoming = self._incoming
        for message in _messages(self._socket, _TICK_MS):
            try:
                record = Record.from_parts(leaves(message.body))
            except NotARecord:
                continue
            if record.stream == incoming.stream and _signer(message) != self._signed_by:
                continue  # a stream is one identity's, whoever else knows its number
            envelope, skipped = list(message.envelope), incoming.skipped
            if record.stream == incoming.stream or incoming.stream is None:
                self._envelope, self._signed_by, self.peer = envelope, _signer(message), message.origin
            answer = incoming.accept(record)
            if record.stream == incoming.stream and incoming.skipped == skipped:
                self._note_progress()
            if incoming.done:
                finish()
            if answer is not None:
                self._answer(envelope, answer)
            if incoming.done:
                return
        self._progress(incoming.length)
        self._check_time()

    def _note_progress(self) -> None:
        now = time.monotonic()
        self._began = self._began or now
        self.seconds = now - self._began
        self._deadline.seconds = self._timeout
        self._deadline.progress()

    def _answer(self, envelope: list[bytes], record: Record) -> None:
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([*envelope, *record.parts()], zmq.DONTWAIT)
            self._socket.setsockopt(zmq.LINGER, _FAREWELL_MS)

    def _check_time(self) -> None:
        if not self._deadline.passed:
            return
        why = refusals(self._socket)
        incoming = self._incoming
        if incoming.stream is not None:
            cut = f"the stream is cut after {incoming.length:,} bytes: nothing more came within"
            raise NoAnswer(f"{cut} {self._deadline.seconds:g} s" + (f"; {why}" if why else ""))
        raise NoAnswer(f"nothing opened within {self._deadline.seconds:g} s; {why or 'no message came at all'}")

    def _fail(self, why: str) -> None:
        if self._incoming.stream is not None:
            with contextlib.suppress(zmq.ZMQError):
                self._answer(self._envelope, self._incoming.failed(self._incoming.stream, why))
