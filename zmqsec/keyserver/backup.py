"""Backup and restore of a realm (floor 11): one file of JSON lines, the same for SQLite and PostgreSQL.

The first line names the realm and the form of its tables, one line follows for each row, and the last line is a MAC of
the root key over all before it. Secrets stand in it as in the database, sealed: without the root key it opens nothing.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from .. import sodium
from . import audit, epochs
from .errors import Conflict, StoreError
from .realm import SERVER, Change, Realm, View
from .rootkey import RootKey
from .store import Store
from .tables import epochs as epoch_table
from .tables import groups, metadata, realm, sessions

_FORM = "zmqsec realm 1"
#: In the order in which they can be entered; neither live sessions nor answers are worth keeping.
_TABLES = [table for table in metadata.sorted_tables if table.name not in ("sessions", "answers")]


def save(opened: Realm, root: RootKey, target: Path, now: int) -> int:
    """Write a backup of one moment, mode 0600, whole or not at all; how many rows."""
    if os.path.lexists(target):
        raise Conflict(f"{target} exists already; a backup does not replace another one")
    count, digest = 0, audit.FIRST
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file, opened.view(now) as view:
                for line in _lines(view, opened.id, now):
                    file.write(line)
                    digest = _follow(digest, line)
                    count += 1
                file.write(json.dumps({"mac": root.mac(b"backup" + digest).hex()}).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, target)
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}; there is no backup now") from error
    return count - 1


def restore(store: Store, root: RootKey, source: Path, now: int) -> Realm:
    """Fill an empty database from a backup; then every group gets a new epoch, whose number no member has seen yet.

    Who was revoked after the backup is a member again, and has to be revoked again.
    """
    lines = _checked(root, source)
    with store.change() as connection:
        if connection.execute(sql.select(realm.c.number)).first() is not None:
            raise Conflict("the database holds a realm already; a backup is restored into an empty one")
        tables = {table.name: table for table in _TABLES}
        for line in lines[1:]:
            said = json.loads(line)
            table = tables[said["table"]]
            connection.execute(table.insert().values(**_row(table, said["row"])))
        _follow_sequences(connection)
        change = Change(connection, root, now, SERVER)
        number, _ = audit.verify(connection, root)
        change.log("realm.restore", entries=number, saved=json.loads(lines[0])["saved"])
        for group in connection.execute(sql.select(groups).order_by(groups.c.id)).all():
            beyond = max(group.epoch, now)  # numbers that were given out after the backup are below
            connection.execute(groups.update().where(groups.c.id == group.id).values(epoch=beyond))
            epochs.begin(change, group.id, "restore", urgent=True)
            old = (epoch_table.c.group_id == group.id) & (epoch_table.c.epoch <= beyond)
            connection.execute(epoch_table.delete().where(old))
        connection.execute(sessions.delete())
    return Realm(store, root)


def _lines(view: View, realm_id: bytes, now: int) -> Any:
    yield json.dumps({"form": _FORM, "realm": realm_id.hex(), "saved": now}).encode() + b"\n"
    for table in _TABLES:
        for row in view.connection.execute(sql.select(table), execution_options={"yield_per": 1000}):
            plain = {key: _plain(value) for key, value in row._mapping.items()}
            yield json.dumps({"table": table.name, "row": plain}).encode() + b"\n"


def _follow(digest: bytes, line: bytes) -> bytes:
    return sodium.hash_unkeyed(b"zmqsec.backup", digest + line)


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def _row(table: sql.Table, plain: dict[str, Any]) -> dict[str, Any]:
    return {
        key: base64.b64decode(value) if isinstance(table.c[key].type, sql.LargeBinary) and value is not None else value
        for key, value in plain.items()
    }


def _checked(root: RootKey, source: Path) -> list[bytes]:
    """All lines but the last, which must vouch for them."""
    try:
        lines = source.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise StoreError(f"cannot read {source}: {error.strerror}") from error
    try:
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        form, mac = first["form"], bytes.fromhex(last["mac"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise StoreError(f"{source} is no backup of a realm, or its end is missing") from None
    digest = functools.reduce(_follow, lines[:-1], audit.FIRST)
    if form != _FORM:
        raise StoreError(f"{source} is of the form {form!r}; {_FORM!r} can be restored")
    if not hmac.compare_digest(mac, root.mac(b"backup" + digest)):
        raise StoreError(f"{source}: the root key does not vouch for it; it was changed, or is another realm's")
    return lines[:-1]


def _follow_sequences(connection: sql.engine.Connection) -> None:
    """PostgreSQL counts rows by itself, and has not seen these."""
    if connection.dialect.name != "postgresql":
        return
    for name in ("members", "groups"):
        highest = f"COALESCE((SELECT max(id) FROM {name}), 0) + 1"
        connection.execute(sql.text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {highest})"))
