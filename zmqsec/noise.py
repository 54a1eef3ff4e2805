"""The Noise protocol framework, revision 34: XX and IK with psk and hfs over 25519_ChaChaPoly_BLAKE2b (floor 10).

Names and steps are those of the specification; section numbers in comments are its own. hfs is the extension "KEM-based
Hybrid Forward Secrecy for Noise", revision 1, with ML-KEM-768. Primitives come from libsodium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from . import sodium
from .backend import implementation
from .errors import HandshakeError

DHLEN: Final = 32  # section 12.1
HASHLEN: Final = 64  # section 12.8
KEYLEN: Final = 32  # section 4.2
TAGLEN: Final = 16
MAX_MESSAGE: Final = 65535  # section 3
_MAX_NONCE: Final = (1 << 64) - 1  # section 5.1


class NoiseError(Exception):
    """What a peer sent does not hold; the handshake state that met it is of no use any more (section 5.3)."""


# -- crypto functions (sections 4 and 12) ------------------------------------------------------------------------------


def hash_of(data: bytes) -> bytes:
    """HASH(data): BLAKE2b with 64 bytes of output (section 12.8)."""
    return sodium.blake2b_512(data)


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A Curve25519 key pair, 32 bytes each."""

    secret: bytes
    public: bytes

    @classmethod
    def of(cls, secret: bytes) -> KeyPair:
        """The key pair of 32 secret bytes; GENERATE_KEYPAIR() of section 4.1 if they are random."""
        if len(secret) != DHLEN:
            raise HandshakeError(f"a secret key of {len(secret)} bytes: exactly {DHLEN} are allowed")
        return cls(secret, sodium.x25519_public(secret))

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()}, secret=<hidden>)"


def dh(pair: KeyPair, public: bytes) -> bytes:
    """DH(key_pair, public_key). An all-zero output signals an error, which section 12.1 allows and libsodium does."""
    shared = sodium.x25519(pair.secret, public)
    if shared is None:
        raise NoiseError("a public key of a small order")
    return shared


# -- CipherState (section 5.1) -----------------------------------------------------------------------------------------


class CipherState:
    """`k`, a key of 32 bytes or None for empty, and `n`, the nonce."""

    __slots__ = ("k", "n")

    def __init__(self, k: bytes | None = None, n: int = 0) -> None:
        self.k, self.n = k, n

    def initialize_key(self, key: bytes) -> None:
        """InitializeKey(key)."""
        self.k, self.n = key, 0

    def _nonce(self) -> bytes:
        """32 bits of zeros and the little-endian n (section 12.3)."""
        if self.n >= _MAX_NONCE:
            raise NoiseError("the nonces are used up")
        return bytes(4) + self.n.to_bytes(8, "little")

    def encrypt_with_ad(self, ad: bytes, plaintext: bytes) -> bytes:
        """EncryptWithAd(ad, plaintext)."""
        if self.k is None:
            return plaintext
        ciphertext = sodium.chacha20poly1305_seal(self.k, self._nonce(), ad, plaintext)
        self.n += 1
        return ciphertext

    def decrypt_with_ad(self, ad: bytes, ciphertext: bytes) -> bytes:
        """DecryptWithAd(ad, ciphertext); n stays where it was if the tag does not hold."""
        if self.k is None:
            return ciphertext
        plaintext = sodium.chacha20poly1305_open(self.k, self._nonce(), ad, ciphertext)
        if plaintext is None:
            raise NoiseError("a tag does not hold")
        self.n += 1
        return plaintext


# -- SymmetricState (section 5.2) --------------------------------------------------------------------------------------


class SymmetricState:
    """A CipherState, the chaining key `ck` and the handshake hash `h`, 64 bytes each."""

    __slots__ = ("cipher", "ck", "h")

    def __init__(self, protocol_name: bytes) -> None:
        """InitializeSymmetric(protocol_name)."""
        short = len(protocol_name) <= HASHLEN
        self.h = protocol_name.ljust(HASHLEN, b"\0") if short else hash_of(protocol_name)
        self.ck = self.h
        self.cipher = CipherState()

    def copy(self) -> SymmetricState:
        """Another one that stands where this one does."""
        twin = SymmetricState.__new__(SymmetricState)
        twin.h, twin.ck = self.h, self.ck
        twin.cipher = CipherState(self.cipher.k, self.cipher.n)
        return twin

    def mix_key(self, input_key_material: bytes) -> None:
        """MixKey(input_key_material); temp_k is cut to 32 bytes since HASHLEN is 64."""
        self.ck, temp_k = implementation.hkdf(self.ck, input_key_material, 2)
        self.cipher.initialize_key(temp_k[:KEYLEN])

    def mix_hash(self, data: bytes) -> None:
        """MixHash(data)."""
        self.h = hash_of(self.h + data)

    def mix_key_and_hash(self, input_key_material: bytes) -> None:
        """MixKeyAndHash(input_key_material), for the psk token (section 9)."""
        self.ck, temp_h, temp_k = implementation.hkdf(self.ck, input_key_material, 3)
        self.mix_hash(temp_h)
        self.cipher.initialize_key(temp_k[:KEYLEN])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """EncryptAndHash(plaintext)."""
        ciphertext = self.cipher.encrypt_with_ad(self.h, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """DecryptAndHash(ciphertext)."""
        plaintext = self.cipher.decrypt_with_ad(self.h, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """Split(): for messages from the initiator, and for messages to it."""
        temp_k1, temp_k2 = implementation.hkdf(self.ck, b"", 2)
        return CipherState(temp_k1[:KEYLEN]), CipherState(temp_k2[:KEYLEN])
