"""Groups (floor 11): who shares keys, in which roles and on which topics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ..errors import IdentityError
from ..rights import ALL, Rights, Role
from . import epochs, members
from .errors import Conflict, Invalid, NotAllowed
from .members import Member, checked_name
from .policy import Policy
from .realm import Change, View
from .tables import groups, memberships, sessions
from .tables import members as member_table

_ROLES = Role.SEND | Role.RECEIVE | Role.RELAY


@dataclass(frozen=True, slots=True)
class Group:
    """A row of the table."""

    id: int
    name: str
    created: int
    policy: Policy
    epoch: int
    rekey_at: int

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "created": self.created,
            "epoch": self.epoch,
            "rekey_at": self.rekey_at,
            "policy": self.policy.as_json(),
        }


def grant_of(roles: Iterable[str], publish: Iterable[str] | None = None, read: Iterable[str] | None = None) -> Rights:
    """What a member may do in a group: roles by name, and topic patterns, all topics by default."""
    try:
        found = Role.of(roles)
        if not found or found & ~_ROLES:
            raise Invalid(f"roles {list(roles)}: one or more of {_ROLES} are allowed")
        if Role.RELAY in found and found != Role.RELAY:
            raise Invalid("a relay gets no key to read or write with; a member that also sends needs another identity")
        return Rights(
            found,
            routing_ids=(ALL,),
            publish=(ALL,) if publish is None else publish,
            read=(ALL,) if read is None else read,
        )
    except IdentityError as error:
        raise Invalid(str(error)) from error


def grant_as_json(grant: Rights) -> dict[str, Any]:
    """As plain data, which `grant_from_json` takes."""
    return {
        "roles": grant.roles.words(),
        "publish": [one.decode("utf-8", "backslashreplace") for one in grant.publish],
        "read": [one.decode("utf-8", "backslashreplace") for one in grant.read],
    }


def grant_from_json(said: Mapping[str, Any]) -> Rights:
    """What `grant_as_json` gave."""
    return grant_of(said["roles"], said.get("publish"), said.get("read"))


def find(view: View, name: str) -> Group:
    """The group of that name; Unknown if there is none."""
    group_id = epochs.group_id_of(view, name)
    return _group(view.connection.execute(sql.select(groups).where(groups.c.id == group_id)).one())


def every(view: View) -> list[Group]:
    """All groups, by name."""
    return [_group(row) for row in view.connection.execute(sql.select(groups).order_by(groups.c.name))]


def of_member(view: View, member: Member) -> list[Group]:
    """The groups that somebody is in, by name."""
    chosen = sql.select(groups).join(memberships).where(memberships.c.member_id == member.id).order_by(groups.c.name)
    return [_group(row) for row in view.connection.execute(chosen)]


def create(change: Change, name: str, policy: Policy) -> Group:
    """Make a group without members, and its first epoch."""
    name = checked_name("group", name)
    if change.connection.execute(sql.select(groups.c.id).where(groups.c.name == name)).first() is not None:
        raise Conflict(f"there is a group {name!r} already")
    row = {"name": name, "created": change.now, "policy": policy.to_text(), "epoch": 0, "rekey_at": change.now}
    change.connection.execute(groups.insert().values(**row))
    change.log("group.create", group=name, policy=policy.as_json())
    epochs.begin(change, epochs.group_id_of(change, name), "creation")
    return find(change, name)


def set_policy(change: Change, name: str, policy: Policy) -> Group:
    """Give a group another policy, and with it another epoch: no association ever changes its policy."""
    group = find(change, name)
    if group.policy == policy:
        return group
    change.connection.execute(groups.update().where(groups.c.id == group.id).values(policy=policy.to_text()))
    changed = {key: value for key, value in policy.as_json().items() if group.policy.as_json()[key] != value}
    change.log("group.policy", group=name, changed=changed)
    epochs.begin(change, group.id, "policy")
    return find(change, name)


def add(change: Change, name: str, who: str, grant: Rights) -> None:
    """Let a member into a group, or change what it may do there."""
    group, member = find(change, name), members.find(change, who)
    if member.revoked is not None:
        raise Conflict(f"member {member.name!r} was revoked")
    row = {"roles": int(grant.roles), **_patterns(grant)}
    before = grant_in(change, group.id, member.id)
    if before == grant:
        return
    here = (memberships.c.group_id == group.id) & (memberships.c.member_id == member.id)
    if before is None:
        more = {"group_id": group.id, "member_id": member.id, "added": change.now, "held": 0}
        change.connection.execute(memberships.insert().values(**row, **more))
    else:
        change.connection.execute(memberships.update().where(here).values(**row))
    change.log("group.add", group=name, member=member.name, fingerprint=member.fingerprint, **grant_as_json(grant))
    if before is not None and before.roles & ~grant.roles:
        epochs.begin(change, group.id, "roles taken away", urgent=True)


def remove(change: Change, name: str, who: str) -> bool:
    """Put a member out of a group, which gets a new key at once; whether it was in it."""
    group, member = find(change, name), members.find(change, who)
    if grant_in(change, group.id, member.id) is None:
        return False
    for table in (sessions, memberships):
        here = (table.c.group_id == group.id) & (table.c.member_id == member.id)
        change.connection.execute(table.delete().where(here))
    change.log("group.remove", group=name, member=member.name, fingerprint=member.fingerprint)
    epochs.begin(change, group.id, "leave", urgent=True)
    return True


def rekey(change: Change, name: str, *, urgent: bool = False) -> int:
    """Change a group's key now; the number of its new epoch."""
    return epochs.begin(change, find(change, name).id, "by hand", urgent=urgent)


def members_of(view: View, name: str) -> list[tuple[Member, Rights, int]]:
    """Who is in a group, by name: what each may do there, and the newest epoch that it has fetched (0: none)."""
    group = find(view, name)
    here = memberships.c.group_id == group.id
    chosen = (
        sql.select(member_table, memberships.c.roles, memberships.c.publish, memberships.c.read, memberships.c.held)
        .join(memberships)
        .where(here)
        .order_by(member_table.c.name)
    )
    count = len(member_table.c)
    return [(Member(*row[:count]), _grant(row), row.held) for row in view.connection.execute(chosen)]


def grant_in(view: View, group_id: int, member_id: int) -> Rights | None:
    """What a member may do in a group; None if it is not in it."""
    here = (memberships.c.group_id == group_id) & (memberships.c.member_id == member_id)
    row = view.connection.execute(sql.select(memberships).where(here)).one_or_none()
    return None if row is None else _grant(row)


def membership(view: View, name: str, member: Member) -> tuple[Group, Rights]:
    """The group of that name and what this member may do there; NotAllowed where it is not in it, or there is none.

    Who is not in a group is not told whether there is one.
    """
    group_id = view.connection.execute(sql.select(groups.c.id).where(groups.c.name == name)).scalar_one_or_none()
    grant = None if group_id is None else grant_in(view, group_id, member.id)
    if grant is None:
        raise NotAllowed(f"member {member.name!r} is in no group {name!r}")
    return find(view, name), grant


def _patterns(grant: Rights) -> dict[str, str]:
    said = grant_as_json(grant)
    return {"publish": json.dumps(said["publish"]), "read": json.dumps(said["read"])}


def _grant(row: Any) -> Rights:
    publish, read = json.loads(row.publish), json.loads(row.read)
    return Rights(Role(row.roles), routing_ids=(ALL,), publish=publish, read=read)


def _group(row: Any) -> Group:
    return Group(**{**row._mapping, "policy": Policy.from_text(row.policy)})
