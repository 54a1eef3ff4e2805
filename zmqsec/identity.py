"""Identities (floor 9): Ed25519 key pairs, their public halves, and the files of both; spec, "Identities"."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from . import ed25519, limits, sodium
from .errors import IdentityError, KeyFileError
from .keyfile import (
    PUBLIC,
    check_keys,
    hex_bytes,
    parse_toml,
    read_private,
    read_public,
    toml_string,
    write_file,
    write_private,
)

_SEED_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 24
_KDF: Final = "argon2id"
_PREFIX: Final = "zs1"
_CLEAR_KEYS: Final = {"kind", "name", "public", "seed"}
_SEALED_KEYS: Final = {"kind", "name", "public", "kdf", "operations", "memory", "salt", "nonce", "sealed_seed"}
#: What the file of a pinned key may say besides; keydir.py reads it.
RIGHTS_KEYS: Final = frozenset({"roles", "routing_ids", "publish", "read"})


def fingerprint(key: bytes) -> bytes:
    """The 32-byte fingerprint of a public key."""
    return sodium.hash_unkeyed(b"zmqsec.identity", key)


def fingerprint_text(digest: bytes) -> str:
    """A fingerprint as people write it: ``zs1`` and 52 letters and digits of RFC 4648's base32 in lower case."""
    return _PREFIX + base64.b32encode(digest).decode("ascii").rstrip("=").lower()


def fingerprint_bytes(text: str) -> bytes:
    """The 32 bytes of a fingerprint as `fingerprint_text` writes it."""
    try:
        digest = base64.b32decode(text.removeprefix(_PREFIX).upper() + "====")
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != limits.FINGERPRINT_BYTES or fingerprint_text(digest) != text:
        raise IdentityError(f"{text!r} is no fingerprint; zs1 and 52 letters a to z and digits 2 to 7 are allowed")
    return digest


def check_name(name: object) -> str:
    """A name of at most 255 bytes of UTF-8 that can be printed; IdentityError says what is wrong."""
    if not isinstance(name, str) or not name.isprintable() or len(name.encode()) > limits.MAX_NAME_BYTES:
        raise IdentityError(f"name {name!r}: printable text of at most {limits.MAX_NAME_BYTES} bytes is allowed")
    return name


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """An Ed25519 public key of 32 bytes and what it is called here; equal if the keys are."""

    key: bytes
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.key, bytes) or len(self.key) != limits.PUBLIC_KEY_BYTES:
            given = f"{len(self.key)} bytes" if isinstance(self.key, bytes) else type(self.key).__name__
            raise IdentityError(f"a public key of {given}: exactly {limits.PUBLIC_KEY_BYTES} bytes are allowed")
        if not ed25519.is_strict_point(self.key):
            raise IdentityError(f"public key {self.key.hex()}: not canonical or of a small order; nobody can own it")
        check_name(self.name)

    @property
    def fingerprint(self) -> bytes:
        """The 32-byte fingerprint; ``str`` of the identity is its text."""
        return fingerprint(self.key)

    def __str__(self) -> str:
        return fingerprint_text(self.fingerprint)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature of the message is this identity's."""
        return verify(self.key, message, signature)

    def save(
        self, path: str | os.PathLike[str], *, kind: Literal["public", "authority"] = "public", overwrite: bool = False
    ) -> None:
        """Write the public key as TOML with file mode 0644; there is nothing secret in it.

        In a keyring's directory a file of the kind "public" pins the key, and one of the kind "authority" makes the
        credentials good that the key signs.
        """
        write_file(Path(path), self.to_toml(kind).encode(), PUBLIC, overwrite)

    def to_toml(self, kind: Literal["public", "authority"] = "public") -> str:
        """What `save` writes."""
        lines = [
            f"# zmqsec {'authority' if kind == 'authority' else 'public identity'} {self}",
            f'kind = "{kind}"',
            f"name = {toml_string(self.name)}",
            f'public = "{self.key.hex()}"',
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, kind: Literal["public", "authority"] = "public") -> PublicIdentity:
        """Read what `save` wrote; refuses a file that its group or others can write."""
        where = Path(path)
        return cls.from_table(where, parse_toml(where, read_public(where)), kind)

    @classmethod
    def from_table(cls, path: Path, table: dict[str, Any], kind: str = "public") -> PublicIdentity:
        """What the TOML file of a public identity says."""
        optional = {"name", *(RIGHTS_KEYS if kind == "public" else ())}
        check_keys(path, table, {"kind", "public"}, optional)
        _check_kind(path, table, kind)
        try:
            return cls(hex_bytes(path, table, "public", limits.PUBLIC_KEY_BYTES), table.get("name", ""))
        except IdentityError as error:
            raise KeyFileError(f"{path}: {error}") from error


