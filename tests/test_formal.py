"""The formal models: what they show in seconds, and that they find planted flaws. `make formal` does the rest."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zmqsec import limits

FORMAL = Path(__file__).parent.parent / "docs" / "formal"
MODULES = ("horn", "handshake", "cookie", "registration", "properties", "checks", "spin")
TICK = 30  # seconds


@pytest.fixture(scope="module")
def formal() -> Iterator[dict[str, Any]]:
    """The modules of docs/formal, which is no package, by name."""
    sys.path.insert(0, str(FORMAL))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(FORMAL))
        for name in MODULES:
            sys.modules.pop(name, None)


def ask(formal: dict[str, Any], name: str, *, flaw: str = "") -> Any:
    """The verdict on one check of the quick ones, by its name and its flaw."""
    (check,) = [
        one
        for one in formal["checks"].quick()
        if one.name == name and one.scene.flaws == frozenset({flaw} - {""}) and "XX" not in one.title
    ]
    return formal["horn"].ask(check.build(check.scene))


@pytest.mark.parametrize(
    "name",
    [
        "an initiator comes to its end",
        "a responder comes to its end",
        "the attacker opens under its own name",
        "the attacker answers under its own name",
    ],
)
def test_handshake_that_should_end_does(formal: dict[str, Any], name: str) -> None:
    assert ask(formal, name).derived is True


@pytest.mark.parametrize(
    "name",
    [
        "keys are secret",
        "keys stay secret when all long-term keys are stolen later",
        "the responder is sure of the initiator",
        "the initiator is sure of the responder",
        "the responder is sure of its peer though its own keys are stolen",
        "the token of lost state is secret",
    ],
)
def test_attack_on_the_handshake_is_out_of_reach(formal: dict[str, Any], name: str) -> None:
    assert ask(formal, name).derived is False


@pytest.mark.parametrize(
    ("flaw", "name"),
    [
        ("signature-removed", "the responder takes one for another"),
        ("signature-without-handshake", "another uses a statement"),
        ("offer-not-in-prologue", "the responder goes on with changed offers"),
        ("no-ee", "stolen keys open what was recorded"),
        ("cookie-without-source", "a cookie is used in another's name"),
    ],
)
def test_planted_flaw_is_found(formal: dict[str, Any], flaw: str, name: str) -> None:
    assert ask(formal, name, flaw=flaw).derived is True


@pytest.mark.parametrize("switch", ["NO_OVERLAP", "EARLY_SEAL", "FORGET_UNCONFIRMED"])
def test_rekeying_with_a_planted_flaw_refuses_a_message(formal: dict[str, Any], switch: str) -> None:
    model = formal["spin"].Model("rekeying", "flawed", (switch,))
    assert formal["spin"].search(model).failed is True


def test_rekeying_visits_all_states_and_refuses_no_message(formal: dict[str, Any]) -> None:
    found = formal["spin"].search(formal["spin"].Model("rekeying", "whole"))
    assert found.failed is False
    assert found.states > 100_000


def test_token_that_is_not_marked_is_used_twice(formal: dict[str, Any]) -> None:
    assert formal["spin"].search(formal["spin"].Model("enrolment", "flawed", ("NOT_MARKED",))).failed is True


def test_rekeying_has_the_times_of_limits() -> None:
    said = dict(re.findall(r"#define (\w+) (\d+) +/\* (?:[A-Z_]+)", (FORMAL / "rekeying.pml").read_text()))
    ticks = {
        "REKEY": limits.PAIR_REKEY_TIME,
        "REJECT": limits.PAIR_REJECT_TIME,
        "OVERLAP": limits.PAIR_OVERLAP_TIME,
        "QUIET": limits.PAIR_QUIET_TIME,
        "CONFIRM_TIME": limits.CONFIRM_ATTEMPT_TIME,
        "ATTEMPT": limits.REKEY_ATTEMPT_TIME,
        "HALF_OPEN": limits.HALF_OPEN_TIME,
    }
    assert {name: int(said[name]) for name in ticks} == {name: -(-seconds // TICK) for name, seconds in ticks.items()}


def test_command_fails_where_a_check_does_not_come_out() -> None:
    command = [sys.executable, str(FORMAL), "--quick", "--only", "no such check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    command[-1] = "a cookie"
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1][:20]) == (0, "3 as they must be, 0")
