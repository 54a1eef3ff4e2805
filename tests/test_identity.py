"""Identities: keys, signatures, fingerprints, and files that refuse others and wrong passphrases."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from zmqsec import limits, sodium
from zmqsec.errors import IdentityError, KeyFileError
from zmqsec.identity import (
    Identity,
    PublicIdentity,
    fingerprint_bytes,
    fingerprint_text,
    verify,
    verify_many,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "zmqsec" / "identities.json").read_text())["vectors"]
SEED = bytes(range(32))
ALICE = Identity.from_seed(SEED, "alice")
#: Cheap, so that tests are; what it costs by default is a test of its own.
CHEAP: dict[str, Any] = {"operations": 1, "memory": 8192}


def test_identity_of_a_seed_is_that_of_rfc_8032() -> None:
    """Section 7.1, test 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    one = Identity.from_seed(seed)
    assert one.key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert one.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821")


def test_identity_signs_many_and_each_is_verified() -> None:
    messages = [b"", b"one", bytearray(b"two"), memoryview(b"three")]
    signatures = ALICE.sign_many(messages)
    assert all(len(one) == limits.SIGNATURE_BYTES for one in signatures)
    pairs = list(zip(messages, signatures, strict=True))
    assert verify_many((ALICE.key, message, signature) for message, signature in pairs) == [True] * 4
    swapped = [(ALICE.key, messages[0], signatures[1]), (ALICE.key, messages[1], signatures[1])]
    assert verify_many(swapped) == [False, True]


def test_identity_of_another_does_not_verify() -> None:
    signature = ALICE.sign(b"x")
    assert verify(ALICE.key, b"x", signature) and ALICE.public.verify(b"x", signature)
    assert not verify(Identity.generate().key, b"x", signature)


def test_identity_generated_is_new_each_time() -> None:
    assert Identity.generate("a") != Identity.generate("a")


def test_identity_fingerprint_is_a_hash_of_the_key_and_reads_back() -> None:
    assert ALICE.fingerprint == sodium.blake2b(b"", b"zmqsec.identity", ALICE.key)
    text = str(ALICE)
    assert text == str(ALICE.public) == fingerprint_text(ALICE.fingerprint)
    assert text.startswith("zs1") and len(text) == 55 and text == text.lower()
    assert fingerprint_bytes(text) == ALICE.fingerprint


@pytest.mark.parametrize("change", ["", "zs1", "short", "upper", "prefix", "padded", "digit", "tail"])
def test_identity_fingerprint_in_another_form_is_refused(change: str) -> None:
    text = str(ALICE)
    wrong = {
        "": "",
        "zs1": "zs1",
        "short": text[:-1],
        "upper": text.upper(),
        "prefix": text[3:],
        "padded": text + "====",
        "digit": text[:-1] + "1",
        "tail": text[:-1] + ("b" if text[-1] == "a" else "r" if text[-1] == "q" else chr(ord(text[-1]) + 1)),
    }[change]
    with pytest.raises(IdentityError, match="is no fingerprint; zs1 and 52 letters"):
        fingerprint_bytes(wrong)


def test_identity_never_shows_its_seed() -> None:
    shown = repr(ALICE) + str(ALICE) + repr(ALICE.public) + f"{ALICE}" + repr([ALICE])
    assert SEED.hex() not in shown and repr(SEED) not in shown and "seed=<hidden>" in shown
    for give in (pickle.dumps, lambda one: one.__reduce__(), lambda one: one.__getstate__()):
        with pytest.raises(TypeError, match="an identity is not pickled"):
            give(ALICE)
    with pytest.raises(TypeError):
        vars(ALICE)
    assert copy.deepcopy(ALICE) is ALICE


