"""`zmqsec identity` and `zmqsec authority`: files that keyrings take, and mistakes told in one line."""

from __future__ import annotations

import json
import pty
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import COMMAND, ENVIRONMENT, failure
from cli_helpers import run_here as run

from zmqsec import Credential, Identity, Keyring, PublicIdentity, RevocationList, Rights, Role, limits

AUTHORITY, ALICE, OTHER = (
    Identity.from_seed(bytes([first]) * 32, name) for first, name in enumerate(("ops", "alice", "other"), 1)
)


ISSUE = ["authority", "issue", "ops.toml", "alice.pub.toml"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    AUTHORITY.save(tmp_path / "ops.toml")
    ALICE.public.save(tmp_path / "alice.pub.toml")
    (tmp_path / "words").write_text("correct horse\nanother line\n")
    credential(OTHER).save(tmp_path / "other.cred")
    return tmp_path


def credential(authority: Identity = AUTHORITY, serial: int = 7, end: int = 2**40) -> Credential:
    rights = Rights(Role.SEND, names=["al\x1b[2Jice"], publish=["weather.*", b"\xff"])
    return Credential.issue(authority, ALICE.public, rights, not_before=0, not_after=end, serial=serial)


def answer(place: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json", cwd=place)
    assert result.returncode == code, result.stderr.decode()
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# -- identity ---------------------------------------------------------------------------------------------------------


def test_identity_new_writes_a_private_file_and_never_shows_the_seed(tmp_path: Path) -> None:
    result = run("identity", "new", "--name", "alice", cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    assert stat.S_IMODE((tmp_path / "alice.toml").stat().st_mode) == 0o600
    made = Identity.load(tmp_path / "alice.toml")
    shown = result.stdout.decode()
    assert made.secret_key[:32].hex() not in shown
    for expected in ("alice", str(made), made.key.hex(), "alice.toml (mode 0600)"):
        assert expected in shown, "no line is folded"
    assert "alice.toml exists already; pass --force" in failure(run("identity", "new", "alice.toml", cwd=tmp_path), 1)
    assert answer(tmp_path, "identity", "new", "alice.toml", "--force")["fingerprint"] != str(made)


def test_identity_new_under_a_passphrase_from_a_file(place: Path) -> None:
    found = answer(place, "identity", "new", "alice.toml", "--passphrase-file", "words")
    assert (
        found["passphrase"] is True
        and Identity.load(place / "alice.toml", "correct horse").key.hex() == found["public"]
    )
    shown = answer(place, "identity", "show", "alice.toml")
    assert shown["public"] == found["public"] and shown["passphrase"] is True, "and nobody is asked to show it"


def test_identity_new_asks_for_a_passphrase_twice_at_a_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [*COMMAND, "identity", "new", "alice.toml", "-p"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True)  # fmt: skip
    with open(master, "r+b", buffering=0) as terminal:
        for _ in range(2):
            said = b""
            while not said.endswith(b": "):  # what is typed before that is thrown away
                said += terminal.read(1)
            terminal.write(b"horse\n")
        assert process.wait(30) == 0
    assert Identity.load(tmp_path / "alice.toml", "horse").name == "alice"


def test_identity_new_without_a_terminal_says_where_a_passphrase_comes_from(tmp_path: Path) -> None:
    said = failure(run("identity", "new", "a.toml", "-p", cwd=tmp_path), 1)
    assert "pass --passphrase-file, set ZMQSEC_PASSPHRASE, or run this at a terminal" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("authority", [False, True])
def test_identity_export_is_what_a_keyring_takes(place: Path, authority: bool) -> None:
    options = ["--authority"] if authority else []
    printed = run("identity", "export", "ops.toml", *options, cwd=place)
    written = run("identity", "export", "ops.toml", "-o", "out.toml", *options, cwd=place)
    assert (printed.returncode, written.returncode) == (0, 0)
    assert printed.stdout == (place / "out.toml").read_bytes()
    (place / "keys").mkdir()
    (place / "out.toml").rename(place / "keys" / "out.toml")
    trust = Keyring.load(place / "keys").trust
    assert (trust.authorities if authority else tuple(public for public, _ in trust.pins.values())) == (
        AUTHORITY.public,
    )


@pytest.mark.parametrize(
    ("file", "kind"), [("ops.toml", "identity"), ("alice.pub.toml", "public"), ("a.toml", "authority")]
)
def test_identity_show_says_what_a_file_is(place: Path, file: str, kind: str) -> None:
    AUTHORITY.public.save(place / "a.toml", kind="authority")
    found = answer(place, "identity", "show", file)
    one = ALICE if kind == "public" else AUTHORITY
    assert found == {
        "kind": kind, "name": one.name, "fingerprint": str(one), "public": one.key.hex(), "passphrase": False
    }  # fmt: skip


# -- authority --------------------------------------------------------------------------------------------------------


def test_authority_issue_says_and_signs_what_was_asked_for(place: Path) -> None:
    found = answer(
        place, *ISSUE, "-o", "a.cred", "--role", "send", "--role", "receive",
        "--publish", "weather.*", "--publish", "hex:00ff", "--read", "*", "--routing-id", "hex:0102",
        "--not-before", "2030-01-31", "--not-after", "2030-01-31T12:00:00Z", "--serial", "5",
    )  # fmt: skip
    made = Credential.load(place / "a.cred")
    assert (made.authority, made.subject, made.serial) == (AUTHORITY.key, ALICE.key, 5)
    assert made.not_after - made.not_before == 43200
    wanted = Rights(Role.SEND | Role.RECEIVE, ["alice"], [b"\1\2"], ["weather.*", b"\0\xff"], ["*"])
    assert made.rights == wanted
    assert found["publish"] == ["hex:00ff", "weather.*"] and found["routing_ids"] == ["hex:0102"]
    assert found["roles"] == ["send", "receive"] and found["names"] == ["alice"] and found["file"] == "a.cred"


def test_authority_issue_by_default_is_valid_from_now_for_90_days(place: Path) -> None:
    found = answer(place, "authority", "issue", "ops.toml", "alice.pub.toml", "--role", "relay")
    made = Credential.load(place / found["file"])
    assert made.is_valid_at(time.time()) and found["file"] == f"alice-{made.serial}.cred"
    assert made.not_after - made.not_before == 90 * 86400 + limits.CLOCK_SKEW
    assert made.rights == Rights(Role.RELAY, ["alice"])


def test_authority_under_a_passphrase_issues_with_it(place: Path) -> None:
    AUTHORITY.save(place / "sealed.toml", "correct horse", operations=1, memory=8192)
    arguments = ["authority", "issue", "sealed.toml", "alice.pub.toml", "--role", "send", "-o"]
    assert run(*arguments, "a.cred", "--passphrase-file", "words", cwd=place).returncode == 0
    (place / "wrong").write_text("wrong horse\n")
    said = failure(run(*arguments, "b.cred", "--passphrase-file", "wrong", cwd=place), 1)
    assert "sealed.toml: the passphrase is wrong, or the file was changed" in said
    assert not (place / "b.cred").exists()


def test_authority_revoke_begins_a_list_and_adds_to_it(place: Path) -> None:
    credential().save(place / "a.cred")
    revoke = ["authority", "revoke", "ops.toml", "ops.revoked"]
    first = answer(place, *revoke, "--credential", "a.cred", "--serial", "9")
    assert first["serials"] == [7, 9] and first["identities"] == []
    second = answer(place, *revoke, "--identity", "alice.pub.toml", "--identity", OTHER.key.hex(), "--days", "1")
    assert second["serials"] == [7, 9] and second["identities"] == sorted([ALICE.key.hex(), OTHER.key.hex()])
    assert second["number"] > first["number"] and second["next_update"] - second["issued"] == 86400
    made = RevocationList.load(place / "ops.revoked")
    assert made.revokes(credential()) and made.number == second["number"]
    renewed = answer(place, *revoke)
    assert renewed["number"] > second["number"] and renewed["serials"] == [7, 9]
    assert answer(place, "authority", "list", "ops.revoked")["number"] == renewed["number"]


def test_authority_revoke_twice_at_once_loses_nothing(place: Path) -> None:
    command = [*COMMAND, "authority", "revoke", "ops.toml", "ops.revoked", "--serial"]
    running = [subprocess.Popen([*command, str(i)], cwd=place, env=ENVIRONMENT) for i in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert RevocationList.load(place / "ops.revoked").serials == {0, 1, 2, 3}


def test_authority_revoke_after_a_lost_list_goes_on_with_larger_numbers(place: Path) -> None:
    first = answer(place, "authority", "revoke", "ops.toml", "a.revoked")
    time.sleep(1.1)
    assert answer(place, "authority", "revoke", "ops.toml", "b.revoked")["number"] > first["number"]


def test_credential_is_shown_harmlessly_and_with_its_state(place: Path) -> None:
    credential().save(place / "a.cred")
    shown = run("authority", "show-credential", "a.cred", cwd=place).stdout.decode()
    assert "\x1b" not in shown and "hex:ff" in shown and str(ALICE.public) in shown
    assert re.search(r"state +good", shown)
    show = ["authority", "show-credential", "a.cred"]
    assert answer(place, *show, "--authority", "ops.toml")["faults"] == []
    RevocationList.issue(AUTHORITY, number=1, issued=0, next_update=1, serials=[7]).save(place / "ops.revoked")
    assert answer(place, *show, "--list", "ops.revoked", code=1)["faults"] == ["revoked"]
    void = answer(place, *show, "--authority", "alice.pub.toml", code=1)["faults"]
    assert void == ["not of the authority in alice.pub.toml"]
    credential(end=1).save(place / "old.cred")
    assert answer(place, "authority", "show-credential", "old.cred")["faults"] == ["not valid now"]


def test_keyring_of_what_the_commands_make_permits_and_revokes(place: Path) -> None:
    keys = place / "keys"
    keys.mkdir()
    for arguments in (
        ["identity", "export", "ops.toml", "--authority", "-o", "keys/ops.toml"],
        [*ISSUE, "--role", "send", "--publish", "*", "-o", "keys/a.cred"],
    ):
        assert run(*arguments, cwd=place).returncode == 0
    keyring = Keyring.load(keys)
    assert keyring.trust.check(ALICE.key, Role.SEND, b"any") is None
    revoke = ["authority", "revoke", "ops.toml", "keys/ops.revoked", "--credential", "keys/a.cred"]
    assert run(*revoke, cwd=place).returncode == 0
    keyring.reload_trust(keys)
    assert keyring.trust.check(ALICE.key, Role.SEND, b"any") is not None


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["identity", "show", "none"], 1, "cannot read none: No such file"),
        (["identity", "show", "words"], 1, "words is not TOML"),
        (["identity", "show", "k.toml"], 1, "k.toml is of kind None; 'identity', 'public' or 'authority' is wanted"),
        (["identity", "export", "ops.toml", "-o", "words"], 1, "words exists already; pass --force"),
        (["identity", "new", "x", "--passphrase-file", "none"], 1, "cannot read a passphrase from none"),
        (ISSUE, 2, "Missing option '--role'"),
        ([*ISSUE, "--role", "king"], 2, "'king' is not one of"),
        (["authority", "issue", "alice.pub.toml", "ops.toml", "--role", "send"], 1, "alice.pub.toml has mode 0644"),
        (
            [*ISSUE, "--role", "send", "--not-after", "soon"],
            2,
            "'soon' is no",
        ),
        (
            [*ISSUE, "--role", "send", "--not-after", "1"],
            1,
            "is after not_a",
        ),
        (
            [*ISSUE, "--role", "send", "--read", "hex:0"],
            2,
            "no hexadecimal",
        ),
        ([*ISSUE, "--role", "send", "--days", "0"], 2, "0.0 is not in the"),
        (["authority", "revoke", "ops.toml", "l", "--identity", "zz"], 1, "'zz' is neither a file nor a public key"),
        (["authority", "revoke", "ops.toml", "l", "--credential", "other.cred"], 1, "of another authority"),
        (["authority", "revoke", "ops.toml", "words"], 1, "words holds no revocation list: malformed"),
        (["authority", "list", "other.cred"], 1, "other.cred holds no revocation list: malformed"),
        (["authority", "show-credential", "words"], 1, "words holds no credential: malformed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistake_with_identities_is_told_in_one_line(place: Path, arguments: list[str], code: int, said: str) -> None:
    (place / "k.toml").write_text('name = "x"\n')
    before = sorted(place.iterdir())
    assert said in failure(run(*arguments, cwd=place), code)
    assert sorted(place.iterdir()) == before, "nothing was written"


def test_public_identity_in_a_file_of_its_own_is_what_others_hold(place: Path) -> None:
    assert PublicIdentity.load(place / "alice.pub.toml").name == "alice"


@pytest.mark.parametrize(
    "command",
    [
        "identity",
        *(f"identity {command}" for command in ("new", "show", "export")),
        "authority",
        *(f"authority {command}" for command in ("issue", "revoke", "list", "show-credential")),
    ],
)
def test_help_is_there_for_every_command_of_identities(tmp_path: Path, command: str) -> None:
    result = run(*command.split(), "--help", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.decode().startswith(f"Usage: zmqsec {command}")
