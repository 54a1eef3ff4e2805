"""Cookies and the two MACs of an opening, after WireGuard's (floor 8); spec, "Floods"."""

from __future__ import annotations

import hmac
from typing import Final

from . import limits, sodium
from .message import Random

_MAC: Final = limits.MAC_BYTES
_NO_MAC: Final = bytes(_MAC)


def mac1(fingerprint: bytes, opening: bytes) -> bytes:
    """The MAC of an opening without its two MACs; who knows the responder's fingerprint can make it."""
    return sodium.blake2b(fingerprint, b"zmqsec.mac1", opening)[:_MAC]


def mac2(cookie: bytes, opening: bytes) -> bytes:
    """The MAC of an opening with its `mac1`; who has the cookie for this very opening can make it."""
    return sodium.blake2b(cookie, b"zmqsec.mac2", opening)[:_MAC]


def _frame_mac(fingerprint: bytes, first: bytes, front: bytes) -> bytes:
    return sodium.blake2b(fingerprint, b"zmqsec.mac3", first + front)[:_MAC]


def read_cookie(fingerprint: bytes, first: bytes, frame: bytes) -> bytes | None:
    """The cookie in a frame that answers the opening whose `mac1` is `first`; None if its MAC does not hold."""
    front, mac = frame[:-_MAC], frame[-_MAC:]
    if len(frame) != limits.HEADER_BYTES + limits.COOKIE_BYTES + _MAC:
        return None
    if not hmac.compare_digest(mac, _frame_mac(fingerprint, first, front)):
        return None
    return front[limits.HEADER_BYTES :]


class CookieJar:
    """A responder's cookies: made of a secret that changes every 120 s, and of nothing that it must remember.

    A cookie says that whoever shows it for an opening reads what is sent to the source of that opening.
    """

    __slots__ = ("_born", "_last", "_random", "_secret")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._secret = self._last = b""
        self._born = float("-inf")

    def _rotate(self, now: float) -> None:
        age = now - self._born
        if 0 <= age < limits.COOKIE_SECRET_TIME:
            return
        # The one before is good for one more turn, so that a cookie lives 120 s at least.
        self._last = self._secret if 0 <= age < 2 * limits.COOKIE_SECRET_TIME else b""
        self._secret, self._born = self._random(limits.KEY_BYTES), now

    @staticmethod
    def _cookie(secret: bytes, source: bytes, first: bytes) -> bytes:
        # `first` is a hash of the opening, and has a fixed length: so the two cannot be shifted against each other.
        return sodium.blake2b(secret, b"zmqsec.cookie", first + source)

    def frame(self, fingerprint: bytes, header: bytes, source: bytes, first: bytes, now: float) -> bytes:
        """The frame with this header that carries the cookie of this source for this opening."""
        self._rotate(now)
        front = header + self._cookie(self._secret, source, first)
        return front + _frame_mac(fingerprint, first, front)

    def holds(self, opening: bytes, source: bytes, now: float) -> bool:
        """Whether an opening's `mac2` was made with a cookie of this source for it."""
        self._rotate(now)
        covered, mac = opening[:-_MAC], opening[-_MAC:]
        if mac == _NO_MAC:
            return False
        first = covered[-_MAC:]
        return any(
            hmac.compare_digest(mac, mac2(self._cookie(secret, source, first), covered))
            for secret in (self._secret, self._last)
            if secret
        )