class Identity:
    """An Ed25519 key pair that signs; whoever holds it is this identity.

    Never shown, never pickled, never part of the process's environment: it leaves through `save` only.
    """

    __slots__ = ("_seed", "public", "secret_key")

    #: The 64 bytes that libsodium signs with, the seed and the public key.
    secret_key: bytes
    public: PublicIdentity

    def __init__(self, seed: bytes, name: str = "") -> None:
        if not isinstance(seed, (bytes, bytearray)) or len(seed) != _SEED_BYTES:
            given = f"{len(seed)} bytes" if isinstance(seed, (bytes, bytearray)) else type(seed).__name__
            raise IdentityError(f"a seed of {given}: exactly {_SEED_BYTES} bytes are allowed")
        self._seed = bytes(seed)
        key, self.secret_key = sodium.ed25519_keys(self._seed)
        self.public = PublicIdentity(key, name)

    @classmethod
    def generate(cls, name: str = "") -> Identity:
        """A new identity from libsodium's generator."""
        return cls(sodium.random_bytes(_SEED_BYTES), name)

    @classmethod
    def from_seed(cls, seed: bytes, name: str = "") -> Identity:
        """The identity of 32 secret bytes (RFC 8032's private key)."""
        return cls(seed, name)

    @property
    def name(self) -> str:
        """What the identity is called here."""
        return self.public.name

    @property
    def key(self) -> bytes:
        """The public key, 32 bytes."""
        return self.public.key

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of the public key, 32 bytes."""
        return self.public.fingerprint

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        return sodium.ed25519_sign(self.secret_key, bytes(message))

    def sign_many(self, messages: Iterable[bytes]) -> list[bytes]:
        """A signature of 64 bytes for each message."""
        return [self.sign(message) for message in messages]

    def derive(self, purpose: bytes) -> bytes:
        """32 secret bytes for one purpose, a name of at most 16 bytes; they do not lead back to the identity's seed."""
        return sodium.blake2b(self._seed, purpose, b"")

    def save(
        self,
        path: str | os.PathLike[str],
        passphrase: str | bytes | None = None,
        *,
        overwrite: bool = False,
        operations: int = limits.PASSPHRASE_OPERATIONS,
        memory: int = limits.PASSPHRASE_MEMORY,
    ) -> None:
        """Write the identity as TOML with file mode 0600; under a passphrase the seed is encrypted.

        Argon2id makes the key from the passphrase with `operations` passes over `memory` bytes, libsodium's
        "moderate" by default. An existing file stays unless told.
        """
        lines = [
            "# zmqsec identity: whoever reads this file, and knows its passphrase if it has one, can sign as it.",
            'kind = "identity"',
            f"name = {toml_string(self.name)}",
            f'public = "{self.key.hex()}"',
        ]
        if passphrase is None:
            lines.append(f'seed = "{self._seed.hex()}"')
        else:
            salt, nonce = sodium.random_bytes(_SALT_BYTES), sodium.random_bytes(_NONCE_BYTES)
            key = _passphrase_key(passphrase, salt, operations, memory)
            bound = seed_binding(self.public, salt, operations, memory)
            sealed = sodium.xchacha20poly1305_seal(key, nonce, bound, self._seed)
            lines += [
                f'kdf = "{_KDF}"',
                f"operations = {operations}",
                f"memory = {memory}",
                f'salt = "{salt.hex()}"',
                f'nonce = "{nonce.hex()}"',
                f'sealed_seed = "{sealed.hex()}"',
            ]
        write_private(Path(path), "\n".join(lines) + "\n", overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], passphrase: str | bytes | None = None) -> Identity:
        """Read what `save` wrote; refuses a file that its group or others can read or write."""
        where = Path(path)
        return cls.from_table(where, parse_toml(where, read_private(where)), passphrase)

    @classmethod
    def from_table(cls, path: Path, table: dict[str, Any], passphrase: str | bytes | None = None) -> Identity:
        """What the TOML file of an identity says."""
        sealed = "sealed_seed" in table
        check_keys(path, table, _SEALED_KEYS if sealed else _CLEAR_KEYS)
        _check_kind(path, table, "identity")
        try:
            public = PublicIdentity(hex_bytes(path, table, "public", limits.PUBLIC_KEY_BYTES), table["name"])
            if sealed:
                seed = _open_seed(path, table, public, passphrase)
            else:
                seed = hex_bytes(path, table, "seed", _SEED_BYTES)
            made = cls(seed, public.name)
        except IdentityError as error:
            raise KeyFileError(f"{path}: {error}") from error
        if made.public != public:
            raise KeyFileError(f"{path}: 'public' is not the public key of this seed")
        return made

    def __str__(self) -> str:
        return str(self.public)

    def __repr__(self) -> str:
        return f"Identity(name={self.name!r}, public={self.key.hex()}, seed=<hidden>)"

    def __eq__(self, other: object) -> bool:
        return self.public == other.public if isinstance(other, Identity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.public)

    def __copy__(self, memo: Any = None) -> Identity:
        return self  # it never changes

    __deepcopy__ = __copy__

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not pickled, so that its seed goes nowhere unseen; use save and load")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a 64-byte signature of the message holds under a public key of 32 bytes, by the strict rule."""
    return ed25519.verify(bytes(public_key), bytes(message), bytes(signature))


