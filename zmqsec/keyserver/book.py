"""What a key server gives out (floor 11), in memory: read once, and kept up by the audit log, entry by entry.

One thread writes, and others read: each value is put in its place whole. So fetching costs no transaction, and goes on
while the database does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..rights import Rights
from . import audit, epochs, groups, members, traffic
from .epochs import Epoch
from .errors import NotAllowed, Unknown
from .groups import Group
from .members import Member
from .realm import Realm, View
from .tables import realm as realm_table
from .traffic import Live


@dataclass(frozen=True, slots=True)
class Keys:
    """All of one group that its members are given; `grants` is by public key."""

    group: Group
    epochs: tuple[Epoch, ...]
    grants: dict[bytes, Rights]
    sessions: tuple[Live, ...] = ()


class Book:
    """Members and groups of a realm."""

    def __init__(self, realm: Realm, now: int) -> None:
        self._realm = realm
        self.revision = 0
        self.members: dict[bytes, Member] = {}
        self.groups: dict[str, Keys] = {}
        self._rights: dict[Rights, Rights] = {}  # most members have the same
        with realm.view(now) as view:
            self.revision = _revision(view)
            self._read_members(view)
            for group in groups.every(view):
                self.groups[group.name] = self._read(view, group)

    def follow(self, now: int) -> list[str]:
        """Follow what changed since; the names of the groups with a new epoch."""
        if self._realm.revision() == self.revision:
            return []
        rekeyed: list[str] = []
        with self._realm.view(now) as view:
            for entry in audit.entries(view.connection, first=self.revision + 1):
                self._apply(view, entry, rekeyed)
                self.revision = entry.number
            for name in rekeyed:
                keys = self.groups.get(name)
                group = groups.find(view, name)
                grants = {} if keys is None else keys.grants
                sessions = () if keys is None else keys.sessions
                self.groups[name] = Keys(group, tuple(epochs.held(view, group.id)), grants, sessions)
        return rekeyed

    def _apply(self, view: View, entry: audit.Entry, rekeyed: list[str]) -> None:
        detail = entry.detail
        group: str = detail.get("group", "")
        if entry.operation == "group.rekey" and group not in rekeyed:
            rekeyed.append(group)
        elif entry.operation == "group.create":
            self.groups[group] = self._read(view, groups.find(view, group))
        elif entry.operation in ("group.add", "group.remove"):
            self._grant(view, group, members.find(view, detail["fingerprint"]))
        elif entry.operation == "member.register":
            member = members.find(view, detail["fingerprint"])
            if member.revoked is None:
                self.members[member.key] = member
        elif entry.operation == "member.revoke":
            member = members.find(view, detail["fingerprint"])
            self.members.pop(member.key, None)
            for name in detail["groups"]:
                self.groups[name].grants.pop(member.key, None)
        elif entry.operation == "realm.restore":
            self._read_members(view)
            self.groups = {one.name: self._read(view, one) for one in groups.every(view)}

    def _read_members(self, view: View) -> None:
        self.members = {one.key: one for one in members.every(view) if one.revoked is None}

    def _read(self, view: View, group: Group) -> Keys:
        grants = {
            member.key: self._rights.setdefault(grant, grant)
            for member, grant, _ in groups.members_of(view, group.name)
        }
        held = tuple(epochs.held(view, group.id))
        return Keys(group, held, grants, tuple(traffic.live(view.connection, group.id)))

    def _grant(self, view: View, name: str, member: Member) -> None:
        keys = self.groups[name]
        grant = groups.grant_in(view, keys.group.id, member.id)
        if grant is None:
            keys.grants.pop(member.key, None)
        else:
            keys.grants[member.key] = self._rights.setdefault(grant, grant)

    def use_sessions(self, group_id: int, sessions: list[Live]) -> None:
        """Give out these sessions of a group from now on."""
        for name, keys in tuple(self.groups.items()):
            if keys.group.id == group_id:
                self.groups[name] = replace(keys, sessions=tuple(sessions))

    def forget_ended(self, now: int) -> None:
        """Keep no key whose time is over."""
        for name, keys in tuple(self.groups.items()):
            if any(one.accept_until <= now for one in keys.epochs):
                kept = tuple(one for one in keys.epochs if one.accept_until > now)
                self.groups[name] = replace(keys, epochs=kept)

    # -- what members ask ----------------------------------------------------------------------------------------------

    def member(self, key: bytes) -> Member:
        """The member with this key; NotAllowed for all others, who are told no more."""
        found = self.members.get(key)
        if found is None:
            raise NotAllowed("this identity is not a member of the realm, or not any more")
        return found

    def groups_of(self, member: Member) -> Iterator[str]:
        """The groups that a member is in."""
        return (name for name, keys in self.groups.items() if member.key in keys.grants)

    def keys_for(self, member: Member, group: object) -> tuple[Keys, Rights]:
        """What a member is given of a group. Who is not in it is not told whether it exists."""
        keys = self.groups.get(group) if isinstance(group, str) else None
        grant = None if keys is None else keys.grants.get(member.key)
        if keys is None or grant is None:
            raise NotAllowed(f"member {member.name!r} is in no group {group!r}")
        if not keys.epochs:
            raise Unknown(f"group {group!r} has no key now; the server makes one on its next round")
        return keys, grant


def _revision(view: View) -> int:
    return int(view.connection.execute(realm_table.select()).one().audit_number)
