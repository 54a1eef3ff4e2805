"""What goes on in groups (floor 11): sessions that senders report, for those who join late, and who holds which key.

None of it is a change of the realm, and none stands in the audit log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from .tables import members, memberships, sessions


@dataclass(frozen=True, slots=True)
class Report:
    """A session of a sender: numbers below `sequence` are used up. `attested`: it signs what it sends."""

    group_id: int
    member_id: int
    session: bytes
    spi: int
    sequence: int
    attested: bool


@dataclass(frozen=True, slots=True)
class Live:
    """A session that was reported, and whose it is; `origin` is the sender's key if it signs, and else empty."""

    session: bytes
    spi: int
    sequence: int
    origin: bytes


def report(connection: Connection, reports: Iterable[Report], now: int) -> None:
    """Enter what senders said; a sequence number never goes back. A member that has left meanwhile is passed over."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(sessions)
    newest = sql.case(
        (sessions.c.sequence > insert.excluded.sequence, sessions.c.sequence), else_=insert.excluded.sequence
    )
    entered = insert.on_conflict_do_update(
        index_elements=["group_id", "member_id", "session"], set_={"sequence": newest, "reported": now}
    )
    there = {tuple(row) for row in connection.execute(sql.select(memberships.c.group_id, memberships.c.member_id))}
    rows = [
        {
            "group_id": one.group_id,
            "member_id": one.member_id,
            "session": one.session,
            "spi": one.spi,
            "sequence": one.sequence,
            "attested": one.attested,
            "reported": now,
        }
        for one in reports
        if (one.group_id, one.member_id) in there
    ]
    if rows:
        connection.execute(entered, rows)


def live(connection: Connection, group_id: int) -> list[Live]:
    """The sessions of a group that were reported and have not been forgotten, the oldest first."""
    chosen = (
        sql.select(sessions, members.c.key)
        .join(members)
        .where(sessions.c.group_id == group_id)
        .order_by(sessions.c.session)
    )
    return [
        Live(row.session, row.spi, row.sequence, row.key if row.attested else b"") for row in connection.execute(chosen)
    ]


def forget(connection: Connection, before: int) -> int:
    """Forget sessions that were not heard of since then; how many."""
    return connection.execute(sessions.delete().where(sessions.c.reported < before)).rowcount


def note_held(connection: Connection, held: Iterable[tuple[int, int, int]]) -> None:
    """Enter which epoch members have fetched: (group, member, epoch)."""
    rows = [{"g": group, "m": member, "e": epoch} for group, member, epoch in held]
    if rows:
        here = (memberships.c.group_id == sql.bindparam("g")) & (memberships.c.member_id == sql.bindparam("m"))
        connection.execute(memberships.update().where(here).values(held=sql.bindparam("e")), rows)
