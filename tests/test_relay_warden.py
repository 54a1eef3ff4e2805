"""The warden: refusals become blocks that survive, an operator overrules them, and nobody is framed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zmqsec import Identity
from zmqsec.errors import ConfigError
from zmqsec.identity import fingerprint_text
from zmqsec.relay.blocks import BlockStore, Entry
from zmqsec.relay.peers import Ledger, Observation, Thresholds
from zmqsec.relay.warden import Warden

ALICE = Identity.from_seed(bytes(range(32))).public
ALICE_NAME = fingerprint_text(ALICE.fingerprint)
LIMITS = Thresholds(warn=10, throttle=50, block=100, half_life=10, block_seconds=60)
ROGUE, HONEST = "192.0.2.1", "198.51.100.7"


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/blocks.db"


@pytest.fixture
def warden(url: str, clock: Clock, events: list[dict[str, Any]]) -> Iterator[Warden]:
    made = Warden(BlockStore(url), Ledger(LIMITS), clock=clock, watch=events.append)
    yield made
    made.store.close()


def flood(address: str = ROGUE, **others: Any) -> list[Observation]:
    return [Observation(address, refused={"forged": 20}, **others)]


def test_warden_blocks_a_rogue_address_for_a_time(warden: Warden, clock: Clock, events: list[dict[str, Any]]) -> None:
    before = warden.version
    warden.observe(flood())
    assert warden.is_blocked(ROGUE) and not warden.is_blocked(HONEST) and warden.version == before + 1
    assert [(one["event"], one["value"]) for one in events] == [("blocked", ROGUE)]
    assert warden.lines()[0]["note"] == "forged 20" and warden.lines()[0]["origin"] == "relay"
    clock.now += 61
    assert not warden.is_blocked(ROGUE)
    assert warden.refresh() and warden.lines() == []


def test_warden_block_survives_a_restart_and_reaches_another_relay(warden: Warden, url: str, clock: Clock) -> None:
    other = Warden(BlockStore(url), Ledger(LIMITS), clock=clock)
    warden.observe(flood())
    assert not other.is_blocked(ROGUE)
    clock.now += 1
    assert other.refresh() and other.is_blocked(ROGUE)
    other.store.close()
    again = Warden(BlockStore(url), Ledger(LIMITS), clock=clock)
    assert again.is_blocked(ROGUE)
    again.store.close()


def test_warden_operator_overrules_what_the_relay_found(warden: Warden) -> None:
    warden.observe(flood())
    warden.allow("address", ROGUE, author="ops")
    assert not warden.is_blocked(ROGUE)
    warden.observe(flood())
    assert not warden.is_blocked(ROGUE), "also what it finds later"
    warden.block("network", "192.0.2.0/24", author="ops")
    assert not warden.is_blocked(ROGUE) and warden.is_blocked("192.0.2.2"), "the narrower line counts"


def test_warden_unblocked_peer_begins_anew(warden: Warden) -> None:
    warden.observe(flood())
    assert warden.unblock("address", ROGUE, author="ops") == 1
    assert not warden.is_blocked(ROGUE) and warden.listing()[0]["score"] == 0
    assert warden.unblock("address", ROGUE, author="ops") == 0


def test_warden_operators_block_for_a_time_ends(warden: Warden, clock: Clock) -> None:
    entry = warden.block("identity", ALICE_NAME, seconds=5, author="ops", note="told so")
    assert (entry.until, entry.author, entry.note) == (clock.now + 5, "ops", "told so")
    assert warden.is_blocked(HONEST, identity=ALICE.key) and not warden.is_blocked(HONEST)
    clock.now += 5
    assert not warden.is_blocked(HONEST, identity=ALICE.key)


def test_warden_lets_nobody_be_framed(warden: Warden) -> None:
    """A thousand forgeries in Alice's name over another connection: that connection is blocked, and she is not."""
    warden.observe([Observation(HONEST, identity=ALICE.key.hex(), forwarded=10)])
    for _ in range(50):
        warden.observe(flood(routing_id=b"alice"))
    assert warden.is_blocked(ROGUE)
    assert not warden.is_blocked(HONEST, b"alice", ALICE.key)
    assert warden.show("identity", ALICE_NAME)["peers"][0]["score"] == 0


def test_warden_blocks_an_identity_for_what_it_signed(warden: Warden) -> None:
    warden.observe([Observation(HONEST, identity=ALICE.key.hex(), signed_refused={"not-permitted": 100})])
    assert warden.is_blocked("203.0.113.1", identity=ALICE.key) and not warden.is_blocked(HONEST)
    assert warden.lines()[0]["value"] == ALICE_NAME


