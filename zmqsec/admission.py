"""Admission (floor 9): how a relay that holds no body key tells members from strangers; spec, "Admission".

csrc/admit.c is the twin of `admission_part` and `check_admission`, held to the same vectors.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import limits, sodium
from .errors import AssociationError, KeyFileError, Reason
from .header import Header
from .keyfile import check_keys, hex_bytes, parse_toml, read_private, toml_string, write_private

#: The head of an ignorable part of 22 bytes, the length of its name, and the name.
_HEAD: Final = b"\x5a\0\0\0\x05admit"
_NO_TEXT: Final = b""


def derive_admission_key(secret: bytes, spi: int) -> bytes:
    """The 32-byte key that relays may hold; it leads to none of the association's others."""
    return sodium.blake2b(secret, b"zmqsec.admission", spi.to_bytes(4, "little"))


@dataclass(frozen=True, slots=True)
class AdmissionKey:
    """What a relay needs to know a member's messages: the association's `name` and `spi`, and `key`, 32 bytes."""

    name: str
    spi: int
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != limits.KEY_BYTES:
            raise AssociationError(f"an admission key of {len(self.key)} bytes: exactly {limits.KEY_BYTES} are allowed")
        if isinstance(self.spi, bool) or not isinstance(self.spi, int) or not 1 <= self.spi <= 0xFFFFFFFF:
            raise AssociationError(f"spi={self.spi!r}: 1 to {0xFFFFFFFF} is allowed")

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as TOML with file mode 0600; an existing file stays unless told."""
        lines = [
            "# zmqsec admission key: whoever reads this file can pass for a member before relays, and read nothing.",
            'kind = "admission"',
            f"name = {toml_string(self.name)}",
            f"spi = {self.spi}",
            f'key = "{self.key.hex()}"',
        ]
        write_private(Path(path), "\n".join(lines) + "\n", overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AdmissionKey:
        """Read what `save` wrote; refuses one of another kind, and a file that others can read or write."""
        file = Path(path)
        table = parse_toml(file, read_private(file))
        if table.get("kind") != "admission":
            what = "an association, which opens bodies" if "secret" in table else f"kind = {table.get('kind')!r}"
            raise KeyFileError(f"{path} holds {what}; kind = 'admission' is allowed here")
        check_keys(file, table, {"kind", "name", "spi", "key"})
        if not isinstance(table["name"], str):
            raise KeyFileError(f"{path}: 'name' must be a string")
        try:
            return cls(table["name"], table["spi"], hex_bytes(file, table, "key", limits.KEY_BYTES))
        except AssociationError as error:
            raise KeyFileError(f"{path}: {error}") from error


def admission_part(key: bytes, front: bytes) -> bytes:
    """The header part `admit` behind `front`, the header and all other header parts; H counts this part already."""
    nonce = front[limits.NONCE_OFFSET : limits.HEADER_BYTES]
    return _HEAD + sodium.xchacha20poly1305_seal(key, nonce, front, _NO_TEXT)


def check_admission(sealed: bytes, keys: Mapping[int, bytes]) -> Reason | None:
    """None for a member's message, else the reason why a relay refuses it; `keys` are admission keys by SPI.

    The sealed part's header has been checked before.
    """
    header = Header.decode(sealed)
    end = limits.HEADER_BYTES + header.header_parts
    begin = end - limits.ADMIT_BYTES
    if header.header_parts < limits.ADMIT_BYTES or sealed[begin : begin + len(_HEAD)] != _HEAD:
        return Reason.UNATTESTED
    if header.spi not in keys:
        return Reason.UNKNOWN_SPI
    wanted = admission_part(keys[header.spi], sealed[:begin])
    return None if hmac.compare_digest(wanted, sealed[begin:end]) else Reason.FORGED
