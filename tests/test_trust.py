"""Trust: who may do what, what takes it back, and what is remembered of whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers import NOW, FakeClock

from zmqsec import ed25519
from zmqsec.credential import Credential
from zmqsec.errors import IdentityError, Reason, Refusal
from zmqsec.identity import Identity
from zmqsec.revocation import RevocationList
from zmqsec.rights import Rights, Role
from zmqsec.trust import Trust

AUTHORITY, ALICE, BOB, OTHER = (Identity.from_seed(bytes([start]) * 32) for start in range(1, 5))
SENDER = Rights(Role.SEND, names=("alice",), routing_ids=(b"alice",), publish=(b"weather.*",))


def credential(subject: Identity = ALICE, authority: Identity = AUTHORITY, **fields: Any) -> Credential:
    whole = {"not_before": NOW, "not_after": NOW + 60, "serial": 7, **fields}
    return Credential.issue(authority, subject.public, whole.pop("rights", SENDER), **whole)


def revocations(authority: Identity = AUTHORITY, **fields: Any) -> RevocationList:
    return RevocationList.issue(authority, **{"number": 1, "issued": NOW, "next_update": NOW + 60, **fields})


def trust(**options: Any) -> Trust:
    return Trust(authorities=[AUTHORITY.public], **{"clock": FakeClock(), **options})


def why(found: Refusal | None) -> tuple[str, str]:
    assert found is not None
    return str(found.reason), found.detail.split(" ", 2)[2]


def test_trust_of_nobody_permits_nobody() -> None:
    nobody = Trust()
    assert not nobody
    said = "is neither pinned nor has a credential of a trusted authority"
    assert why(nobody.check(ALICE.key, Role.SEND)) == ("not-permitted", said)


def test_trust_of_a_pinned_key_sends_and_receives_all_and_no_more() -> None:
    pinned = Trust([ALICE.public])
    assert pinned
    for role in (Role.SEND, Role.RECEIVE):
        assert pinned.check(ALICE.key, role, b"any", routing_id=b"any") is None
    assert why(pinned.check(ALICE.key, Role.ADMIN)) == ("not-permitted", "lacks the role admin")
    assert pinned.check(BOB.key, Role.SEND) is not None


def test_trust_of_a_pin_with_rights_permits_these() -> None:
    pinned = Trust()
    pinned.pin(ALICE.public, Rights(Role.ADMIN | Role.SEND, publish=[b"a"]))
    assert pinned.check(ALICE.key, Role.ADMIN) is None
    assert pinned.check(ALICE.key, Role.SEND, b"a") is None
    assert why(pinned.check(ALICE.key, Role.SEND, b"b"))[1] == "lacks the topic b'b' to publish"
    pinned.unpin(ALICE.key)
    assert pinned.check(ALICE.key, Role.ADMIN) is not None
    with pytest.raises(IdentityError, match="is not pinned"):
        pinned.unpin(ALICE.key)


@pytest.mark.parametrize("how", ["given", "learned"])
def test_trust_of_a_credential_permits_what_it_says(how: str) -> None:
    one = trust()
    if how == "given":
        one.add(credential())
    else:
        assert one.learn(credential().raw) == credential()
    assert one.check(ALICE.key, Role.SEND, b"weather.oslo", routing_id=b"alice") is None
    assert why(one.check(ALICE.key, Role.SEND, b"sport"))[1] == "lacks the topic b'sport' to publish"
    assert why(one.check(ALICE.key, Role.SEND, routing_id=b"bob"))[1] == "lacks the routing id b'bob'"
    assert why(one.check(ALICE.key, Role.RECEIVE))[1] == "lacks the role receive"
    assert one.check(BOB.key, Role.SEND) is not None
    assert one.name_of(ALICE.key) == "alice" and one.rights(ALICE.key) == (SENDER,)


def test_trust_in_a_credential_ends_with_its_time() -> None:
    clock = FakeClock(NOW - 1)
    one = trust(clock=clock)
    one.add(credential())
    said = "has a credential, number 7, that is not valid now"
    assert why(one.check(ALICE.key, Role.SEND)) == ("not-permitted", said)
    for clock.now in (NOW, NOW + 60):
        assert one.check(ALICE.key, Role.SEND) is None
    clock.now = NOW + 61
    assert why(one.check(ALICE.key, Role.SEND)) == ("not-permitted", said)
    assert one.check(ALICE.key, Role.SEND, now=NOW) is None, "a time that is given counts"


@pytest.mark.parametrize("what", [{"serials": [7]}, {"keys": [ALICE.key]}])
def test_trust_in_a_credential_ends_with_its_revocation(what: dict[str, Any]) -> None:
    one = trust()
    one.learn(credential().raw)
    one.add(credential(BOB, serial=8))
    one.revoke(revocations(**what))
    assert why(one.check(ALICE.key, Role.SEND)) == ("not-permitted", "has a credential, number 7, that is revoked")
    assert one.learn(credential().raw) == credential(), "it is what it is"
    assert one.check(ALICE.key, Role.SEND) is not None, "and remains revoked"
    assert one.check(BOB.key, Role.SEND) is None


def test_trust_in_a_renewed_credential_outlives_the_revocation_of_the_old_one() -> None:
    one = trust()
    one.learn(credential().raw)
    one.revoke(revocations(serials=[7]))
    one.learn(credential(serial=9, not_after=NOW + 90).raw)
    assert one.check(ALICE.key, Role.SEND) is None
    one.revoke(revocations(number=2, keys=[ALICE.key]))
    assert one.check(ALICE.key, Role.SEND) is not None


def test_trust_in_a_pinned_key_is_not_an_authoritys_to_take() -> None:
    one = trust(pins=[ALICE.public])
    one.revoke(revocations(keys=[ALICE.key]))
    assert one.check(ALICE.key, Role.SEND) is None


def test_trust_takes_lists_with_growing_numbers_only() -> None:
    one = trust()
    one.revoke(revocations(number=5, serials=[7]))
    one.revoke(revocations(number=5, serials=[7]))
    for number in (5, 4):
        with pytest.raises(IdentityError, match=f"a list of number {number}, and number 5 is here already"):
            one.revoke(revocations(number=number))
    one.revoke(revocations(number=6))
    assert [made.number for made in one.lists] == [6]


def test_trust_takes_no_list_of_a_stranger() -> None:
    with pytest.raises(IdentityError, match="which is no trusted authority"):
        trust().revoke(revocations(OTHER))


def test_trust_in_a_block_overrules_pins_and_credentials() -> None:
    one = trust(pins=[BOB.public])
    one.add(credential())
    for who in (ALICE, BOB):
        one.block(who.key)
        assert why(one.check(who.key, Role.SEND)) == ("blocked", "is blocked")
        assert one.rights(who.key) == () and one.is_blocked(who.key)
        one.unblock(who.key)
        assert one.check(who.key, Role.SEND) is None
    with pytest.raises(IdentityError, match="a public key of 1 bytes"):
        one.block(b"x")


def test_trust_that_requires_current_lists_wants_one_of_each_authority() -> None:
    clock = FakeClock()
    one = trust(clock=clock, require_current_lists=True)
    one.add(credential(not_after=NOW + 1000))
    said = "has a credential, number 7, of an authority without a current revocation list"
    assert why(one.check(ALICE.key, Role.SEND))[1] == said
    one.revoke(revocations())
    assert one.check(ALICE.key, Role.SEND) is None
    clock.now = NOW + 61
    assert why(one.check(ALICE.key, Role.SEND))[1] == said
    one.revoke(revocations(number=2, next_update=NOW + 500))
    assert one.check(ALICE.key, Role.SEND) is None


def test_trust_begins_to_require_current_lists_at_once() -> None:
    one, told = trust(), Listener()
    one.listen(told)
    one.add(credential())
    before = one.version
    one.require_current_lists = True
    assert one.require_current_lists and one.check(ALICE.key, Role.SEND) is not None
    assert told.times == 2 and one.version == before + 1


def test_trust_without_that_goes_on_with_an_old_list() -> None:
    one = trust()
    one.add(credential(not_after=NOW + 1000))
    one.revoke(revocations(serials=[8]))
    assert one.check(ALICE.key, Role.SEND, now=NOW + 500) is None
    one.revoke(revocations(number=2, serials=[7]))
    assert one.check(ALICE.key, Role.SEND, now=NOW + 500) is not None, "and it goes on to revoke"


def test_trust_does_not_add_up_several_credentials() -> None:
    one = trust()
    one.add(credential(rights=Rights(Role.SEND, publish=[b"a"]), serial=1))
    one.add(credential(rights=Rights(Role.RECEIVE, read=[b"a", b"b"]), serial=2))
    assert one.check(ALICE.key, Role.SEND, b"a") is None
    assert one.check(ALICE.key, Role.RECEIVE, b"b") is None
    assert one.check(ALICE.key, Role.SEND, b"b") is not None


# -- learning ---------------------------------------------------------------------------------------------------------


def test_trust_learns_nothing_of_a_stranger_and_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trust()
    monkeypatch.setattr(ed25519, "verify", lambda *_: pytest.fail("verified"))
    found = one.learn(credential(authority=OTHER).raw)
    assert isinstance(found, Refusal) and found.reason == Reason.NOT_PERMITTED
    assert one.credentials(ALICE.key) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "forged"),
        (lambda raw: raw[:-1], "malformed"),
        (lambda raw: raw + bytes(5000), "malformed"),
        (lambda raw: b"", "malformed"),
    ],
)
def test_trust_learns_no_credential_that_does_not_hold(change: Any, reason: str) -> None:
    one = trust()
    found = one.learn(change(credential().raw))
    assert isinstance(found, Refusal) and str(found.reason) == reason
    assert one.credentials(ALICE.key) == ()


def test_trust_verifies_a_credential_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trust()
    learned = one.learn(credential().raw)
    monkeypatch.setattr(ed25519, "verify", lambda *_: pytest.fail("verified again"))
    assert one.learn(credential().raw) is learned


def test_trust_remembers_a_bounded_number_of_identities() -> None:
    one = trust(max_credentials=3)
    subjects = [Identity.from_seed(bytes([100 + i]) * 32) for i in range(5)]
    for subject in subjects[:3]:
        one.learn(credential(subject).raw)
    assert one.check(subjects[0].key, Role.SEND) is None  # and so it is not the one that leaves
    for subject in subjects[3:]:
        one.learn(credential(subject).raw)
    held = [one.check(subject.key, Role.SEND) is None for subject in subjects]
    assert held == [True, False, False, True, True]
    one.learn(credential(subjects[1]).raw)
    assert one.check(subjects[1].key, Role.SEND) is None


def test_trust_keeps_what_it_was_given_whatever_is_learned() -> None:
    one = trust(max_credentials=1)
    one.add(credential(BOB))
    for i in range(5):
        one.learn(credential(Identity.from_seed(bytes([100 + i]) * 32)).raw)
    assert one.check(BOB.key, Role.SEND) is None


def test_trust_keeps_few_credentials_of_one_identity() -> None:
    one = trust()
    for serial in range(20):
        one.learn(credential(serial=serial, not_after=NOW + 60 + serial).raw)
    assert [held.serial for held in one.credentials(ALICE.key)] == list(range(19, 11, -1))


def test_trust_without_the_authority_forgets_its_credentials_and_keeps_its_list() -> None:
    one = trust(pins=[OTHER.public])
    one.add(credential())
    one.learn(credential(BOB, serial=8).raw)
    one.revoke(revocations(number=5, serials=[8]))
    one.remove_authority(AUTHORITY.key)
    assert one.check(ALICE.key, Role.SEND) is not None and one.credentials(BOB.key) == ()
    with pytest.raises(IdentityError, match="is no trusted authority"):
        one.add(credential())
    with pytest.raises(IdentityError, match="is no trusted authority"):
        one.remove_authority(AUTHORITY.key)
    one.add_authority(AUTHORITY.public)
    one.learn(credential(BOB, serial=8).raw)
    assert one.check(BOB.key, Role.SEND) is not None, "what was revoked remains so"


# -- changes ----------------------------------------------------------------------------------------------------------


def test_trust_takes_over_another_in_one_step_and_never_goes_back() -> None:
    one, told = trust(pins=[BOB.public]), Listener()
    one.learn(credential().raw)
    one.revoke(revocations(number=5, serials=[9]))
    one.block(OTHER.key)
    one.listen(told)
    new = Trust([ALICE.public], [AUTHORITY.public])
    new.revoke(revocations(number=4))
    one.take(new)
    assert told.times == 1
    assert set(one.pins) == {ALICE.key} and one.lists[0].number == 5 and one.is_blocked(OTHER.key)
    assert one.credentials(ALICE.key) == (credential(),), "what was learned stays"
    one.take(Trust(authorities=[OTHER.public]))
    assert one.credentials(ALICE.key) == () and one.pins == {}


class Listener:
    def __init__(self) -> None:
        self.times = 0

    def trust_changed(self) -> None:
        self.times += 1


def test_trust_tells_each_change_and_counts_it() -> None:
    one, told = trust(), Listener()
    one.listen(told)
    before = one.version
    one.pin(BOB.public)
    one.add_authority(OTHER.public)
    one.revoke(revocations())
    one.block(ALICE.key)
    one.unblock(ALICE.key)
    one.unpin(BOB.key)
    one.remove_authority(OTHER.key)
    assert told.times == 7 and one.version == before + 7
    one.learn(credential().raw)
    assert told.times == 7, "what messages bring is no change of the operator's"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda one: one.pin("alice"), "str is no identity"),
        (lambda one: one.add_authority(5), "int is no identity"),
        (lambda one: one.revoke(b""), "bytes is no RevocationList"),
        (lambda one: Trust(max_credentials=0), "max_credentials=0: a whole number of 1 or more"),
    ],
)
def test_trust_of_a_wrong_type_is_refused(act: Any, said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        act(trust())


def test_trust_holds_while_threads_learn_and_revoke() -> None:
    one = trust(max_credentials=4)
    raws = [credential(Identity.from_seed(bytes([i]) * 32), serial=i).raw for i in range(1, 17)]
    faults: list[BaseException] = []

    def learn() -> None:
        try:
            for raw in raws * 5:
                assert isinstance(one.learn(raw), Credential)
                one.check(raw[40:72], Role.SEND)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 30):
        one.revoke(revocations(number=number, serials=range(number)))
    for thread in threads:
        thread.join(30)
    assert faults == [] and len(one._learned) <= 4
