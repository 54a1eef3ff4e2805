"""The policy of a group (floor 11): its suite, what its messages must prove, and how its keys change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .. import limits
from ..association import Association
from ..errors import ZmqsecError
from .errors import Invalid

_DAY = 86400
_SECONDS = {
    "lifetime": (10, 30 * _DAY),
    "overlap": (1, _DAY),
    "spread": (0, 3600),
    "urgent_overlap": (0, 3600),
    "urgent_spread": (0, 600),
    "reject_after": (20, 60 * _DAY),
}
_OF_ASSOCIATION = ("skew", "allow_clear", "attestation", "hops_min", "hops_max", "admit")


@dataclass(frozen=True, slots=True)
class Policy:
    """All times are in seconds.

    A key is used for `lifetime` and then changed. Between the word of a new one and the time to seal with it lies
    `spread`, in which members fetch it at times of their own; the one before is opened for `overlap` after that. When a
    member leaves or is revoked, the two `urgent_` times count instead. Without the server's word a key is used no
    longer than `reject_after`. Where messages are `queued` for receivers that are not there yet, a receiver takes all
    numbers of the sessions that go on when it begins; else only those that were not used up by then. The rest is an
    association's policy.
    """

    suite: str = "xchacha20poly1305"
    lifetime: int = limits.REKEY_AFTER_TIME
    overlap: int = 60
    spread: int = 10
    urgent_overlap: int = 5
    urgent_spread: int = 2
    reject_after: int = limits.REJECT_AFTER_TIME
    skew: int = limits.CLOCK_SKEW
    allow_clear: bool = True
    attestation: str = "none"
    hops_min: int = 0
    hops_max: int = limits.MAX_ATTESTATION_FRAMES
    admit: bool = False
    queued: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _SECONDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise Invalid(f"{name}={value!r}: {least} to {most} seconds are allowed")
        if not isinstance(self.queued, bool):
            raise Invalid(f"queued={self.queued!r}: true or false is allowed")
        if self.reject_after < self.lifetime + self.spread:
            raise Invalid(
                f"reject_after={self.reject_after}: at least lifetime and spread, {self.lifetime + self.spread}, "
                "are allowed; else keys end before the next ones begin"
            )
        try:
            self.association("policy", 1, bytes([1]) * limits.KEY_BYTES)
        except (ZmqsecError, TypeError) as error:
            raise Invalid(str(error)) from error

    @classmethod
    def of(cls, said: Mapping[str, Any], base: Policy | None = None) -> Policy:
        """A policy from plain data; what is not said is as in `base`, or by default."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(said) - known):
            raise Invalid(f"policy {unknown[0]!r} is unknown; {', '.join(sorted(known))} are allowed")
        return replace(cls() if base is None else base, **said)

    @classmethod
    def from_text(cls, text: str) -> Policy:
        """What `to_text` gave."""
        return cls.of(json.loads(text))

    def to_text(self) -> str:
        """JSON, for the database."""
        return json.dumps(self.as_json(), sort_keys=True)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def association(self, name: str, spi: int, secret: bytes) -> Association:
        """The association of an epoch with this secret."""
        more = {key: getattr(self, key) for key in _OF_ASSOCIATION}
        return Association.from_secret(secret, name=name, spi=spi, suite=self.suite, **more)
