"""Handshakes: what comes out of every pattern, and what the two sides know of each other afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from handshake_helpers import (
    MODES,
    NO_BOUNDS,
    PSK,
    SeededRandom,
    begin,
    mode_name,
    only_sent,
    pairs,
    parties,
    reasons,
    shake,
)
from helpers import ALICE, BOB, SECOND, FakeClock

from zmqsec import limits, sodium
from zmqsec.association import Association
from zmqsec.errors import AssociationError, HandshakeError
from zmqsec.handshake import (
    Accept,
    Bounds,
    Established,
    Failed,
    HybridUnavailable,
    Initiator,
    Pair,
    Party,
    Responder,
    Send,
    anyone,
    is_for_responder,
    is_handshake,
    psk_id,
)
from zmqsec.keyring import Keyring
from zmqsec.receiver import Receiver
from zmqsec.session import Session, seal_many

every_mode = pytest.mark.parametrize("mode", MODES, ids=mode_name)


def opens(
    sender: Association, receiver: Association, clock: FakeClock | None = None, now: float = FakeClock().now
) -> bool:
    """Whether what one half seals the other opens, with the clocks that both have."""
    (frame,) = seal_many([b"text"], Session(sender, clock=clock or FakeClock()))
    opened = Receiver([receiver], clock=FakeClock(now)).open(frame, None, int(now))
    return getattr(opened, "body", None) == [b"text"]


@every_mode
def test_handshake_gives_both_sides_the_same_pair(mode: tuple[bool, bool, str]) -> None:
    here, there = shake(*begin(mode))
    assert (here.send.secret, here.send.spi) == (there.receive.secret, there.receive.spi)
    assert (here.receive.secret, here.receive.spi) == (there.send.secret, there.send.spi)
    assert here.send.secret != here.receive.secret and here.send.spi != here.receive.spi
    assert here.binding == there.binding
    assert (here.peer, there.peer) == (BOB.public, ALICE.public)
    assert here.hybrid == there.hybrid == (mode[2] != "off")
    assert opens(here.send, there.receive) and opens(there.send, here.receive)
    assert not opens(here.send, here.receive)


@every_mode
def test_handshake_steps_give_these_events(mode: tuple[bool, bool, str]) -> None:
    """What is accepted comes before what lets the peer seal with it."""
    initiator, responder = begin(mode)
    assert initiator.next_deadline() == float("-inf")
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    accept, confirm = initiator.receive(answer, 0.0)
    assert isinstance(accept, Accept) and isinstance(confirm, Send)
    accept_there, done, established_there = responder.receive(confirm.frame, b"alice", 0.0)
    assert isinstance(accept_there, Accept) and isinstance(done, Send) and isinstance(established_there, Established)
    (established,) = initiator.receive(done.frame, 0.0)
    assert isinstance(established, Established)
    assert accept.association is established.pair.receive
    assert accept_there.association is established_there.pair.receive
    assert initiator.is_over and initiator.next_deadline() is None and initiator.poll(1e9) == []
    for frame, for_responder in ((opening, True), (answer, False), (confirm.frame, True), (done.frame, False)):
        assert is_handshake(frame) and is_for_responder(frame) == for_responder
        assert len(frame) >= limits.MIN_SEALED_BYTES and frame[:6] == b"\0ZS\1\1\2"


def test_handshake_repeats_nothing_of_another_one() -> None:
    seen: set[bytes] = set()
    for seed in range(3):
        here, _ = shake(*begin(seed=seed))
        values = {here.send.secret, here.receive.secret, here.binding, here.lost_token}
        assert len(values) == 4 and seen.isdisjoint(values)
        seen |= values


def test_handshake_of_ik_knows_the_key_from_the_pair_before() -> None:
    alice, bob = parties()
    responder = Responder(bob, bounds=NO_BOUNDS)
    first, _ = shake(Initiator(alice, BOB.public), responder)
    assert first.static == bob.static.public
    second = Initiator(alice, BOB.public, static=first.static)
    here, there = shake(second, responder, 1.0)
    assert here.static == first.static and there.static == alice.static.public


def test_handshake_with_anyone_finds_out_who_it_is() -> None:
    alice, bob = parties()
    responder = Responder(bob, anonymous=True, bounds=NO_BOUNDS)
    here, there = shake(Initiator(alice, None), responder)
    assert (here.peer, there.peer) == (BOB.public, ALICE.public)
    unnamed = only_sent(Initiator(alice, None).poll(0.0))
    assert reasons(Responder(bob).receive(unnamed, b"x", 0.0)) == ["forged"]


def test_handshake_pair_goes_into_a_keyring_and_its_halves_never_meet() -> None:
    here, there = shake(*begin())
    keyring = Keyring()
    keyring.accept(here.receive)
    keyring.replace(here.send)
    name = here.send.name
    assert keyring.get(name) is here.send and keyring.opening(name) == (here.receive,)
    assert keyring.opens(here.receive.spi) and not keyring.opens(here.send.spi)
    second, _ = shake(*begin(seed=1))
    keyring.accept(second.receive)
    keyring.replace(second.send)
    assert keyring.get(name) is second.send and keyring.opening(name) == (here.receive, second.receive)
    keyring.retire(here.receive.spi)
    assert keyring.opening(name) == (second.receive,)
    keyring.remove(name)
    assert name not in keyring and keyring.opening(name) == () and not keyring.opens(second.receive.spi)
    with pytest.raises(AssociationError, match="seals and never opens"):
        keyring.accept(there.send)
    for put in (keyring.replace, keyring.add):
        with pytest.raises(AssociationError, match="opens and never seals"):
            put(there.receive)


def test_handshake_peer_may_choose_an_spi_that_is_in_use_here() -> None:
    """The SPI to seal with is the peer's choice; it must not be able to stop us with it."""
    keyring = Keyring([Association.generate("other")])
    spi = keyring.get("other").spi
    here, _ = shake(*begin())
    keyring.replace(Association("peer", spi, 1, here.send.secret, direction="send"))
    assert keyring.get("peer").spi == spi and keyring.opening("other")[0].spi == spi


