"""The audit log (floor 11): every change of a realm, appended in the same transaction, each entry bound to the last.

hash = BLAKE2b-256("zmqsec.audit", hash before || entry), the first before being 32 zero bytes; an entry is JSON with
sorted keys and no spaces, in ASCII. The realm's row holds the last number and hash under a MAC of the root key, so that
whoever can write to the database, and has not the root key, can neither change, cut nor extend the log unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from .. import sodium
from .errors import StoreError
from .rootkey import RootKey
from .tables import audit, realm

FIRST = bytes(32)
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: when, by whom (a fingerprint, or "server"), which operation, and what about."""

    number: int
    time: int
    actor: str
    operation: str
    detail: Mapping[str, Any]
    hash: bytes

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "number": self.number,
            "time": self.time,
            "actor": self.actor,
            "operation": self.operation,
            "detail": dict(self.detail),
            "hash": self.hash.hex(),
        }


def canonical(fields: Mapping[str, Any]) -> str:
    """The one text of an entry."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def chain(before: bytes, text: str) -> bytes:
    """The hash of an entry behind another one."""
    return sodium.hash_unkeyed(b"zmqsec.audit", before + text.encode("ascii"))


def head_mac(root: RootKey, realm_id: bytes, number: int, last: bytes) -> bytes:
    """What vouches for the end of the log."""
    return root.mac(b"audit" + realm_id + number.to_bytes(8, "little") + last)


def append(connection: Connection, root: RootKey, now: int, actor: str, operation: str, detail: dict[str, Any]) -> int:
    """Enter a change, in the transaction that makes it; its number. The realm's row is locked by it."""
    head = connection.execute(sql.select(realm)).one()
    number = head.audit_number + 1
    fields = {"number": number, "time": now, "actor": actor, "operation": operation, "detail": detail}
    text = canonical(fields)
    last = chain(head.audit_hash, text)
    connection.execute(audit.insert().values(number=number, entry=text, hash=last))
    mac = head_mac(root, head.id, number, last)
    connection.execute(realm.update().values(audit_number=number, audit_hash=last, audit_mac=mac))
    return int(number)


def entries(connection: Connection, first: int = 1, most: int | None = None) -> Iterator[Entry]:
    """The log from an entry on; StoreError at the first one that does not follow from the one before."""
    rows = connection.execute(
        sql.select(audit).where(audit.c.number >= first - 1).order_by(audit.c.number).limit(most and most + 1),
        execution_options={"yield_per": _AT_ONCE},
    )
    before, number = FIRST, 0
    for row in rows:
        if row.number == first - 1:
            before, number = row.hash, row.number
            continue
        if row.number != number + 1 and (number or first == 1):
            raise StoreError(f"audit log: entry {number + 1} is missing")
        if chain(before, row.entry) != row.hash:
            raise StoreError(f"audit log: entry {row.number} was changed, or what stood before it")
        before, number = row.hash, row.number
        fields = json.loads(row.entry)
        if fields["number"] != row.number:
            raise StoreError(f"audit log: entry {row.number} says that it is number {fields['number']}")
        yield Entry(**fields, hash=row.hash)


def verify(connection: Connection, root: RootKey) -> tuple[int, bytes]:
    """Look at all of it; the number and the hash of the last entry. StoreError where the chain or its end is broken."""
    number, last = 0, FIRST
    for entry in entries(connection):
        number, last = entry.number, entry.hash
    head = connection.execute(sql.select(realm)).one()
    if (head.audit_number, head.audit_hash) != (number, last):
        raise StoreError(f"audit log: it ends with entry {number}, and the realm knows of {head.audit_number}")
    if head_mac(root, head.id, number, last) != head.audit_mac:
        raise StoreError(f"audit log: the root key does not vouch for its end, entry {number}")
    return number, last
