"""The suites: names, registration, availability, and what a sealed part of each is."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import (
    NOW,
    SUITES,
    USERS_SUITE,
    FakeAssociation,
    leaf,
    outcome,
    outcomes,
    receiver_of,
    register_users_suite,
    seal_raw,
    session_id,
    session_of,
)

from zmqsec import limits, sodium, suites
from zmqsec.errors import SuiteError
from zmqsec.message import Message
from zmqsec.suites import Aes256Gcm, XChaCha20Poly1305, register_suite, suite_by_name, suite_by_number, suite_names

WYCHEPROOF = Path(__file__).parent / "vectors" / "wycheproof"


@pytest.fixture(scope="module", autouse=True)
def _users_suite() -> None:
    register_users_suite()


def wycheproof(name: str, **wanted: int) -> list[Any]:
    """The cases of a file's groups of these sizes, each as a parameter named by its number."""
    content = json.loads((WYCHEPROOF / name).read_text(encoding="utf-8"))
    groups = [group for group in content["testGroups"] if all(group[key] == size for key, size in wanted.items())]
    cases = [case for group in groups for case in group["tests"]]
    assert len(cases) > 60
    return [pytest.param(case, id=f"{case['tcId']}-{case['result']}") for case in cases]


def check_case(case: dict[str, Any], seal: Any, open_: Any) -> None:
    key, nonce, ad, plain, cipher, tag = (
        bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
    )
    assert case["result"] in ("valid", "invalid")
    if case["result"] == "invalid":
        assert open_(key, nonce, ad, cipher + tag) is None
        return
    assert seal(key, nonce, ad, plain) == cipher + tag
    assert open_(key, nonce, ad, cipher + tag) == plain


@pytest.mark.parametrize("case", wycheproof("xchacha20_poly1305_test.json", keySize=256, ivSize=192, tagSize=128))
def test_wycheproof_xchacha20poly1305(case: dict[str, Any]) -> None:
    suite = suite_by_number(1)
    check_case(case, suite.seal, suite.open)


@pytest.mark.skipif(not sodium.has_aes256gcm(), reason="libsodium has AES-256-GCM only with instructions for it")
@pytest.mark.parametrize("case", wycheproof("aes_gcm_test.json", keySize=256, ivSize=96, tagSize=128))
def test_wycheproof_aes256gcm(case: dict[str, Any]) -> None:
    check_case(case, sodium.aes256gcm_seal, sodium.aes256gcm_open)


# -- what each suite is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clear", [False, True], ids=["sealed", "clear"])
@pytest.mark.parametrize("number", [*SUITES, 200])
def test_suite_message_opens_in_a_stranger(implementation: ModuleType, number: int, clear: bool) -> None:
    """The bytes of the implementation against the cipher's definition, written out here."""
    association = FakeAssociation(suite=number)
    message = Message(body=[b"hello"], header=[b"h"], protect="authenticated" if clear else "sealed")
    (frame,) = implementation.seal_many([message], session_of(implementation, association, sequence=5))
    covered = len(frame) - 16 if clear else 32 + len(leaf(b"h"))
    ad, sealed = frame[:covered], frame[covered:]
    key = implementation.derive_suite_key(association.secret, number, association.spi)
    assert DEFINITIONS[number](key, frame[8:24], (5).to_bytes(8, "little"), ad, sealed) == (
        b"" if clear else leaf(b"hello")
    )


