"""The sealed pipe's protocol: one stream of bytes from a sender to a receiver, whole or not at all (floor 12).

The sender is a DEALER, the receiver a ROUTER, so that any plain ROUTER/DEALER relay may stand between them, and that a
stranger who connects as well is refused without being in the way. Every record is one sealed message whose body has two
leaves, ``head`` and ``content``; nothing of it is in clear. All integers are little-endian::

    head  0  3  magic "ZSP"     4   1  type, below                          37  8  number
          3  1  version, 01     5  16  stream: drawn by the sender
                                21 16  challenge: drawn by the receiver

    from  type         number          content
    S      1 begin     0               size (u64; 2^64 - 1: unknown), name (UTF-8); its challenge is zero
    R     17 ready     0               empty; brings the challenge that all further records repeat
    S      2 chunk     0, 1, 2, ...    bytes of the stream, at least one
    S      3 alive     chunks so far   empty; sent every second while the sender's input has nothing new
    S      4 end       chunks sent     length (u64), BLAKE2b-256 of the whole stream
    S      5 abort     any             a reason (UTF-8)
    R     18 done      chunks taken    length, digest as the receiver found them
    R     19 failed    any             a reason (UTF-8)

The receiver takes chunks only in the order of their numbers, and after `end` compares chunks, length and digest with
its own; the sender reports success only when `done` confirms its own length and digest. The challenge makes a recorded
stream worthless against a later receiver; records that carry another one are skipped, so they cannot end a stream that
is on its way. Everything else that does not fit is a :class:`StreamError`. While one stream is on its way, a second
sender is told `failed`. ``Outgoing`` and ``Incoming`` are the two sides without I/O; `zmqsec.pipe` moves them.
"""

from __future__ import annotations

import enum
import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .errors import StreamError

MAGIC: Final = b"ZSP"
VERSION: Final = 1
CHUNK_BYTES: Final = 128 * 1024
ID_BYTES: Final = 16
DIGEST_BYTES: Final = 32
MAX_NAME_BYTES: Final = 1024
_UNKNOWN_SIZE: Final = (1 << 64) - 1
_HEAD: Final = struct.Struct("<3sBB16s16sQ")
_END: Final = struct.Struct("<Q32s")
_NO_CHALLENGE: Final = bytes(ID_BYTES)
_MAX_WAITING: Final = 64


class NotARecord(StreamError):
    """A message of the same key that is not the sealed pipe's; both sides skip it."""


