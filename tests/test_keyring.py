"""Associations, their files, and the keyring."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import stat
from pathlib import Path

import pytest

from zmqsec import Association, AssociationError, KeyFileError, Keyring, SuiteError, reference
from zmqsec.errors import ZmqsecError

SECRET = bytes(range(32))


@pytest.fixture
def key() -> Association:
    return Association.from_secret(SECRET, name="orders")


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# -- the association --------------------------------------------------------------------------------------------------


def test_association_generated_twice_differs() -> None:
    first, second = Association.generate("a"), Association.generate("a")
    assert first.secret != second.secret and first.spi != second.spi
    assert len(first.secret) == 32 and first.suite == 1


def test_association_spi_is_derived_from_the_secret(key: Association) -> None:
    assert key.spi == reference.derive_spi(SECRET)
    assert Association.from_secret(SECRET, spi=7).spi == 7


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_association_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(AssociationError, match=f"{length} bytes: exactly 32 bytes are allowed"):
        Association.from_secret(b"x" * length)


def test_association_secret_as_str_is_refused() -> None:
    with pytest.raises(AssociationError, match="a secret of str: exactly 32 bytes"):
        Association.from_secret("x" * 32)  # type: ignore[arg-type]


def test_association_secret_of_zeros_is_refused() -> None:
    with pytest.raises(AssociationError, match="zero bytes is no secret"):
        Association.from_secret(bytes(32))


def test_association_mutable_secret_is_copied() -> None:
    secret = bytearray(SECRET)
    key = Association.from_secret(secret)  # type: ignore[arg-type]
    secret[0] ^= 1
    assert key.secret == SECRET


@pytest.mark.parametrize("spi", [0, -1, 1 << 32, "7", True])
def test_association_spi_out_of_bounds_is_refused(spi: object) -> None:
    with pytest.raises(AssociationError, match=r"spi=.*1 to 4294967295 is allowed"):
        Association.from_secret(SECRET, spi=spi)  # type: ignore[arg-type]


def test_association_unknown_suite_is_refused_with_those_there_are() -> None:
    with pytest.raises(SuiteError, match="xchacha20poly1305"):
        Association.generate(suite="rot13")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"lifetime": 60}, "lifetime=60: a whole number of seconds from 3600"),
        ({"skew": -1}, "skew=-1: a whole number of seconds from 0"),
        ({"late_join": 1.5}, "late_join=1.5: a whole number"),
        ({"allow_clear": 1}, "allow_clear=1: True or False"),
        ({"admit": "yes"}, "admit='yes': True or False"),
    ],
)
def test_association_policy_out_of_bounds_is_refused(policy: dict[str, object], message: str) -> None:
    with pytest.raises(AssociationError, match=message):
        Association.generate(**policy)  # type: ignore[arg-type]


def test_association_never_shows_its_secret(key: Association) -> None:
    for shown in (repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr(Keyring([key]))):
        assert SECRET.hex() not in shown and repr(SECRET) not in shown and str(SECRET[:8]) not in shown
    assert "orders" in repr(key)


def test_association_fields_are_without_the_secret(key: Association) -> None:
    assert "secret" not in dataclasses.asdict(key) and SECRET not in dataclasses.astuple(key)


def test_association_pickle_is_refused(key: Association) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="an association is not pickled"):
            pickle.dumps(key, protocol)


def test_association_copy_is_itself(key: Association) -> None:
    assert copy.copy(key) is key and copy.deepcopy([key])[0] is key


def test_association_is_frozen(key: Association) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.spi = 7  # type: ignore[misc]
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        key.secret = b"y" * 32
    assert key.secret == SECRET


def test_association_equal_only_with_the_same_secret(key: Association) -> None:
    assert key == Association.from_secret(SECRET, name="orders")
    assert key != Association.from_secret(SECRET[::-1], name="orders", spi=key.spi)
    assert len({key, Association.from_secret(SECRET, name="orders")}) == 1


# -- its file ---------------------------------------------------------------------------------------------------------


def test_file_round_trip_keeps_everything(tmp_path: Path) -> None:
    key = Association.generate(
        'a "quoted"\\\n\x7fnamé',
        suite="xchacha20poly1305",
        lifetime=4000,
        skew=5,
        late_join=0,
        allow_clear=False,
        admit=True,
    )
    key.save(tmp_path / "key.toml")
    assert Association.load(tmp_path / "key.toml") == key


def test_file_has_mode_0600_whatever_the_umask(tmp_path: Path, key: Association) -> None:
    before = os.umask(0)
    try:
        key.save(tmp_path / "key.toml")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.toml").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key.toml"]


def test_file_that_exists_stays_unless_told(tmp_path: Path, key: Association) -> None:
    path = write(tmp_path / "key.toml", "precious")
    with pytest.raises(KeyFileError, match="exists already; pass overwrite=True"):
        key.save(path)
    assert path.read_text() == "precious" and len(list(tmp_path.iterdir())) == 1
    key.save(path, overwrite=True)
    assert Association.load(path) == key


def test_file_in_a_missing_folder_is_an_error(tmp_path: Path, key: Association) -> None:
    with pytest.raises(KeyFileError, match=r"cannot write .*No such file"):
        key.save(tmp_path / "nowhere" / "key.toml")


def test_file_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read .*No such file"):
        Association.load(tmp_path / "key.toml")


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610, 0o666])
def test_file_open_to_others_is_refused_with_the_mode_and_the_remedy(
    tmp_path: Path, key: Association, mode: int
) -> None:
    path = tmp_path / "key.toml"
    key.save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        Association.load(path)


def test_file_behind_a_symlink_is_judged_by_its_own_mode(tmp_path: Path, key: Association) -> None:
    path, link = tmp_path / "key.toml", tmp_path / "link.toml"
    key.save(path)
    link.symlink_to(path)
    assert Association.load(link) == key
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 0644"):
        Association.load(link)


def test_file_that_is_a_folder_or_a_fifo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read|regular file"):
        Association.load(tmp_path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        Association.load(tmp_path / "fifo")


GOOD = f'name = "orders"\nsecret = "{SECRET.hex()}"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        (f'secret = "{SECRET.hex()}"', "'name' must be there"),
        ('name = "x"', "'secret' must be there"),
        (f'name = 5\nsecret = "{SECRET.hex()}"', "association name 5: 1 to 255"),
        ('name = "x"\nsecret = "zz"', "'secret' must be 64 hexadecimal digits"),
        ('name = "x"\nsecret = "00ff"', "'secret' must be 64 hexadecimal digits"),
        (f'name = "x"\nsecret = "{"00" * 32}"', "no secret"),
        (GOOD + "colour = 1", "key 'colour' is unknown; .*lifetime"),
        (GOOD + 'suite = "rot13"', "suite 'rot13' is unknown"),
        (GOOD + "suite = 1", "'suite'|suite"),
        (GOOD + 'spi = "7"', "spi='7': 1 to"),
        (GOOD + "spi = 0", "spi=0: 1 to"),
        (GOOD + "lifetime = true", "lifetime=True: a whole number"),
        (GOOD + 'allow_clear = "yes"', "allow_clear='yes': True or False"),
    ],
)
def test_file_malformed_is_refused_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "key.toml", text)
    with pytest.raises(KeyFileError, match=message) as caught:
        Association.load(path)
    assert SECRET.hex() not in str(caught.value) and "key.toml" in str(caught.value)


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "key.toml").chmod(0o600)
    with pytest.raises(KeyFileError, match="not UTF-8"):
        Association.load(tmp_path / "key.toml")


# -- the keyring ------------------------------------------------------------------------------------------------------


def test_keyring_holds_associations_by_name(key: Association) -> None:
    other = Association.generate("other")
    ring = Keyring([key, other])
    assert list(ring) == [key, other] and len(ring) == 2 and "orders" in ring and ring.get("other") is other
    ring.remove("orders")
    assert "orders" not in ring
    ring.add(key)
    assert ring.get("orders") is key


def test_keyring_same_name_is_refused(key: Association) -> None:
    ring = Keyring([key])
    with pytest.raises(AssociationError, match="named 'orders' already"):
        ring.add(Association.generate("orders"))
    assert list(ring) == [key]


def test_keyring_same_spi_is_refused(key: Association) -> None:
    with pytest.raises(AssociationError, match="that of 'orders'"):
        Keyring([key, Association.from_secret(SECRET[::-1], name="other", spi=key.spi)])


def test_keyring_unknown_name_lists_those_there_are(key: Association) -> None:
    with pytest.raises(AssociationError, match="no association named 'other' in the keyring; there are: orders"):
        Keyring([key]).get("other")
    with pytest.raises(AssociationError, match="there are: none"):
        Keyring().remove("orders")


def test_keyring_of_something_else_is_refused() -> None:
    with pytest.raises(AssociationError, match="not bytes"):
        Keyring([SECRET])  # type: ignore[list-item]


def test_keyring_is_loaded_from_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        Association.generate(name).save(tmp_path / f"{name}.toml")
    write(tmp_path / "notes.txt", "not a key", 0o644)
    assert [one.name for one in Keyring.load(tmp_path)] == ["a", "b"]


def test_keyring_folder_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="not a directory"):
        Keyring.load(tmp_path / "nowhere")


def test_keyring_folder_with_one_bad_file_is_an_error(tmp_path: Path, key: Association) -> None:
    key.save(tmp_path / "good.toml")
    write(tmp_path / "open.toml", GOOD, 0o644)
    with pytest.raises(ZmqsecError, match=r"open\.toml has mode 0644"):
        Keyring.load(tmp_path)


def test_keyring_tells_its_listeners_and_keeps_none_alive(key: Association) -> None:
    class Listener:
        told = 0

        def keyring_changed(self) -> None:
            self.told += 1

    ring, listener = Keyring(), Listener()
    ring.listen(listener)
    ring.add(key)
    ring.remove("orders")
    assert listener.told == 2
    del listener
    assert len(ring._listeners) == 0