def _suite_1(key: bytes, input_16: bytes, sequence: bytes, ad: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(hchacha20(key, input_16)).decrypt(bytes(4) + sequence, sealed, ad)


def _suite_2(key: bytes, input_16: bytes, sequence: bytes, ad: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    subkey = hashlib.blake2b(input_16, key=key, digest_size=32, person=b"zmqsec.aes256gcm").digest()
    return AESGCM(subkey).decrypt(bytes(4) + sequence, sealed, ad)


def _suite_3(key: bytes, input_16: bytes, sequence: bytes, ad: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream_key = hmac.digest(key, b"zmqsec.aes256ctr" + input_16, "sha256")
    mac_key = hmac.digest(key, b"zmqsec.hmacsha256" + input_16, "sha256")
    text, tag = sealed[:-16], sealed[-16:]
    lengths = len(ad).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    assert tag == hmac.digest(mac_key, input_16 + sequence + ad + text + lengths, "sha256")[:16]
    counter = modes.CTR(bytes(4) + sequence + bytes(4))
    return bytes(Cipher(algorithms.AES(stream_key), counter).decryptor().update(text))


DEFINITIONS = {1: _suite_1, 2: _suite_2, 3: _suite_3, 200: _suite_1}


def hchacha20(key: bytes, input_16: bytes) -> bytes:
    """HChaCha20 of draft-irtf-cfrg-xchacha, section 2.2, in so many words."""
    state = [int.from_bytes(block[i : i + 4], "little") for block in (b"expand 32-byte k", key, input_16)
             for i in range(0, len(block), 4)]  # fmt: skip

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for one, two, three, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[one] = (state[one] + state[two]) & 0xFFFFFFFF
            mixed = state[three] ^ state[one]
            state[three] = (mixed << shift | mixed >> (32 - shift)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return b"".join(word.to_bytes(4, "little") for word in state[:4] + state[12:])


def test_hchacha20_of_this_test_is_the_drafts() -> None:
    key = bytes(range(32))
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert hchacha20(key, nonce).hex() == expected


@pytest.mark.parametrize("number", [*SUITES, 200])
def test_suite_key_is_its_own(implementation: ModuleType, number: int) -> None:
    """Neither another number nor another SPI gives the same key."""
    derive = implementation.derive_suite_key
    key = derive(FakeAssociation().secret, number, 7)
    assert len(key) == 32 and key != FakeAssociation().secret
    assert key not in [derive(FakeAssociation().secret, other, 7) for other in range(256) if other != number]
    assert key not in [derive(FakeAssociation().secret, number, 8), derive(bytes(31) + b"\1", number, 7)]


def test_derive_spi_is_a_hash_of_the_secret(implementation: ModuleType) -> None:
    digest = hashlib.blake2b(b"", key=FakeAssociation().secret, digest_size=32, person=b"zmqsec.spi").digest()
    assert implementation.derive_spi(FakeAssociation().secret) == int.from_bytes(digest[:4], "little")


@pytest.mark.parametrize("number", [*SUITES, 200])
def test_suite_message_of_many_lengths_opens(implementation: ModuleType, number: int) -> None:
    association = FakeAssociation(suite=number)
    bodies = [bytes([length % 251]) * length for length in [*range(300), 1000, 4095, 65537]]
    sealed = implementation.seal_many(bodies, session_of(implementation, association))
    opened = implementation.open_many(sealed, receiver_of(implementation, association), copy=True)
    assert [message.body for message in opened] == [[body] for body in bodies]


def test_suites_of_several_associations_mix_in_a_batch(implementation: ModuleType) -> None:
    associations = [FakeAssociation(spi=number, suite=number) for number in [*SUITES, 200]]
    frames = [seal_raw(one, leaf(b"x"), sequence=i) for i in range(30) for one in associations]
    frames[7] = frames[7][:-1] + bytes([frames[7][-1] ^ 1])
    receiver = receiver_of(implementation, *associations)
    expected = ["opened"] * len(frames)
    expected[7] = "forged"
    assert outcomes(implementation, frames, receiver) == expected
    assert receiver.sessions == len(associations)


# -- names and registration -------------------------------------------------------------------------------------------


def test_suite_names_lead_to_suites() -> None:
    assert {"xchacha20poly1305", "aes256gcm", "aes256ctr-hmacsha256", "users-own"} <= set(suite_names())
    assert suite_by_name("xchacha20poly1305").number == 1
    assert suite_by_name("users-own") is USERS_SUITE is suite_by_number(200)


@pytest.mark.parametrize("number", [0, 4, 127, 128, 255, 256, -1])
def test_suite_number_that_is_unknown_raises(number: int) -> None:
    with pytest.raises(SuiteError, match=f"suite {number} is unknown"):
        suite_by_number(number)


def test_suite_name_that_is_unknown_raises() -> None:
    with pytest.raises(SuiteError, match=r"suite 'rot13' is unknown: .*xchacha20poly1305.* are allowed"):
        suite_by_name("rot13")


def named(number: int, name: str) -> XChaCha20Poly1305:
    suite = XChaCha20Poly1305()
    suite.number, suite.name = number, name  # type: ignore[misc]
    return suite


@pytest.mark.parametrize("number", [0, 1, 4, 127, 256])
def test_suite_registered_outside_the_users_numbers_raises(number: int) -> None:
    with pytest.raises(SuiteError, match="128 to 255 are allowed"):
        register_suite(named(number, "another"))


def test_suite_registered_under_a_taken_number_or_name_raises() -> None:
    register_suite(USERS_SUITE)
    with pytest.raises(SuiteError, match="suite number 200 is taken by 'users-own'"):
        register_suite(named(200, "another"))
    for taken in ("users-own", "xchacha20poly1305", "aes256gcm"):
        with pytest.raises(SuiteError, match=f"suite name '{taken}' is taken"):
            register_suite(named(202, taken))


def test_suite_that_cannot_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sodium, "has_aes256gcm", lambda: False)
    monkeypatch.delitem(suites._ready, 2, raising=False)
    with pytest.raises(SuiteError, match="libsodium needs a processor with AES"):
        Aes256Gcm()
    with pytest.raises(SuiteError, match="suite aes256gcm cannot run here"):
        suite_by_name("aes256gcm")


def test_suite_3_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(SuiteError, match=r"pip install 'zmqsec\[suite3\]'"):
        suites.Aes256CtrHmacSha256()


# -- a user's suite in use --------------------------------------------------------------------------------------------


def test_users_suite_that_turns_bad_is_refused_as_forged(
    implementation: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else than as many bytes as it should give: never handed out."""
    association = FakeAssociation(suite=200)
    receiver = receiver_of(implementation, association)
    for i, wrong in enumerate([bytearray(9), b"short", b"more than it was", 5, False, "text", memoryview(bytes(9))]):
        monkeypatch.setattr(USERS_SUITE, "open", lambda *_, wrong=wrong: wrong, raising=False)
        frame = seal_raw(association, leaf(b"hello"), sequence=i)
        (refusal,) = implementation.open_many([frame], receiver)
        assert outcome(refusal) == "forged"
    assert receiver.sessions == 0


def test_users_suite_that_raises_is_refused_as_forged_and_logged_once(
    implementation: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: bytes) -> bytes:
        raise IndexError("a message that this suite did not foresee")

    association = FakeAssociation(suite=200)
    receiver = receiver_of(implementation, association, FakeAssociation(spi=7))
    good = seal_raw(FakeAssociation(spi=7), leaf(b"of another suite"))
    bad = [seal_raw(association, leaf(b"hello"), sequence=i) for i in range(3)]
    monkeypatch.setattr(USERS_SUITE, "open", fails, raising=False)
    monkeypatch.setattr("zmqsec.suites._raised", set())
    opened = implementation.open_many([bad[0], good, *bad[1:]], receiver)
    assert [outcome(one) for one in opened] == ["forged", "opened", "forged", "forged"]
    (line,) = caplog.records
    assert "suite 'users-own' raised" in line.message and line.exc_info


def test_users_suite_sees_the_standard_arguments(implementation: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    association = FakeAssociation(suite=200)
    seen: list[tuple[bytes, ...]] = []
    original = USERS_SUITE.seal

    def seal(*arguments: bytes) -> bytes:
        seen.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(USERS_SUITE, "seal", seal, raising=False)
    (frame,) = implementation.seal_many([b"hello"], session_of(implementation, association, sequence=3))
    key = implementation.derive_suite_key(association.secret, 200, association.spi)
    nonce = association.spi.to_bytes(4, "little") + session_id(NOW) + (3).to_bytes(8, "little")
    assert seen == [(key, nonce, frame[:32], leaf(b"hello"))]
    assert frame[limits.NONCE_OFFSET : limits.HEADER_BYTES] == nonce
