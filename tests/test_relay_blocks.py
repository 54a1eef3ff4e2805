"""The block list of relays: whose word counts, what survives a restart, and one list for several relays."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres import postgres

from zmqsec import Identity
from zmqsec.errors import ConfigError, ZmqsecError
from zmqsec.identity import fingerprint_text
from zmqsec.relay.blocks import BlockList, BlockStore, Entry

NOW = 1_700_000_000.0
ALICE = fingerprint_text(Identity.from_seed(bytes(range(32))).public.fingerprint)


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/blocks.db"
    found: str = request.getfixturevalue("postgres_url")
    store = BlockStore(found)
    for entry in store.entries():
        store.remove(entry.kind, entry.value)
    store.close()
    return found


def test_blocks_are_there_after_a_restart(url: str) -> None:
    store = BlockStore(url)
    kept = [
        store.put(Entry("address", "192.0.2.1", since=NOW, author="ops", note="floods")),
        store.put(Entry("identity", ALICE, since=NOW + 1, until=NOW + 60, origin="relay")),
        store.put(Entry("network", "198.51.100.7/24", since=NOW + 2)),
        store.put(Entry("routing-id", "00FF", since=NOW + 3)),
    ]
    store.close()
    again = BlockStore(url)
    assert again.entries() == kept
    assert [entry.value for entry in kept] == ["192.0.2.1", ALICE, "198.51.100.0/24", "00ff"]
    again.close()


def test_blocks_of_one_peer_are_one_line_for_each_origin(url: str) -> None:
    store = BlockStore(url)
    store.put(Entry("address", "192.0.2.1", since=NOW))
    store.put(Entry("address", "::ffff:192.0.2.1", since=NOW, note="the same"))
    store.put(Entry("address", "192.0.2.1", since=NOW, origin="relay"))
    assert [(one.origin, one.note) for one in store.entries()] in (
        [("operator", "the same"), ("relay", "")],
        [("relay", ""), ("operator", "the same")],
    )
    assert store.remove("address", "192.0.2.1", "relay") == 1
    assert store.remove("address", "192.0.2.1") == 1
    assert store.remove("address", "192.0.2.1") == 0 and store.entries() == []
    store.close()


def test_blocks_that_count_no_more_are_struck_out(url: str) -> None:
    store = BlockStore(url)
    store.put(Entry("address", "192.0.2.1", until=NOW))
    store.put(Entry("address", "192.0.2.2", until=NOW + 1))
    store.put(Entry("address", "192.0.2.3"))
    assert store.expire(NOW) == 1
    assert {one.value for one in store.entries()} == {"192.0.2.2", "192.0.2.3"}
    store.close()


def test_blocks_are_shared_by_relays_that_start_and_write_at_once(url: str) -> None:
    failures: list[BaseException] = []

    def relay(number: int) -> None:
        try:
            store = BlockStore(url)
            for i in range(20):
                store.put(Entry("address", f"10.0.{number}.{i}", since=NOW, origin="relay"))
                store.put(Entry("address", "192.0.2.1", since=NOW + i, origin="relay", note=str(number)))
            store.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=relay, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = BlockStore(url)
    assert not failures and len(store.entries()) == 81
    store.close()


def test_blocks_of_a_new_file_are_made_by_many_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def open_at_once(url: str, barrier: threading.Barrier) -> None:
        try:
            barrier.wait()
            BlockStore(url).close()
        except BaseException as error:
            failures.append(error)

    for number in range(50):
        barrier = threading.Barrier(8)
        arguments = (f"sqlite:///{tmp_path}/{number}.db", barrier)
        threads = [threading.Thread(target=open_at_once, args=arguments) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_blocks_in_a_file_that_another_keeps_locked_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmqsec.database.BUSY_MS", 200)
    path = tmp_path / "blocks.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigError, match="database is locked"):
            BlockStore(f"sqlite:///{path}")


def entry(kind: str, value: str, **fields: object) -> Entry:
    return Entry(kind, value, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "blocked"),
    (
        ([], False),
        ([entry("address", "192.0.2.1")], True),
        ([entry("address", "192.0.2.2")], False),
        ([entry("address", "192.0.2.1", until=NOW)], False),
        ([entry("network", "192.0.2.0/24")], True),
        ([entry("network", "192.0.2.0/24"), entry("address", "192.0.2.1", decision="allow")], False),
        ([entry("network", "192.0.0.0/16", decision="allow"), entry("network", "192.0.2.0/24")], True),
        ([entry("address", "192.0.2.1", origin="relay"), entry("network", "192.0.2.0/24", decision="allow")], False),
        ([entry("address", "192.0.2.1", decision="allow", until=NOW), entry("network", "192.0.2.0/24")], True),
        ([entry("identity", ALICE)], True),
        ([entry("identity", ALICE, decision="allow"), entry("address", "192.0.2.1")], False),
        ([entry("routing-id", "0141")], True),
        ([entry("routing-id", "0142")], False),
    ),
)
def test_blocks_ruling_is_the_operators_and_the_narrowest(entries: list[Entry], blocked: bool) -> None:
    rules = BlockList(entries)
    for address in ("192.0.2.1", "::ffff:192.0.2.1"):
        assert rules.is_blocked(NOW, address=address, routing_id=b"\x01A", identity=ALICE) is blocked


def test_blocks_of_a_peer_without_an_ip_address_are_by_what_else_is_known() -> None:
    rules = BlockList([entry("network", "0.0.0.0/0"), entry("routing-id", "41")])
    assert rules.is_blocked(NOW, address="/run/peer.ipc", routing_id=b"A")
    assert not rules.is_blocked(NOW, address="/run/peer.ipc")


@pytest.mark.parametrize(
    ("put", "message"),
    (
        (lambda store: store.put(entry("address", "192.0.2.300")), "address '192.0.2.300'"),
        (lambda store: store.put(entry("network", "192.0.2.0/33")), "network '192.0.2.0/33'"),
        (lambda store: store.put(entry("identity", "zs1short")), "'zs1short'"),
        (lambda store: store.put(entry("routing-id", "xyz")), "1 to 255 bytes as hexadecimal digits"),
        (lambda store: store.put(entry("user", "x")), "one of identity, routing-id, address, network is allowed"),
        (lambda store: store.remove("address", "here"), "address 'here'"),
    ),
)
def test_blocks_mistakes_are_told(tmp_path: Path, put: Callable[[BlockStore], object], message: str) -> None:
    store = BlockStore(f"sqlite:///{tmp_path}/blocks.db")
    with pytest.raises(ZmqsecError, match=message):
        put(store)
    assert store.entries() == []
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    (
        ("nonsense", "block list URL: Could not parse"),
        ("mysql://host/db", "mysql"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
    ),
)
def test_blocks_database_that_cannot_be_used_is_named(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BlockStore(url)


def test_blocks_password_of_the_database_is_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        BlockStore("postgresql+psycopg://me:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
