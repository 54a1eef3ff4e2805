"""Credentials (floor 9): what an authority says that an identity may do; spec, "Credentials".

csrc/credential.c is the twin of `Credential.read`, held to the same vectors.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import ed25519, limits, sodium
from .errors import IdentityError, KeyFileError, Reason, Refusal
from .identity import Identity, PublicIdentity
from .keyfile import PUBLIC, read_file, write_file
from .rights import Rights, Role

LABEL: Final = b"zmqsec credential"
_FIXED: Final = struct.Struct("<3sBB3s32s32sQQQ")
_AUTHORITY_OFFSET: Final = 8
_SUBJECT_OFFSET: Final = 40
_LISTS: Final = ("names", "routing_ids", "publish", "read")
_MAX_U64: Final = (1 << 64) - 1
#: A serial that stays exact in every reader of JSON.
_SERIAL_BITS: Final = 53


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_U64:
        raise IdentityError(f"{name}={value!r}: a whole number from 0 to 2^64 - 1 is allowed")


@dataclass(frozen=True, slots=True)
class Credential:
    """What `authority` says of `subject`, both public keys of 32 bytes; one is made by `issue` or `read` only.

    `serial` is what a revocation list names it by. It holds from `not_before` to `not_after` in unix seconds, both
    included. `raw` is the whole, signature included; whether the authority is trusted is for `Trust` to say.
    """

    authority: bytes
    subject: bytes
    serial: int
    not_before: int
    not_after: int
    rights: Rights
    raw: bytes

    @classmethod
    def issue(
        cls,
        authority: Identity,
        subject: PublicIdentity,
        rights: Rights,
        *,
        not_before: int,
        not_after: int,
        serial: int | None = None,
    ) -> Credential:
        """A credential that the authority signs; without `serial` a random one of 53 bits."""
        if serial is None:
            serial = int.from_bytes(sodium.random_bytes(8), "little") >> (64 - _SERIAL_BITS)
        for name, value in (("serial", serial), ("not_before", not_before), ("not_after", not_after)):
            _whole(name, value)
        if not_before > not_after:
            raise IdentityError(f"not_before={not_before} is after not_after={not_after}")
        body = encode(authority.key, subject.key, rights, serial, not_before, not_after)
        if len(body) + limits.SIGNATURE_BYTES > limits.MAX_CREDENTIAL_BYTES:
            size = len(body) + limits.SIGNATURE_BYTES
            raise IdentityError(f"a credential of {size} bytes: at most {limits.MAX_CREDENTIAL_BYTES} are allowed")
        raw = body + authority.sign(LABEL + body)
        return cls(authority.key, subject.key, serial, not_before, not_after, rights, raw)

    @classmethod
    def read(cls, raw: bytes) -> Credential | Refusal:
        """The credential in these bytes, its signature verified, or why it is none; the checks of the spec in order."""
        try:
            found = _parse(cls, bytes(raw))
        except _Refused as refused:
            return Refusal(refused.reason, refused.detail)
        signed, signature = found.raw[: -limits.SIGNATURE_BYTES], found.raw[-limits.SIGNATURE_BYTES :]
        if not ed25519.verify(found.authority, LABEL + signed, signature):
            return Refusal(Reason.FORGED, "the authority's signature of the credential does not hold")
        return found

    def is_valid_at(self, now: float) -> bool:
        """Whether it holds at that time."""
        return self.not_before <= now <= self.not_after

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as it is, with file mode 0644; there is nothing secret in it."""
        write_file(Path(path), self.raw, PUBLIC, overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Credential:
        """Read what `save` wrote; refuses a file that its group or others can write."""
        found = cls.read(read_file(Path(path)))
        if isinstance(found, Refusal):
            raise KeyFileError(f"{path} holds no credential: {found.reason}: {found.detail}")
        return found


def encode(authority: bytes, subject: bytes, rights: Rights, serial: int, not_before: int, not_after: int) -> bytes:
    """What the signature covers, besides its label."""
    fixed = (limits.CREDENTIAL_MAGIC, limits.VERSION, int(rights.roles), bytes(3))
    body = bytearray(_FIXED.pack(*fixed, authority, subject, serial, not_before, not_after))
    for name in _LISTS:
        entries = [one.encode() if isinstance(one, str) else one for one in getattr(rights, name)]
        body.append(len(entries))
        for one in entries:
            body.append(len(one))
            body += one
    return bytes(body)


def authority_of(raw: bytes) -> bytes:
    """The authority that bytes name, if they are a credential: a look before any work."""
    return bytes(raw[_AUTHORITY_OFFSET:_SUBJECT_OFFSET])


def subject_of(raw: bytes) -> bytes:
    """The subject that bytes name, if they are a credential."""
    return bytes(raw[_SUBJECT_OFFSET : _SUBJECT_OFFSET + limits.PUBLIC_KEY_BYTES])


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def _malformed(detail: str) -> _Refused:
    return _Refused(Reason.MALFORMED, detail)


def _parse(cls: type[Credential], raw: bytes) -> Credential:
    if len(raw) > limits.MAX_CREDENTIAL_BYTES:
        raise _Refused(Reason.TOO_LARGE, f"{len(raw)} bytes; at most {limits.MAX_CREDENTIAL_BYTES} are allowed")
    if len(raw) < limits.MIN_CREDENTIAL_BYTES or not raw.startswith(limits.CREDENTIAL_MAGIC):
        raise _malformed("too short, or another magic")
    _, version, roles, zero, authority, subject, serial, not_before, not_after = _FIXED.unpack_from(raw)
    if version != limits.VERSION:
        raise _Refused(Reason.VERSION, f"version {version}")
    if not 0 < roles <= sum(Role) or zero != bytes(3):
        raise _malformed("roles that are not there, or bytes 5 to 8 are not 0")
    if not ed25519.is_strict_point(authority) or not ed25519.is_strict_point(subject):
        raise _malformed("a public key that nobody can own")
    if not_before > not_after:
        raise _malformed("not before is after not after")
    lists, at = {}, _FIXED.size
    end = len(raw) - limits.SIGNATURE_BYTES
    for name in _LISTS:
        lists[name], at = _list(name, raw, at, end)
    if at != end:
        raise _malformed("bytes behind the lists")
    try:
        names = tuple(one.decode() for one in lists.pop("names"))
    except UnicodeDecodeError:
        raise _malformed("a name that is not UTF-8") from None
    rights = Rights(Role(roles), names, **lists)
    return cls(authority, subject, serial, not_before, not_after, rights, raw)


def _list(name: str, raw: bytes, at: int, end: int) -> tuple[tuple[bytes, ...], int]:
    if at >= end:
        raise _malformed(f"cut before {name}")
    found: list[bytes] = []
    count, at = raw[at], at + 1
    for _ in range(count):
        if at >= end or at + 1 + raw[at] > end:
            raise _malformed(f"cut within {name}")
        entry, at = raw[at + 1 : at + 1 + raw[at]], at + 1 + raw[at]
        if not entry and name in ("names", "routing_ids"):
            raise _malformed(f"an empty entry in {name}")
        if found and entry <= found[-1]:
            raise _malformed(f"{name} are not in ascending order")
        found.append(entry)
    return tuple(found), at


def lifetime(days: float, now: float | None = None) -> tuple[int, int]:
    """From now, less the skew that clocks may have, for so many days: `not_before` and `not_after`."""
    start = int(time.time() if now is None else now)
    return start - limits.CLOCK_SKEW, start + int(days * 86400)


def newest(credentials: Iterable[Credential]) -> Credential | None:
    """The one that holds longest."""
    return max(credentials, key=lambda one: one.not_after, default=None)
