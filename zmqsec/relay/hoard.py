"""Who sends without end what never becomes a message (floor 11): libzmq holds all frames of a message until the last.

Nothing of such a message can be read, so it is found by what is missing: the kernel knows how many bytes have come over
each connection, the loop which messages have. The difference is what a peer makes this process hold.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: struct tcp_info of Linux: tcpi_bytes_received is an unsigned 64-bit number at this place.
_BYTES_RECEIVED = 128
_INFO_BYTES = _BYTES_RECEIVED + 8
_FRAMING = 64  # bytes that a message may take on the wire besides its frames' own
_LEAST = 65536
_SHARE = 4  # only who holds a quarter of all that is held is to blame

#: Peer's address and port.
Connection = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What has come of an address as whole messages: how many were forwarded, their bytes, how many were refused."""

    messages: int = 0
    bytes: int = 0
    refused: int = 0


def read_of(ports: Collection[int]) -> dict[Connection, int]:
    """Bytes that this process has read over each TCP connection to one of its own ports; empty where Linux is not."""
    found: dict[Connection, int] = {}
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return found
    for number in numbers:
        try:
            with socket.socket(fileno=os.dup(number)) as one:
                if one.family not in (socket.AF_INET, socket.AF_INET6) or one.getsockname()[1] not in ports:
                    continue
                peer = one.getpeername()
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
                waiting = struct.unpack("i", fcntl.ioctl(one, termios.FIONREAD, bytes(4)))[0]
        except OSError:
            continue  # no socket, not connected, or closed meanwhile
        if len(info) == _INFO_BYTES:
            found[peer[0], peer[1]] = struct.unpack_from("Q", info, _BYTES_RECEIVED)[0] - waiting
    return found


class Hoard:
    """What addresses have sent since `begin`, to be held against what came of it."""

    def __init__(self) -> None:
        self._before: dict[Connection, int] = {}

    def begin(self, read: Mapping[Connection, int]) -> None:
        """Look from here on; a connection that comes later has sent nothing before."""
        self._before = dict(read)

    def culprits(
        self, read: Mapping[Connection, int], delivered: Mapping[str, Delivered], *, hwm: int, max_message: int
    ) -> dict[str, int]:
        """Addresses to blame, and how many bytes of theirs became no message.

        Whole messages that still wait are not held against anybody: at most `hwm` of the size that is usual for the
        address, and `max_message` bytes for each message that was refused, whose size nobody has counted.
        """
        sent: dict[str, int] = {}
        for connection, count in read.items():
            sent[connection[0]] = sent.get(connection[0], 0) + max(0, count - self._before.get(connection, 0))
        held: dict[str, int] = {}
        for address, count in sent.items():
            whole = delivered.get(address, Delivered())
            usual = (whole.bytes // whole.messages + _FRAMING) if whole.messages else 0
            excused = whole.bytes + _FRAMING * whole.messages + hwm * usual + max_message * whole.refused
            if count - excused >= _LEAST:
                held[address] = count - excused
        total = sum(held.values())
        return {address: count for address, count in held.items() if count * _SHARE >= total}
