"""The first form of a realm's database (floor 11)."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "v0001"
down_revision = None

_BIG = sql.BigInteger().with_variant(sql.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "realm",
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column("id", sql.LargeBinary(16), nullable=False),
        sql.Column("created", _BIG, nullable=False),
        sql.Column("public", sql.LargeBinary(32), nullable=False),
        sql.Column("sealed_seed", sql.LargeBinary, nullable=False),
        sql.Column("audit_number", _BIG, nullable=False),
        sql.Column("audit_hash", sql.LargeBinary(32), nullable=False),
        sql.Column("audit_mac", sql.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "members",
        sql.Column("id", _BIG, primary_key=True),
        sql.Column("key", sql.LargeBinary(32), nullable=False, unique=True),
        sql.Column("fingerprint", sql.String(55), nullable=False, unique=True),
        sql.Column("name", sql.String(255), nullable=False, unique=True),
        sql.Column("admin", sql.Boolean, nullable=False),
        sql.Column("registered", _BIG, nullable=False),
        sql.Column("revoked", _BIG, nullable=True),
    )
    op.create_table(
        "groups",
        sql.Column("id", _BIG, primary_key=True),
        sql.Column("name", sql.String(255), nullable=False, unique=True),
        sql.Column("created", _BIG, nullable=False),
        sql.Column("policy", sql.Text, nullable=False),
        sql.Column("epoch", _BIG, nullable=False),
        sql.Column("rekey_at", _BIG, nullable=False),
    )
    op.create_table(
        "memberships",
        sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
        sql.Column("member_id", _BIG, sql.ForeignKey("members.id"), primary_key=True),
        sql.Column("roles", sql.Integer, nullable=False),
        sql.Column("publish", sql.Text, nullable=False),
        sql.Column("read", sql.Text, nullable=False),
        sql.Column("added", _BIG, nullable=False),
        sql.Column("held", _BIG, nullable=False),
    )
    op.create_table(
        "epochs",
        sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
        sql.Column("epoch", _BIG, primary_key=True),
        sql.Column("spi", _BIG, nullable=False, unique=True),
        sql.Column("sealed_secret", sql.LargeBinary, nullable=False),
        sql.Column("created", _BIG, nullable=False),
        sql.Column("send_from", _BIG, nullable=False),
        sql.Column("accept_until", _BIG, nullable=False),
    )
    op.create_table(
        "sessions",
        sql.Column("group_id", _BIG, sql.ForeignKey("groups.id"), primary_key=True),
        sql.Column("member_id", _BIG, sql.ForeignKey("members.id"), primary_key=True),
        sql.Column("session", sql.LargeBinary(12), primary_key=True),
        sql.Column("spi", _BIG, nullable=False),
        sql.Column("sequence", _BIG, nullable=False),
        sql.Column("attested", sql.Boolean, nullable=False),
        sql.Column("reported", _BIG, nullable=False),
    )
    op.create_table(
        "tokens",
        sql.Column("hash", sql.LargeBinary(32), primary_key=True),
        sql.Column("name", sql.String(255), nullable=False),
        sql.Column("admin", sql.Boolean, nullable=False),
        sql.Column("grants", sql.Text, nullable=False),
        sql.Column("expires", _BIG, nullable=False),
        sql.Column("used_by", sql.LargeBinary(32), nullable=True),
    )
    op.create_table(
        "answers",
        sql.Column("member", sql.LargeBinary(32), primary_key=True),
        sql.Column("request", sql.LargeBinary(16), primary_key=True),
        sql.Column("answered", _BIG, nullable=False),
        sql.Column("sealed_answer", sql.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit",
        sql.Column("number", _BIG, primary_key=True),
        sql.Column("entry", sql.Text, nullable=False),
        sql.Column("hash", sql.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_memberships_member_id", "memberships", ["member_id"])
    op.create_index("ix_sessions_member_id", "sessions", ["member_id"])
    op.create_index("ix_answers_answered", "answers", ["answered"])
