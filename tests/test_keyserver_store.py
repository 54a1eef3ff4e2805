"""The database of a key server when things go wrong, its root key, and its backups."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sql
from realm_helpers import NOW, ROOT, doing, new_realm, operations, seeing, sqlite_url, weather

from zmqsec.errors import KeyFileError
from zmqsec.keyserver import backup, epochs, groups, members
from zmqsec.keyserver.errors import Conflict, Invalid, StoreError, Unknown
from zmqsec.keyserver.policy import Policy
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.rootkey import RootKey
from zmqsec.keyserver.store import Store

_FILLS_UP = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from realm_helpers import ROOT, doing, sqlite_url
from zmqsec.keyserver import groups
from zmqsec.keyserver.errors import StoreError
from zmqsec.keyserver.policy import Policy
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.store import Store
import pathlib, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
realm = Realm(Store(sqlite_url(pathlib.Path(sys.argv[1]))), ROOT)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))
done = 0
try:
    while True:
        doing(realm, groups.create, f"group {done}", Policy())
        done += 1
except StoreError as error:
    print(done, error)
"""


def test_disk_that_is_full_is_named_and_nothing_is_half_written(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)

    with (
        pytest.raises(StoreError, match="the disk is full; nothing of this change was kept"),
        realm.change("tests", NOW) as change,
    ):
        pages = change.connection.execute(sql.text("PRAGMA page_count")).scalar_one()
        change.connection.execute(sql.text(f"PRAGMA max_page_count = {pages + 2}"))
        for number in range(10_000):
            groups.create(change, f"group {number}", Policy())
    realm.close()
    again = Realm(Store(sqlite_url(tmp_path)), ROOT)
    assert [group.name for group in seeing(again, groups.every)] == ["weather"]
    assert again.verify()[0] == again.revision()
    again.close()


def test_disk_that_takes_no_more_keeps_all_that_was_told_done(tmp_path: Path) -> None:
    new_realm(sqlite_url(tmp_path)).close()
    child = [sys.executable, "-c", _FILLS_UP, str(tmp_path), str(Path(__file__).parent)]
    said = subprocess.run(child, capture_output=True, text=True, timeout=60, check=True).stdout
    done, _, told = said.partition(" ")
    assert "nothing of this change was kept" in told
    again = Realm(Store(sqlite_url(tmp_path)), ROOT)
    assert len(seeing(again, groups.every)) == int(done) > 0
    assert again.verify()[0] == again.revision()
    again.close()


@pytest.mark.parametrize(
    ("at", "text"),
    ((0, "the file is no database, or a damaged one"), (4096, "the database is damaged"), (-4096, "damaged")),
)
def test_damaged_database_is_told_and_not_used(tmp_path: Path, at: int, text: str) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    realm.close()
    path = tmp_path / "realm.db"
    raw = bytearray(path.read_bytes())
    raw[at : at + 2048 if at >= 0 else None] = os.urandom(len(raw[at : at + 2048 if at >= 0 else None]))
    path.write_bytes(raw)
    for left in tmp_path.glob("realm.db-*"):
        left.unlink()
    with pytest.raises(StoreError, match=text):
        Store(sqlite_url(tmp_path))


def test_damage_that_comes_while_it_runs_is_told(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    with realm.store.view() as connection:
        connection.rollback()
    with realm.store.change() as connection:
        connection.execute(sql.text("DROP TABLE epochs"))
    with pytest.raises(StoreError, match="no such table: epochs"):
        doing(realm, groups.create, "a", Policy())
    assert seeing(realm, groups.every) == []


@pytest.mark.parametrize(
    ("url", "text"),
    (
        ("sqlite:////nowhere/at/all/realm.db", "the file cannot be opened"),
        ("mysql://x/y", "sqlite or postgresql is allowed|No module named"),
        ("nonsense", "URL: "),
        ("postgresql+psycopg://u:geheim@127.0.0.1:1/x?connect_timeout=2", r"u:\*\*\*@127.0.0.1"),
    ),
)
def test_database_that_is_not_there_is_named(url: str, text: str) -> None:
    from zmqsec.errors import ZmqsecError

    with pytest.raises(ZmqsecError, match=text) as raised:
        Store(url)
    assert "geheim" not in str(raised.value)


def test_database_without_a_realm_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="holds no realm yet; zmqsec keyserver init makes one"):
        Realm(Store(sqlite_url(tmp_path)), ROOT)


