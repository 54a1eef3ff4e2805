"""What admins ask a key server to do (floor 11), and the one thing that a stranger may: bring a token.

Each takes a transaction and the arguments, and gives plain data. Lists come in pages: `after` is the last name of the
page before, and `more` says that there is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..identity import PublicIdentity, fingerprint_text
from ..rights import Rights
from . import audit, enrolment, groups, members
from .errors import Invalid, NotAllowed
from .giving import flag, only, text, whole
from .policy import Policy
from .realm import Change, Realm, View, answered, keep_answer

Args = Mapping[str, Any]
_PAGE = 150


def _page(rows: Iterable[dict[str, Any]], args: Args) -> dict[str, Any]:
    after = text(args, "after") if "after" in args else ""
    found = [row for row in rows if row["name"] > after]
    return {"rows": found[:_PAGE], "more": len(found) > _PAGE}


def _strings(args: Args, name: str) -> list[str] | None:
    value = args.get(name)
    if value is not None and (not isinstance(value, list) or not all(isinstance(one, str) for one in value)):
        raise Invalid(f"{name}={value!r}: a list of texts is allowed")
    return value


def _grant(args: Args) -> Rights:
    return groups.grant_of(_strings(args, "roles") or (), _strings(args, "publish"), _strings(args, "read"))


def _policy(args: Args, base: Policy | None = None) -> Policy:
    said = args.get("policy", {})
    if not isinstance(said, dict):
        raise Invalid(f"policy={said!r}: an object is allowed")
    return Policy.of(said, base)


# -- what only reads ---------------------------------------------------------------------------------------------------


def _group_list(view: View, args: Args) -> dict[str, Any]:
    only(args, "after")
    return _page((one.as_json() for one in groups.every(view)), args)


def _group_show(view: View, args: Args) -> dict[str, Any]:
    only(args, "group")
    return groups.find(view, text(args, "group")).as_json()


def _group_members(view: View, args: Args) -> dict[str, Any]:
    only(args, "group", "after")
    rows = groups.members_of(view, text(args, "group"))
    return _page(({**one.as_json(), **groups.grant_as_json(grant), "held": held} for one, grant, held in rows), args)


def _member_list(view: View, args: Args) -> dict[str, Any]:
    only(args, "after")
    return _page((one.as_json() for one in members.every(view)), args)


def _audit(view: View, args: Args) -> dict[str, Any]:
    only(args, "from")
    first = max(1, whole(args, "from", 1 << 62, 1))
    rows = [one.as_json() for one in audit.entries(view.connection, first, _PAGE + 1)]
    return {"rows": rows[:_PAGE], "more": len(rows) > _PAGE}


# -- what changes ------------------------------------------------------------------------------------------------------


def _group_create(change: Change, args: Args) -> dict[str, Any]:
    only(args, "group", "policy")
    return groups.create(change, text(args, "group"), _policy(args)).as_json()


def _group_policy(change: Change, args: Args) -> dict[str, Any]:
    only(args, "group", "policy")
    group = groups.find(change, text(args, "group"))
    return groups.set_policy(change, group.name, _policy(args, group.policy)).as_json()


def _group_add(change: Change, args: Args) -> dict[str, Any]:
    only(args, "group", "member", "roles", "publish", "read")
    grant = _grant(args)
    groups.add(change, text(args, "group"), text(args, "member"), grant)
    return {"group": args["group"], "member": args["member"], **groups.grant_as_json(grant)}


def _group_remove(change: Change, args: Args) -> dict[str, Any]:
    only(args, "group", "member")
    was = groups.remove(change, text(args, "group"), text(args, "member"))
    return {"removed": was, "epoch": groups.find(change, args["group"]).epoch}


def _group_rekey(change: Change, args: Args) -> dict[str, Any]:
    only(args, "group", "urgent")
    return {"epoch": groups.rekey(change, text(args, "group"), urgent=flag(args, "urgent"))}


def _member_register(change: Change, args: Args) -> dict[str, Any]:
    only(args, "public", "name", "admin")
    try:
        key = bytes.fromhex(text(args, "public"))
    except ValueError:
        raise Invalid(f"public={args['public']!r}: 64 hexadecimal digits are allowed") from None
    return members.register(change, key, text(args, "name"), admin=flag(args, "admin")).as_json()


def _member_revoke(change: Change, args: Args) -> dict[str, Any]:
    only(args, "member")
    member, left = members.revoke(change, text(args, "member"))
    return {**member.as_json(), "groups": left}


def _member_token(server: bytes) -> Callable[[Change, Args], dict[str, Any]]:
    def token(change: Change, args: Args) -> dict[str, Any]:
        only(args, "name", "admin", "groups", "roles", "publish", "read", "seconds")
        names = _strings(args, "groups") or []
        grants = {name: _grant(args) for name in names}
        seconds = whole(args, "seconds", enrolment.MAX_SECONDS, enrolment.SECONDS)
        made = enrolment.offer(change, server, text(args, "name"), grants, admin=flag(args, "admin"), seconds=seconds)
        return {"token": made, "name": args["name"], "seconds": seconds}

    return token


_READING: dict[str, Callable[[View, Args], dict[str, Any]]] = {
    "group.list": _group_list,
    "group.show": _group_show,
    "group.members": _group_members,
    "member.list": _member_list,
    "audit": _audit,
}
_CHANGING: dict[str, Callable[[Change, Args], dict[str, Any]]] = {
    "group.create": _group_create,
    "group.policy": _group_policy,
    "group.add": _group_add,
    "group.remove": _group_remove,
    "group.rekey": _group_rekey,
    "member.register": _member_register,
    "member.revoke": _member_revoke,
}
ENROL = "enrol"
TOKEN = "member.token"


def names() -> list[str]:
    """The operations that there are for admins."""
    return sorted([*_READING, *_CHANGING, TOKEN])


def run(realm: Realm, caller: bytes, request: bytes, op: str, args: Args, now: int) -> dict[str, Any]:
    """Carry out what this identity asks for, if it may, in one transaction with its answer."""
    if op in _READING:
        with realm.view(now) as view:
            _check_admin(view, caller)
            return _READING[op](view, args)
    what = _enrol(caller) if op == ENROL else _changes(realm).get(op)
    if what is None:
        raise Invalid(f"operation {op!r} is unknown")
    with realm.change(fingerprint_text(PublicIdentity(caller).fingerprint), now) as change:
        if op != ENROL:
            _check_admin(change, caller)
        before = answered(change, caller, request)
        if before is not None:
            return before
        found = what(change, args)
        keep_answer(change, caller, request, found)
    return found


def _changes(realm: Realm) -> dict[str, Callable[[Change, Args], dict[str, Any]]]:
    return {**_CHANGING, TOKEN: _member_token(realm.identity.key)}


def _enrol(caller: bytes) -> Callable[[Change, Args], dict[str, Any]]:
    def enrol(change: Change, args: Args) -> dict[str, Any]:
        only(args, "token")
        random, _ = enrolment.read_token(text(args, "token"))
        return enrolment.redeem(change, caller, random).as_json()

    return enrol


def _check_admin(view: View, caller: bytes) -> None:
    if not members.active(view, caller).admin:
        raise NotAllowed("only admins of the realm may do this")
