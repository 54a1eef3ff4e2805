"""Members of a realm (floor 11): identities with a name of their own, of whom some are admins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ..errors import IdentityError
from ..identity import PublicIdentity, check_name, fingerprint_text
from . import epochs
from .errors import Conflict, Invalid, NotAllowed, Unknown
from .realm import Change, View
from .tables import groups, members, memberships, sessions

_FINGERPRINT = "zs1"


@dataclass(frozen=True, slots=True)
class Member:
    """A row of the table; `revoked` is when, or None."""

    id: int
    key: bytes
    fingerprint: str
    name: str
    admin: bool
    registered: int
    revoked: int | None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "public": self.key.hex(),
            "admin": self.admin,
            "registered": self.registered,
            "revoked": self.revoked,
        }


def checked_name(what: str, name: object) -> str:
    """The name of a member or a group: printable, not empty, and not to be taken for a fingerprint."""
    try:
        text = check_name(name)
    except IdentityError as error:
        raise Invalid(f"{what} {error}") from error
    if not text or text.startswith((_FINGERPRINT, "-")) or text != text.strip():
        raise Invalid(
            f"{what} name {name!r}: 1 to 255 bytes are allowed, without spaces around them, and not zs1 or - in front"
        )
    return text


def by_key(view: View, key: bytes) -> Member | None:
    """The member with this public key, revoked or not."""
    return _one(view, members.c.key == key)


def find(view: View, who: str) -> Member:
    """The member of that name or fingerprint; Unknown if there is none."""
    column = members.c.fingerprint if who.startswith(_FINGERPRINT) else members.c.name
    found = _one(view, column == who)
    if found is None:
        raise Unknown(f"no member {who!r} in this realm; zmqsec member list shows all")
    return found


def active(view: View, key: bytes) -> Member:
    """The member with this public key; NotAllowed if it is nobody, or nobody any more."""
    found = by_key(view, key)
    if found is None or found.revoked is not None:
        which = "is not a member of this realm" if found is None else "was revoked"
        raise NotAllowed(f"{fingerprint_text(PublicIdentity(key).fingerprint)} {which}")
    return found


def every(view: View) -> Iterator[Member]:
    """All members, by name."""
    for row in view.connection.execute(sql.select(members).order_by(members.c.name)):
        yield Member(**row._mapping)


def register(change: Change, key: bytes, name: str, *, admin: bool = False) -> Member:
    """Enter an identity under a name; again with the same name and rank does nothing."""
    try:
        public = PublicIdentity(bytes(key))
    except IdentityError as error:
        raise Invalid(str(error)) from error
    name = checked_name("member", name)
    known = by_key(change, public.key)
    if known is not None:
        if known.revoked is not None:
            raise Conflict(f"{public} was revoked, and does not come back; it needs a new identity")
        if (known.name, known.admin) != (name, admin):
            raise Conflict(f"{public} is a member already, {known.name!r}{', an admin' if known.admin else ''}")
        return known
    if _one(change, members.c.name == name) is not None:
        raise Conflict(f"the name {name!r} is taken by another member, perhaps a revoked one")
    row = {"key": public.key, "fingerprint": str(public), "name": name, "admin": admin, "registered": change.now}
    change.connection.execute(members.insert().values(**row))
    change.log("member.register", member=name, fingerprint=str(public), admin=admin)
    found = by_key(change, public.key)
    assert found is not None
    return found


def revoke(change: Change, who: str) -> tuple[Member, list[str]]:
    """Take a member out of the realm and all of its groups, which get new keys at once; the names of these groups."""
    member = find(change, who)
    if member.revoked is not None:
        return member, []
    others = sql.select(sql.func.count()).where(
        members.c.admin.is_(True), members.c.revoked.is_(None), members.c.id != member.id
    )
    if member.admin and not change.connection.execute(others).scalar_one():
        raise Conflict(f"{member.name!r} is the only admin; register another one first")
    change.connection.execute(members.update().where(members.c.id == member.id).values(revoked=change.now))
    left = change.connection.execute(
        sql.select(groups).join(memberships).where(memberships.c.member_id == member.id).order_by(groups.c.name)
    ).all()
    for table in (sessions, memberships):
        change.connection.execute(table.delete().where(table.c.member_id == member.id))
    names = [group.name for group in left]
    change.log("member.revoke", member=member.name, fingerprint=member.fingerprint, groups=names)
    for group in left:
        epochs.begin(change, group.id, "revocation", urgent=True)
    return find(change, member.fingerprint), names


def _one(view: View, condition: sql.ColumnElement[bool]) -> Member | None:
    row = view.connection.execute(sql.select(members).where(condition)).one_or_none()
    return None if row is None else Member(**row._mapping)
