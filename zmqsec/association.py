"""The association (floor 10): a shared secret with its SPI, suite and policy, and the file that carries it."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from . import limits
from .admission import AdmissionKey, derive_admission_key
from .backend import implementation
from .errors import AssociationError, IdentityError, KeyFileError, SuiteError
from .identity import PublicIdentity
from .keyfile import check_keys, hex_bytes, parse_toml, read_private, toml_string, write_private
from .suites import suite_by_name, suite_by_number

_MAX_SPI = 0xFFFFFFFF
_MAX_SECONDS = limits.MAX_ASSOCIATION_SECONDS


def _check_seconds(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MAX_SECONDS:
        raise AssociationError(f"{name}={value!r}: a whole number of seconds from {least} to {_MAX_SECONDS} is allowed")


def _check_hops(least: int, most: int, hops: Any) -> tuple[bytes, ...]:
    """The keys of the hops demanded, each 32 bytes, 64 hexadecimal digits or a PublicIdentity."""
    for name, value in (("hops_min", least), ("hops_max", most)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limits.MAX_ATTESTATION_FRAMES:
            raise AssociationError(f"{name}={value!r}: 0 to {limits.MAX_ATTESTATION_FRAMES} is allowed")
    if isinstance(hops, (str, bytes)) or not isinstance(hops, Iterable):
        raise AssociationError(f"hops={hops!r}: a list of public keys is allowed")
    keys = tuple(_key_of(hop) for hop in hops)
    if max(least, len(keys)) > most:
        raise AssociationError(f"hops_max={most} is less than the {max(least, len(keys))} hops that are demanded")
    return keys


def _key_of(hop: Any) -> bytes:
    try:
        key = bytes.fromhex(hop) if isinstance(hop, str) else hop
        return (key if isinstance(key, PublicIdentity) else PublicIdentity(key)).key
    except (IdentityError, ValueError) as error:
        raise AssociationError(f"hops: {hop!r} is no public key: {error}") from None


class _Secret:
    """Keeps the secret out of the dataclass's fields, and so out of ``dataclasses.asdict`` and its like."""

    __slots__ = ("secret",)
    secret: bytes


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Association(_Secret):
    """A shared secret with its name, SPI, suite and policy; whoever holds it can seal and open (spec, "Associations").

    `secret` is 32 bytes, `spi` 1 to 2^32 - 1, `suite` the suite's number. Policy, in seconds: a session is accepted
    until `lifetime` after its start, at most `skew` before it, and if it began no more than `late_join` before the
    receiver did (0: only what began after it; spec, "Late joiners"). `allow_clear` accepts messages that are
    authenticated and not encrypted. With `admit` senders show relays that they are members (spec, "Admission").
    With ``attestation="required"`` a message must have been signed by an identity that the receiver trusts. It comes
    by at least `hops_min` and at most `hops_max` hops that signed it, and by each of `hops`, which are public keys;
    where hops are demanded the receiver must trust all of them, these excepted.

    With `direction` "send" it seals and never opens, with "receive" it opens and never seals: those are the two of a
    handshake's pair, whose keys are kept in memory only.
    """

    name: str
    spi: int
    suite: int
    secret: InitVar[bytes]
    lifetime: int = limits.REJECT_AFTER_TIME
    skew: int = limits.CLOCK_SKEW
    late_join: int = limits.REJECT_AFTER_TIME
    allow_clear: bool = True
    admit: bool = False
    attestation: Literal["none", "required"] = "none"
    hops_min: int = 0
    hops_max: int = limits.MAX_ATTESTATION_FRAMES
    hops: tuple[bytes, ...] = ()
    direction: Literal["both", "send", "receive"] = "both"

    def __post_init__(self, secret: bytes) -> None:
        if not isinstance(secret, (bytes, bytearray)) or len(secret) != limits.KEY_BYTES:
            given = f"{len(secret)} bytes" if isinstance(secret, (bytes, bytearray)) else type(secret).__name__
            raise AssociationError(f"a secret of {given}: exactly {limits.KEY_BYTES} bytes are allowed")
        object.__setattr__(self, "secret", bytes(secret))
        if self.secret == bytes(limits.KEY_BYTES):
            raise AssociationError("a secret of 32 zero bytes is no secret; use Association.generate()")
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= 255:
            raise AssociationError(f"association name {self.name!r}: 1 to 255 characters are allowed")
        if isinstance(self.spi, bool) or not isinstance(self.spi, int) or not 1 <= self.spi <= _MAX_SPI:
            raise AssociationError(f"spi={self.spi!r}: 1 to {_MAX_SPI} is allowed")
        suite_by_number(self.suite)
        _check_seconds("lifetime", self.lifetime, limits.REKEY_AFTER_TIME)
        _check_seconds("skew", self.skew, 0)
        _check_seconds("late_join", self.late_join, 0)
        for name in ("allow_clear", "admit"):
            if not isinstance(getattr(self, name), bool):
                raise AssociationError(f"{name}={getattr(self, name)!r}: True or False is allowed")
        if self.attestation not in ("none", "required"):
            raise AssociationError(f"attestation={self.attestation!r}: 'none' or 'required' is allowed")
        if self.direction not in ("both", "send", "receive"):
            raise AssociationError(f"direction={self.direction!r}: 'both', 'send' or 'receive' is allowed")
        object.__setattr__(self, "hops", _check_hops(self.hops_min, self.hops_max, self.hops))

    @classmethod
    def generate(cls, name: str = "default", *, suite: str = "xchacha20poly1305", **policy: Any) -> Association:
        """A new association with a random secret."""
        return cls.from_secret(implementation.random_bytes(limits.KEY_BYTES), name=name, suite=suite, **policy)

    @classmethod
    def from_secret(
        cls,
        secret: bytes,
        *,
        name: str = "default",
        spi: int | None = None,
        suite: str = "xchacha20poly1305",
        **policy: Any,
    ) -> Association:
        """An association from 32 secret bytes; without `spi` both ends derive the same one from the secret."""
        number = suite_by_name(suite).number
        made = cls(name=name, spi=1 if spi is None else spi, suite=number, secret=secret, **policy)
        if spi is None:
            object.__setattr__(made, "spi", implementation.derive_spi(made.secret))
        return made

    def admission(self) -> AdmissionKey:
        """The key by which relays know members' messages, and which opens none of them."""
        return AdmissionKey(self.name, self.spi, derive_admission_key(self.secret, self.spi))

    @property
    def suite_name(self) -> str:
        """The suite's name."""
        return suite_by_number(self.suite).name

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the association, secret included, as TOML with file mode 0600; an existing file stays unless told."""
        target = Path(path)
        if self.direction != "both":
            raise AssociationError(
                f"{self!r} is half of a handshake's pair, and its keys are not written to files; "
                "save the identity, and shake hands again"
            )
        lines = [
            "# zmqsec association: whoever reads this file can read and write its messages.",
            f"name = {toml_string(self.name)}",
            f"spi = {self.spi}",
            f"suite = {toml_string(self.suite_name)}",
            f'secret = "{self.secret.hex()}"',
            f"lifetime = {self.lifetime}",
            f"skew = {self.skew}",
            f"late_join = {self.late_join}",
            f"allow_clear = {'true' if self.allow_clear else 'false'}",
            f"admit = {'true' if self.admit else 'false'}",
            f"attestation = {toml_string(self.attestation)}",
            f"hops_min = {self.hops_min}",
            f"hops_max = {self.hops_max}",
            f"hops = [{', '.join(toml_string(key.hex()) for key in self.hops)}]",
        ]
        write_private(target, "\n".join(lines) + "\n", overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Association:
        """Read what `save` wrote; refuses a file that its group or others can read or write."""
        where = Path(path)
        table = parse_toml(where, read_private(where))
        check_keys(where, table, {"name", "secret"}, {one.name for one in fields(cls)} - {"direction"})
        secret = hex_bytes(where, table, "secret", limits.KEY_BYTES)
        del table["secret"]
        try:
            return cls.from_secret(secret, **table)
        except (AssociationError, SuiteError) as error:
            raise KeyFileError(f"{path}: {error}") from error

    def __repr__(self) -> str:
        return f"Association(name={self.name!r}, spi={self.spi:#010x}, suite={self.suite_name!r}, secret=<hidden>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Association):
            return NotImplemented
        same = all(getattr(self, one.name) == getattr(other, one.name) for one in fields(self))
        return hmac.compare_digest(self.secret, other.secret) and same

    def __hash__(self) -> int:
        return hash((self.name, self.spi, self.suite))

    def __copy__(self, memo: Any = None) -> Association:
        return self  # it never changes

    __deepcopy__ = __copy__

    def __reduce__(self) -> Any:
        raise TypeError("an association is not pickled, so that its secret goes nowhere unseen; use save and load")

    __getstate__ = __reduce__
