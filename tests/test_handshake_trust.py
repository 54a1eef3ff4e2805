"""Handshakes with parties that lie: about who they are, whom they mean, and what both sides can and want."""

from __future__ import annotations

from collections.abc import Callable

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
    sent,
)
from helpers import ALICE, BOB, NOW, RELAY, SECOND, FakeClock

from zmqsec import limits
from zmqsec.cookie import mac1
from zmqsec.credential import Credential
from zmqsec.errors import Reason, Refusal
from zmqsec.handshake import Initiator, Party, Refused, Responder, anyone, trusted_by
from zmqsec.handshake_frames import OFFER_END, pattern_of, prologue_of
from zmqsec.identity import Identity
from zmqsec.noise import KeyPair, NoiseError
from zmqsec.noise_handshake import HandshakeState
from zmqsec.pair import Confirmation
from zmqsec.rights import Rights, Role
from zmqsec.trust import Trust

every_mode = pytest.mark.parametrize("mode", MODES, ids=mode_name)
both_bases = pytest.mark.parametrize("ik", [False, True], ids=["XX", "IK"])
MALLORY = SECOND


class Liar(Party):
    """A party that says in its statement what it likes; `lie` is given the true statement without the front."""

    __slots__ = ("lie",)
    lie: Callable[[bytes, bytes, bytes], bytes]

    def state(self, role: bytes, h: bytes, front: bytes = b"") -> bytes:
        return front + self.lie(role, h, front)


def liar(lie: Callable[[bytes, bytes, bytes], bytes], identity: Identity = MALLORY) -> Liar:
    made = Liar(identity, permit=anyone, hybrid="off")
    made.lie = lie
    return made


def statement(key: bytes, signer: Identity, signed: bytes) -> bytes:
    return key + bytes(2) + signer.sign(signed)


def with_mac1(opening: bytes, fingerprint: bytes = BOB.fingerprint) -> bytes:
    """An opening that was changed by somebody who knows whom it is for."""
    covered = opening[: -2 * limits.MAC_BYTES]
    return covered + mac1(fingerprint, covered) + bytes(limits.MAC_BYTES)


def run(initiator: Initiator, responder: Responder) -> tuple[list[str], list[str], int]:
    """Reasons at the initiator and at the responder, and how many pairs were made; frames go straight across."""
    ours, theirs, made = [], [], 0
    frames = sent(initiator.poll(0.0))
    while frames:
        answers = responder.receive(frames.pop(0), b"alice", 0.0)
        theirs += reasons(answers)
        made += len(pairs(answers))
        for frame in sent(answers):
            events = initiator.receive(frame, 0.0)
            ours += reasons(events)
            made += len(pairs(events))
            frames += sent(events)
    return ours, theirs, made


# -- identities --------------------------------------------------------------------------------------------------------


def lies(static: bytes) -> dict[str, Callable[[bytes, bytes, bytes], bytes]]:
    """What Mallory can say to pass for Alice, of whom she has the public key and other handshakes' statements."""
    label = b"zmqsec handshake"

    def said(key: bytes, front: bytes) -> bytes:
        return front + key + bytes(2)

    def of_alice_elsewhere(role: bytes, h: bytes, front: bytes) -> bytes:
        """What Alice said to Mallory in another handshake, whose hash was another one."""
        return statement(ALICE.key, ALICE, label + role + bytes(64) + static + said(ALICE.key, front))

    return {
        "her-key-and-my-signature": lambda role, h, front: statement(
            ALICE.key, MALLORY, label + role + h + static + said(ALICE.key, front)
        ),
        "her-statement-of-another-handshake": of_alice_elsewhere,
        "her-statement-for-another-static-key": lambda role, h, front: statement(
            ALICE.key, ALICE, label + role + h + KeyPair.of(bytes(31) + b"\1").public + said(ALICE.key, front)
        ),
        "her-statement-in-the-other-role": lambda role, h, front: statement(
            ALICE.key, ALICE, label + bytes([1 - role[0]]) + h + static + said(ALICE.key, front)
        ),
        "her-signature-and-my-key": lambda role, h, front: statement(
            MALLORY.key, ALICE, label + role + h + static + said(ALICE.key, front)
        ),
        "her-statement-with-another-front": lambda role, h, front: statement(
            ALICE.key, ALICE, label + role + h + static + said(ALICE.key, front + b"x")
        ),
        "her-signature-without-the-label": lambda role, h, front: statement(
            ALICE.key, ALICE, role + h + static + said(ALICE.key, front)
        ),
    }


