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
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .blocks import normal_address
from .leg import Leg

#: struct tcp_info of Linux: tcpi_bytes_received is an unsigned 64-bit number at this place.
_BYTES_RECEIVED = 128
_INFO_BYTES = _BYTES_RECEIVED + 8
_FRAMING = 64  # bytes that a message may take on the wire besides its frames' own
_LEAST = 65536
_SHARE = 4  # only who holds a quarter of all that is held is to blame
_ALARM, _CALM = 0.5, 0.4  # shares of the memory's limit
_CALM_SECONDS = 60.0

#: Peer's address and port.
Connection = tuple[str, int]


@dataclass(slots=True)
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
            found[normal_address(peer[0]), peer[1]] = struct.unpack_from("Q", info, _BYTES_RECEIVED)[0] - waiting
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


class Alarm:
    """Has peers counted while memory is near to its limit, and says who is to blame once it is passed.

    It goes on at half of the limit, and off when there was less for a minute. All of it on the loop's thread, but for
    `blamed`.
    """

    def __init__(self) -> None:
        self.on = False
        #: Bytes by address, of those who are to be turned away at once; the keeper makes rules of it.
        self.blamed: dict[str, int] = {}
        self._hoard = Hoard()
        self._delivered: dict[str, Delivered] = {}
        self._last = 0.0

    def follow(self, legs: Collection[Leg], share: float, now: float) -> None:
        """Look at the share of the limit that is used now, at a time in seconds, and at new legs."""
        before = self.on
        if share >= (_CALM if before else _ALARM):
            self.on, self._last = True, now
        elif before and now - self._last > _CALM_SECONDS:
            self.on = False
        for leg in legs:
            leg.count_peers(self.on)
        if self.on and not before:
            self._begin(_read(legs))

    def count(self, taken: Iterable[tuple[str, bytes, bytes, int, int, Mapping[str, int]]]) -> None:
        """Whole messages of peers, as a leg's tables tell of them."""
        if not self.on:
            return
        for address, _, key, messages, size, refused in taken:
            if address and not key:
                one = self._delivered.setdefault(normal_address(address), Delivered())
                one.messages += messages
                one.bytes += size
                one.refused += sum(refused.values())

    def blame(self, legs: Collection[Leg]) -> None:
        """Memory is beyond its limit: find who is to blame, if peers were counted, and begin anew."""
        if not self.on or not legs:
            return
        hwm = max(leg.config.front.hwm for leg in legs)
        most = max(leg.config.policy.max_message for leg in legs)
        self.blamed.update(self._hoard.culprits(_read(legs), self._delivered, hwm=hwm, max_message=most))
        self._begin({})

    def _begin(self, read: Mapping[Connection, int]) -> None:
        self._hoard.begin(read)
        self._delivered.clear()


def _read(legs: Iterable[Leg]) -> dict[Connection, int]:
    return read_of({port for leg in legs for port in leg.front_ports()})
