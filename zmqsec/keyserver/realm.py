"""The realm (floor 11): its database, its root key and its identity; each change is one transaction with its entry.

    with realm.change(actor, now) as change:
        members.register(change, key, "alice")

What can be done stands in members.py, groups.py, epochs.py and enrolment.py, in terms of a Change or a View.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from .. import sodium
from ..identity import Identity, PublicIdentity
from . import audit
from .errors import Conflict, StoreError, Unknown
from .rootkey import RootKey
from .store import Store
from .tables import answers, members, realm

SERVER = "server"
_REALM_ID_BYTES = 16
_SEED_BYTES = 32
_ANSWERS_KEPT = 600


@dataclass(frozen=True, slots=True)
class View:
    """A transaction that reads, and the time that counts in it."""

    connection: Connection
    root: RootKey
    now: int


@dataclass(frozen=True, slots=True)
class Change(View):
    """A transaction that writes; `actor` is on whose word, a fingerprint or "server"."""

    actor: str

    def log(self, operation: str, **detail: Any) -> None:
        """Enter what was done into the audit log."""
        audit.append(self.connection, self.root, self.now, self.actor, operation, detail)


class Realm:
    """A realm that is open. Any thread may use it."""

    def __init__(self, store: Store, root: RootKey) -> None:
        self.store, self._root = store, root
        with store.view() as connection:
            row = connection.execute(sql.select(realm)).one_or_none()
        if row is None:
            raise Unknown("the database holds no realm yet; zmqsec keyserver init makes one")
        self.id: bytes = row.id
        try:
            seed = root.open(row.sealed_seed, "realm", self.id, "seed")
        except StoreError:
            raise StoreError("the root key is not that of this realm; nothing can be opened with it") from None
        self.identity = Identity.from_seed(seed, "key server")
        if self.identity.key != row.public:
            raise StoreError("the realm's identity is not the one that its database names")

    @classmethod
    def create(cls, store: Store, root: RootKey, admin: PublicIdentity, now: int) -> Realm:
        """Make a realm in an empty database, with its identity and its first admin."""
        realm_id, seed = sodium.random_bytes(_REALM_ID_BYTES), sodium.random_bytes(_SEED_BYTES)
        identity = Identity.from_seed(seed)
        with store.change() as connection:
            if connection.execute(sql.select(realm.c.number)).first() is not None:
                raise Conflict("the database holds a realm already; another one needs another database")
            row = {
                "number": 1,
                "id": realm_id,
                "created": now,
                "public": identity.key,
                "sealed_seed": root.seal(seed, "realm", realm_id, "seed"),
                "audit_number": 0,
                "audit_hash": audit.FIRST,
                "audit_mac": audit.head_mac(root, realm_id, 0, audit.FIRST),
            }
            connection.execute(realm.insert().values(**row))
            name = admin.name or "admin"
            first = {"key": admin.key, "fingerprint": str(admin), "name": name, "admin": True, "registered": now}
            connection.execute(members.insert().values(**first))
            detail = {"realm": realm_id.hex(), "server": str(identity), "admin": str(admin), "name": name}
            audit.append(connection, root, now, SERVER, "realm.init", detail)
        return cls(store, root)

    @contextmanager
    def change(self, actor: str, now: int) -> Iterator[Change]:
        """One transaction; what raises in it undoes all of it, its entries included."""
        with self.store.change() as connection:
            yield Change(connection, self._root, now, actor)

    @contextmanager
    def view(self, now: int) -> Iterator[View]:
        """One moment to read."""
        with self.store.view() as connection:
            yield View(connection, self._root, now)

    def revision(self) -> int:
        """The number of the last change: another one says that something has changed, here or at another server."""
        with self.store.view() as connection:
            return int(connection.execute(sql.select(realm.c.audit_number)).scalar_one())

    def verify(self) -> tuple[int, bytes]:
        """Look at the whole audit log; the number and the hash of its last entry."""
        with self.store.view() as connection:
            return audit.verify(connection, self._root)

    def close(self) -> None:
        """Give the database back."""
        self.store.close()


# -- requests that come again ------------------------------------------------------------------------------------------


def answered(change: Change, member: bytes, request: bytes) -> dict[str, Any] | None:
    """The answer that this request of this member got already, if it did."""
    condition = (answers.c.member == member) & (answers.c.request == request)
    row = change.connection.execute(sql.select(answers.c.sealed_answer).where(condition)).one_or_none()
    if row is None:
        return None
    found: dict[str, Any] = json.loads(change.root.open(row.sealed_answer, "answers", member + request, "answer"))
    return found


def keep_answer(change: Change, member: bytes, request: bytes, answer: dict[str, Any]) -> None:
    """Keep an answer in the transaction of what it tells of; what is older than ten minutes goes."""
    change.connection.execute(answers.delete().where(answers.c.answered < change.now - _ANSWERS_KEPT))
    sealed = change.root.seal(json.dumps(answer).encode(), "answers", member + request, "answer")
    change.connection.execute(
        answers.insert().values(member=member, request=request, answered=change.now, sealed_answer=sealed)
    )