@pytest.mark.parametrize(
    ("seed", "said"),
    [(b"", "a seed of 0 bytes"), (bytes(31), "a seed of 31 bytes"), ("text", "a seed of str")],
)
def test_identity_of_a_wrong_seed_is_refused(seed: Any, said: str) -> None:
    with pytest.raises(IdentityError, match=f"{said}: exactly 32 bytes are allowed"):
        Identity.from_seed(seed)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (bytes(31), "a public key of 31 bytes: exactly 32"),
        ("text", "a public key of str"),
        (bytes(32), "not canonical or of a small order"),
        (b"\xff" * 32, "not canonical or of a small order"),
    ],
)
def test_public_identity_of_a_wrong_key_is_refused(key: Any, said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        PublicIdentity(key)


@pytest.mark.parametrize("name", ["\n", "é" * 128, 5, "\x1b[2J"])
def test_identity_name_that_cannot_be_shown_is_refused(name: Any) -> None:
    with pytest.raises(IdentityError, match="printable text of at most 255 bytes is allowed"):
        Identity.generate(name)


def test_public_identities_are_equal_by_their_keys() -> None:
    assert PublicIdentity(ALICE.key, "a") == PublicIdentity(ALICE.key, "b") != PublicIdentity(Identity.generate().key)
    assert len({PublicIdentity(ALICE.key, "a"), PublicIdentity(ALICE.key)}) == 1


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_identity_vector_gives_what_it_says(tmp_path: Path, vector: dict[str, Any]) -> None:
    one = Identity.from_seed(bytes.fromhex(vector["seed"]), vector["called"])
    assert (one.key.hex(), one.fingerprint.hex(), str(one)) == (vector["public"], vector["fingerprint"], vector["text"])
    lines = [f'name = "{vector["called"]}"', 'kind = "identity"', 'kdf = "argon2id"']
    lines += [f"{name} = {vector[name]}" for name in ("operations", "memory")]
    lines += [f'{name} = "{vector[name]}"' for name in ("public", "salt", "nonce", "sealed_seed")]
    (tmp_path / "one.toml").write_text("\n".join(lines))
    (tmp_path / "one.toml").chmod(0o600)
    assert Identity.load(tmp_path / "one.toml", vector["passphrase"]).secret_key == one.secret_key


# -- files ------------------------------------------------------------------------------------------------------------


def test_identity_file_is_private_and_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "alice.toml"
    ALICE.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Identity.load(path)
    assert (again, again.name, again.secret_key) == (ALICE, "alice", ALICE.secret_key)
    with pytest.raises(KeyFileError, match="exists already"):
        ALICE.save(path)
    Identity.generate("other").save(path, overwrite=True)
    assert Identity.load(path).name == "other"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_identity_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    ALICE.save(tmp_path / "alice.toml")
    os.chmod(tmp_path / "alice.toml", mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}: others could use the key"):
        Identity.load(tmp_path / "alice.toml")


def test_identity_file_under_a_passphrase_hides_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "alice.toml"
    ALICE.save(path, "correct horse", **CHEAP)
    text = path.read_text()
    assert SEED.hex() not in text and 'kdf = "argon2id"' in text and "memory = 8192" in text
    assert Identity.load(path, "correct horse").secret_key == ALICE.secret_key
    assert Identity.load(path, b"correct horse") == ALICE
    with pytest.raises(KeyFileError, match="the passphrase is wrong, or the file was changed"):
        Identity.load(path, "correct horsf")
    with pytest.raises(KeyFileError, match="is under a passphrase, and none was given"):
        Identity.load(path)


def test_identity_file_under_a_passphrase_is_another_each_time(tmp_path: Path) -> None:
    for name in "ab":
        ALICE.save(tmp_path / name, "same", **CHEAP)
    assert len({(tmp_path / name).read_text() for name in "ab"}) == 2


def test_identity_passphrase_costs_what_libsodium_calls_moderate_by_default(tmp_path: Path) -> None:
    ALICE.save(tmp_path / "alice.toml", "pass")
    text = (tmp_path / "alice.toml").read_text()
    assert "operations = 3" in text and f"memory = {256 << 20}" in text
    assert Identity.load(tmp_path / "alice.toml", "pass") == ALICE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name = "alice"', 'name = "alicf"'),
        ("operations = 1", "operations = 2"),
        ("memory = 8192", "memory = 9216"),
        ('salt = "', 'salt = "ff'),
        ('nonce = "', 'nonce = "ff'),
        ('sealed_seed = "', 'sealed_seed = "ff'),
        ('public = "', 'public = "ff'),
    ],
)
def test_identity_file_under_a_passphrase_that_was_changed_is_refused(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "alice.toml"
    ALICE.save(path, "pass", **CHEAP)
    text = path.read_text()
    if after.endswith("ff"):
        start = text.index(before) + len(before)
        other = "00" if text[start : start + 2] == "ff" else "ff"
        changed = text[:start] + other + text[start + 2 :]
    else:
        changed = text.replace(before, after)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(KeyFileError, match="the passphrase is wrong, or the file was changed"):
        Identity.load(path, "pass")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("operations = 1", "operations = 65", "operations=65: a whole number from 1 to 64 is allowed"),
        ("operations = 1", "operations = 0", "operations=0: a whole number from 1 to 64 is allowed"),
        ("operations = 1", "operations = true", "operations=True: a whole number"),
        ("memory = 8192", "memory = 1073741825", "memory=1073741825: a whole number from 8192 to 1073741824"),
        ("memory = 8192", "memory = 8191", "memory=8191: a whole number from 8192"),
        ('kdf = "argon2id"', 'kdf = "scrypt"', "kdf = 'scrypt'; 'argon2id' is allowed"),
        ('salt = "', 'salt = "0', "'salt' must be 32 hexadecimal digits"),
        ('nonce = "', 'nonces = "', "key 'nonces' is unknown"),
        ('kind = "identity"', 'kind = "public"', "is of kind 'public'; 'identity' is wanted here"),
    ],
)
def test_identity_file_out_of_bounds_is_refused_before_any_work(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    path = tmp_path / "alice.toml"
    ALICE.save(path, "pass", **CHEAP)
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(KeyFileError, match=said):
        Identity.load(path, "pass")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"passphrase": ""}, "the passphrase is empty"),
        ({"passphrase": "x", "operations": 65}, "operations=65"),
        ({"passphrase": "x", "memory": 1 << 40}, "memory=1099511627776"),
    ],
)
def test_identity_save_out_of_bounds_writes_nothing(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        ALICE.save(tmp_path / "alice.toml", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'kind' must be there"),
        ("kind = 'identity'\nname = 'a'\n", "'public' must be there"),
        ("kind = 'identity'\nname = 'a'\npublic = '00'\nseed = '00'\n", "'public' must be 64 hexadecimal digits"),
        (f"kind = 'identity'\nname = 5\npublic = '{ALICE.key.hex()}'\nseed = '{SEED.hex()}'\n", "name 5: printable"),
        (
            f"kind = 'identity'\nname = 'a'\npublic = '{ALICE.key.hex()}'\nseed = '{bytes(32).hex()}'\n",
            "'public' is not the public key of this seed",
        ),
        ("kind = ", "is not TOML"),
    ],
)
def test_identity_file_that_is_malformed_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=said) as caught:
        Identity.load(path)
    assert str(path) in str(caught.value) and SEED.hex() not in str(caught.value)


def test_public_identity_file_is_readable_by_all_and_written_by_none(tmp_path: Path) -> None:
    path = tmp_path / "alice.pub.toml"
    ALICE.public.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "seed" not in path.read_text()
    again = PublicIdentity.load(path)
    assert (again, again.name) == (ALICE.public, "alice")
    path.chmod(0o664)
    with pytest.raises(KeyFileError, match="mode 0664: others could write to it; run chmod 644"):
        PublicIdentity.load(path)
