"""The suites: what turns key, nonce, associated data and plaintext into ciphertext and tag (floor 8).

Suites 1 and 2 also stand in the C core; the classes here are their readable twins. A user's own suite is registered
under 128 to 255, and only after the conformance kit has passed it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import Protocol, runtime_checkable

from . import limits, sodium
from .errors import SuiteError


@runtime_checkable
class Suite(Protocol):
    """An authenticated cipher: a 32-byte key, a 24-byte nonce (bytes 8..32 of the sealed part), a 16-byte tag."""

    number: int
    name: str

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext of the plaintext's length, followed by the tag."""

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        """The plaintext, or None if the tag does not hold; never an exception for what a peer sent."""


class XChaCha20Poly1305:
    """Suite 1, always there: libsodium's XChaCha20-Poly1305."""

    number = limits.SUITE_XCHACHA20POLY1305
    name = "xchacha20poly1305"

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return sodium.xchacha20poly1305_seal(key, nonce, ad, plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return sodium.xchacha20poly1305_open(key, nonce, ad, sealed)


class Aes256Gcm:
    """Suite 2: libsodium's AES-256-GCM, where the processor has instructions for it."""

    number = limits.SUITE_AES256GCM
    name = "aes256gcm"

    def __init__(self) -> None:
        if not sodium.has_aes256gcm():
            raise SuiteError(
                "suite aes256gcm cannot run here: libsodium needs a processor with AES and carry-less "
                "multiplication; xchacha20poly1305 runs everywhere"
            )

    @staticmethod
    def _subkey(key: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        return sodium.blake2b(key, b"zmqsec.aes256gcm", nonce[:16]), bytes(4) + nonce[16:]

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        subkey, short_nonce = self._subkey(key, nonce)
        return sodium.aes256gcm_seal(subkey, short_nonce, ad, plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        subkey, short_nonce = self._subkey(key, nonce)
        return sodium.aes256gcm_open(subkey, short_nonce, ad, sealed)


class Aes256CtrHmacSha256:
    """Suite 3: AES-256-CTR, then HMAC-SHA-256 cut to 16 bytes (encrypt-then-MAC), on the `cryptography` package."""

    number = limits.SUITE_AES256CTR_HMACSHA256
    name = "aes256ctr-hmacsha256"

    def __init__(self) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        except ImportError as error:
            raise SuiteError(
                "suite aes256ctr-hmacsha256 needs the cryptography package: pip install 'zmqsec[suite3]'"
            ) from error
        self._cipher, self._aes, self._ctr = Cipher, algorithms.AES, modes.CTR

    def _xor(self, key: bytes, nonce: bytes, data: bytes) -> bytes:
        stream_key = hmac.digest(key, b"zmqsec.aes256ctr" + nonce[:16], hashlib.sha256)
        counter = bytes(4) + nonce[16:] + bytes(4)
        worker = self._cipher(self._aes(stream_key), self._ctr(counter)).encryptor()
        return bytes(worker.update(data) + worker.finalize())

    @staticmethod
    def _tag(key: bytes, nonce: bytes, ad: bytes, ciphertext: bytes) -> bytes:
        mac_key = hmac.digest(key, b"zmqsec.hmacsha256" + nonce[:16], hashlib.sha256)
        lengths = len(ad).to_bytes(8, "little") + len(ciphertext).to_bytes(8, "little")
        return hmac.digest(mac_key, nonce + ad + ciphertext + lengths, hashlib.sha256)[: limits.TAG_BYTES]

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        ciphertext = self._xor(key, nonce, plaintext)
        return ciphertext + self._tag(key, nonce, ad, ciphertext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        ciphertext, tag = sealed[: -limits.TAG_BYTES], sealed[-limits.TAG_BYTES :]
        if len(sealed) < limits.TAG_BYTES or not hmac.compare_digest(tag, self._tag(key, nonce, ad, ciphertext)):
            return None
        return self._xor(key, nonce, ciphertext)


_BUILT_IN: dict[int, type[Suite]] = {
    suite.number: suite for suite in (XChaCha20Poly1305, Aes256Gcm, Aes256CtrHmacSha256)
}
_NUMBERS = {suite.name: number for number, suite in _BUILT_IN.items()}
_ready: dict[int, Suite] = {}
_raised: set[int] = set()  # suites whose exception was logged
_LOG = logging.getLogger("zmqsec")


def suite_names() -> tuple[str, ...]:
    """Names of the built-in and of the registered suites."""
    return tuple(sorted({*_NUMBERS, *(suite.name for suite in _ready.values())}))


def suite_by_number(number: int) -> Suite:
    """The suite of that number; SuiteError if there is none, or if it cannot run here."""
    if number not in _ready:
        if number not in _BUILT_IN:
            raise SuiteError(
                f"suite {number} is unknown: {sorted(_BUILT_IN)} are built in, and "
                f"{limits.FIRST_USER_SUITE} to {limits.LAST_USER_SUITE} can be registered"
            )
        _ready[number] = _BUILT_IN[number]()
    return _ready[number]


def suite_by_name(name: str) -> Suite:
    """The suite of that name; SuiteError if there is none, or if it cannot run here."""
    if name in _NUMBERS:
        return suite_by_number(_NUMBERS[name])
    for suite in _ready.values():
        if suite.name == name:
            return suite
    raise SuiteError(f"suite {name!r} is unknown: {', '.join(suite_names())} are allowed")


def opened_by(suite: Suite, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The plaintext that a suite gives; None for anything but as many bytes as it should be, and where it raises.

    What a peer sends must not raise in a receiver; the first exception of each suite is logged.
    """
    try:
        opened = suite.open(key, nonce, ad, sealed)
    except Exception:
        if suite.number not in _raised:
            _raised.add(suite.number)
            _LOG.exception("zmqsec: suite %r raised where None is due; the message is refused", suite.name)
        return None
    return opened if isinstance(opened, bytes) and len(opened) == len(sealed) - limits.TAG_BYTES else None


def register_suite(suite: Suite) -> None:
    """Make a user's own suite known, under its number of 128 to 255, if the conformance kit passes it."""
    from .conformance import check_suite

    if not limits.FIRST_USER_SUITE <= suite.number <= limits.LAST_USER_SUITE:
        raise SuiteError(
            f"suite number {suite.number}: {limits.FIRST_USER_SUITE} to {limits.LAST_USER_SUITE} are allowed"
        )
    taken = _ready.get(suite.number)
    if taken is not None and taken is not suite:
        raise SuiteError(f"suite number {suite.number} is taken by {taken.name!r}")
    if any(other.name == suite.name and other is not suite for other in _ready.values()) or suite.name in _NUMBERS:
        raise SuiteError(f"suite name {suite.name!r} is taken; choose another")
    check_suite(suite)
    _ready[suite.number] = suite
