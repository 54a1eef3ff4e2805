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
_TAG = 16
MLKEM768_SEED_BYTES = 64
MLKEM768_KEY_BYTES = 1184
MLKEM768_CIPHERTEXT_BYTES = 1088
_MLKEM768_SECRET_BYTES = 2400


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
_Bytes32, _Bytes64 = ctypes.c_char * 32, ctypes.c_char * 64


def _function(name: str, *types: Any) -> Any:
    """A function of the library with its types declared, which makes calls cheap; None where this libsodium lacks it.

    pysodium's own function objects are left as they are.
    """
    function = getattr(_own, name, None)
    if function is not None:
        function.argtypes = types
    return function


_BUFFER, _SIZE, _LONG = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_ulonglong
# Where somebody has imported pysodium first, its library may be the system's, which may lack what the bundled one has.
_path = bundled_path() or str(_pysodium.sodium._name)
_own = ctypes.CDLL(_path)
if _own.sodium_init() < 0:
    raise BackendError("libsodium's sodium_init failed: no source of randomness?")
_generichash = _function("crypto_generichash", _BUFFER, _SIZE, _BUFFER, _LONG, _BUFFER, _SIZE)
_blake2b = _function(
    "crypto_generichash_blake2b_salt_personal", _BUFFER, _SIZE, _BUFFER, _LONG, _BUFFER, _SIZE, _BUFFER, _BUFFER
)
_scalarmult = _function("crypto_scalarmult_curve25519", _BUFFER, _BUFFER, _BUFFER)
_scalarmult_base = _function("crypto_scalarmult_curve25519_base", _BUFFER, _BUFFER)
_chacha_seal = _function(
    "crypto_aead_chacha20poly1305_ietf_encrypt",
    _BUFFER, ctypes.c_void_p, _BUFFER, _LONG, _BUFFER, _LONG, ctypes.c_void_p, _BUFFER, _BUFFER,
)  # fmt: skip
_chacha_open = _function(
    "crypto_aead_chacha20poly1305_ietf_decrypt",
    _BUFFER, ctypes.c_void_p, ctypes.c_void_p, _BUFFER, _LONG, _BUFFER, _LONG, _BUFFER, _BUFFER,
)  # fmt: skip
_sign = _function("crypto_sign_detached", _BUFFER, ctypes.c_void_p, _BUFFER, _LONG, _BUFFER)
_verify = _function("crypto_sign_verify_detached", _BUFFER, _BUFFER, _LONG, _BUFFER)
_mlkem_keys = _function("crypto_kem_mlkem768_seed_keypair", _BUFFER, _BUFFER, _BUFFER)
_mlkem_encapsulate = _function("crypto_kem_mlkem768_enc_deterministic", _BUFFER, _BUFFER, _BUFFER, _BUFFER)
_mlkem_decapsulate = _function("crypto_kem_mlkem768_dec", _BUFFER, _BUFFER, _BUFFER)


def library_path() -> str:
    """Path or name of the libsodium that is used."""
    return _path


def random_bytes(n: int) -> bytes:
    """`n` bytes from libsodium's generator."""
    return bytes(_pysodium.randombytes(n))


def blake2b(key: bytes, personal: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2b-256 with a personalisation of at most 16 bytes, padded with zeros, and no salt (RFC 7693)."""
    out = _Bytes32()
    _blake2b(out, 32, message, len(message), key, len(key), _NO_SALT, personal.ljust(16, b"\0"))
    return out.raw


def hash_unkeyed(personal: bytes, message: bytes) -> bytes:
    """BLAKE2b-256 without key and salt, with a personalization of at most 16 bytes (spec, "Key derivation")."""
    return blake2b(b"", personal, message)


def blake2b_512(message: bytes) -> bytes:
    """BLAKE2b with 64 bytes of output, no key, salt or personalization (RFC 7693)."""
    out = _Bytes64()
    _generichash(out, 64, message, len(message), None, 0)
    return out.raw


def x25519_public(secret: bytes) -> bytes:
    """The public key of a 32-byte secret (RFC 7748)."""
    out = _Bytes32()
    _scalarmult_base(out, secret)
    return out.raw


def x25519(secret: bytes, public: bytes) -> bytes | None:
    """The shared secret, 32 bytes (RFC 7748); None where it would be all zero, as for every point of a small order."""
    out = _Bytes32()
    return out.raw if _scalarmult(out, secret, public) == 0 else None


def chacha20poly1305_seal(key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext and 16-byte tag; 32-byte key, 12-byte nonce (RFC 8439)."""
    out = (ctypes.c_char * (len(plaintext) + _TAG))()
    _chacha_seal(out, None, plaintext, len(plaintext), ad, len(ad), None, nonce, key)
    return out.raw


def chacha20poly1305_open(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The plaintext, or None if the tag does not hold."""
    size = len(sealed) - _TAG
    if size < 0:
        return None
    out = (ctypes.c_char * size)()
    status = _chacha_open(out, None, None, sealed, len(sealed), ad, len(ad), nonce, key)
    return out.raw if status == 0 else None


def has_mlkem768() -> bool:
    """Whether this libsodium has ML-KEM-768; versions before 1.0.22 have not."""
    return None not in (_mlkem_keys, _mlkem_encapsulate, _mlkem_decapsulate)


def mlkem768_keys(seed: bytes) -> tuple[bytes, bytes]:
    """Encapsulation key, 1,184 bytes, and decapsulation key, 2,400, of a 64-byte seed (FIPS 203, d || z)."""
    public = ctypes.create_string_buffer(MLKEM768_KEY_BYTES)
    secret = ctypes.create_string_buffer(_MLKEM768_SECRET_BYTES)
    _mlkem_keys(public, secret, seed)
    return public.raw, secret.raw


def mlkem768_encapsulate(public: bytes, seed: bytes) -> tuple[bytes, bytes] | None:
    """Ciphertext, 1,088 bytes, and shared secret, 32, from 32 random bytes; None if the key fails FIPS 203's check."""
    ciphertext, shared = ctypes.create_string_buffer(MLKEM768_CIPHERTEXT_BYTES), _Bytes32()
    status = _mlkem_encapsulate(ciphertext, shared, public, seed)
    return (ciphertext.raw, shared.raw) if status == 0 else None


def mlkem768_decapsulate(secret: bytes, ciphertext: bytes) -> bytes:
    """The shared secret, 32 bytes; that of a wrong ciphertext is one that nobody knows (implicit rejection)."""
    shared = _Bytes32()
    _mlkem_decapsulate(shared, ciphertext, secret)
    return shared.raw


def ed25519_keys(seed: bytes) -> tuple[bytes, bytes]:
    """Public key, 32 bytes, and secret key, 64 bytes: the seed and the public key (RFC 8032)."""
    public, secret = _pysodium.crypto_sign_seed_keypair(seed)
    return bytes(public), bytes(secret)


def ed25519_sign(secret_key: bytes, message: bytes) -> bytes:
    """The 64-byte signature."""
    out = _Bytes64()
    _sign(out, None, message, len(message), secret_key)
    return out.raw


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """libsodium's own verdict on 64 and 32 bytes; `ed25519.verify` is the protocol's."""
    return bool(_verify(signature, message, len(message), key) == 0)


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
