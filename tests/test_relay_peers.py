"""What a relay makes of its peers' refusals: scores that decay, verdicts, and who answers for what."""

from __future__ import annotations

import tracemalloc
from time import perf_counter

import pytest

from zmqsec.errors import ConfigError, Reason
from zmqsec.relay.peers import WEIGHTS, Ledger, Observation, PeerKey, Thresholds, Verdict

LIMITS = Thresholds(warn=10, throttle=50, block=100, half_life=10, block_seconds=60)
ROGUE = PeerKey("address", "192.0.2.1")


def seen(refused: dict[str, int] | None = None, address: str = ROGUE.value, **others: object) -> Observation:
    return Observation(address, refused=refused or {}, **others)  # type: ignore[arg-type]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(LIMITS)


def verdicts(judgements: list[object]) -> list[tuple[PeerKey, Verdict]]:
    return [(one.key, one.verdict) for one in judgements]  # type: ignore[attr-defined]


def test_peers_weights_are_of_every_reason() -> None:
    assert set(WEIGHTS) == set(Reason)


def test_peers_verdict_grows_with_the_score(ledger: Ledger) -> None:
    assert ledger.observe([seen({"forged": 1})], 0) == []
    assert verdicts(ledger.observe([seen({"forged": 1})], 0)) == [(ROGUE, Verdict.WARNED)]
    assert verdicts(ledger.observe([seen({"forged": 8})], 0)) == [(ROGUE, Verdict.THROTTLED)]
    (judgement,) = ledger.observe([seen({"forged": 10})], 0)
    assert judgement.verdict is Verdict.BLOCKED and judgement.seconds == 60
    assert judgement.score == 100 and judgement.reasons == {"forged": 20}
    assert ledger.observe([seen({"forged": 10})], 0) == [], "a verdict that stands is not told again"


def test_peers_score_halves_in_its_half_life(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 12})], 0)
    peer = ledger.get(ROGUE)
    assert peer is not None
    assert [peer.score_at(now, 10) for now in (0, 10, 20)] == [60, 30, 15]
    ledger.observe([seen({"forged": 2})], 20)
    assert peer.score_at(20, 10) == 25
    assert peer.score_at(-100, 10) == 25, "a clock that goes back makes nothing worse"


def test_peers_verdict_grows_milder_with_time(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 20})], 0)
    assert verdicts(ledger.settle(9)) == [(ROGUE, Verdict.THROTTLED)] and ledger.settle(9) == []
    assert verdicts(ledger.settle(11)) == [(ROGUE, Verdict.WARNED)]
    assert verdicts(ledger.settle(100)) == [(ROGUE, Verdict.FINE)]


def test_peers_block_doubles_each_time_up_to_a_day(ledger: Ledger) -> None:
    lengths = []
    for time in range(0, 14_000, 1000):
        lengths += [one.seconds for one in ledger.observe([seen({"forged": 20})], time) if one.seconds]
        ledger.settle(time + 999)
    assert lengths[:4] == [60, 120, 240, 480] and lengths[-1] == 86400


def test_peers_forgiven_begins_anew(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 20})], 0)
    ledger.forgive(ROGUE)
    assert ledger.get(ROGUE).verdict is Verdict.FINE  # type: ignore[union-attr]
    (judgement,) = ledger.observe([seen({"forged": 20})], 0)
    assert judgement.seconds == 60


def test_peers_identity_answers_only_for_what_it_signed(ledger: Ledger) -> None:
    """Forged in its name, over another's connection: the connection is blocked, the identity stays as it was."""
    victim = PeerKey("identity", "ab" * 32)
    ledger.observe([seen(address="198.51.100.7", identity=victim.value, forwarded=5)], 0)
    found = ledger.observe([seen({"forged": 1000, "bad-attestation": 1000})], 0)
    assert verdicts(found) == [(ROGUE, Verdict.BLOCKED)]
    assert ledger.get(victim).score == 0  # type: ignore[union-attr]
    found = ledger.observe(
        [seen(address="198.51.100.7", identity=victim.value, signed_refused={"not-permitted": 100})], 0
    )
    assert verdicts(found) == [(victim, Verdict.BLOCKED)]


