"""Handshakes in a flood, and after a responder has lost its state: cookies, bounds, the word that a pair is lost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from handshake_helpers import (
    MODES,
    NO_BOUNDS,
    SeededRandom,
    begin,
    mode_name,
    only_sent,
    pairs,
    parties,
    reasons,
    sent,
    shake,
)
from helpers import ALICE, BOB, SECOND, flips

from zmqsec import limits
from zmqsec.association import Association
from zmqsec.cookie import mac1
from zmqsec.handshake import Bounds, Event, Failed, Initiator, Party, Responder, Source, anyone
from zmqsec.handshake_frames import FrameHeader, Offer, is_for_responder
from zmqsec.keyring import Keyring
from zmqsec.pairs import Pairs
from zmqsec.ratelimiter import RateLimiter
from zmqsec.receiver import Receiver
from zmqsec.session import Session, seal_many

every_mode = pytest.mark.parametrize("mode", MODES, ids=mode_name)
LOADED = Bounds(under_load=0)


def openings(seed: object = 0) -> Iterator[bytes]:
    """Openings of XX that hold as long as nobody does any work: a flood costs its sender as little as possible."""
    random = SeededRandom(("openings", seed))
    while True:
        header = FrameHeader(0, random(12), limits.OPENING, 0)
        covered = header.encode() + Offer(1, (1,), 0).encode() + random(32)
        yield covered + mac1(BOB.fingerprint, covered) + bytes(limits.MAC_BYTES)


def responder(bounds: Bounds | None = None) -> Responder:
    return Responder(parties()[1], random=SeededRandom("responder"), bounds=bounds)


# -- cookies -----------------------------------------------------------------------------------------------------------


@every_mode
def test_handshake_under_load_takes_one_frame_more_each_way(mode: tuple[bool, bool, str]) -> None:
    initiator, one = begin(mode)
    one = Responder(one._party, bounds=LOADED)
    opening = only_sent(initiator.poll(0.0))
    cookie = only_sent(one.receive(opening, b"alice", 0.0))
    assert len(cookie) < len(opening) and not is_for_responder(cookie)
    assert len(one) == 0 and len(one._of_source) == 0 and one.refused == {"cookie": 1}
    again = only_sent(initiator.receive(cookie, 0.0))
    assert again[: -limits.MAC_BYTES] == opening[: -limits.MAC_BYTES] and again != opening
    confirm = sent(initiator.receive(only_sent(one.receive(again, b"alice", 0.0)), 0.0))[0]
    done = sent(one.receive(confirm, b"alice", 0.0))[0]
    assert pairs(initiator.receive(done, 0.0))


def test_handshake_cookie_is_good_for_one_source_and_one_opening() -> None:
    (first, _), (second, _) = begin(seed=1), begin(seed=2)
    one = responder(LOADED)
    opening, other = only_sent(first.poll(0.0)), only_sent(second.poll(0.0))
    again = only_sent(first.receive(only_sent(one.receive(opening, b"alice", 0.0)), 0.0))
    for source in (b"mallory", b"alicf", b"alice\0", (b"alice", b""), (b"alice", b"inner")):
        assert is_cookie(one.receive(again, source, 0.0)), source
    mac2 = again[-limits.MAC_BYTES :]
    assert is_cookie(one.receive(other[: -limits.MAC_BYTES] + mac2, b"alice", 0.0))
    assert len(one) == 0
    assert not is_cookie(one.receive(again, b"alice", 0.0)) and len(one) == 1


def is_cookie(events: list[Event]) -> bool:
    return only_sent(events)[24] == limits.COOKIE


@pytest.mark.parametrize(("later", "good"), [(119.0, True), (121.0, True), (239.0, True), (241.0, False), (1e6, False)])
def test_handshake_cookie_lives_as_long_as_its_secret_and_one_more_turn(later: float, good: bool) -> None:
    initiator, _ = begin()
    one = responder(LOADED)
    again = only_sent(initiator.receive(only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0)), 0.0))
    if later > limits.COOKIE_SECRET_TIME:  # the flood goes on, so that the secret turns in time
        one.receive(next(openings()), b"x", 120.0)
    assert is_cookie(one.receive(again, b"alice", later)) is not good


def test_handshake_cookie_secret_turns_when_the_clock_goes_back() -> None:
    initiator, _ = begin()
    one = responder(LOADED)
    again = only_sent(initiator.receive(only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 1e6)), 0.0))
    assert is_cookie(one.receive(again, b"alice", 0.0))


def test_handshake_cookie_that_is_changed_or_comes_late_is_refused() -> None:
    initiator, _ = begin()
    one = responder(LOADED)
    cookie = only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    for _, bad in flips(cookie):
        assert reasons(initiator.receive(bad, 0.0)) and not sent(initiator.receive(bad, 0.0))
    again = only_sent(initiator.receive(cookie, 0.0))
    initiator.receive(only_sent(one.receive(again, b"alice", 0.0)), 0.0)
    assert reasons(initiator.receive(cookie, 0.0)) == ["replayed"]


def test_handshake_cookies_make_nobody_send_more_often() -> None:
    """A stranger on the way sends the same cookie a thousand times: the opening goes once in half a second."""
    initiator, _ = begin()
    one = responder(LOADED)
    cookie = only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    count = sum(len(sent(initiator.receive(cookie, number / 1000))) for number in range(1000))
    assert count == 2


def test_handshake_load_is_what_came_in_this_second_and_the_last() -> None:
    one = responder(Bounds(under_load=3, of_source=1000))
    flood = openings()

    def ask(now: float) -> bool:
        return is_cookie(one.receive(next(flood), b"alice", now))

    assert [ask(0.1) for _ in range(5)] == [False, False, False, True, True]
    assert ask(1.0) and ask(1.9)
    assert not ask(2.0)
    assert not ask(9.0)


# -- bounds ------------------------------------------------------------------------------------------------------------


def outcomes(one: Responder, sources: list[Source], now: float = 0.0, seed: object = 0) -> list[str]:
    """What becomes of an opening from each source: `answer`, or why not."""
    found = []
    for source, opening in zip(sources, openings(seed), strict=False):
        events = one.receive(opening, source, now)
        found.append(reasons(events)[0] if reasons(events) else "answer")
    return found


@pytest.mark.parametrize(
    ("bounds", "sources"),
    [
        ({"of_source": 5}, [b"alice"] * 7),
        ({"of_hop": 5}, [(b"hop", b"%d" % number) for number in range(7)]),
        ({"of_all": 5}, [b"%d" % number for number in range(7)]),
        ({"looks_of_hop": 5}, [(b"hop", b"%d" % number) for number in range(7)]),
    ],
)
def test_handshake_rate_is_bounded(bounds: dict[str, int], sources: list[Source]) -> None:
    one = responder(Bounds(**bounds))
    assert outcomes(one, sources) == ["answer"] * 5 + ["rate"] * 2
    assert outcomes(one, [(b"another", b"source")], seed=1) == (["rate"] if "of_all" in bounds else ["answer"])
    assert outcomes(one, sources[:3], 0.4, seed=2) == ["answer", "answer", "rate"][: 2 + ("of_all" not in bounds)] + (
        ["rate"] if "of_all" in bounds else []
    )
    assert outcomes(one, sources, 5.0, seed=3) == ["answer"] * 5 + ["rate"] * 2
    assert one.refused["rate"] >= 5  # type: ignore[index]


def test_handshake_rate_of_a_source_is_its_whole_envelope_and_a_hop_its_first_frame() -> None:
    one = responder(Bounds(of_source=1, of_hop=3, under_load=1000))
    same: list[Source] = [b"hop", (b"hop",), [b"hop"]]
    assert outcomes(one, same) == ["answer", "rate", "rate"]
    deeper: list[Source] = [(b"hop", b"a"), (b"hop", b"b"), (b"hop", b"c"), (b"other", b"c"), (b"ho", b"pc")]
    assert outcomes(one, deeper, seed=1) == ["answer", "answer", "rate", "answer", "answer"]
    long: list[Source] = [bytes(255), (bytes(255),), bytes(254)]
    assert outcomes(one, long, seed=2) == ["answer", "rate", "answer"]
    assert outcomes(one, [()], seed=3) == ["answer"]


def test_handshake_half_open_ones_of_a_source_are_bounded_and_freed_by_their_confirmation() -> None:
    _, one = begin()
    one = Responder(one._party, bounds=Bounds(half_open_of_source=2, under_load=1e9))
    initiators = [begin(seed=seed)[0] for seed in range(4)]
    answers = [one.receive(only_sent(each.poll(0.0)), b"alice", 0.0) for each in initiators]
    assert [reasons(events) for events in answers] == [[], [], ["busy"], ["busy"]]
    assert not reasons(one.receive(next(openings()), b"elsewhere", 0.0))
    confirm = sent(initiators[0].receive(only_sent(answers[0]), 0.0))[0]
    assert pairs(one.receive(confirm, b"alice", 0.0))
    assert not reasons(one.receive(initiators[2]._frame, b"alice", 0.0))
    assert reasons(one.receive(initiators[3]._frame, b"alice", 0.0)) == ["busy"]
    later = limits.HALF_OPEN_TIME + 1.0
    assert not reasons(one.receive(initiators[3]._frame, b"alice", later)) and len(one) == 1


def test_handshake_half_open_ones_are_bounded_and_the_oldest_leaves() -> None:
    _, one = begin()
    one = Responder(one._party, bounds=Bounds(half_open=3, under_load=1e9))
    initiators = [begin(seed=seed)[0] for seed in range(5)]
    answers = [only_sent(one.receive(only_sent(each.poll(0.0)), b"%d" % each.spi, 0.0)) for each in initiators]
    confirms = [sent(each.receive(answer, 0.0))[0] for each, answer in zip(initiators, answers, strict=True)]
    assert len(one) == 3
    made = [len(pairs(one.receive(confirm, b"x", 0.0))) for confirm in confirms]
    assert made == [0, 0, 1, 1, 1] and one.refused == {"unknown-handshake": 2}


@pytest.mark.parametrize("bounds", [Bounds(), LOADED], ids=["idle", "under-load"])
def test_handshake_flood_of_strangers_leaves_little_and_an_honest_one_gets_through(bounds: Bounds) -> None:
    """20,000 openings in two seconds from as many sources, by way of 40 hops; nobody answers a cookie."""
    one = responder(bounds)
    flood = openings()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    answered = 0
    for number in range(20_000):
        events = one.receive(next(flood), (b"hop%d" % (number % 40), b"%d" % number), number / 10_000)
        answered += bool(sent(events)) and not is_cookie(events)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    kept = sum(stat.size_diff for stat in after.compare_to(before, "filename"))
    assert answered <= limits.UNDER_LOAD + 1
    assert len(one) == answered and kept < 4_000_000
    initiator, _ = begin()
    events = one.receive(only_sent(initiator.poll(0.0)), b"alice", 2.0)
    again = only_sent(initiator.receive(only_sent(events), 0.1))
    confirm = sent(initiator.receive(only_sent(one.receive(again, b"alice", 2.1)), 0.2))[0]
    done = sent(one.receive(confirm, b"alice", 2.2))[0]
    assert pairs(initiator.receive(done, 0.2))


def test_handshake_flood_that_answers_cookies_is_held_to_its_hop() -> None:
    """One connection makes up envelopes and gets the cookies for all of them; others do not notice."""
    one = responder()
    random = SeededRandom("flood")
    mallory, _ = parties()
    work = 0
    for number in range(1500):
        now, source = number / 1000, (b"mallory", b"%d" % number)
        initiator = Initiator(mallory, BOB.public, random=random)
        events = one.receive(only_sent(initiator.poll(now)), source, now)
        if sent(events) and is_cookie(events):
            events = one.receive(only_sent(initiator.receive(only_sent(events), now)), source, now)
        work += bool(sent(events))
    assert limits.OPENINGS_OF_HOP <= work <= 2.5 * limits.OPENINGS_OF_HOP + 10
    assert one.refused["rate"] > 400  # type: ignore[index]
    initiator, _ = begin()
    again = only_sent(initiator.receive(only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 1.5)), 0.1))
    assert not is_cookie(one.receive(again, b"alice", 1.5))


def test_handshake_stranger_without_the_fingerprint_learns_and_costs_nothing() -> None:
    one = responder(LOADED)
    for opening in (only_sent(Initiator(parties()[0], SECOND.public).poll(0.0)), bytes(112)):
        assert sent(one.receive(opening, b"x", 0.0)) == []
    assert one.refused == {"forged": 1, "malformed": 1} and len(one) == 0 and len(one._of_source) == 0


def test_rate_limiter_forgets_the_longest_silent_and_no_clock_gives_more() -> None:
    limiter = RateLimiter(2, most=3)
    assert [limiter.take(b"a", 0.0) for _ in range(3)] == [True, True, False]
    assert not limiter.take(b"a", -100.0)
    assert not limiter.take(b"a", -99.9)
    assert limiter.take(b"a", -99.0)
    for key in (b"b", b"c", b"d"):
        assert limiter.take(key, 0.0)
    assert len(limiter) == 3 and limiter.take(b"a", 0.0)


def test_pairs_look_at_no_more_of_a_hop_that_sends_too_many_in_one_batch() -> None:
    """The frames of others in the same batch are looked at all the same, and those passed over are counted."""
    bob = parties()[1]
    pairs_of_bob = Pairs(bob, Receiver([]), Session, clock=lambda: 0.0)
    pairs_of_bob.responder = Responder(bob, bounds=Bounds(looks_of_hop=3))
    flood = openings()
    batch = [([b"mallory"], next(flood)) for _ in range(10)]
    batch.insert(7, ([b"alice"], next(flood)))
    answers = list(pairs_of_bob.receive_many(batch))
    assert [front for front, _ in answers] == [[b"mallory"]] * 3 + [[b"alice"]]
    assert pairs_of_bob.responder.refused == {"rate": 7}


# -- lost state --------------------------------------------------------------------------------------------------------


def data_of(association: Association) -> bytes:
    return seal_many([b"text"], Session(association))[0]


@every_mode
def test_handshake_responder_that_started_anew_tells_its_initiators(mode: tuple[bool, bool, str]) -> None:
    initiator, one = begin(mode)
    here, there = shake(initiator, one)
    keyring = Keyring()
    anew = Responder(parties(mode)[1], taken=keyring.opens)
    sealed = data_of(here.send)
    lost = only_sent(anew.unknown(sealed, b"alice", 0.0))
    assert len(lost) == limits.MIN_SEALED_BYTES <= len(sealed) and not is_for_responder(lost)
    assert here.is_lost(lost) and not there.is_lost(lost)
    other, _ = shake(*begin(mode, seed=1))
    assert not other.is_lost(lost)
    again = Initiator(initiator._party, BOB.public, static=here.static, name=here.send.name)
    assert pairs_of(again, anew)


def pairs_of(initiator: Initiator, one: Responder) -> bool:
    here, there = shake(initiator, one)
    return here.binding == there.binding


def test_handshake_no_stranger_can_say_that_a_pair_is_lost() -> None:
    here, _ = shake(*begin())
    sealed = data_of(here.send)
    mallory = Responder(Party(SECOND, permit=anyone), taken=lambda spi: False)
    forged = only_sent(mallory.unknown(sealed, b"alice", 0.0))
    assert not here.is_lost(forged)
    true = only_sent(Responder(parties()[1], taken=lambda spi: False).unknown(sealed, b"alice", 0.0))
    assert here.is_lost(true)
    for at, bad in flips(true):
        in_id = 8 * 12 <= at < 8 * 24  # which says what it answers, and is not looked at
        assert here.is_lost(bad) is in_id
    assert not here.is_lost(true[:-1]) and not here.is_lost(true + b"\0") and not here.is_lost(b"")


def test_handshake_responder_that_has_the_pair_gives_its_token_to_nobody() -> None:
    """Neither for a pair that is made, nor for one that is half open, nor where it cannot know."""
    keyring = Keyring()
    initiator, one = begin()
    one = Responder(one._party, taken=keyring.opens)
    answer = only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    confirm = sent(initiator.receive(answer, 0.0))[0]
    sealed = seal_many([b"text"], Session(Association.from_secret(bytes(31) + b"\1", spi=spi_of(confirm))))[0]
    assert one.unknown(sealed, b"mallory", 0.0) == []
    (there,) = pairs(one.receive(confirm, b"alice", 0.0))
    keyring.accept(there.receive)
    later = limits.HALF_OPEN_TIME + 1.0
    one.poll(later)
    assert len(one) == 0
    assert one.unknown(sealed, b"mallory", later) == []
    assert reasons(one.receive(confirm, b"mallory", later)) == ["unknown-handshake"]
    ignorant = Responder(one._party)
    assert ignorant.unknown(sealed, b"mallory", later) == []
    assert sent(ignorant.receive(confirm, b"mallory", later)) == []
    keyring.retire(there.receive.spi)
    assert sent(one.unknown(sealed, b"alice", later))


def spi_of(frame: bytes) -> int:
    return int.from_bytes(frame[8:12], "little")


def test_handshake_responder_that_starts_anew_in_the_middle_ends_it_at_once() -> None:
    initiator, one = begin()
    answer = only_sent(one.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    confirm = sent(initiator.receive(answer, 0.0))[0]
    anew = Responder(one._party, taken=lambda spi: False)
    (lost,) = sent(anew.receive(confirm, b"alice", 0.0))
    assert len(lost) <= len(confirm) and anew.refused == {"lost": 1}
    for _, bad in flips(lost[24:]):
        assert reasons(initiator.receive(lost[:24] + bad, 0.0)) and not initiator.is_over
    (failed,) = initiator.receive(lost, 0.0)
    assert isinstance(failed, Failed) and str(failed.reason) == "lost" and failed.spi == initiator.spi
    assert initiator.is_over


def test_handshake_lost_frame_before_any_answer_is_refused() -> None:
    initiator, one = begin()
    initiator.poll(0.0)
    here, _ = shake(*begin(seed=1))
    lost = only_sent(Responder(one._party, taken=lambda spi: False).unknown(data_of(here.send), b"", 0.0))
    assert reasons(initiator.receive(lost, 0.0)) == ["forged"] and not initiator.is_over


def test_handshake_lost_pairs_are_told_of_at_a_bounded_rate_and_only_for_messages() -> None:
    one = Responder(parties()[1], taken=lambda spi: False)
    sealed = data_of(Association.from_secret(bytes(31) + b"\1", spi=7))
    told = [len(sent(one.unknown(sealed, b"alice", 0.0))) for _ in range(50)]
    assert sum(told) == limits.OPENINGS_OF_SOURCE and one.refused == {"rate": 30}
    assert sent(one.unknown(sealed, b"bob", 0.0)) and sent(one.unknown(sealed, b"alice", 1.0))
    changed = {0: b"\1", 3: b"\2", 5: b"\2", 8: bytes(4)}
    bad = [b"", sealed[:51], *(sealed[:at] + value + sealed[at + len(value) :] for at, value in changed.items())]
    assert [one.unknown(each, b"carol", 0.0) for each in bad] == [[]] * 6


def test_handshake_begins_again_though_a_stream_for_the_lost_pair_goes_on() -> None:
    """What the initiator has sealed already comes first, and takes nothing from the rate of its openings."""
    initiator, _ = begin()
    one = Responder(parties()[1], taken=lambda spi: False)
    sealed = data_of(Association.from_secret(bytes(31) + b"\1", spi=7))
    for _ in range(5000):
        one.unknown(sealed, b"alice", 0.0)
    assert shake(initiator, one)


def test_handshake_tokens_are_one_for_each_identity_and_spi() -> None:
    tokens = {
        Responder(Party(identity, permit=anyone))._lost.token(spi) for identity in (ALICE, BOB) for spi in (1, 2, 256)
    }
    assert len(tokens) == 6 and NO_BOUNDS.half_open == limits.MAX_HALF_OPEN
