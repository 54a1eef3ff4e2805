"""Epochs (floor 11): the keys of a group, one after the other, each with its SPI and its times.

A new epoch is sealed with from `send_from` on, when it is widely held; the ones before are opened until their
`accept_until`. Without another one it ends at its own. What has ended is deleted: nobody can give it out any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sql

from .. import limits, sodium
from .errors import StoreError, Unknown
from .policy import Policy
from .realm import Change, View
from .tables import epochs, groups

_DRAWS = 1000
_MAX_SPI = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, repr=False)
class Epoch:
    """One key of a group. Times are unix seconds of the server's clock."""

    epoch: int
    spi: int
    secret: bytes
    created: int
    send_from: int
    accept_until: int

    def __repr__(self) -> str:
        return f"Epoch({self.epoch}, spi={self.spi:#010x}, secret=<hidden>)"


def row_key(group_id: int, epoch: int) -> str:
    """What the secret of an epoch is bound to."""
    return f"{group_id}.{epoch}"


def begin(change: Change, group_id: int, why: str, *, urgent: bool = False) -> int:
    """Make the group's next epoch; its number. Two servers that do so take turns at the realm's row."""
    group = change.connection.execute(sql.select(groups).where(groups.c.id == group_id).with_for_update()).one()
    policy = Policy.from_text(group.policy)
    number: int = group.epoch + 1
    spread, overlap = (policy.urgent_spread, policy.urgent_overlap) if urgent else (policy.spread, policy.overlap)
    # The second that `now` names has begun already: members have all of the spread, and up to one second more.
    send_from = change.now + (spread + 1 if group.epoch else 0)
    secret = sodium.random_bytes(limits.KEY_BYTES)
    change.connection.execute(
        epochs.insert().values(
            group_id=group_id,
            epoch=number,
            spi=_draw_spi(change),
            sealed_secret=change.root.seal(secret, "epochs", row_key(group_id, number), "secret"),
            created=change.now,
            send_from=send_from,
            accept_until=send_from + policy.reject_after,
        )
    )
    older = (epochs.c.group_id == group_id) & (epochs.c.epoch < number) & (epochs.c.accept_until > send_from + overlap)
    change.connection.execute(epochs.update().where(older).values(accept_until=send_from + overlap))
    change.connection.execute(
        groups.update().where(groups.c.id == group_id).values(epoch=number, rekey_at=send_from + policy.lifetime)
    )
    change.log("group.rekey", group=group.name, epoch=number, why=why)
    return number


def held(view: View, group_id: int) -> list[Epoch]:
    """The epochs that open now or will, the oldest first, with their secrets."""
    rows = view.connection.execute(
        sql.select(epochs)
        .where(epochs.c.group_id == group_id, epochs.c.accept_until > view.now)
        .order_by(epochs.c.epoch)
    )
    return [
        Epoch(
            row.epoch,
            row.spi,
            view.root.open(row.sealed_secret, "epochs", row_key(group_id, row.epoch), "secret"),
            row.created,
            row.send_from,
            row.accept_until,
        )
        for row in rows
    ]


def is_due(policy: Policy, rekey_at: int, now: int) -> bool:
    """Whether a group's key is to change: its time has come, or the clock has gone back before the key's beginning."""
    return now >= rekey_at or rekey_at - now > policy.lifetime + policy.spread + 1


def due(change: Change) -> list[str]:
    """Change the keys whose time has come, and delete what has ended; the names of the groups with a new one."""
    names = []
    for group in change.connection.execute(sql.select(groups).order_by(groups.c.id)).all():
        if is_due(Policy.from_text(group.policy), group.rekey_at, change.now):
            begin(change, group.id, "schedule")
            names.append(group.name)
    change.connection.execute(epochs.delete().where(epochs.c.accept_until <= change.now))
    return names


def anything_due(view: View) -> bool:
    """Whether `due` has something to do."""
    ended = sql.select(sql.func.count()).select_from(epochs).where(epochs.c.accept_until <= view.now)
    if view.connection.execute(ended).scalar_one():
        return True
    rows = view.connection.execute(sql.select(groups.c.policy, groups.c.rekey_at)).all()
    return any(is_due(Policy.from_text(row.policy), row.rekey_at, view.now) for row in rows)


def group_id_of(view: View, name: str) -> int:
    """The number of the group of that name; Unknown if there is none."""
    found = view.connection.execute(sql.select(groups.c.id).where(groups.c.name == name)).scalar_one_or_none()
    if found is None:
        raise Unknown(f"no group {name!r} in this realm; zmqsec group list shows all")
    return int(found)


def _draw_spi(change: Change) -> int:
    for _ in range(_DRAWS):
        spi = int.from_bytes(sodium.random_bytes(4), "little")
        taken = change.connection.execute(sql.select(epochs.c.spi).where(epochs.c.spi == spi)).first()
        if 0 < spi <= _MAX_SPI and taken is None:
            return spi
    raise StoreError(f"{_DRAWS} SPIs drawn at random are all taken")
