"""Revocation lists: the vectors, what can be issued, and whom a list touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import NOW, flips

from zmqsec.credential import Credential
from zmqsec.errors import IdentityError, KeyFileError, Refusal
from zmqsec.identity import Identity
from zmqsec.revocation import RevocationList
from zmqsec.rights import Rights, Role

VECTORS = json.loads((Path(__file__).parent / "vectors" / "zmqsec" / "revocations.json").read_text())["vectors"]
AUTHORITY, SUBJECT, OTHER = (Identity.from_seed(bytes(range(start, start + 32))) for start in (0, 32, 64))


def issue(**fields: Any) -> RevocationList:
    whole = {"number": 1, "issued": NOW, "next_update": NOW + 60, **fields}
    return RevocationList.issue(whole.pop("authority", AUTHORITY), **whole)


def credential(authority: Identity = AUTHORITY, serial: int = 7) -> Credential:
    rights = Rights(Role.SEND)
    return Credential.issue(authority, SUBJECT.public, rights, not_before=NOW, not_after=NOW, serial=serial)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_revocation_vector_is_read_or_refused_as_it_says(vector: dict[str, Any]) -> None:
    found = RevocationList.read(bytes.fromhex(vector["raw"]))
    if isinstance(found, Refusal):
        assert str(found.reason) == vector["expect"] and found.detail
        return
    assert vector["expect"] == "valid"
    numbers = {name: vector[name] for name in ("number", "issued", "next_update")}
    assert {name: getattr(found, name) for name in numbers} == numbers
    keys = [bytes.fromhex(key) for key in vector["keys"]]
    assert (found.serials, found.keys) == (set(vector["serials"]), set(keys))
    assert issue(**numbers, serials=vector["serials"], keys=keys) == found


def test_revocation_list_with_any_bit_flipped_is_refused() -> None:
    for bit, changed in flips(issue(serials=[1, 2], keys=[SUBJECT.key]).raw):
        assert isinstance(RevocationList.read(changed), Refusal), bit


def test_revocation_touches_serials_and_identities_of_its_own_authority_only() -> None:
    for made in (issue(serials=[7]), issue(keys=[SUBJECT.key])):
        assert made.revokes(credential())
        assert not made.revokes(credential(OTHER))
    assert not issue(serials=[8], keys=[OTHER.key]).revokes(credential())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"issued": 2, "next_update": 1}, "issued=2 is after next_update=1"),
        ({"number": -1}, "-1 in a revocation list"),
        ({"serials": [2**64]}, "18446744073709551616 in a revocation list"),
        ({"keys": [b"x"]}, "a public key of 1 bytes"),
        ({"serials": range(1_900_000)}, "a revocation list of 17100132 bytes: at most 16777216 are allowed"),
    ],
)
def test_revocation_list_that_cannot_be_is_not_issued(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        issue(**fields)


def test_revocation_file_is_its_bytes(tmp_path: Path) -> None:
    made = issue(serials=range(10_000))  # more than a key file may have
    made.save(tmp_path / "a.revoked")
    assert RevocationList.load(tmp_path / "a.revoked") == made
    (tmp_path / "a.revoked").write_bytes(credential().raw)
    with pytest.raises(KeyFileError, match="holds no revocation list: malformed"):
        RevocationList.load(tmp_path / "a.revoked")