def test_peers_routing_id_is_judged_with_its_address(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 20}, routing_id=b"\x01A")], 0)
    assert {peer.key for peer in ledger} == {ROGUE, PeerKey("routing-id", "0141@192.0.2.1")}


def test_peers_table_is_bounded_and_keeps_those_that_are_blocked() -> None:
    ledger = Ledger(LIMITS, max_peers=10)
    ledger.observe([seen({"forged": 20})], 0)
    ledger.observe([seen(address=f"10.0.{i // 250}.{i % 250}") for i in range(1000)], 1)
    assert len(ledger) == 10 and ledger.get(ROGUE) is not None
    ledger.observe([seen({"forged": 20}, address=f"10.1.0.{i}") for i in range(20)], 2)
    assert len(ledger) == 10, "even when all are blocked"


def test_peers_of_a_hundred_thousand_cost_less_than_a_kibibyte_each() -> None:
    ledger = Ledger(LIMITS)
    tracemalloc.start()
    ledger.observe((seen({"forged": 1}, address=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(100_000)), 0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ledger) == 100_000 and used < 100_000 * 1024


def test_peers_worst_come_first(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": i}, address=f"10.0.0.{i}") for i in range(5)], 0)
    assert [peer.key.value for peer in ledger.worst(2, 0)] == ["10.0.0.4", "10.0.0.3"]


@pytest.mark.parametrize(
    ("given", "message"),
    (
        ({"warn": 0}, "warn=0, throttle=500, block=1000: scores above 0 are allowed"),
        ({"throttle": 2000}, "none smaller than the one before"),
        ({"half_life": 0}, "half_life=0: above 0"),
        ({"block_seconds": 1e6}, "block_seconds=1e\\+06: above 0 and at most 86400"),
    ),
)
def test_peers_thresholds_out_of_bounds_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Thresholds(**given)


def test_peers_verdict_that_grew_worse_grows_milder_in_its_own_time(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 9})], 0)
    ledger.observe([seen({"forged": 12})], 1)
    assert ledger.states() == {Verdict.FINE: 0, Verdict.WARNED: 0, Verdict.THROTTLED: 0, Verdict.BLOCKED: 1}
    assert verdicts(ledger.settle(2)) == [(ROGUE, Verdict.THROTTLED)]
    assert ledger.throttled == {ROGUE}
    assert verdicts(ledger.settle(12)) == [(ROGUE, Verdict.WARNED)]
    assert ledger.throttled == frozenset()


def test_peers_thresholds_that_change_count_for_all_of_them(ledger: Ledger) -> None:
    ledger.observe([seen({"forged": 1})], 0)
    ledger.thresholds = Thresholds(warn=1, throttle=2, block=100, half_life=10)
    assert verdicts(ledger.settle(1)) == [(ROGUE, Verdict.THROTTLED)]
    ledger.thresholds = LIMITS
    assert verdicts(ledger.settle(1)) == [(ROGUE, Verdict.FINE)]


def test_peers_who_left_and_came_back_leave_no_heap_behind() -> None:
    ledger = Ledger(LIMITS, max_peers=100)
    for number in range(5000):
        ledger.observe([seen({"forged": 3}, address=f"10.0.{number % 150}.1")], number / 1000)
    assert len(ledger._milder) <= 201
    assert sum(ledger.states().values()) == len(ledger) == 100
    assert ledger.settle(1000) and ledger.states()[Verdict.FINE] == 100 and ledger._milder == []


def test_peers_of_whom_nobody_changes_cost_nothing_at_a_look() -> None:
    ledger = Ledger(max_peers=100_000)
    ledger.observe((seen({"forged": 30}, address=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(100_000)), 0)
    assert ledger.states()[Verdict.WARNED] == 100_000
    began = perf_counter()
    assert all(ledger.settle(now) == [] for now in range(30))
    assert perf_counter() - began < 0.05
