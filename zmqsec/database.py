"""A database of a service (floor 8): SQLite or PostgreSQL by a URL of SQLAlchemy, set up so that writers queue."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine

from .errors import ConfigError

BUSY_MS = 5000


def make_engine(url: str, *, synchronous: str = "NORMAL") -> Engine:
    """An engine whose SQLite writes ahead, keeps foreign keys, and begins each transaction as a writer's.

    `synchronous` is SQLite's: with ``"FULL"`` what was committed outlives a power cut, with ``"NORMAL"`` the last
    transactions may not, and the database is whole in either case.
    """
    options: dict[str, Any] = {"pool_pre_ping": True}
    if sql.engine.make_url(url).database in (None, "", ":memory:") and url.startswith("sqlite"):
        # SQLAlchemy gives each thread a database of its own there; all are to see one, and take turns at it.
        options |= {"poolclass": sql.QueuePool, "pool_size": 1, "max_overflow": 0}
        options["connect_args"] = {"check_same_thread": False}
    engine = sql.create_engine(url, **options)
    if engine.dialect.name not in ("sqlite", "postgresql"):
        raise ConfigError(f"database {engine.dialect.name!r}: sqlite or postgresql is allowed")
    if engine.dialect.name == "sqlite":

        @sql.event.listens_for(engine, "connect")
        def _prepare(connection: object, _record: object) -> None:
            connection.isolation_level = None  # type: ignore[attr-defined]  # _begin says when a transaction begins
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.close()

        @sql.event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # Two writers queue, instead of failing half-way.
            reads = connection.get_execution_options().get("zmqsec_reads", False)
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    try:
        return sql.engine.make_url(url).render_as_string(hide_password=True)
    except sql.exc.ArgumentError:
        return "URL"