def test_warden_shows_one_peer_or_a_network(warden: Warden) -> None:
    warden.observe([*flood(routing_id=b"A"), Observation("192.0.2.9", forwarded=3)])
    assert [one["value"] for one in warden.show("network", "192.0.2.0/24")["peers"]] == [ROGUE, "192.0.2.9"]
    shown = warden.show("routing-id", "41")
    assert [one["value"] for one in shown["peers"]] == [f"41@{ROGUE}"] and shown["rules"] == []
    assert warden.show("address", ROGUE)["rules"][0]["decision"] == "block"
    assert warden.listing(1)[0]["value"] == ROGUE


def test_warden_peer_without_an_ip_address_is_told_and_not_lost(
    warden: Warden, caplog: pytest.LogCaptureFixture
) -> None:
    warden.observe(flood("ipc-peer"))
    assert "no rule can name it" in caplog.text and warden.lines() == []
    assert warden.listing()[0]["verdict"] == "blocked"


def test_warden_address_that_is_to_blame_for_memory_is_turned_away_for_a_time(
    warden: Warden, clock: Clock, events: list[dict[str, Any]]
) -> None:
    warden.turn_away(ROGUE, "5 MiB of messages without an end")
    assert warden.is_blocked(ROGUE) and [(one["event"], one["author"]) for one in events] == [("blocked", "relay")]
    clock.now += 61
    assert not warden.is_blocked(ROGUE)
    warden.allow("address", ROGUE, author="ops")
    warden.turn_away(ROGUE, "again")
    assert not warden.is_blocked(ROGUE), "an operator's word overrules it"


class Broken:
    """A store whose disk is full, until it is not."""

    def __init__(self, store: BlockStore) -> None:
        self.store, self.broken = store, False

    def __getattr__(self, name: str) -> Any:
        if self.broken:
            raise OSError("disk full")
        return getattr(self.store, name)


def test_warden_goes_on_without_its_store(url: str, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    broken: Any = Broken(BlockStore(url))
    warden = Warden(broken, Ledger(LIMITS), clock=clock)
    broken.broken = True
    warden.observe(flood())
    assert warden.is_blocked(ROGUE) and "it stands in this relay alone: disk full" in caplog.text
    for _ in range(5):
        clock.now += 1
        assert not warden.refresh()
    assert caplog.text.count("cannot be read, the rules stay") == 1 and warden.is_blocked(ROGUE)
    broken.broken = False
    broken.put(Entry("address", HONEST))
    caplog.set_level(logging.INFO)
    clock.now += 1
    assert warden.refresh() and warden.is_blocked(HONEST) and "can be read again" in caplog.text
    assert warden.is_blocked(ROGUE) and {one.value for one in broken.entries()} == {ROGUE, HONEST}, "kept till then"
    broken.close()


def test_warden_operator_is_obeyed_while_the_store_is_broken(
    url: str, clock: Clock, events: list[dict[str, Any]]
) -> None:
    broken: Any = Broken(BlockStore(url))
    warden = Warden(broken, Ledger(LIMITS), clock=clock, watch=events.append)
    warden.block("address", HONEST, author="ops")
    broken.broken = True
    warden.block("address", ROGUE, author="ops", note="floods")
    for decide in (warden.allow, warden.block, warden.allow):
        decide("address", HONEST, author="ops")
    assert warden.is_blocked(ROGUE) and not warden.is_blocked(HONEST)
    assert [one["event"] for one in events] == ["blocked", "blocked", "allowed", "blocked", "allowed"]
    with pytest.raises(ConfigError, match=r"cannot be written now, address 192\.0\.2\.1 stays as it is: disk full"):
        warden.unblock("address", ROGUE, author="ops")
    assert warden.is_blocked(ROGUE)
    broken.broken = False
    clock.now += 1
    warden.refresh()
    assert {(one.value, one.decision) for one in broken.entries()} == {(ROGUE, "block"), (HONEST, "allow")}
    assert len(events) == 5, "what was told is not told again"
    broken.close()


@pytest.mark.parametrize(
    ("say", "message"),
    (
        (lambda warden: warden.block("address", "here", author="ops"), "address 'here'"),
        (lambda warden: warden.block("address", ROGUE, seconds=0, author="ops"), "seconds=0: above 0"),
        (lambda warden: warden.show("color", "red"), "'color' 'red': one of identity"),
        (lambda warden: warden.listing(0), "count=0: 1 to 10000"),
    ),
)
def test_warden_mistakes_of_an_operator_are_told(warden: Warden, say: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        say(warden)
    assert warden.lines() == []