def test_handshake_keys_are_never_written(tmp_path: Any) -> None:
    here, _ = shake(*begin())
    for half in (here.send, here.receive):
        with pytest.raises(AssociationError, match="half of a handshake's pair"):
            half.save(tmp_path / "half.toml")
    assert list(tmp_path.iterdir()) == []
    for secret in (here.send.secret, here.receive.secret, here.lost_token):
        assert secret.hex() not in repr(here) and repr(secret) not in repr(here)


def test_handshake_pair_asks_for_no_agreement_of_clocks() -> None:
    """A clock ten years behind, one at the beginning of its era, and one ten years ahead."""
    now = FakeClock().now
    for other in (now - 3653 * 86400, 0.0, now + 3653 * 86400):
        here, there = shake(*begin())
        assert opens(here.send, there.receive, FakeClock(other), now)
    strict, _ = shake(*begin(policy={"skew": 5, "lifetime": 3600, "late_join": 0}))
    assert (strict.receive.skew, strict.receive.lifetime, strict.receive.late_join) == (5, 3600, 0)


def test_handshake_carries_credentials_both_ways() -> None:
    alice = Party(ALICE, permit=anyone, credential=b"of alice")
    shown = iter([b"unused: the length is checked", b"first of bob", b"second of bob"])
    bob = Party(BOB, permit=anyone, credential=lambda: next(shown))
    responder = Responder(bob, bounds=NO_BOUNDS)
    here, there = shake(Initiator(alice, BOB.public), responder)
    assert (here.credential, there.credential) == (b"first of bob", b"of alice")
    here, there = shake(Initiator(alice, BOB.public, static=here.static), responder)
    assert (here.credential, there.credential) == (b"second of bob", b"of alice")


def test_handshake_chooses_the_first_suite_of_the_initiator_that_both_take() -> None:
    alice = Party(ALICE, permit=anyone, suites=["aes256gcm", "xchacha20poly1305"])
    for theirs, chosen in ((["xchacha20poly1305"], 1), (["xchacha20poly1305", "aes256gcm"], 2)):
        responder = Responder(Party(BOB, permit=anyone, suites=theirs))
        here, there = shake(Initiator(alice, BOB.public), responder)
        assert here.send.suite == here.receive.suite == there.send.suite == there.receive.suite == chosen