def verify_many(signed: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """A verdict for each (public key, message, signature)."""
    return [verify(*one) for one in signed]


def is_sealed(table: dict[str, Any]) -> bool:
    """Whether an identity's file asks for a passphrase."""
    return "sealed_seed" in table


def _check_kind(path: Path, table: dict[str, Any], kind: str) -> None:
    if table["kind"] != kind:
        raise KeyFileError(f"{path} is of kind {table['kind']!r}; {kind!r} is wanted here")


def seed_binding(public: PublicIdentity, salt: bytes, operations: int, memory: int) -> bytes:
    """What the encrypted seed is bound to: all the rest of its file."""
    parameters = operations.to_bytes(4, "little") + memory.to_bytes(8, "little")
    return b"zmqsec identity" + public.key + parameters + salt + public.name.encode()


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise IdentityError(f"{name}={value!r}: a whole number from {least} to {most} is allowed")


def _passphrase_key(passphrase: str | bytes, salt: bytes, operations: int, memory: int) -> bytes:
    _whole("operations", operations, 1, limits.MAX_PASSPHRASE_OPERATIONS)
    _whole("memory", memory, limits.MIN_PASSPHRASE_MEMORY, limits.MAX_PASSPHRASE_MEMORY)
    secret = passphrase.encode() if isinstance(passphrase, str) else bytes(passphrase)
    if not secret:
        raise IdentityError("the passphrase is empty; one or more characters are allowed, or None for no passphrase")
    key = sodium.argon2id(secret, salt, operations, memory)
    if key is None:
        raise IdentityError(f"Argon2id does not get the {memory} bytes of memory that it is to use")
    return key


def _open_seed(path: Path, table: dict[str, Any], public: PublicIdentity, passphrase: str | bytes | None) -> bytes:
    if table["kdf"] != _KDF:
        raise KeyFileError(f"{path}: kdf = {table['kdf']!r}; {_KDF!r} is allowed")
    if passphrase is None:
        raise KeyFileError(f"{path} is under a passphrase, and none was given")
    salt = hex_bytes(path, table, "salt", _SALT_BYTES)
    nonce = hex_bytes(path, table, "nonce", _NONCE_BYTES)
    sealed = hex_bytes(path, table, "sealed_seed", _SEED_BYTES + limits.TAG_BYTES)
    operations, memory = table["operations"], table["memory"]
    key = _passphrase_key(passphrase, salt, operations, memory)
    seed = sodium.xchacha20poly1305_open(key, nonce, seed_binding(public, salt, operations, memory), sealed)
    if seed is None:
        raise KeyFileError(f"{path}: the passphrase is wrong, or the file was changed")
    return seed