class Kind(enum.IntEnum):
    """The type of a record; those from 16 on are the receiver's."""

    BEGIN = 1
    CHUNK = 2
    ALIVE = 3
    END = 4
    ABORT = 5
    READY = 17
    DONE = 18
    FAILED = 19


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream."""

    kind: Kind
    stream: bytes
    challenge: bytes
    number: int = 0
    content: bytes = b""

    def parts(self) -> list[bytes]:
        """The two leaves of the message that carries this record."""
        head = _HEAD.pack(MAGIC, VERSION, self.kind, self.stream, self.challenge, self.number)
        return [head, self.content]

    @classmethod
    def from_parts(cls, parts: list[bytes]) -> Record:
        """The record in the last two parts of a received message; StreamError where there is none."""
        if len(parts) < 2 or len(parts[-2]) != _HEAD.size:
            raise NotARecord(f"a message of {len(parts)} parts that is no record of a sealed pipe")
        magic, version, kind, stream, challenge, number = _HEAD.unpack(parts[-2])
        if magic != MAGIC:
            raise NotARecord(f"a message that begins with {magic!r}, which is no record of a sealed pipe")
        if version != VERSION:
            raise StreamError(f"the peer speaks version {version} of the sealed pipe; this one speaks {VERSION}")
        if kind not in Kind._value2member_map_:
            raise StreamError(f"record of unknown type {kind}; {', '.join(str(one.value) for one in Kind)} are allowed")
        return cls(Kind(kind), stream, challenge, number, bytes(parts[-1]))

    def text(self) -> str:
        """The content as a reason for people, on one line."""
        shown = self.content[:200].decode("utf-8", "replace")
        return "".join(one if one.isprintable() else "?" for one in shown) or "no reason given"


def _new_digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def _reason(text: str) -> bytes:
    return text.encode("utf-8")[:400]


class Outgoing:
    """The sender's side of one stream: makes its records, and reads the receiver's answers."""

    def __init__(self, name: str = "", size: int | None = None, *, stream: bytes | None = None) -> None:
        self.name, self.size = name, size
        self.stream = os.urandom(ID_BYTES) if stream is None else stream
        self.challenge = _NO_CHALLENGE
        self.chunks = self.length = 0
        self.ready = self.done = False
        self._digest = _new_digest()
        if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
            raise StreamError(f"a name of {len(name)} characters; at most {MAX_NAME_BYTES} bytes are allowed")

    def _record(self, kind: Kind, number: int, content: bytes = b"") -> Record:
        return Record(kind, self.stream, self.challenge, number, content)

    @property
    def digest(self) -> str:
        """BLAKE2b-256 of what was sent so far, in hexadecimal."""
        return self._digest.hexdigest()

    def begin(self) -> Record:
        """The first record: what is to come."""
        size = _UNKNOWN_SIZE if self.size is None else self.size
        name = self.name.encode("utf-8", "replace")
        return Record(Kind.BEGIN, self.stream, _NO_CHALLENGE, 0, size.to_bytes(8, "little") + name)

    def chunk(self, data: bytes) -> Record:
        """The next stretch of the stream."""
        if not self.ready:
            raise StreamError("a chunk before the receiver was ready")
        record = self._record(Kind.CHUNK, self.chunks, data)
        self._digest.update(data)
        self.length += len(data)
        self.chunks += 1
        return record

    def alive(self) -> Record:
        """Says that the stream goes on although nothing new is there."""
        return self._record(Kind.ALIVE, self.chunks)

    def end(self) -> Record:
        """The last record: length and digest of everything."""
        return self._record(Kind.END, self.chunks, _END.pack(self.length, self._digest.digest()))

    def abort(self, why: str) -> Record:
        """Tells the receiver that no more will come."""
        return self._record(Kind.ABORT, self.chunks, _reason(why))

    def accept(self, record: Record) -> None:
        """Take an answer of the receiver; raises StreamError where the stream has failed."""
        if record.stream != self.stream or (self.ready and record.challenge != self.challenge):
            return  # an answer to another stream, or a recorded one
        if record.kind is Kind.FAILED:
            raise StreamError(f"the receiver failed: {record.text()}")
        if record.kind is Kind.READY and not self.ready:
            if record.challenge == _NO_CHALLENGE:
                raise StreamError("the receiver's challenge is zero")
            self.challenge, self.ready = record.challenge, True
        elif record.kind is Kind.DONE and self.ready:
            if (record.number, record.content) != (self.chunks, _END.pack(self.length, self._digest.digest())):
                raise StreamError("the receiver confirmed another length or digest than was sent")
            self.done = True


class Incoming:
    """The receiver's side: checks the records of one stream and gives its bytes to `write`."""

    def __init__(self, write: Callable[[bytes], object], *, challenge: bytes | None = None) -> None:
        self._write = write
        self.challenge = os.urandom(ID_BYTES) if challenge is None else challenge
        self.stream: bytes | None = None
        self.name = ""
        self.size: int | None = None
        self.chunks = self.length = self.skipped = 0
        self.done = False
        self._digest = _new_digest()
        self._waiting: dict[bytes, tuple[str, int | None]] = {}

    @property
    def digest(self) -> str:
        """BLAKE2b-256 of what was received so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _answer(self, record: Record, kind: Kind, content: bytes = b"") -> Record:
        return Record(kind, record.stream, self.challenge, self.chunks, content)

    def failed(self, stream: bytes, why: str) -> Record:
        """Tells a sender that this stream is lost."""
        return Record(Kind.FAILED, stream, self.challenge, self.chunks, _reason(why))

    def accept(self, record: Record) -> Record | None:
        """Take a record of a sender and give the answer to it; raises StreamError where the stream has failed."""
        if record.kind is Kind.BEGIN:
            return self._begin(record)
        if record.challenge != self.challenge:
            self.skipped += 1  # of an earlier receiver's stream: recorded, or very late
            return None
        if self.stream is None and record.stream in self._waiting:
            self.stream = record.stream
            self.name, self.size = self._waiting[record.stream]
        if record.stream != self.stream:
            raise StreamError(f"{record.kind.name.lower()} {record.number} of another stream is mixed into this one")
        if record.kind is Kind.CHUNK:
            self._chunk(record)
        elif record.kind is Kind.ALIVE:
            self._check_number(record)
        elif record.kind is Kind.END:
            return self._end(record)
        elif record.kind is Kind.ABORT:
            raise StreamError(f"the sender gave up after {self.length:,} bytes: {record.text()}")
        else:
            raise StreamError(f"a record of type {record.kind.name.lower()}, which only a receiver sends")
        return None

    def _begin(self, record: Record) -> Record:
        if self.stream is not None and record.stream != self.stream:
            return self._answer(record, Kind.FAILED, b"the receiver is busy with another stream")
        if len(record.content) < 8 or len(record.content) > 8 + MAX_NAME_BYTES:
            raise StreamError(f"a begin record of {len(record.content)} bytes is malformed")
        size = int.from_bytes(record.content[:8], "little")
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        name = record.content[8:].decode("utf-8", "replace")
        self._waiting[record.stream] = (name, None if size == _UNKNOWN_SIZE else size)
        return self._answer(record, Kind.READY)

    def _check_number(self, record: Record) -> None:
        if self.done:
            raise StreamError(f"{record.kind.name.lower()} {record.number} after the stream's end")
        if record.number != self.chunks:
            raise StreamError(
                f"{record.kind.name.lower()} {record.number} came where chunk {self.chunks} was due: "
                f"the stream is {'cut' if record.number > self.chunks else 'out of order'}"
            )

    def _chunk(self, record: Record) -> None:
        self._check_number(record)
        if not record.content:
            raise StreamError(f"chunk {record.number} is empty")
        self._write(record.content)
        self._digest.update(record.content)
        self.length += len(record.content)
        self.chunks += 1

    def _end(self, record: Record) -> Record:
        self._check_number(record)
        if len(record.content) != _END.size:
            raise StreamError(f"an end record of {len(record.content)} bytes is malformed")
        length, digest = _END.unpack(record.content)
        if length != self.length:
            raise StreamError(f"the stream has {self.length:,} bytes, and {length:,} were sent")
        if digest != self._digest.digest():
            raise StreamError(f"the stream's digest is {self.digest}, and {digest.hex()} was sent")
        self.done = True
        return self._answer(record, Kind.DONE, record.content)
