"""The store of a realm (floor 11): its database, brought to its newest form, and transactions that hold or do nothing.

A fault of the database becomes a StoreError that says what to do; no half of a transaction is ever kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import sqlalchemy as sql
from sqlalchemy.engine import Connection

from ..database import make_engine, without_password
from .errors import StoreError
from .tables import realm

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('zmqsec_keyserver'))"
#: What the drivers say, and what an operator is to make of it.
_MEANINGS = (
    ("disk is full", "the disk is full; nothing of this change was kept. Make room and try again"),
    ("No space left", "the disk is full; nothing of this change was kept. Make room and try again"),
    ("malformed", "the database is damaged; stop, keep the file for inspection, and restore a backup"),
    ("not a database", "the file is no database, or a damaged one; restore a backup"),
    ("disk I/O error", "the disk cannot be read or written; nothing of this change was kept"),
    ("readonly database", "the database may not be written; look at its owner, its mode and its folder"),
    ("is locked", "another process holds the database for too long"),
    ("unable to open", "the file cannot be opened; look at its folder and its mode"),
)
_make_one = threading.Lock()  # Alembic's context is the process's own


class Store:
    """A database at a URL of SQLAlchemy, ``sqlite:///path`` or ``postgresql+psycopg://…``; any thread may use it."""

    def __init__(self, url: str) -> None:
        self._shown = without_password(url)
        with self._telling():
            self._engine = make_engine(url, synchronous="FULL")
        try:
            with self._telling(), _make_one:
                self._check()
                self._upgrade()
        except BaseException:
            self._engine.dispose()
            raise

    def _check(self) -> None:
        if self._engine.dialect.name != "sqlite":
            return
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise StoreError(f"{self._shown}: the database is damaged ({found}); restore a backup")

    def _upgrade(self) -> None:
        settings = alembic.config.Config()
        settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        newest = alembic.script.ScriptDirectory.from_config(settings).get_current_head()
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sql.text(_LOCK))  # two servers that start at once make one set of tables
            there = alembic.runtime.migration.MigrationContext.configure(connection).get_current_revision()
            if there == newest:
                return
            settings.attributes["connection"] = connection
            try:
                alembic.command.upgrade(settings, "head")
            except alembic.util.CommandError as error:
                raise StoreError(f"{self._shown}: of a form that this version does not know ({error})") from error

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """One transaction that writes; it waits for others, and is undone whole if anything raises."""
        with self._telling(), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sql.select(realm.c.number).with_for_update())
            yield connection

    @contextmanager
    def view(self) -> Iterator[Connection]:
        """One transaction that reads: everything in it is of one moment."""
        with self._telling(), self._engine.connect() as connection:
            reading = {"zmqsec_reads": True}
            if connection.dialect.name == "postgresql":
                reading["isolation_level"] = "REPEATABLE READ"  # type: ignore[assignment]
            yield connection.execution_options(**reading)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sql.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"{self._shown}: {_meaning(error)}") from error

    @property
    def dialect(self) -> str:
        """``"sqlite"`` or ``"postgresql"``."""
        return self._engine.dialect.name

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _meaning(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0] if str(error) else type(error).__name__
    return next((f"{meaning} ({said})" for part, meaning in _MEANINGS if part in said), said)
