"""libsodium through pysodium, one copy in the process (floor 7).

pysodium asks ``ctypes.util.find_library`` for libsodium when it is imported. pyzmq's wheels carry a libsodium of
their own; that one is answered first, so that a machine without a system-wide libsodium runs all the same.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from .errors import BackendError

_NO_SALT = bytes(16)
_AES_TAG = 16


def bundled_path() -> str | None:
    """The libsodium inside pyzmq's wheel, or None where pyzmq came without one."""
    home = Path(zmq.__file__).parent
    for folder in (home.parent / "pyzmq.libs", home / ".dylibs", home):
        for pattern in ("libsodium*.so*", "libsodium*.dylib", "libsodium*.dll"):
            for path in sorted(folder.glob(pattern)):
                return str(path)
    return None


@contextmanager
def _bundled_first() -> Iterator[None]:
    original = ctypes.util.find_library
    bundled = bundled_path()

    def find_library(name: str) -> str | None:
        return bundled if bundled and name in ("sodium", "libsodium") else original(name)

    ctypes.util.find_library = find_library
    try:
        yield
    finally:
        ctypes.util.find_library = original


def _load() -> Any:
    try:
        with _bundled_first():
            import pysodium
    except (ImportError, ValueError, OSError) as error:
        raise BackendError(
            f"pysodium finds no libsodium ({error}); install it (Debian: apt install libsodium23) "
            "or a pyzmq wheel, which carries one"
        ) from error
    if pysodium.sodium.sodium_init() < 0:
        raise BackendError("libsodium's sodium_init failed: no source of randomness?")
    return pysodium


_pysodium: Any = _load()


def library_path() -> str:
    """Path or name of the libsodium that pysodium has loaded."""
    return str(_pysodium.sodium._name)


def random_bytes(n: int) -> bytes:
    """`n` bytes from libsodium's generator."""
    return bytes(_pysodium.randombytes(n))


def blake2b(key: bytes, personal: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2b-256 with a personalisation of at most 16 bytes, padded with zeros, and no salt (RFC 7693)."""
    name = personal.ljust(16, b"\0")
    return bytes(_pysodium.crypto_generichash_blake2b_salt_personal(message, 32, key, _NO_SALT, name))


def xchacha20poly1305_seal(key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext and 16-byte tag; 32-byte key, 24-byte nonce (draft-irtf-cfrg-xchacha)."""
    return bytes(_pysodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, nonce, key))


def xchacha20poly1305_open(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The plaintext, or None if the tag does not hold."""
    try:
        return bytes(_pysodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, ad, nonce, key))
    except ValueError:
        return None


def has_aes256gcm() -> bool:
    """Whether this libsodium has AES-256-GCM and this processor the instructions for it."""
    try:
        return bool(_pysodium.sodium.crypto_aead_aes256gcm_is_available())
    except AttributeError:
        return False


def aes256gcm_seal(key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext and 16-byte tag; 32-byte key, 12-byte nonce (NIST SP 800-38D)."""
    out = ctypes.create_string_buffer(len(plaintext) + _AES_TAG)
    length = ctypes.c_ulonglong(0)
    _pysodium.sodium.crypto_aead_aes256gcm_encrypt(
        out, ctypes.byref(length), plaintext, ctypes.c_ulonglong(len(plaintext)), ad, ctypes.c_ulonglong(len(ad)),
        None, nonce, key,
    )  # fmt: skip
    return out.raw[: length.value]


def aes256gcm_open(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The plaintext, or None if the tag does not hold."""
    if len(sealed) < _AES_TAG:
        return None
    out = ctypes.create_string_buffer(max(1, len(sealed) - _AES_TAG))
    length = ctypes.c_ulonglong(0)
    status = _pysodium.sodium.crypto_aead_aes256gcm_decrypt(
        out, ctypes.byref(length), None, sealed, ctypes.c_ulonglong(len(sealed)), ad, ctypes.c_ulonglong(len(ad)),
        nonce, key,
    )  # fmt: skip
    return out.raw[: length.value] if status == 0 else None
