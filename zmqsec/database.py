"""A database of a service (floor 8): SQLite or PostgreSQL by a URL of SQLAlchemy, set up so that writers queue."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine

from .errors import ConfigError

BUSY_MS = 5000


def make_engine(url: str, *, synchronous: str = "NORMAL") -> Engine:
    """An engine whose SQLite writes ahead, overwrites what is deleted, and begins each transaction as a writer's.

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
            assert isinstance(connection, sqlite3.Connection)
            connection.isolation_level = None  # _begin says when a transaction begins
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            _write_ahead(connection)
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("PRAGMA secure_delete=ON")

        @sql.event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # Two writers queue, instead of failing half-way.
            reads = connection.get_execution_options().get("zmqsec_reads", False)
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Where two make a file write ahead at once, SQLite refuses one at once: its busy handler would wait for ever."""
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    try:
        return sql.engine.make_url(url).render_as_string(hide_password=True)
    except sql.exc.ArgumentError:
        return "URL"