def test_handshake_without_a_common_suite_fails_and_says_so() -> None:
    alice = Party(ALICE, permit=anyone, suites=["aes256gcm"])
    initiator, responder = Initiator(alice, BOB.public), Responder(Party(BOB, permit=anyone))
    events = responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0)
    assert reasons(events) == ["suite"] and len(responder) == 0
    (failed,) = initiator.receive(only_sent(events), 0.0)
    assert isinstance(failed, Failed) and failed.detail == "no suite in common: [2] here, [1] there"
    assert initiator.is_over


@pytest.mark.skipif(not sodium.has_mlkem768(), reason="this libsodium has no ML-KEM-768")
@pytest.mark.parametrize("ik", [False, True], ids=["XX", "IK"])
@pytest.mark.parametrize(
    ("mine", "theirs", "hybrid"),
    [
        ("off", "off", False), ("off", "offered", False), ("offered", "off", False),
        ("offered", "offered", True), ("required", "offered", True), ("offered", "required", True),
        ("required", "off", None), ("off", "required", None),
    ],
)  # fmt: skip
def test_handshake_mixes_ml_kem_in_where_both_have_it(ik: bool, mine: str, theirs: str, hybrid: bool | None) -> None:
    alice, bob = Party(ALICE, permit=anyone, hybrid=mine), Party(BOB, permit=anyone, hybrid=theirs)
    initiator = Initiator(alice, BOB.public, static=bob.static.public if ik else None)
    responder = Responder(bob)
    if hybrid is None:
        events = responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0)
        assert reasons(events) == ["hybrid"] and len(responder) == 0
        assert reasons(initiator.receive(only_sent(events), 0.0)) == ["hybrid"] and initiator.is_over
    else:
        here, there = shake(initiator, responder)
        assert here.hybrid is there.hybrid is hybrid


def test_handshake_hybrid_mode_is_on_where_it_can_be_and_refused_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Party(ALICE).hybrid == (1 if sodium.has_mlkem768() else 0)
    monkeypatch.setattr(sodium, "_mlkem_keys", None)
    assert Party(ALICE).hybrid == 0
    for wanted in ("offered", "required"):
        with pytest.raises(HybridUnavailable, match=r"has no ML-KEM-768; version 1\.0\.22 has it"):
            Party(ALICE, hybrid=wanted)


@pytest.mark.skipif(not sodium.has_mlkem768(), reason="this libsodium has no ML-KEM-768")
def test_handshake_with_a_peer_that_lacks_ml_kem_comes_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """The responder that cannot encapsulate need not read the key either."""
    initiator = Initiator(Party(ALICE, permit=anyone), BOB.public)
    opening = only_sent(initiator.poll(0.0))
    with monkeypatch.context() as without:
        for name in ("_mlkem_keys", "_mlkem_encapsulate", "_mlkem_decapsulate"):
            without.setattr(sodium, name, None)
        responder = Responder(Party(BOB, permit=anyone))
        answer = only_sent(responder.receive(opening, b"alice", 0.0))
    events = responder.receive(only_sent(initiator.receive(answer, 0.0)), b"alice", 0.0)
    (pair,) = pairs(events)
    assert not pair.hybrid and pairs(initiator.receive(only_sent(events), 0.0))


def test_handshake_with_several_psks_finds_the_one_that_is_meant() -> None:
    other = bytes(32 * [7])
    alice = Party(ALICE, permit=anyone, psks=[PSK, other])
    bob = Party(BOB, permit=anyone, psks=[other, PSK])
    here, there = shake(Initiator(alice, BOB.public), Responder(bob))
    assert here.binding == there.binding and psk_id(PSK) != psk_id(other)


