"""Credentials: the vectors, what can be issued, and every bit of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import NOW, flips
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqsec import limits
from zmqsec.credential import Credential, lifetime, newest
from zmqsec.errors import IdentityError, KeyFileError, Refusal
from zmqsec.identity import Identity
from zmqsec.rights import Rights, Role

VECTORS = json.loads((Path(__file__).parent / "vectors" / "zmqsec" / "credentials.json").read_text())["vectors"]
AUTHORITY, SUBJECT = (Identity.from_seed(bytes(range(start, start + 32))) for start in (0, 32))
VALID = [one for one in VECTORS if one["expect"] == "valid"]
REFUSED = [one for one in VECTORS if one["expect"] != "valid"]


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def rights_of(vector: dict[str, Any]) -> Rights:
    lists = {one: tuple(map(bytes.fromhex, vector[one])) for one in ("routing_ids", "publish", "read")}
    return Rights(Role(vector["roles"]), tuple(vector["names"]), **lists)


def issue(**fields: Any) -> Credential:
    return Credential.issue(
        AUTHORITY,
        SUBJECT.public,
        fields.pop("rights", Rights(Role.SEND)),
        **{"not_before": NOW, "not_after": NOW + 60, **fields},
    )


def test_credential_vectors_are_as_many_as_they_should_be() -> None:
    assert len(VALID) >= 10 and len(REFUSED) >= 25


@pytest.mark.parametrize("vector", VALID, ids=name_of)
def test_credential_vector_reads_as_it_says_and_is_issued_the_same(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["raw"])
    found = Credential.read(raw)
    assert isinstance(found, Credential)
    numbers = {name: vector[name] for name in ("serial", "not_before", "not_after")}
    assert {name: getattr(found, name) for name in numbers} == numbers
    assert (found.authority.hex(), found.subject.hex()) == (vector["authority"], vector["subject"])
    assert found.rights == rights_of(vector)
    assert issue(rights=rights_of(vector), **numbers) == found


@pytest.mark.parametrize("vector", [one for one in VALID if one["checks"]], ids=name_of)
def test_credential_vector_permits_what_it_says(vector: dict[str, Any]) -> None:
    found = Credential.read(bytes.fromhex(vector["raw"]))
    assert isinstance(found, Credential)
    for check in vector["checks"]:
        topic = None if check["topic"] is None else bytes.fromhex(check["topic"])
        lacks = found.rights.lacks(Role(check["role"]), topic, bytes.fromhex(check["routing_id"]))
        assert (found.is_valid_at(check["now"]) and not lacks) == check["permitted"], check


@pytest.mark.parametrize("vector", REFUSED, ids=name_of)
def test_credential_vector_is_refused_for_its_reason(vector: dict[str, Any]) -> None:
    found = Credential.read(bytes.fromhex(vector["raw"]))
    assert isinstance(found, Refusal)
    assert str(found.reason) == vector["expect"] and found.detail


PATTERNS = st.lists(st.binary(max_size=20), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 15), st.lists(st.text(min_size=1, max_size=20), max_size=8),
    st.lists(st.binary(min_size=1, max_size=20), max_size=8), PATTERNS, PATTERNS, st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_credential_of_any_rights_reads_as_it_was_issued(
    roles: int, names: list[str], routing_ids: list[bytes], publish: list[bytes], read: list[bytes], serial: int
) -> None:
    made = issue(rights=Rights(roles, names, routing_ids, publish, read), serial=serial)
    assert Credential.read(made.raw) == made
    for topic in publish:
        assert not Rights(Role.SEND, publish=publish).lacks(Role.SEND, topic), "a pattern matches itself"


def test_credential_with_any_bit_flipped_is_refused() -> None:
    for bit, changed in flips(issue(rights=Rights(Role.SEND, names=("alice",), publish=(b"a*",))).raw):
        assert isinstance(Credential.read(changed), Refusal), bit


def test_credential_cut_anywhere_is_refused() -> None:
    raw = issue().raw
    assert all(isinstance(Credential.read(raw[:size]), Refusal) for size in range(len(raw)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"not_before": 2, "not_after": 1}, "not_before=2 is after not_after=1"),
        ({"not_before": -1}, "not_before=-1: a whole number from 0"),
        ({"not_after": 2**64}, "not_after=18446744073709551616: a whole number"),
        ({"serial": 1.5}, "serial=1.5: a whole number"),
        (
            {"rights": Rights(Role.SEND, publish=[bytes([i]) * 255 for i in range(16)])},
            "a credential of 4260 bytes: at most 4096 are allowed",
        ),
    ],
)
def test_credential_that_cannot_be_is_not_issued(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        issue(**fields)


def test_credential_serials_differ_by_themselves() -> None:
    serials = {issue().serial for _ in range(100)}
    assert len(serials) == 100 and max(serials) < 2**53


def test_credential_file_is_its_bytes(tmp_path: Path) -> None:
    made = issue()
    made.save(tmp_path / "a.cred")
    assert (tmp_path / "a.cred").read_bytes() == made.raw
    assert Credential.load(tmp_path / "a.cred") == made
    with pytest.raises(KeyFileError, match="exists already"):
        made.save(tmp_path / "a.cred")
    (tmp_path / "a.cred").chmod(0o646)
    with pytest.raises(KeyFileError, match="others could write to it"):
        Credential.load(tmp_path / "a.cred")


def test_credential_file_of_something_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.cred").write_bytes(b"x" * 200)
    with pytest.raises(KeyFileError, match=r"a\.cred holds no credential: malformed: too short, or another magic"):
        Credential.load(tmp_path / "a.cred")


def test_credential_lifetime_allows_for_the_skew_of_clocks() -> None:
    assert lifetime(1, NOW) == (NOW - limits.CLOCK_SKEW, NOW + 86400)


def test_credential_newest_is_the_one_that_holds_longest() -> None:
    first, second = issue(not_after=NOW + 5), issue(not_after=NOW + 9)
    assert newest([first, second]) == second and newest([]) is None
