"""A keyring's directory, and running sockets that follow its trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zmq

import zmqsec
from zmqsec import (
    Association,
    Credential,
    Identity,
    IdentityError,
    KeyFileError,
    Keyring,
    PublicIdentity,
    RevocationList,
    Rights,
    Role,
    Trust,
)

AUTHORITY, ALICE, BOB, OTHER = (
    Identity.from_seed(bytes([start]) * 32, name)
    for start, name in ((1, "ops"), (2, "alice"), (3, "bob"), (4, "other"))
)
SENDER = Rights(Role.SEND, publish=["*"])
FOR_EVER = {"not_before": 0, "not_after": 2**40}


def credential(subject: Identity, authority: Identity = AUTHORITY, **fields: Any) -> Credential:
    return Credential.issue(authority, subject.public, SENDER, **{"serial": 7, **FOR_EVER, **fields})


def revocations(number: int = 1, authority: Identity = AUTHORITY, **what: Any) -> RevocationList:
    return RevocationList.issue(authority, number=number, issued=0, next_update=2**40, **what)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An association, two identities, an authority, a pinned key, credentials of each kind, a list."""
    Association.generate("orders").save(tmp_path / "orders.toml")
    ALICE.save(tmp_path / "alice.toml")
    AUTHORITY.public.save(tmp_path / "ops.toml", kind="authority")
    OTHER.public.save(tmp_path / "other.toml")
    credential(ALICE).save(tmp_path / "alice.cred")
    credential(BOB, serial=8).save(tmp_path / "bob.cred")
    revocations(serials=[99]).save(tmp_path / "ops.revoked")
    return tmp_path


def test_keyring_directory_is_loaded_whole(folder: Path) -> None:
    keyring = Keyring.load(folder)
    assert [one.name for one in keyring] == ["orders"]
    assert keyring.identities == (ALICE,) and keyring.identity("alice").secret_key == ALICE.secret_key
    assert keyring.credential(ALICE) == credential(ALICE)
    assert [(one, one.name) for one in keyring.trust.authorities] == [(AUTHORITY.public, "ops")]
    assert [one.number for one in keyring.trust.lists] == [1]
    assert keyring.trust.check(OTHER.key, Role.RECEIVE, b"any") is None
    assert keyring.trust.check(BOB.key, Role.SEND, b"any") is None
    assert keyring.trust.check(ALICE.key, Role.SEND) is not None, "one's own is for others to judge"
    assert keyring.trust.name_of(OTHER.key) == "other"


def test_keyring_identity_that_is_not_there_names_those_that_are(folder: Path) -> None:
    with pytest.raises(IdentityError, match="no identity named 'eve' in the keyring; there are: 'alice'"):
        Keyring.load(folder).identity("eve")


def test_keyring_takes_an_identity_of_a_name_once() -> None:
    keyring = Keyring(identities=[ALICE])
    with pytest.raises(IdentityError, match="has an identity named 'alice' already"):
        keyring.add_identity(Identity.generate("alice"))
    with pytest.raises(IdentityError, match=r"PublicIdentity is no Identity of one's own; see trust\.pin"):
        keyring.add_identity(BOB.public)  # type: ignore[arg-type]
    with pytest.raises(IdentityError, match="none of this keyring's identities"):
        keyring.add_credential(credential(BOB))


def test_keyring_shows_the_credential_that_holds_longest() -> None:
    keyring = Keyring(identities=[ALICE])
    assert keyring.credential(ALICE) is None
    for serial, (begin, end) in enumerate(((0, 100), (0, 200), (150, 300))):
        keyring.add_credential(credential(ALICE, serial=serial, not_before=begin, not_after=end))
    assert [made.serial for now in (50, 120, 180) if (made := keyring.credential(ALICE, now))] == [1, 1, 2]
    assert keyring.credential(ALICE, 301) is None


@pytest.mark.parametrize("how", ["text", "function"])
def test_keyring_identity_under_a_passphrase_is_loaded_with_it(tmp_path: Path, how: str) -> None:
    ALICE.save(tmp_path / "alice.toml", "horse", operations=1, memory=8192)
    BOB.save(tmp_path / "bob.toml")
    asked: list[str] = []

    def passphrase(path: Path) -> str:
        asked.append(path.name)
        return "horse"

    keyring = Keyring.load(tmp_path, "horse" if how == "text" else passphrase)
    assert keyring.identities == (ALICE, BOB)
    assert asked == ([] if how == "text" else ["alice.toml"]), "nobody is asked for one that is not needed"
    with pytest.raises(KeyFileError, match=r"alice\.toml is under a passphrase, and none was given"):
        Keyring.load(tmp_path)


