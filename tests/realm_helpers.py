"""What the tests of the key server share: a realm in a folder, and a time that is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zmqsec import Identity
from zmqsec.keyserver.policy import Policy
from zmqsec.keyserver.realm import Change, Realm
from zmqsec.keyserver.rootkey import RootKey
from zmqsec.keyserver.store import Store

NOW = 1_700_000_000
OPS, ALICE, BOB, CAROL = (Identity.from_seed(bytes([60 + n]) * 32, name) for n, name in enumerate("oabc"))
ROOT = RootKey(bytes(range(1, 33)))


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/realm.db"


def new_realm(url: str) -> Realm:
    """A realm whose admin is "ops"."""
    return Realm.create(Store(url), ROOT, Identity.from_seed(bytes([60]) * 32, "ops").public, NOW)


def doing(realm: Realm, what: Callable[..., Any], *arguments: Any, now: int = NOW, **named: Any) -> Any:
    """One operation in a transaction of its own."""
    with realm.change("tests", now) as change:
        return what(change, *arguments, **named)


def seeing(realm: Realm, what: Callable[..., Any], *arguments: Any, now: int = NOW) -> Any:
    with realm.view(now) as view:
        found = what(view, *arguments)
        return list(found) if hasattr(found, "__next__") else found


def weather(change: Change, **policy: Any) -> None:
    """A group with alice, who sends, and bob, who receives."""
    from zmqsec.keyserver import groups, members

    groups.create(change, "weather", Policy(**policy))
    members.register(change, ALICE.key, "alice")
    members.register(change, BOB.key, "bob")
    groups.add(change, "weather", "alice", groups.grant_of(["send"], ["weather.*"]))
    groups.add(change, "weather", "bob", groups.grant_of(["receive"]))


def operations(realm: Realm) -> list[str]:
    """What the audit log says was done."""
    from zmqsec.keyserver import audit

    with realm.view(NOW) as view:
        return [one.operation for one in audit.entries(view.connection)]