def test_database_holds_no_secret_in_clear(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    secrets = [one.secret for one in seeing(realm, epochs.held, 1)]
    seed = realm._root.open(_column(realm, "SELECT sealed_seed FROM realm"), "realm", realm.id, "seed")
    realm.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert all(secret not in raw and secret.hex().encode() not in raw for secret in [*secrets, seed])


def test_secret_that_was_moved_to_another_row_is_not_opened(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    doing(realm, groups.create, "news", Policy())
    with realm.store.change() as connection:
        moved = "UPDATE epochs SET sealed_secret = (SELECT sealed_secret FROM epochs WHERE group_id = 1)"
        connection.execute(sql.text(moved))
    assert len(seeing(realm, epochs.held, 1)) == 1
    with pytest.raises(StoreError, match=r"epochs.secret: not sealed under this root key for this place"):
        seeing(realm, epochs.held, 2)


def _column(realm: Realm, statement: str) -> bytes:
    with realm.store.view() as connection:
        return bytes(connection.execute(sql.text(statement)).scalar_one())


# -- the root key ------------------------------------------------------------------------------------------------------


def test_root_key_comes_from_a_file_or_a_command(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    made = RootKey.create(path)
    sealed = made.seal(b"secret", "t", "r", "c")
    for again in (RootKey.from_file(path), RootKey.from_command(["cat", str(path)])):
        assert again.open(sealed, "t", "r", "c") == b"secret"
    with pytest.raises(KeyFileError, match="exists already"):
        RootKey.create(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="has mode 0644"):
        RootKey.from_file(path)


@pytest.mark.parametrize(
    ("command", "text"),
    (
        (["false"], "does not give it"),
        (["/nowhere/vault"], "does not give it"),
        (["echo", "zz"], "what echo prints: no root key"),
        (["echo", "00" * 32], "not all of them zero"),
    ),
)
def test_root_key_that_is_none_is_refused(command: list[str], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        RootKey.from_command(command)


def test_root_key_is_not_shown() -> None:
    assert "0102" not in repr(ROOT) and copy.copy(ROOT) is ROOT and copy.deepcopy(ROOT) is ROOT
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ROOT)


# -- backup ------------------------------------------------------------------------------------------------------------


def test_backup_brings_all_of_it_back_with_new_keys(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    saved = tmp_path / "realm.backup"
    backup.save(realm, ROOT, saved, NOW)
    assert saved.stat().st_mode & 0o777 == 0o600
    doing(realm, members.revoke, "bob", now=NOW + 10)
    later = tmp_path / "later"
    later.mkdir()
    again = backup.restore(Store(sqlite_url(later)), ROOT, saved, NOW + 20)
    assert again.identity == realm.identity
    assert [one.name for one in seeing(again, members.every)] == ["alice", "bob", "ops"]
    assert seeing(again, members.find, "bob").revoked is None
    assert operations(again)[-2:] == ["realm.restore", "group.rekey"]
    assert again.verify()[0] == again.revision()
    (new,) = seeing(again, epochs.held, 1, now=NOW + 20)
    old = {one.secret for one in seeing(realm, epochs.held, 1)}
    assert new.secret not in old and new.epoch > NOW  # members know all numbers that were given out before
    realm.close()
    again.close()


def test_backup_is_restored_into_an_empty_database_only(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    saved = tmp_path / "realm.backup"
    backup.save(realm, ROOT, saved, NOW)
    with pytest.raises(Conflict, match="holds a realm already"):
        backup.restore(realm.store, ROOT, saved, NOW)
    with pytest.raises(Conflict, match="exists already"):
        backup.save(realm, ROOT, saved, NOW)
    with pytest.raises(StoreError, match=r"cannot write .*there is no backup now"):
        backup.save(realm, ROOT, tmp_path / "nowhere" / "x", NOW)
    realm.close()


@pytest.mark.parametrize(
    ("change", "text"),
    (
        (lambda raw: raw[: len(raw) // 2], "is no backup of a realm, or its end is missing"),
        (lambda raw: b"", "is no backup of a realm"),
        (lambda raw: b"[]\n", "is no backup of a realm"),
        (lambda raw: raw.replace(b'"alice"', b'"mallo"'), "the root key does not vouch for it"),
        (lambda raw: b"".join(raw.splitlines(True)[:3] + raw.splitlines(True)[4:]), "does not vouch for it"),
        (lambda raw: raw.replace(b"zmqsec realm 1", b"zmqsec realm 9"), "'zmqsec realm 1' can be restored"),
    ),
)
def test_backup_that_was_changed_is_refused_whole(tmp_path: Path, change: object, text: str) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    saved = tmp_path / "realm.backup"
    backup.save(realm, ROOT, saved, NOW)
    realm.close()
    saved.write_bytes(change(saved.read_bytes()))  # type: ignore[operator]
    later = tmp_path / "later"
    later.mkdir()
    store = Store(sqlite_url(later))
    with pytest.raises(StoreError, match=text):
        backup.restore(store, ROOT, saved, NOW)
    with pytest.raises(Unknown):
        Realm(store, ROOT)
    store.close()


def test_backup_of_another_root_key_is_refused(tmp_path: Path) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    saved = tmp_path / "realm.backup"
    backup.save(realm, ROOT, saved, NOW)
    with pytest.raises(StoreError, match="does not vouch for it; it was changed, or is another realm's"):
        backup.restore(realm.store, RootKey(bytes(range(5, 37))), saved, NOW)
    assert json.loads(saved.read_text().splitlines()[0])["form"] == "zmqsec realm 1"
    realm.close()