def test_keyring_pin_with_rights_has_these(tmp_path: Path) -> None:
    text = BOB.public.to_toml() + 'roles = ["relay", "receive"]\nread = ["weather.*"]\n'
    (tmp_path / "bob.toml").write_text(text)
    (public, rights) = Keyring.load(tmp_path).trust.pins[BOB.key]
    assert public.name == "bob"
    assert rights == Rights(Role.RELAY | Role.RECEIVE, routing_ids=["*"], publish=["*"], read=["weather.*"])
    assert PublicIdentity.load(tmp_path / "bob.toml") == BOB.public


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.toml", 'kind = "secret"\n', "kind = 'secret'; identity, public, authority are allowed, or none for an"),
        ("x.toml", BOB.public.to_toml() + 'roles = ["king"]\n', "role 'king': send, receive, relay, admin"),
        ("x.toml", BOB.public.to_toml() + 'read = "all"\n', "'read' must be a list of strings"),
        ("x.toml", BOB.public.to_toml() + "colour = 1\n", "key 'colour' is unknown"),
        ("x.toml", BOB.public.to_toml("authority") + 'read = ["*"]\n', "key 'read' is unknown"),
        ("x.cred", credential(BOB, OTHER).raw, "x.cred: the credential is of .*, which is no trusted authority"),
        ("x.cred", b"", "x.cred holds no credential: malformed"),
        ("x.revoked", revocations(authority=OTHER).raw, "x.revoked: the list is of .*, which is no trusted"),
        ("x.revoked", credential(BOB).raw, "x.revoked holds no revocation list"),
        ("x.revoked", revocations(serials=[5]).raw, "a list of number 1, and number 1 is here already"),
    ],
)
def test_keyring_file_that_is_wrong_is_named(folder: Path, name: str, content: str | bytes, said: str) -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(KeyFileError, match=said) as caught:
        Keyring.load(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", ["orders.toml", "alice.toml"])
def test_keyring_secret_that_others_can_read_is_refused(folder: Path, name: str) -> None:
    (folder / name).chmod(0o640)
    with pytest.raises(KeyFileError, match=f"{name} has mode 0640: others could use the key"):
        Keyring.load(folder)


@pytest.mark.parametrize("name", ["ops.toml", "other.toml", "bob.cred", "ops.revoked"])
def test_keyring_trust_that_others_can_write_is_refused(folder: Path, name: str) -> None:
    (folder / name).chmod(0o666)
    with pytest.raises(KeyFileError, match=f"{name} has mode 0666: others could write to it"):
        Keyring.load(folder)


def test_keyring_of_several_lists_takes_the_newest(folder: Path) -> None:
    revocations(3, serials=[8]).save(folder / "a.revoked")
    revocations(2).save(folder / "z.revoked")
    keyring = Keyring.load(folder)
    assert [one.number for one in keyring.trust.lists] == [3]
    assert keyring.trust.check(BOB.key, Role.SEND) is not None


def test_keyring_trust_is_reloaded_in_one_step_and_needs_no_secret(folder: Path) -> None:
    keyring = Keyring.load(folder)
    told = Listener()
    keyring.listen(told)
    for secret in ("orders.toml", "alice.toml"):
        (folder / secret).chmod(0o640)  # would be refused if it was read as a secret
    revocations(2, serials=[8]).save(folder / "ops.revoked", overwrite=True)
    (folder / "other.toml").unlink()
    credential(ALICE, not_after=2**41).save(folder / "renewed.cred")
    keyring.reload_trust(folder)
    assert told.times == 1
    assert keyring.trust.check(BOB.key, Role.SEND) is not None
    assert keyring.trust.check(OTHER.key, Role.SEND) is not None
    assert keyring.credential(ALICE) == credential(ALICE, not_after=2**41)
    assert keyring.identities == (ALICE,) and [one.name for one in keyring] == ["orders"]


def test_keyring_trust_that_cannot_be_reloaded_stays(folder: Path) -> None:
    keyring = Keyring.load(folder)
    (folder / "ops.revoked").write_bytes(b"x")
    with pytest.raises(KeyFileError):
        keyring.reload_trust(folder)
    assert keyring.trust.check(BOB.key, Role.SEND) is None


class Listener:
    def __init__(self) -> None:
        self.times = 0

    def keyring_changed(self) -> None:
        self.times += 1


def test_keyring_trust_reaches_running_sockets_at_their_next_call() -> None:
    """The socket leaves its fast path when the trust changes, as it does when an association does."""
    trust = Trust(authorities=[AUTHORITY.public])
    keyring = Keyring([Association.generate("orders")], trust=trust)
    with zmqsec.Context(keyring=keyring) as context:
        pull, push = context.socket(zmq.PULL, association="orders"), context.socket(zmq.PUSH, association="orders")
        push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")
        push.send(b"before")
        assert pull.recv() == b"before"
        told = Listener()
        keyring.listen(told)
        trust.revoke(revocations(serials=[7]))
        assert told.times == 1
        push.send(b"after")
        assert pull.recv() == b"after"
        push.close()
        pull.close()