@pytest.mark.parametrize("ik", [False, True], ids=["XX", "IK"])
@pytest.mark.parametrize(("mine", "theirs"), [([], [PSK]), ([PSK], []), ([PSK], [bytes(32 * [7])])])
def test_handshake_with_another_psk_or_none_is_refused(ik: bool, mine: list[bytes], theirs: list[bytes]) -> None:
    bob = Party(BOB, permit=anyone, psks=theirs)
    initiator = Initiator(Party(ALICE, permit=anyone, psks=mine), BOB.public, static=bob.static.public if ik else None)
    assert reasons(Responder(bob).receive(only_sent(initiator.poll(0.0)), b"alice", 0.0)) == ["psk"]


@every_mode
def test_handshake_that_sends_on_is_established_by_what_opens(mode: tuple[bool, bool, str]) -> None:
    """The word that the confirmation came is lost, and a message of the peer's comes instead."""
    initiator, responder = begin(mode)
    assert initiator.heard() == []
    answer = only_sent(responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    accept, confirm = initiator.receive(answer, 0.0)
    assert isinstance(confirm, Send) and isinstance(accept, Accept)
    (there,) = pairs(responder.receive(confirm.frame, b"alice", 0.0))
    assert opens(there.send, accept.association)
    (here,) = pairs(initiator.heard())
    assert here.send.secret == there.receive.secret and initiator.heard() == []


def test_handshake_draws_spis_that_are_free() -> None:
    drawn = iter([bytes(4), b"\1\0\0\0", b"\2\0\0\0"])
    taken: list[int] = []

    def is_taken(spi: int) -> bool:
        taken.append(spi)
        return spi == 1

    assert Initiator(parties()[0], BOB.public, taken=is_taken, random=lambda n: next(drawn)).spi == 2
    assert taken == [1, 2]
    with pytest.raises(HandshakeError, match="1000 SPIs drawn at random are all taken"):
        Initiator(parties()[0], BOB.public, taken=lambda spi: True, random=SeededRandom(0))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Party(ALICE.public), "PublicIdentity is no Identity"),
        (lambda: Party(ALICE, credential=bytes(4097)), "a credential of 4097 bytes: at most 4096"),
        (lambda: Party(ALICE, hybrid="on"), "hybrid='on': 'off', 'offered', 'required' are allowed"),
        (lambda: Party(ALICE, suites=[]), "0 suites: 1 to 6 are allowed"),
        (lambda: Party(ALICE, suites=["aes256gcm"] * 2), "a suite twice"),
        (lambda: Party(ALICE, psks=[b"short"]), "a pre-shared key of 5 bytes: exactly 32"),
        (lambda: Party(ALICE, psks=[bytes(32)]), "not all of them zero"),
        (lambda: Party(ALICE, policy={"name": "x"}), "policy with 'name'"),
        (lambda: Party(ALICE, policy={"skew": -1}), "skew=-1"),
        (lambda: Initiator(Party(ALICE), None), "neither a peer nor a permit"),
        (lambda: Initiator(parties()[0], None, static=bytes(32)), "a peer's static key without the peer"),
        (lambda: Initiator(parties()[0], b"short"), "a fingerprint of 5 bytes: exactly 32"),
        (lambda: Initiator(parties()[0], BOB.public, static=b"short").poll(0.0), "rs of 5 bytes"),
        (lambda: Responder(Party(BOB)), "a responder without a permit"),
        (lambda: Bounds(half_open=0), "half_open=0: a number of 1 or more"),
        (lambda: Bounds(of_hop=-1.0), "of_hop=-1.0: a number of 1 or more"),
        (lambda: Bounds(under_load="x"), "under_load='x': a number of 0 or more"),  # type: ignore[arg-type]
    ],
)
def test_handshake_misuse_is_named(act: Callable[[], Any], message: str) -> None:
    with pytest.raises((HandshakeError, AssociationError), match=message):
        act()


def test_handshake_secrets_are_not_shown() -> None:
    alice, _ = parties()
    initiator, responder = begin((False, True, "off"))
    shown = repr([alice, initiator, responder, shake(initiator, responder)])
    assert alice.static.secret.hex() not in shown and repr(PSK)[2:-1] not in shown
    assert isinstance(shake(*begin())[0], Pair) and SECOND.name not in shown
