"""Admission: what members add, what tells a relay so, and the file that a relay is given."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import ALICE, SECRET, SUITES, FakeAssociation, outcomes, receiver_of, session_of

from zmqsec import Association, limits
from zmqsec.admission import AdmissionKey, check_admission, derive_admission_key
from zmqsec.errors import AssociationError, KeyFileError, PartsError, Reason
from zmqsec.header import Header, derive_suite_key
from zmqsec.message import Message, Metadata

MEMBER = FakeAssociation(admit=True)
KEYS = {MEMBER.spi: derive_admission_key(SECRET, MEMBER.spi)}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("attest", ["none", "batch"])
def test_admission_stands_in_every_message_of_a_batch(implementation: ModuleType, suite: int, attest: Any) -> None:
    association = replace(MEMBER, suite=suite)
    identity = None if attest == "none" else ALICE
    session = session_of(implementation, association, identity=identity, attest=attest)
    forms: list[Any] = [b"one", [b"two", [b"three"]], Message(body=[b"four"], topic=b"t", header=[b"h"])] * 50
    sealed = implementation.seal_many(forms, session)
    assert [check_admission(one, KEYS) for one in sealed] == [None] * 150
    assert len(set(sealed)) == 150
    receiver = receiver_of(implementation, association)
    topics = [form.topic if isinstance(form, Message) else None for form in forms]
    routes = [[one] for one in session.attest_many(sealed)] if identity else None
    assert outcomes(implementation, sealed, receiver, topics=topics, routes=routes) == ["opened"] * 150


def test_admission_adds_26_bytes_and_is_not_there_unless_asked_for(implementation: ModuleType) -> None:
    with_it, without = (
        implementation.seal_many([b"x"], session_of(implementation, one))[0] for one in (MEMBER, FakeAssociation())
    )
    assert len(with_it) - len(without) == limits.ADMIT_BYTES
    assert Header.decode(without).header_parts == 0
    assert check_admission(without, KEYS) is Reason.UNATTESTED


def test_admission_follows_a_new_session(implementation: ModuleType) -> None:
    session = session_of(implementation, MEMBER, sequence=limits.MAX_SEQUENCE - 3)
    sealed = implementation.seal_many([b"x"] * 2, session) + implementation.seal_many([b"x"] * 6, session)
    assert len({one[limits.SESSION_OFFSET : limits.SEQUENCE_OFFSET] for one in sealed}) == 2
    assert [check_admission(one, KEYS) for one in sealed] == [None] * 8


def test_admission_counts_among_the_header_parts(implementation: ModuleType) -> None:
    room = limits.MAX_HEADER_PARTS_BYTES - limits.ADMIT_BYTES - 4
    (longest,) = implementation.seal_many(
        [Message(body=[b""], header=[bytes(room)])], session_of(implementation, MEMBER)
    )
    assert Header.decode(longest).header_parts == limits.MAX_HEADER_PARTS_BYTES
    with pytest.raises(PartsError, match="65535"):
        implementation.seal_many([Message(body=[b""], header=[bytes(room + 1)])], session_of(implementation, MEMBER))


def test_admission_of_the_user_is_refused(implementation: ModuleType) -> None:
    message = Message(body=[b""], metadata={"admit": bytes(16)})
    with pytest.raises(PartsError, match="'admit' is written by zmqsec itself; it comes with the association's admit"):
        implementation.seal_many([message], session_of(implementation, MEMBER))


def test_admission_critical_is_not_understood(implementation: ModuleType) -> None:
    message = Message(body=[b""], metadata={"admit": Metadata("admit", bytes(16), True)})
    sealed = implementation.seal_many([message], session_of(implementation, MEMBER))
    assert outcomes(implementation, sealed, receiver_of(implementation, MEMBER)) == ["unknown-critical"]


# -- the key -----------------------------------------------------------------------------------------------------------


def test_admission_key_is_none_of_the_suites() -> None:
    key = Association.generate("orders", admit=True)
    admission = key.admission()
    assert (admission.name, admission.spi) == ("orders", key.spi)
    suites = {derive_suite_key(key.secret, suite, key.spi) for suite in range(256)}
    assert admission.key not in suites | {key.secret}
    assert admission.key.hex() not in repr(admission)


def test_admission_key_file_round_trip_has_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "orders.toml"
    key = Association.generate("orders", admit=True)
    key.admission().save(path)
    assert AdmissionKey.load(path) == key.admission()
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.secret.hex() not in path.read_text()
    with pytest.raises(KeyFileError, match="exists"):
        key.admission().save(path)


def test_admission_key_file_is_not_an_association_nor_the_other_way(tmp_path: Path) -> None:
    key = Association.generate("orders", admit=True)
    key.save(tmp_path / "association.toml")
    with pytest.raises(KeyFileError, match="an association, which opens bodies; kind = 'admission' is allowed"):
        AdmissionKey.load(tmp_path / "association.toml")
    key.admission().save(tmp_path / "admission.toml")
    with pytest.raises(KeyFileError, match="is unknown; admit, allow_clear"):
        Association.load(tmp_path / "admission.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ('kind = "other"', "kind = 'other'"),
        ("spi = 0", "spi=0: 1 to 4294967295"),
        ('key = "00"', "key"),
        ("name = 7", "'name' must be a string"),
        ("more = 1", "more"),
    ),
)
def test_admission_key_file_malformed_is_refused_with_what_is_wrong(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "admission.toml"
    Association.generate("orders").admission().save(path)
    name = change.split(" ")[0]
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name} ")]
    path.write_text("\n".join([*lines, change]) + "\n")
    os.chmod(path, 0o600)
    with pytest.raises(KeyFileError, match=message):
        AdmissionKey.load(path)


def test_admission_key_of_another_length_is_refused() -> None:
    with pytest.raises(AssociationError, match="31 bytes: exactly 32"):
        AdmissionKey("orders", 1, bytes(31))
