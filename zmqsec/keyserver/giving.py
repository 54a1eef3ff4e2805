"""What members ask a key server for (floor 11): who they are to it, the keys of a group, and who sends in it.

Times are told as seconds from now, below 0 for what is past, so that nobody's clock has to agree with the server's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ..admission import derive_admission_key
from ..credential import Credential
from ..errors import IdentityError
from ..identity import Identity, PublicIdentity
from ..rights import Rights, Role
from .book import Book, Keys
from .epochs import Epoch
from .errors import Invalid, KeyServerError
from .groups import grant_as_json
from .members import Member
from .traffic import Live, Report

#: So many sessions fit into one answer beside everything else; more are asked for with `sessions`.
_SESSIONS_AT_ONCE = 300
_MAX_REPORTS = 200
_MAX_SEQUENCE = 1 << 32
_SESSION_BYTES = 12


def b64(raw: bytes) -> str:
    """Bytes in JSON."""
    return base64.b64encode(raw).decode("ascii")


class Giving:
    """Answers from the book; `identity` is the server's, `announce` where its announcements can be heard."""

    def __init__(self, book: Book, realm: bytes, identity: Identity, announce: str) -> None:
        self._book, self._realm, self._identity, self._announce = book, realm, identity, announce
        self._credentials: dict[tuple[bytes, str, int], str] = {}

    def hello(self, member: Member, args: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Who the member is here, and which groups it is in."""
        only(args)
        return {
            "name": member.name,
            "admin": member.admin,
            "realm": self._realm.hex(),
            "announce": self._announce,
            "groups": sorted(self._book.groups_of(member)),
        }

    def fetch(self, member: Member, args: Mapping[str, Any], now: float) -> dict[str, Any]:
        """The keys of a group that open now or will, and what the member may do with them."""
        only(args, "group")
        keys, grant = self._book.keys_for(member, args.get("group"))
        policy = keys.group.policy
        relays = Role.RELAY in grant.roles
        found = {
            "group": keys.group.name,
            "epoch": keys.group.epoch,
            "policy": policy.as_json(),
            "epochs": [_epoch(one, now, relays) for one in keys.epochs if one.accept_until > now],
            **grant_as_json(grant),
        }
        if policy.attestation == "required" and not relays:
            found["credential"] = self._credential(member, keys, grant)
        if not relays:
            found.update(self._sessions(keys, 0), began=int(now) - policy.skew)
        return found

    def sessions(self, member: Member, args: Mapping[str, Any], now: float) -> dict[str, Any]:
        """More sessions of a group, from a position on."""
        only(args, "group", "from")
        keys, _ = self._book.keys_for(member, args.get("group"))
        return self._sessions(keys, whole(args, "from", 1 << 31))

    def reports(self, member: Member, args: Mapping[str, Any]) -> list[Report]:
        """The sessions that a sender reports, checked."""
        only(args, "sessions")
        said = args.get("sessions")
        if not isinstance(said, list) or len(said) > _MAX_REPORTS:
            raise Invalid(f"sessions: a list of at most {_MAX_REPORTS} is allowed")
        return [self._report(member, one) for one in said]

    def _report(self, member: Member, one: Any) -> Report:
        if not isinstance(one, dict):
            raise Invalid("sessions: objects are allowed")
        only(one, "group", "spi", "session", "sequence", "attested")
        keys, grant = self._book.keys_for(member, one.get("group"))
        if Role.SEND not in grant.roles:
            raise Invalid(f"member {member.name!r} does not send in group {keys.group.name!r}")
        try:
            session = base64.b64decode(str(one.get("session")), validate=True)
        except ValueError:
            session = b""
        if len(session) != _SESSION_BYTES or not isinstance(one.get("attested"), bool):
            raise Invalid("sessions: session in base64, 12 bytes, and attested, true or false, must be there")
        spi = whole(one, "spi", 0xFFFFFFFF)
        return Report(keys.group.id, member.id, session, spi, whole(one, "sequence", _MAX_SEQUENCE), one["attested"])

    def _sessions(self, keys: Keys, first: int) -> dict[str, Any]:
        part = keys.sessions[first : first + _SESSIONS_AT_ONCE]
        last = first + len(part)
        more = last if last < len(keys.sessions) else None
        return {"sessions": [_live(one) for one in part], "more": more}

    def _credential(self, member: Member, keys: Keys, grant: Rights) -> str:
        """What the realm says of a member for the time of its newest key; signed once for each."""
        newest = keys.epochs[-1]
        which = (member.key, keys.group.name, newest.epoch)
        found = self._credentials.get(which)
        if found is None:
            if len(self._credentials) > 4 * (len(self._book.members) + 16):
                self._credentials.clear()  # what is asked for again is signed again
            found = self._credentials[which] = b64(self._issue(member, grant, newest, keys.group.policy.skew))
        return found

    def _issue(self, member: Member, grant: Rights, newest: Epoch, skew: int) -> bytes:
        rights = Rights(grant.roles, (member.name,), grant.routing_ids, grant.publish, grant.read)
        try:
            return Credential.issue(
                self._identity,
                PublicIdentity(member.key),
                rights,
                not_before=max(0, newest.created - skew),
                not_after=newest.accept_until + skew,
            ).raw
        except IdentityError as error:
            raise KeyServerError(f"no credential for {member.name!r}: {error}") from error


def _epoch(one: Epoch, now: float, relays: bool) -> dict[str, Any]:
    secret = {"admission": b64(derive_admission_key(one.secret, one.spi))} if relays else {"secret": b64(one.secret)}
    return {
        "epoch": one.epoch,
        "spi": one.spi,
        "send_in": one.send_from - now,
        "accept_for": one.accept_until - now,
        **secret,
    }


def _live(one: Live) -> dict[str, Any]:
    return {"spi": one.spi, "session": b64(one.session), "sequence": one.sequence, "origin": b64(one.origin)}


# -- arguments ---------------------------------------------------------------------------------------------------------


def only(args: Mapping[str, Any], *known: str) -> None:
    """No argument may be there but these."""
    if unknown := sorted(set(args) - set(known)):
        raise Invalid(f"argument {unknown[0]!r} is unknown; {', '.join(known) or 'none'} are allowed")


def whole(args: Mapping[str, Any], name: str, most: int, default: int = 0) -> int:
    """A whole number from 0 on."""
    value = args.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Invalid(f"{name}={value!r}: a whole number from 0 to {most} is allowed")
    return value


def text(args: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = args.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name}={value!r}: a text must be there")
    return value


def flag(args: Mapping[str, Any], name: str) -> bool:
    """True or false; false where it is not said."""
    value = args.get(name, False)
    if not isinstance(value, bool):
        raise Invalid(f"{name}={value!r}: true or false is allowed")
    return value
