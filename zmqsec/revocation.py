"""Revocation lists (floor 9): what an authority takes back, signed; spec, "Revocation"."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import ed25519, limits
from .credential import Credential
from .errors import IdentityError, KeyFileError, Reason, Refusal
from .identity import Identity
from .keyfile import PUBLIC, read_file, write_file

LABEL: Final = b"zmqsec revocation"
_FIXED: Final = struct.Struct("<3sB4s32sQQQI")
_SERIAL_ENTRY: Final = 1 + 8
_KEY_ENTRY: Final = 1 + limits.PUBLIC_KEY_BYTES
_MAX_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What `authority` has taken back: credentials by serial, and all of its credentials for an identity by public key.

    `number` only grows; `issued` and `next_update` are unix seconds. One is made by `issue` or `read` only.
    """

    authority: bytes
    number: int
    issued: int
    next_update: int
    serials: frozenset[int]
    keys: frozenset[bytes]
    raw: bytes

    @classmethod
    def issue(
        cls,
        authority: Identity,
        *,
        number: int,
        issued: int,
        next_update: int,
        serials: Iterable[int] = (),
        keys: Iterable[bytes] = (),
    ) -> RevocationList:
        """A list that the authority signs; it replaces every one with a smaller number."""
        all_serials, all_keys = frozenset(serials), frozenset(bytes(key) for key in keys)
        for value in (number, issued, next_update, *all_serials):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_U64:
                raise IdentityError(f"{value!r} in a revocation list: a whole number from 0 to 2^64 - 1 is allowed")
        if issued > next_update:
            raise IdentityError(f"issued={issued} is after next_update={next_update}")
        for key in all_keys:
            if len(key) != limits.PUBLIC_KEY_BYTES:
                raise IdentityError(f"a public key of {len(key)} bytes: exactly {limits.PUBLIC_KEY_BYTES} are allowed")
        size = limits.MIN_REVOCATION_BYTES + _SERIAL_ENTRY * len(all_serials) + _KEY_ENTRY * len(all_keys)
        if size > limits.MAX_REVOCATION_BYTES:
            raise IdentityError(f"a revocation list of {size} bytes: at most {limits.MAX_REVOCATION_BYTES} are allowed")
        fixed = (limits.REVOCATION_MAGIC, limits.VERSION, bytes(4), authority.key, number, issued, next_update)
        body = _FIXED.pack(*fixed, len(all_serials) + len(all_keys))
        body += b"".join(b"\0" + serial.to_bytes(8, "little") for serial in sorted(all_serials))
        body += b"".join(b"\1" + key for key in sorted(all_keys))
        raw = body + authority.sign(LABEL + body)
        return cls(authority.key, number, issued, next_update, all_serials, all_keys, raw)

    @classmethod
    def read(cls, raw: bytes) -> RevocationList | Refusal:
        """The list in these bytes, its signature verified, or why it is none; the checks of the spec in order."""
        raw = bytes(raw)
        if len(raw) > limits.MAX_REVOCATION_BYTES:
            size = limits.MAX_REVOCATION_BYTES
            return Refusal(Reason.TOO_LARGE, f"{len(raw)} bytes; at most {size} are allowed")
        if len(raw) < limits.MIN_REVOCATION_BYTES or not raw.startswith(limits.REVOCATION_MAGIC):
            return Refusal(Reason.MALFORMED, "too short, or another magic")
        _, version, zero, authority, number, issued, next_update, count = _FIXED.unpack_from(raw)
        if version != limits.VERSION:
            return Refusal(Reason.VERSION, f"version {version}")
        if zero != bytes(4) or not ed25519.is_strict_point(authority) or issued > next_update:
            return Refusal(Reason.MALFORMED, "bytes 4 to 8 are not 0, no public key, or issued after the next update")
        entries = _entries(raw[_FIXED.size : -limits.SIGNATURE_BYTES], count)
        if entries is None:
            return Refusal(Reason.MALFORMED, "entries are cut, unknown, not in ascending order, or too few")
        signed, signature = raw[: -limits.SIGNATURE_BYTES], raw[-limits.SIGNATURE_BYTES :]
        if not ed25519.verify(authority, LABEL + signed, signature):
            return Refusal(Reason.FORGED, "the authority's signature of the revocation list does not hold")
        return cls(authority, number, issued, next_update, *entries, raw)

    def revokes(self, credential: Credential) -> bool:
        """Whether the list takes this credential back; one of another authority it never does."""
        mine = credential.authority == self.authority
        return mine and (credential.serial in self.serials or credential.subject in self.keys)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as it is, with file mode 0644; there is nothing secret in it."""
        write_file(Path(path), self.raw, PUBLIC, overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RevocationList:
        """Read what `save` wrote; refuses a file that its group or others can write."""
        found = cls.read(read_file(Path(path), most=limits.MAX_REVOCATION_BYTES))
        if isinstance(found, Refusal):
            raise KeyFileError(f"{path} holds no revocation list: {found.reason}: {found.detail}")
        return found


def _entries(body: bytes, count: int) -> tuple[frozenset[int], frozenset[bytes]] | None:
    """Serials and keys, or None: serials come first, each kind strictly ascending, and nothing is left over."""
    serials: list[int] = []
    keys: list[bytes] = []
    at = 0
    for _ in range(count):
        kind, at = body[at : at + 1], at + 1
        if kind == b"\0" and not keys and at + 8 <= len(body):
            serial, at = int.from_bytes(body[at : at + 8], "little"), at + 8
            if serials and serial <= serials[-1]:
                return None
            serials.append(serial)
        elif kind == b"\1" and at + limits.PUBLIC_KEY_BYTES <= len(body):
            key, at = body[at : at + limits.PUBLIC_KEY_BYTES], at + limits.PUBLIC_KEY_BYTES
            if keys and key <= keys[-1]:
                return None
            keys.append(key)
        else:
            return None
    return (frozenset(serials), frozenset(keys)) if at == len(body) else None