@both_bases
@pytest.mark.parametrize("name", lies(b""))
def test_handshake_member_that_claims_anothers_identity_is_refused(ik: bool, name: str) -> None:
    """Mallory is permitted herself, and has a static key of her own."""
    _, bob = parties()
    static = Party(MALLORY, hybrid="off").static.public
    mallory = liar(lies(static)[name])
    responder = Responder(bob, bounds=NO_BOUNDS)
    _, theirs, made = run(Initiator(mallory, BOB.public, static=bob.static.public if ik else None), responder)
    assert (set(theirs), made) == ({"forged"}, 0)
    truth = liar(lambda role, h, front: Party(MALLORY, hybrid="off").state(role, h, front)[len(front) :])
    assert run(Initiator(truth, BOB.public), responder) == ([], [], 2)


@both_bases
@pytest.mark.parametrize("name", lies(b""))
def test_handshake_responder_that_claims_anothers_identity_is_refused(ik: bool, name: str) -> None:
    """Mallory gets the openings that are meant for Alice, and knows that they are."""
    static = Party(MALLORY, hybrid="off").static.public
    responder = Responder(liar(lies(static)[name]), bounds=NO_BOUNDS)
    responder._addresses = (ALICE.fingerprint,)
    _, bob = parties()
    initiator = Initiator(bob, ALICE.public, static=static if ik else None)
    ours, _, made = run(initiator, responder)
    assert (ours, made) == (["forged"], 0) and not initiator.is_over
    responder._party = liar(lambda role, h, front: Party(MALLORY, hybrid="off").state(role, h, front)[len(front) :])
    assert run(Initiator(bob, ALICE.public, static=static if ik else None), responder)[0] == ["not-permitted"]


def test_handshake_that_another_answers_waits_for_the_one_that_was_meant() -> None:
    """Mallory proves who she is, and is permitted as anybody else; but Bob was asked for."""
    alice, bob = parties()
    initiator = Initiator(alice, BOB.public)
    mallory = Responder(Party(MALLORY, permit=anyone, hybrid="off"))
    mallory._addresses = (BOB.fingerprint,)
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(mallory.receive(opening, b"alice", 0.0))
    (refused,) = initiator.receive(answer, 0.0)
    assert isinstance(refused, Refused) and str(refused.reason) == "not-permitted"
    assert "another was meant" in refused.detail
    events = initiator.receive(only_sent(Responder(bob).receive(opening, b"alice", 0.0)), 0.0)
    assert len(sent(events)) == 1 and not reasons(events)


@every_mode
def test_handshake_meant_for_one_never_ends_at_another(mode: tuple[bool, bool, str]) -> None:
    """An unknown key share: Alice means Mallory, who hands her frames to Bob so that he takes Alice's words for his."""
    alice, bob = parties(mode)
    mallory = Party(MALLORY, permit=anyone)
    static = mallory.static.public if mode[0] else None
    initiator, responder = Initiator(alice, MALLORY.public, static=static), Responder(bob, bounds=NO_BOUNDS)
    opening = only_sent(initiator.poll(0.0))
    assert reasons(responder.receive(opening, b"mallory", 0.0)) == ["forged"]
    events = responder.receive(with_mac1(opening), b"mallory", 0.0)
    if mode[0] or mode[1]:
        assert reasons(events) == ["forged"]
    else:  # XX has no key yet; what follows from it Alice cannot read
        assert reasons(initiator.receive(only_sent(events), 0.0)) == ["forged"]
    assert not initiator.is_over


