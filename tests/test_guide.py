"""The guide says what is so: its commands and programs run, in their order, in one folder."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import COMMAND, ENVIRONMENT, run_here
from service_helpers import free_port, leg, running

import zmqsec

GUIDE = (Path(__file__).parent.parent / "docs" / "guide.md").read_text()


def blocks(section: str) -> list[tuple[str, str]]:
    """Language and text of each block in a section."""
    text = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.S)


def commands(text: str, folder: Path) -> str:
    """Run lines behind a prompt, those that end with & beside the others; what the last one printed."""
    beside, printed = [], ""
    for line in text.splitlines():
        program, *arguments = shlex.split(line.partition("$ ")[2])
        command = [*{"zmqsec": COMMAND, "python": [sys.executable], "cp": ["cp"]}[program], *arguments]
        if arguments[-1] == "&":
            beside.append(subprocess.Popen(command[:-1], cwd=folder, env=ENVIRONMENT))
        elif program == "zmqsec":
            result = run_here(*arguments, cwd=folder)
            assert result.returncode == 0, (line, result.stderr)
        else:
            printed = subprocess.run(
                command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, timeout=30, text=True
            ).stdout
    assert [one.wait(timeout=30) for one in beside] == [0] * len(beside)
    return printed


def run(section: str, folder: Path, names: dict[str, Any]) -> list[str]:
    """Run a section's commands and programs; what they print begins as their comments say, or ends so ("... ").

    A program that begins with its file's name is written to that file, for a command behind it; a text is what the
    last command has printed.

    Returns the languages of its blocks. A comment ends at a colon, and where it goes on with "...".
    """
    ran, printed_before = [], ""
    for language, text in blocks(section):
        ran.append(language)
        if language == "console":
            printed_before = commands(text, folder)
        elif language == "text":
            assert text == printed_before
        elif language == "python" and (file := re.match(r"# (\w+\.py)\n", text)):
            (folder / file[1]).write_text(text)
        elif language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(text, names)
            said = re.findall(r"^print\(.*?\)  # (.*)$", text, re.M)
            lines = printed.getvalue().splitlines()
            assert len(lines) == len(said)
            for line, comment in zip(lines, said, strict=True):
                if comment.startswith("... "):
                    assert line.endswith(comment[4:])
                    continue
                expected, dots, _ = comment.partition(":")[0].partition("...")
                assert line.startswith(expected) if dots else line == expected, (line, comment)
    return ran


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the guide's commands and programs run."""
    for name in ("keys", "of-alice", "of-bob", "publisher", "subscriber"):
        (tmp_path / name).mkdir()
    (tmp_path / "original.bin").write_bytes(bytes(range(256)) * 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZMQSEC_PASSPHRASE", raising=False)
    return tmp_path


def test_guide_of_programs_runs_as_it_says(place: Path) -> None:
    """Each section with what the ones before it have made."""
    names: dict[str, Any] = {}
    try:
        assert run("Identities", place, names) == ["console", "toml", "console", "console", "python", "python"]
        assert run("Signed messages", place, names) == [
            *("python", "console", "console", "python", "python", "console", "text", "python"),
        ]
        assert (place / "copy.bin").read_bytes() == (place / "original.bin").read_bytes()
        assert run("CURVE and ZAP underneath", place, names) == ["python"]
    finally:
        if "context" in names:
            names["context"].destroy(0)


def test_guide_pin_is_one_that_a_keyring_takes(tmp_path: Path) -> None:
    from zmqsec import Keyring, Role

    (text,) = (text for language, text in blocks("Identities") if language == "toml")
    (tmp_path / "alice.toml").write_text(text)
    trust = Keyring.load(tmp_path).trust
    ((key, (public, _)),) = trust.pins.items()
    assert public.name == "alice"
    assert trust.check(key, Role.RELAY) is None and trust.check(key, Role.SEND, b"weather.oslo") is None
    assert trust.check(key, Role.RECEIVE) is not None and trust.check(key, Role.SEND, b"sport") is not None


def test_guide_relay_is_one_that_the_command_takes(tmp_path: Path) -> None:
    from zmqsec.relay.config import RelayConfig

    text, checks, peers = (text for language, text in blocks("The relay") if language == "toml")
    (tmp_path / "relay.toml").write_text(text + peers)
    found = RelayConfig.load(tmp_path / "relay.toml")
    assert [(leg.name, leg.pattern) for leg in found.legs] == [("market", "pub-sub"), ("orders", "router-dealer")]
    assert (found.name, found.memory_mib, found.legs[0].back.hwm, found.legs[1].policy.max_message) == (
        "edge",
        512,
        10000,
        65536,
    )

    zmqsec.Association.generate("orders", admit=True).admission().save(tmp_path / "orders.admission.toml")
    (tmp_path / "trust").mkdir()
    zmqsec.Identity.generate("edge").save(tmp_path / "edge.toml")
    (tmp_path / "checks.toml").write_text(checks)
    policy = RelayConfig.load(tmp_path / "checks.toml").legs[0].policy
    assert (policy.check, policy.check_back, policy.attest, policy.sign_envelopes) == (
        "origin",
        "membership",
        True,
        True,
    )


def test_guide_of_an_operator_runs_as_it_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, the relay's file, the admin's file, a relay that runs, and the commands to it."""
    section = "An operator at work"
    found = blocks(section)
    assert [language for language, _ in found] == ["console", "toml", "toml", "console", "text"]
    ports = {"7100": str(free_port()), "9464": str(free_port())}
    for _, text in found[1:3]:
        name, _, rest = text.removeprefix("# ").partition("\n")
        for given, real in ports.items():
            rest = rest.replace(given, real)
        (place / name).write_text(rest)
    commands(found[0][1], place)
    with open(place / "relay.toml", "a") as file:
        file.write(leg("market", free_port(), free_port()))
    monkeypatch.setenv("ZMQSEC_ADMIN", "admin.toml")
    with running(place / "relay.toml"):
        commands(found[3][1], place)
        shown = run_here("top", "--once", "--interval", "0.1", cwd=place).stdout.decode()
        events = run_here("peers", "watch", "--last", "6", "--count", "6", cwd=place).stdout.decode()
    assert [line.split(" is ")[1].split()[0] for line in events.splitlines()] == [
        *("blocked", "blocked", "unblocked", "allowed", "blocked", "unblocked"),
    ]
    titles, pictured = (
        [line.split() for line in text.splitlines() if " pattern " in line] for text in (shown, found[4][1])
    )
    assert titles == pictured != []


def test_guide_key_server_is_one_that_the_command_takes(place: Path) -> None:
    from zmqsec.keyserver.config import Config

    (made, text) = [(language, text) for language, text in blocks("The key server") if language != "text"]
    commands(made[1], place)
    before = Config.load(place / "keys.toml")
    (place / "keys.toml").write_text(text[1])
    found = Config.load(place / "keys.toml")
    assert (found.database, found.root_key, found.bind, found.announce) == (
        before.database,
        before.root_key,
        before.bind,
        before.announce,
    )
    assert found.metrics == ("127.0.0.1", 9670)
    found.open_store().close()
    found.read_root_key()
