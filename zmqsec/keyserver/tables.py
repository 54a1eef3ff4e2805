"""The tables of a realm (floor 11). Times are unix seconds; what is secret stands sealed (see ``rootkey``)."""

from __future__ import annotations

import sqlalchemy as sql

metadata = sql.MetaData()
_BIG = sql.BigInteger().with_variant(sql.Integer, "sqlite")

#: One row, whose lock makes changes take turns; the head of the audit log stands here, under the root key's MAC.
realm = sql.Table(
    "realm",
    metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("id", sql.LargeBinary(16), nullable=False),
    sql.Column("created", _BIG, nullable=False),
    sql.Column("public", sql.LargeBinary(32), nullable=False),
    sql.Column("sealed_seed", sql.LargeBinary, nullable=False),
    sql.Column("audit_number", _BIG, nullable=False),
    sql.Column("audit_hash", sql.LargeBinary(32), nullable=False),
    sql.Column("audit_mac", sql.LargeBinary(32), nullable=False),
)

members = sql.Table(
    "members",
    metadata,
    sql.Column("id", _BIG, primary_key=True),
    sql.Column("key", sql.LargeBinary(32), nullable=False, unique=True),
    sql.Column("fingerprint", sql.String(55), nullable=False, unique=True),
    sql.Column("name", sql.String(255), nullable=False, unique=True),
    sql.Column("admin", sql.Boolean, nullable=False),
    sql.Column("registered", _BIG, nullable=False),
    sql.Column("revoked", _BIG, nullable=True),
)

groups = sql.Table(
    "groups",
    metadata,
    sql.Column("id", _BIG, primary_key=True),
    sql.Column("name", sql.String(255), nullable=False, unique=True),
    sql.Column("created", _BIG, nullable=False),
    sql.Column("policy", sql.Text, nullable=False),
    sql.Column("epoch", _BIG, nullable=False),
    sql.Column("rekey_at", _BIG, nullable=False),
)

memberships = sql.Table(
    "memberships",
    metadata,
    sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
    sql.Column("member_id", _BIG, sql.ForeignKey("members.id"), primary_key=True, index=True),
    sql.Column("roles", sql.Integer, nullable=False),
    sql.Column("publish", sql.Text, nullable=False),
    sql.Column("read", sql.Text, nullable=False),
    sql.Column("added", _BIG, nullable=False),
    sql.Column("held", _BIG, nullable=False),
)

epochs = sql.Table(
    "epochs",
    metadata,
    sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
    sql.Column("epoch", _BIG, primary_key=True),
    sql.Column("spi", _BIG, nullable=False, unique=True),
    sql.Column("sealed_secret", sql.LargeBinary, nullable=False),
    sql.Column("created", _BIG, nullable=False),
    sql.Column("send_from", _BIG, nullable=False),
    sql.Column("accept_until", _BIG, nullable=False),
)

#: What senders said of themselves, for those who join late: traffic's state, and no change of the realm.
sessions = sql.Table(
    "sessions",
    metadata,
    sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
    sql.Column("member_id", _BIG, sql.ForeignKey("members.id"), primary_key=True, index=True),
    sql.Column("session", sql.LargeBinary(12), primary_key=True),
    sql.Column("spi", _BIG, nullable=False),
    sql.Column("sequence", _BIG, nullable=False),
    sql.Column("attested", sql.Boolean, nullable=False),
    sql.Column("reported", _BIG, nullable=False),
)

tokens = sql.Table(
    "tokens",
    metadata,
    sql.Column("hash", sql.LargeBinary(32), primary_key=True),
    sql.Column("name", sql.String(255), nullable=False),
    sql.Column("admin", sql.Boolean, nullable=False),
    sql.Column("grants", sql.Text, nullable=False),
    sql.Column("expires", _BIG, nullable=False),
    sql.Column("used_by", sql.LargeBinary(32), nullable=True),
)

#: Answers to changes, for a while: a request that comes again gets the same one, and changes nothing.
answers = sql.Table(
    "answers",
    metadata,
    sql.Column("member", sql.LargeBinary(32), primary_key=True),
    sql.Column("request", sql.LargeBinary(16), primary_key=True),
    sql.Column("answered", _BIG, nullable=False, index=True),
    sql.Column("sealed_answer", sql.LargeBinary, nullable=False),
)

audit = sql.Table(
    "audit",
    metadata,
    sql.Column("number", _BIG, primary_key=True),
    sql.Column("entry", sql.Text, nullable=False),
    sql.Column("hash", sql.LargeBinary(32), nullable=False),
)