@both_bases
def test_handshake_that_is_thrown_back_at_its_sender_gives_nothing(ik: bool) -> None:
    """Alice is initiator and responder both; her own frames come back to her."""
    alice, bob = parties()
    initiator = Initiator(alice, BOB.public, static=bob.static.public if ik else None)
    responder = Responder(alice, bounds=NO_BOUNDS)
    opening = only_sent(initiator.poll(0.0))
    assert reasons(responder.receive(opening, b"", 0.0)) == ["forged"]
    events = responder.receive(with_mac1(opening, ALICE.fingerprint), b"", 0.0)
    if not ik:
        assert reasons(initiator.receive(only_sent(events), 0.0)) == ["forged"]
    else:
        assert reasons(events) == ["forged"]


@every_mode
def test_handshake_opening_of_another_time_comes_to_nothing(mode: tuple[bool, bool, str]) -> None:
    """Everything that Alice once sent is sent again, to the same responder and to one that has started anew."""
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    confirm = sent(initiator.receive(answer, 0.0))[0]
    assert pairs(responder.receive(confirm, b"alice", 0.0))
    anew = Responder(responder._party, random=SeededRandom("anew"), bounds=NO_BOUNDS)
    later = limits.HALF_OPEN_TIME + 1.0
    for one in (responder, anew):
        other = only_sent(one.receive(opening, b"mallory", later))
        assert other[limits.HEADER_BYTES :] != answer[limits.HEADER_BYTES :]
        assert reasons(one.receive(confirm, b"mallory", later)) == ["unknown-handshake"]
        (entry,) = one._table._by_opening.values()
        assert entry.confirm is not None
        redirected = entry.confirm.encode() + confirm[limits.HEADER_BYTES :]
        assert reasons(one.receive(redirected, b"mallory", later)) == ["forged"]


@every_mode
def test_handshake_long_term_keys_do_not_open_what_was_recorded(mode: tuple[bool, bool, str]) -> None:
    """Whoever has every frame, and later both identities, both static keys and the PSK, lacks the ephemeral secrets."""
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    alice, bob, psk = initiator._party, responder._party, PSK if mode[1] else None
    one, prologue = pattern_of(opening[25]), prologue_of(BOB.fingerprint, opening)
    as_bob = HandshakeState(one, False, prologue, bob.static, random=SeededRandom("guess"), psk=psk)
    payload = as_bob.read_message(opening[OFFER_END : -2 * limits.MAC_BYTES])
    assert payload.startswith(ALICE.key) is mode[0]  # as the specification says of IK
    rs = bob.static.public if mode[0] else None
    as_alice = HandshakeState(one, True, prologue, alice.static, random=SeededRandom("guess"), rs=rs, psk=psk)
    as_alice.write_message(payload)
    with pytest.raises(NoiseError):
        as_alice.read_message(answer[limits.HEADER_BYTES :])
    as_bob.write_message(b"")
    if mode[0]:
        confirm = sent(initiator.receive(answer, 0.0))[0]
        guess = Confirmation(*(cipher.k or b"" for cipher in as_bob.split()[::-1]), as_bob.h)
        assert not guess.holds(confirm)


# -- trust -------------------------------------------------------------------------------------------------------------


def in_trust(trust: Trust, key: bytes, credential: bytes = b"") -> Refusal | None:
    return trusted_by(trust)(key, credential)


@both_bases
def test_handshake_lets_in_whom_the_trust_does(ik: bool) -> None:
    trust = Trust(clock=FakeClock())
    bob = Party(BOB, permit=trusted_by(trust), hybrid="off")
    static = bob.static.public if ik else None
    alice = Party(ALICE, hybrid="off")

    def outcome(party: Party) -> list[str]:
        ours, theirs, made = run(Initiator(party, BOB.public, static=static), Responder(bob, bounds=NO_BOUNDS))
        assert made in (0, 2) and not ours
        return theirs if made == 0 else ["in"]

    assert outcome(alice)[0] == "not-permitted"
    trust.pin(ALICE.public)
    assert outcome(alice) == ["in"]
    trust.block(ALICE.key)
    assert outcome(alice)[0] == "blocked"
    trust.unblock(ALICE.key)
    trust.unpin(ALICE.key)
    trust.add_authority(RELAY.public)
    rights = Rights(roles=Role.SEND | Role.RECEIVE)
    held = [
        Credential.issue(RELAY, subject, rights, not_before=NOW - 10, not_after=NOW + 10)
        for subject in (BOB.public, ALICE.public)
    ]
    assert outcome(Party(ALICE, hybrid="off", credential=held[0].raw))[0] == "not-permitted"
    assert outcome(Party(ALICE, hybrid="off", credential=held[1].raw)) == ["in"]
    assert in_trust(trust, MALLORY.key) is not None


