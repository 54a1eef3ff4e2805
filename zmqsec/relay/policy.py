"""What a leg asks of its messages, as the configuration says it (floor 11), with the keys and the trust that it names.

The files are read with the configuration, so that a fault in one of them is told with the line that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import limits
from ..admission import AdmissionKey
from ..errors import IdentityError, KeyFileError
from ..keydir import read_directory
from ..rights import Rights, Role
from ..toml import Table
from ..trust import Trust

CHECKS = ("nothing", "membership", "origin")
_LEAST_MESSAGE = 64
_MOST_RATE = 1e9

#: A number in a second and the most at once; None is no limit.
Rate = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a leg lets pass, in both directions; no frame of it has more than `max_message` bytes.

    `check` is asked of what comes in front, `check_back` of what comes back. Rates are of the leg (`rate`, which
    delays) and of one peer in front (`peer_rate`, which drops). `trust` None lets every origin pass whose signature
    holds.
    """

    max_message: int = limits.MAX_MESSAGE_BYTES
    check: str = CHECKS[0]
    check_back: str = CHECKS[0]
    admissions: tuple[AdmissionKey, ...] = ()
    trust: Trust | None = None
    topics: tuple[bytes, ...] | None = None
    handshakes: bool = False
    rate: Rate = None
    rate_bytes: Rate = None
    peer_rate: Rate = None
    peer_rate_bytes: Rate = None
    attest: bool = False
    sign_envelopes: bool = False

    @property
    def needs_identity(self) -> str | None:
        """The key that asks the relay to sign, if there is one."""
        return "attest" if self.attest else "envelopes" if self.sign_envelopes else None


def read_policy(leg: Table, pattern: str) -> Policy:
    """The keys of a leg's table that are its policy."""
    for key in ("association", "associations", "secret", "keyring"):
        if key in leg:
            raise leg.fault(key, "a relay holds no body keys, and needs none to forward")
    check = leg.choice("check", CHECKS, CHECKS[0])
    signed = leg.choice("envelopes", ("plain", "signed"), "plain") == "signed"
    made = Policy(
        max_message=leg.whole("max_message", limits.MAX_MESSAGE_BYTES, least=_LEAST_MESSAGE, most=limits.MAX_PART_BYTES)
        or 0,
        check=check,
        check_back=leg.choice("check_back", CHECKS, check),
        admissions=_admissions(leg),
        trust=_trust(leg),
        topics=_topics(leg),
        handshakes=leg.take("handshakes", bool, False),
        rate=read_rate(leg, "rate"),
        rate_bytes=read_rate(leg, "rate_bytes"),
        peer_rate=read_rate(leg, "peer_rate"),
        peer_rate_bytes=read_rate(leg, "peer_rate_bytes"),
        attest=leg.take("attest", bool, False),
        sign_envelopes=signed,
    )
    _check_together(leg, made, pattern)
    return made


def _check_together(leg: Table, made: Policy, pattern: str) -> None:
    checks = (made.check, made.check_back)
    if "membership" in checks and not made.admissions:
        raise leg.fault("check", "membership is known by 'admissions', files of admission keys, which must be there")
    if made.trust is not None and "origin" not in checks:
        raise leg.fault("trust", 'nobody\'s origin is checked; check = "origin" does it')
    if made.admissions and checks == (CHECKS[0], CHECKS[0]):
        raise leg.fault("admissions", 'nothing is checked; check = "membership" or "origin" does it')
    if made.topics is not None and pattern != "pub-sub":
        raise leg.fault("topics", f"a leg of pattern {pattern} carries none; pub-sub does")
    if made.sign_envelopes and pattern != "router-dealer":
        raise leg.fault("envelopes", f"a leg of pattern {pattern} has none; router-dealer has")


def read_rate(table: Table, key: str, default: float | None = None) -> Rate:
    """A number in a second, of which a second's worth may come at once."""
    number = table.number(key, default, least=1e-3, most=_MOST_RATE)
    return None if number is None else (number, max(1.0, number))


def _admissions(leg: Table) -> tuple[AdmissionKey, ...]:
    found: list[AdmissionKey] = []
    for one in leg.strings("admissions", ()):
        try:
            key = AdmissionKey.load(leg.folder / one)
        except KeyFileError as error:
            raise leg.fault("admissions", str(error)) from error
        if any(key.spi == before.spi for before in found):
            raise leg.fault("admissions", f"{one!r}: the SPI {key.spi} of a file before; each may stand there once")
        found.append(key)
    return tuple(found)


def _trust(leg: Table) -> Trust | None:
    folder: Path | None = leg.path("trust", None)
    if folder is None:
        return None
    try:
        return read_directory(folder, trust_only=True).trust
    except (KeyFileError, IdentityError) as error:
        raise leg.fault("trust", str(error)) from error


def _topics(leg: Table) -> tuple[bytes, ...] | None:
    if "topics" not in leg:
        leg.strings("topics", ())
        return None
    try:
        return Rights(Role.SEND, publish=leg.strings("topics")).publish
    except IdentityError as error:
        raise leg.fault("topics", str(error)) from error
