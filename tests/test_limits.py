"""The constants of limits.py are those of the C core's public header, and the reasons those of its status codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from zmqsec import limits
from zmqsec.errors import REASONS

CSRC = Path(__file__).parent.parent / "csrc"
HEADER = CSRC / "zs.h"

#: Only the core has these; the others of zs.h stand in limits.py under the same name without the prefix.
OF_THE_CORE = {"HCHACHA_INPUT_BYTES", "NEAR_BYTES"}


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def constants() -> dict[str, int]:
    """Every ZS_ constant of the header with a value, enumerators and macros, in their order."""
    text = without_comments(HEADER.read_text(encoding="utf-8"))
    found: dict[str, int] = {}
    for name, expression in re.findall(r"\bZS_(\w+) = ([^,}\n]+)", text):
        found[name] = int(expression, 0)
    for name, expression in re.findall(r"#define ZS_(\w+) (\S.*)", text):
        found[name] = found[expression[3:]] if expression.startswith("ZS_") else value_of(expression)
    return found


def value_of(expression: str) -> int:
    plain = re.sub(r"\(size_t\)|UINT(?:32|64)_C", "", expression)
    assert re.fullmatch(r"[0-9xX()<*+\- ]+", plain), expression
    return int(eval(plain, {"__builtins__": {}}))


def statuses() -> list[str]:
    text = without_comments(HEADER.read_text(encoding="utf-8"))
    body = re.search(r"typedef enum zs_status \{(.*?)\}", text, re.DOTALL)
    assert body is not None
    return re.findall(r"\bZS_(\w+)\b", body[1])


@pytest.mark.parametrize("name", sorted(set(constants()) - OF_THE_CORE - set(statuses())))
def test_limits_constant_equals_that_of_the_core(name: str) -> None:
    assert constants()[name] == getattr(limits, name)


def of_handshakes() -> set[str]:
    """The constants of handshakes, which the core knows nothing of: a section of limits.py."""
    text = Path(limits.__file__).read_text(encoding="utf-8")
    section = text.split("# Handshakes ")[1].split("\n\n")[0]
    return set(re.findall(r"^([A-Z]\w+): Final", section, re.M))


def test_limits_names_are_in_both_but_for_known_ones() -> None:
    only_in_python = {name for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}
    only_in_python -= set(constants())
    assert only_in_python - of_handshakes() == {
        "MAX_METADATA_NAME_BYTES",
        "MAX_LIST_ENTRIES",
        "MAX_LIST_ENTRY_BYTES",
        "MIN_REVOCATION_BYTES",
        "MAX_REVOCATION_BYTES",
        "MAX_CREDENTIALS",
        "MAX_CREDENTIALS_OF_ONE",
        "MAX_NAME_BYTES",
        "PASSPHRASE_OPERATIONS",
        "PASSPHRASE_MEMORY",
        "MAX_PASSPHRASE_OPERATIONS",
        "MIN_PASSPHRASE_MEMORY",
        "MAX_PASSPHRASE_MEMORY",
        "LAST_USER_SUITE",
        "MAX_SESSIONS",
        "MAX_KEPT_REFUSALS",
        "MAX_KNOWN_TREES",
        "MAX_PEERS",
        "KEPT_SESSIONS",
        "MAX_ASSOCIATION_SECONDS",
        "BATCH",
        "LAYOUT_PLAIN",
        "LAYOUT_TOPIC",
        "LAYOUT_ENVELOPE",
        "LAYOUT_ANY",
        "FORM_PARTS",
        "FORM_LISTS",
        "FORM_MESSAGES",
    }


@pytest.mark.parametrize(
    ("file", "pattern", "expected"),
    [
        ("wire.h", r"MAGIC\[3\] = \{(.*?)\}", limits.MAGIC),
        ("credential.c", r"MAGIC\[3\] = \{(.*?)\}", limits.CREDENTIAL_MAGIC),
        ("attest.c", r"MAGIC\[3\] = \{(.*?)\}", limits.ATTESTATION_MAGIC),
    ],
)
def test_limits_magic_equals_that_of_the_core(file: str, pattern: str, expected: bytes) -> None:
    found = re.search(pattern, (CSRC / file).read_text(encoding="utf-8"))
    assert found is not None
    assert bytes(int(byte, 16) for byte in found[1].split(",")) == expected


@pytest.mark.parametrize(
    ("file", "pattern", "expected"),
    [
        ("window.h", r"#define ZS_WINDOW_BITS (\d+)", limits.REPLAY_WINDOW),
        ("batch.h", r"ZS_BATCH = (\d+)", limits.BATCH),
        ("trees.h", r"ZS_TREE_SLOTS = (\d+)", limits.MAX_KNOWN_TREES),
    ],
)
def test_limits_value_equals_that_of_another_file(file: str, pattern: str, expected: Any) -> None:
    found = re.search(pattern, (CSRC / file).read_text(encoding="utf-8"))
    assert found is not None, f"{file} has no {pattern}"
    assert int(found[1]) == expected


def test_limits_layouts_are_those_of_the_core() -> None:
    found = re.search(r"typedef enum zs_layout \{(.*?)\}", (CSRC / "channel.h").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    layouts = [name.strip().removeprefix("ZS_") for name in found[1].split(",")]
    assert [getattr(limits, name) for name in layouts] == list(range(4))


def test_limits_statuses_are_the_reasons_in_their_order() -> None:
    names = statuses()
    assert names[0] == "OK" and names[-1] == "STATUS_COUNT"
    special = {"BAD_VERSION": "VERSION", "BAD_SUITE": "SUITE"}
    assert [special.get(name, name) for name in names[1:-1]] == [reason.name for reason in REASONS]