def test_handshake_initiator_trusts_whom_it_names_unless_blocked() -> None:
    trust = Trust()
    responder = Responder(Party(BOB, permit=anyone, hybrid="off"), anonymous=True, bounds=NO_BOUNDS)
    alice = Party(ALICE, permit=trusted_by(trust), hybrid="off")
    assert run(Initiator(alice, BOB.fingerprint), responder) == ([], [], 2)
    assert run(Initiator(alice, None), responder) == (["not-permitted"], [], 0)
    trust.pin(BOB.public)
    assert run(Initiator(alice, None), responder) == ([], [], 2)
    trust.block(BOB.key)
    assert run(Initiator(alice, BOB.fingerprint), responder) == (["blocked"], [], 0)


def test_handshake_permit_is_asked_only_about_identities_that_are_proved() -> None:
    asked: list[bytes] = []

    def permit(key: bytes, credential: bytes) -> Refusal | None:
        asked.append(key)
        return Refusal(Reason.NOT_PERMITTED, "nobody")

    bob = Party(BOB, permit=permit, hybrid="off")
    mallory = liar(lies(Party(MALLORY, hybrid="off").static.public)["her-key-and-my-signature"])
    run(Initiator(mallory, BOB.public, static=bob.static.public), Responder(bob))
    assert asked == []
    run(Initiator(Party(MALLORY, hybrid="off"), BOB.public, static=bob.static.public), Responder(bob))
    assert asked == [MALLORY.key]


# -- downgrades --------------------------------------------------------------------------------------------------------

_OFFER = limits.HEADER_BYTES


def _set(opening: bytes, at: int, value: bytes) -> bytes:
    return opening[:at] + value + opening[at + len(value) :]


def _without_kem(opening: bytes) -> bytes:
    """The opening of an initiator that has the hybrid mode off: mode bit, offer and e1 are taken out."""
    e1 = limits.HEADER_BYTES + limits.OFFER_BYTES + 32
    size = 1184 + (limits.TAG_BYTES if opening[25] & (limits.MODE_IK | limits.MODE_PSK) else 0)
    cut = opening[:e1] + opening[e1 + size :]
    return _set(_set(cut, 25, bytes([opening[25] & ~limits.MODE_KEM])), _OFFER + 8, b"\0")


DOWNGRADES: dict[str, Callable[[bytes], bytes]] = {
    "hybrid-required-to-offered": lambda opening: _set(opening, _OFFER + 8, b"\1"),
    "hybrid-taken-out": _without_kem,
    "first-suite-taken-out": lambda opening: _set(opening, _OFFER + 9, b"\1" + bytes([opening[_OFFER + 11]]) + b"\0"),
    "suites-exchanged": lambda opening: _set(opening, _OFFER + 10, opening[_OFFER + 10 : _OFFER + 12][::-1]),
    "another-spi": lambda opening: _set(opening, _OFFER, b"\1\0\0\0"),
    "another-id": lambda opening: _set(opening, 12, bytes(12)),
}


