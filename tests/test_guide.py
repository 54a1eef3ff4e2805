"""The guide says what is so: its commands and programs run, in their order, in one folder."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import run_here

GUIDE = (Path(__file__).parent.parent / "docs" / "guide.md").read_text()


def blocks(section: str) -> list[tuple[str, str]]:
    """Language and text of each block in a section."""
    text = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.S)


def test_guide_of_identities_runs_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZMQSEC_PASSPHRASE", raising=False)
    names: dict[str, Any] = {}
    ran = {"console": 0, "python": 0, "toml": 0}
    for language, text in blocks("Identities"):
        ran[language] += 1
        if language == "console":
            for line in text.splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                result = run_here(*arguments, cwd=tmp_path)
                assert (program, result.returncode) == ("zmqsec", 0), (line, result.stderr)
        elif language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(text, names)
            said = re.findall(r"^print\(.*?\)  # (.*)$", text, re.M)
            lines = printed.getvalue().splitlines()
            assert len(lines) == len(said)
            for line, comment in zip(lines, said, strict=True):
                for word in ("None", "blocked", "zs1"):
                    assert (word in line) == (comment.startswith(word)), (line, comment)
                if comment.startswith("... "):
                    assert line.endswith(comment[4:])
    assert ran == {"console": 3, "python": 2, "toml": 1}


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

    (text,) = (text for language, text in blocks("The relay") if language == "toml")
    (tmp_path / "relay.toml").write_text(text)
    found = RelayConfig.load(tmp_path / "relay.toml")
    assert [(leg.name, leg.pattern) for leg in found.legs] == [("market", "pub-sub"), ("orders", "router-dealer")]
    assert (found.name, found.memory_mib, found.legs[0].back.hwm, found.legs[1].policy.max_message) == (
        "edge",
        512,
        10000,
        65536,
    )
