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


def hash_unkeyed(personal: bytes, message: bytes) -> bytes:
    """BLAKE2b-256 without key and salt, with a personalization of at most 16 bytes (spec, "Key derivation")."""
    return blake2b(b"", personal, message)


def ed25519_keys(seed: bytes) -> tuple[bytes, bytes]:
    """Public key, 32 bytes, and secret key, 64 bytes: the seed and the public key (RFC 8032)."""
    public, secret = _pysodium.crypto_sign_seed_keypair(seed)
    return bytes(public), bytes(secret)


def ed25519_sign(secret_key: bytes, message: bytes) -> bytes:
    """The 64-byte signature."""
    return bytes(_pysodium.crypto_sign_detached(message, secret_key))


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """libsodium's own verdict on 64 and 32 bytes; `ed25519.verify` is the protocol's."""
    length = ctypes.c_ulonglong(len(message))
    return bool(_pysodium.sodium.crypto_sign_verify_detached(signature, message, length, key) == 0)


def argon2id(passphrase: bytes, salt: bytes, operations: int, memory: int) -> bytes | None:
    """A 32-byte key from a passphrase and a 16-byte salt, Argon2id version 1.3; None if the memory is not to be had."""
    out = ctypes.create_string_buffer(32)
    status = _pysodium.sodium.crypto_pwhash(
        out, ctypes.c_ulonglong(32), passphrase, ctypes.c_ulonglong(len(passphrase)), salt,
        ctypes.c_ulonglong(operations), ctypes.c_size_t(memory), _pysodium.crypto_pwhash_ALG_ARGON2ID13,
    )  # fmt: skip
    return out.raw if status == 0 else None


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