@pytest.mark.parametrize("psk", [False, True], ids=["", "psk"])
@both_bases
@pytest.mark.parametrize("name", DOWNGRADES)
def test_handshake_offer_that_is_changed_on_the_way_comes_to_nothing(name: str, ik: bool, psk: bool) -> None:
    """By a relay that knows the responder's fingerprint, and mends mac1; Bob would take every one of these offers."""
    mode = (ik, psk, "offered")
    alice, bob = parties(mode, suites=["aes256gcm", "xchacha20poly1305"])
    if name == "hybrid-required-to-offered":
        alice.hybrid = 2
    static = bob.static.public if ik else None
    initiator, responder = Initiator(alice, BOB.public, static=static), Responder(bob, bounds=NO_BOUNDS)
    opening = only_sent(initiator.poll(0.0))
    changed = with_mac1(DOWNGRADES[name](opening))
    assert changed != opening
    events = responder.receive(changed, b"relay", 0.0)
    for answer in sent(events):
        assert not ik
        mended = answer[:8] + opening[_OFFER : _OFFER + 4] + opening[12:24] + answer[24:]
        for frame in (answer, mended, _set(mended, 25, opening[25:26])):
            assert reasons(initiator.receive(frame, 0.0))[0] in ("forged", "unknown-handshake", "malformed")
    assert not ik or reasons(events) == ["forged"]
    assert not initiator.is_over and not pairs(events)
    assert _goes_on(initiator, responder, opening)


def _goes_on(initiator: Initiator, responder: Responder, opening: bytes) -> bool:
    """Whether the true opening leads to the best that both offer."""
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    events = responder.receive(sent(initiator.receive(answer, 0.0))[0], b"alice", 0.0)
    (here,), (there,) = pairs(initiator.receive(only_sent(events), 0.0)), pairs(events)
    return here.binding == there.binding and here.hybrid and here.send.suite == limits.SUITE_AES256GCM


@both_bases
def test_handshake_psk_cannot_be_taken_out_on_the_way(ik: bool) -> None:
    """A responder without any PSK gets an opening that names one, with that taken out."""
    alice, _ = parties((ik, True, "off"))
    _, bob = parties((ik, False, "off"))
    static = bob.static.public if ik else None
    initiator, responder = Initiator(alice, BOB.public, static=static), Responder(bob, bounds=NO_BOUNDS)
    opening = only_sent(initiator.poll(0.0))
    changed = _set(_set(opening, 25, bytes([opening[25] & ~limits.MODE_PSK])), _OFFER + 4, bytes(4))
    if not ik:  # without a PSK message 1 of XX has no tag
        changed = changed[:80] + changed[96:]
    events = responder.receive(with_mac1(changed), b"relay", 0.0)
    if ik:
        assert reasons(events) == ["forged"]
    else:
        answer = only_sent(events)
        assert reasons(initiator.receive(answer, 0.0)) == ["malformed"]
        assert reasons(initiator.receive(_set(answer, 25, opening[25:26]), 0.0)) == ["forged"]


@both_bases
def test_handshake_answer_without_the_hybrid_mode_is_not_taken_for_one_with_it(ik: bool) -> None:
    """The mode bit of an answer is in no hash: changed, it only makes the answer unreadable."""
    initiator, responder = begin((ik, False, "offered"))
    answer = only_sent(responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    assert answer[25] & limits.MODE_KEM
    without = _set(answer, 25, bytes([answer[25] & ~limits.MODE_KEM]))
    assert reasons(initiator.receive(without, 0.0)) == ["forged"]
    plain, responder = begin((ik, False, "off"))
    answer = only_sent(responder.receive(only_sent(plain.poll(0.0)), b"alice", 0.0))
    assert reasons(plain.receive(_set(answer, 25, bytes([answer[25] | limits.MODE_KEM])), 0.0)) == ["malformed"]


@both_bases
def test_handshake_responder_that_lies_about_the_hybrid_mode_is_refused(
    ik: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It offers the mode in what it signs, and leaves it out of what it does; then the bit and the offers differ."""
    alice, bob = parties((ik, False, "offered"))
    initiator = Initiator(alice, BOB.public, static=bob.static.public if ik else None)
    opening = only_sent(initiator.poll(0.0))
    monkeypatch.setattr("zmqsec.responder.choose_kem", lambda theirs, mine: False)
    answer = only_sent(Responder(bob).receive(opening, b"alice", 0.0))
    assert not answer[25] & limits.MODE_KEM
    (refused,) = initiator.receive(answer, 0.0)
    assert isinstance(refused, Refused) and refused.detail == "an answer that does not follow from the offers"
