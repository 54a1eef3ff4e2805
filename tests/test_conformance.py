"""The conformance kit passes what is a suite, and refuses each kind of what is none, by the check that it fails."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from helpers import SUITES, USERS_SUITE

from zmqsec.errors import SuiteError
from zmqsec.suites import Suite, XChaCha20Poly1305, register_suite, suite_by_number
from zmqsec.testing import check_suite


class Own(XChaCha20Poly1305):
    """A good suite that the others spoil."""

    number = 201
    name = "own"


class ReturnsPlaintext(Own):
    """No encryption, but a good MAC."""

    @staticmethod
    def _tag(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
        covered = nonce + len(ad).to_bytes(8, "little") + ad + text
        return hmac.digest(key, covered, hashlib.sha256)[:16]

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return plaintext + self._tag(key, nonce, ad, plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        if len(sealed) < 16 or self._tag(key, nonce, ad, sealed[:-16]) != sealed[-16:]:
            return None
        return sealed[:-16]


class RepeatsItsKeystream(ReturnsPlaintext):
    """The same 16 bytes of key stream for every block."""

    @staticmethod
    def _xor(key: bytes, nonce: bytes, text: bytes) -> bytes:
        stream = hmac.digest(key, nonce, hashlib.sha256)[:16]
        return bytes(byte ^ stream[i % 16] for i, byte in enumerate(text))

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(key, nonce, ad, self._xor(key, nonce, plaintext))

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        opened = super().open(key, nonce, ad, sealed)
        return None if opened is None else self._xor(key, nonce, opened)


class IgnoresAssociatedData(Own):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(key, nonce, b"", plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return super().open(key, nonce, b"", sealed)


class IgnoresHalfTheNonce(Own):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(key, bytes(8) + nonce[8:], ad, plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return super().open(key, bytes(8) + nonce[8:], ad, sealed)


class IgnoresAKeyBit(Own):
    @staticmethod
    def _key(key: bytes) -> bytes:
        return key[:-1] + bytes([key[-1] & 0x7F])

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(self._key(key), nonce, ad, plaintext)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return super().open(self._key(key), nonce, ad, sealed)


class LeavesTheNonceOutOfTheTag(RepeatsItsKeystream):
    """A good cipher, and a MAC over everything but the nonce: an empty message opens under any."""

    @staticmethod
    def _tag(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
        return hmac.digest(key, len(ad).to_bytes(8, "little") + ad + text, hashlib.sha256)[:16]

    @staticmethod
    def _xor(key: bytes, nonce: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(key + nonce).digest(len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))


class ConcatenatesWithoutLengths(Own):
    """A MAC over ad || ciphertext: a byte can move from one to the other."""

    @staticmethod
    def _tag(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
        return hmac.digest(key, nonce + ad + text, hashlib.sha256)[:16]

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        text = LeavesTheNonceOutOfTheTag._xor(key, nonce, plaintext)
        return text + self._tag(key, nonce, ad, text)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        if len(sealed) < 16 or self._tag(key, nonce, ad, sealed[:-16]) != sealed[-16:]:
            return None
        return LeavesTheNonceOutOfTheTag._xor(key, nonce, sealed[:-16])


class ComparesHalfTheTag(ReturnsPlaintext):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        text = LeavesTheNonceOutOfTheTag._xor(key, nonce, plaintext)
        return text + self._tag(key, nonce, ad, text)

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        if len(sealed) < 16 or self._tag(key, nonce, ad, sealed[:-16])[:8] != sealed[-16:-8]:
            return None
        return LeavesTheNonceOutOfTheTag._xor(key, nonce, sealed[:-16])


class AcceptsAnything(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return super().open(key, nonce, ad, sealed) or (sealed[:-16] if len(sealed) > 16 else b"")


class GivesDataOnFailure(Own):
    """What it decrypted, although the tag does not hold."""

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        opened = super().open(key, nonce, ad, sealed)
        return sealed[:-16] if opened is None else opened


class GivesFalseOnFailure(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> Any:
        opened = super().open(key, nonce, ad, sealed)
        return False if opened is None else opened


class RaisesOnFailure(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        opened = super().open(key, nonce, ad, sealed)
        if opened is None:
            raise ValueError("the tag does not hold")
        return opened


class RaisesOnShortInput(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        if len(sealed) < 16:
            raise IndexError("no tag")
        return super().open(key, nonce, ad, sealed)


class RaisesAlways(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        raise RuntimeError("nothing opens")


class RaisesOnSeal(Own):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        raise RuntimeError("nothing seals")


class OpensNothing(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        return None


class Truncates(Own):
    """Forgets the last byte."""

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        opened = super().open(key, nonce, ad, sealed)
        return None if opened is None else opened[:-1]


class SealsShort(Own):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(key, nonce, ad, plaintext)[:-1]


class Pads(Own):
    """A byte of padding inside: the length is not honest."""

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        return super().seal(key, nonce, ad, plaintext + b"\0")


class IsRandom(Own):
    """Its last byte counts the calls, and opening takes any."""

    def __init__(self) -> None:
        self._count = 0

    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
        self._count += 1
        sealed = super().seal(key, nonce, ad, plaintext)
        return sealed[:-1] + bytes([self._count % 256])

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        for last in range(256):
            opened = super().open(key, nonce, ad, sealed[:-1] + bytes([last]))
            if opened is not None:
                return opened
        return None


class SealsToBytearray(Own):
    def seal(self, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> Any:
        return bytearray(super().seal(key, nonce, ad, plaintext))


class OpensToBytearray(Own):
    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> Any:
        opened = super().open(key, nonce, ad, sealed)
        return None if opened is None else bytearray(opened)


class AcceptsTrailingBytes(Own):
    """Tries once more without the last byte."""

    def open(self, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
        opened = super().open(key, nonce, ad, sealed)
        return super().open(key, nonce, ad, sealed[:-1]) if opened is None else opened


REFUSED: list[tuple[type[Own], str]] = [
    (ReturnsPlaintext, "secrecy: the ciphertext shows the plaintext"),
    (RepeatsItsKeystream, "secrecy: equal blocks"),
    (IgnoresAssociatedData, "a flipped bit of associated data: accepted"),
    (IgnoresHalfTheNonce, "nonce sensitivity"),
    (IgnoresAKeyBit, "key sensitivity"),
    (LeavesTheNonceOutOfTheTag, "a flipped bit of the nonce: accepted"),
    (ConcatenatesWithoutLengths, "a byte moved from the ciphertext to the associated data: accepted"),
    (ComparesHalfTheTag, "a flipped bit of ciphertext or tag: accepted"),
    (AcceptsAnything, "a flipped bit of ciphertext or tag: accepted"),
    (GivesDataOnFailure, "a flipped bit of ciphertext or tag: accepted"),
    (GivesFalseOnFailure, "a flipped bit of ciphertext or tag: accepted, and gave False"),
    (RaisesOnFailure, "a flipped bit of ciphertext or tag: open raised ValueError"),
    (RaisesOnShortInput, "cut to 0 bytes: open raised IndexError"),
    (RaisesAlways, "round trip: open raised RuntimeError"),
    (RaisesOnSeal, "seal raised RuntimeError"),
    (OpensNothing, "round trip: 0 bytes"),
    (Truncates, "round trip: 1 bytes"),
    (SealsShort, "length: 0 bytes sealed to 15"),
    (Pads, "length: 0 bytes sealed to 17"),
    (IsRandom, "determinism"),
    (SealsToBytearray, "seal gave bytearray, bytes are needed"),
    (OpensToBytearray, "open gave bytearray, bytes are needed"),
    (AcceptsTrailingBytes, "a sealed message with a byte more: accepted"),
]


@pytest.mark.parametrize(("suite", "match"), REFUSED, ids=[suite.__name__ for suite, _ in REFUSED])
def test_conformance_refuses_a_bad_suite_by_name_of_the_check(suite: type[Own], match: str) -> None:
    with pytest.raises(SuiteError, match=f"suite 'own' \\(201\\) fails the conformance kit: .*{match}"):
        check_suite(suite())
    with pytest.raises(SuiteError, match=match):
        register_suite(suite())
    with pytest.raises(SuiteError, match="suite 201 is unknown"):
        suite_by_number(201)


@pytest.mark.parametrize("number", SUITES)
def test_conformance_passes_the_built_in_suites(number: int) -> None:
    check_suite(suite_by_number(number))


def test_conformance_passes_a_users_suite() -> None:
    check_suite(USERS_SUITE)
    check_suite(Own())


@pytest.mark.parametrize("attribute", ["number", "name"])
def test_conformance_needs_a_number_and_a_name(attribute: str) -> None:
    suite: Suite = Own()
    setattr(suite, attribute, None)
    with pytest.raises(SuiteError, match="needs an int `number` and a str `name`"):
        check_suite(suite)
