"""The root key (floor 11): from a file or a command, it seals every secret that a realm's database holds.

Sealed: 24 bytes nonce, then XChaCha20-Poly1305 of the secret. The associated data say where it stands, so that nothing
that is sealed can be put anywhere else.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import limits, sodium
from ..keyfile import read_private, write_private
from .errors import Invalid, StoreError

_NONCE_BYTES = 24
_COMMAND_SECONDS = 30
_SEAL, _MAC = b"zmqsec.rootseal", b"zmqsec.rootmac"


class RootKey:
    """32 secret bytes, of which only what is derived is used; never shown, never pickled."""

    __slots__ = ("_mac", "_seal")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != limits.KEY_BYTES or secret == bytes(limits.KEY_BYTES):
            raise Invalid(f"a root key of {len(secret)} bytes: exactly 32 are allowed, and not all of them zero")
        self._seal = sodium.blake2b(secret, _SEAL, b"")
        self._mac = sodium.blake2b(secret, _MAC, b"")

    @classmethod
    def create(cls, path: Path) -> RootKey:
        """A new one in a file of mode 0600, which must not be there yet: 64 hexadecimal digits."""
        secret = sodium.random_bytes(limits.KEY_BYTES)
        write_private(path, secret.hex() + "\n", overwrite=False)
        return cls(secret)

    @classmethod
    def from_file(cls, path: Path) -> RootKey:
        """Read what `create` wrote; refuses a file that others than its owner can read or write."""
        return cls(_digits(read_private(path), str(path)))

    @classmethod
    def from_command(cls, command: Sequence[str]) -> RootKey:
        """What a program prints on its standard output, 64 hexadecimal digits: from a vault, a TPM, a smart card."""
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise Invalid(f"the root key's command does not give it: {error}") from error
        return cls(_digits(done.stdout.decode("ascii", "replace"), f"what {command[0]} prints"))

    def seal(self, secret: bytes, table: str, row: bytes | str, column: str) -> bytes:
        """Seal what is to stand in that column of that row."""
        nonce = sodium.random_bytes(_NONCE_BYTES)
        return nonce + sodium.xchacha20poly1305_seal(self._seal, nonce, _place(table, row, column), secret)

    def open(self, sealed: bytes, table: str, row: bytes | str, column: str) -> bytes:
        """Open what stands there; StoreError if it was sealed elsewhere, under another key, or has been changed."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        secret = sodium.xchacha20poly1305_open(self._seal, nonce, _place(table, row, column), rest)
        if secret is None:
            raise StoreError(f"{table}.{column}: not sealed under this root key for this place, or changed since")
        return secret

    def mac(self, message: bytes) -> bytes:
        """Keyed BLAKE2b-256: what the database says of itself, and nobody without the root key can say."""
        return sodium.blake2b(self._mac, b"zmqsec.rootmac", message)

    def __repr__(self) -> str:
        return "RootKey(<hidden>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a root key is not pickled, so that it goes nowhere unseen")

    def __copy__(self, memo: Any = None) -> RootKey:
        return self

    __deepcopy__ = __copy__


def _place(table: str, row: bytes | str, column: str) -> bytes:
    where = row if isinstance(row, bytes) else row.encode()
    return b"".join(len(one).to_bytes(2, "little") + one for one in (table.encode(), where, column.encode()))


def _digits(text: str, where: str) -> bytes:
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != limits.KEY_BYTES:
        raise Invalid(f"{where}: no root key; 64 hexadecimal digits are allowed")
    return secret
