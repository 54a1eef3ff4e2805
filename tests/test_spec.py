"""The specification says what the code does: its worked examples, limits, reasons and section names."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import ModuleType

import pytest
from helpers import hchacha20

from zmqsec import limits
from zmqsec.errors import REASONS, HandshakeReason

ROOT = Path(__file__).parent.parent
#: Where the sources stand; elsewhere where an installed zmqsec is tested.
SOURCES = Path(os.environ.get("ZMQSEC_SOURCES", ROOT))
SPEC = (ROOT / "docs" / "spec.md").read_text()
SECRET = bytes(range(32))
SPI = 0x01020304
VECTORS = ROOT / "tests" / "vectors" / "zmqsec"
SEALED = {one["name"]: one for one in json.loads((VECTORS / "sealed.json").read_text())["vectors"]}
#: Statements of an authority that hold, by their names.
SIGNED = {
    one["name"]: one["raw"]
    for file in ("credentials.json", "revocations.json")
    for one in json.loads((VECTORS / file).read_text())["vectors"]
    if one["expect"] == "valid"
}
#: The handshake of the worked example, and what it yields.
SHAKEN = json.loads((VECTORS / "handshakes.json").read_text())["vectors"][0]
HANDSHAKE = dict(
    zip(
        [f"handshake-{name}" for name in ("opening", "answer", "confirmation", "done", "lost", "keys")],
        [
            *SHAKEN["frames"],
            SHAKEN["lost"],
            SHAKEN["to_responder"]["secret"] + SHAKEN["to_initiator"]["secret"] + SHAKEN["hash"],
        ],
        strict=True,
    )
)


def examples() -> dict[str, bytes]:
    """The bytes of each marked block: pairs of digits until two spaces begin the comment."""
    found = {}
    for name, block in re.findall(r"```hex (\S+)\n(.*?)```", SPEC, re.S):
        found[name] = b"".join(bytes.fromhex(line.split("  ")[0]) for line in block.splitlines())
    return found


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section."""
    text = SPEC.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_spec_keys_are_those_of_the_code(implementation: ModuleType) -> None:
    keys = examples()
    assert keys["suite-key"] == implementation.derive_suite_key(SECRET, 1, SPI)
    header = bytes.fromhex(SEALED["suite-1-sealed"]["frame"])
    assert keys["subkey"] == hchacha20(keys["suite-key"], header[8:24])
    assert f"default SPI of this secret is {implementation.derive_spi(SECRET):#010x}" in SPEC


def test_spec_attested_example_is_the_vector() -> None:
    every = json.loads((ROOT / "tests" / "vectors" / "zmqsec" / "attestations.json").read_text())["vectors"]
    (vector,) = [one for one in every if one["name"] == "signs-routing-id"]
    assert examples()["attested-sealed"].hex() == vector["sealed"][0]
    assert examples()["attestation"].hex() == vector["signed"][0]["frames"][0]


@pytest.mark.parametrize("name", sorted(set(examples()) - {"suite-key", "subkey", "attested-sealed", "attestation"}))
def test_spec_example_is_the_vector_of_its_name(name: str) -> None:
    """test_vectors.py seals and opens these with both implementations, others are read by tests of their own."""
    found = {**SIGNED, **HANDSHAKE}
    assert examples()[name] == bytes.fromhex(found[name] if name in found else SEALED[name]["frame"])


def test_spec_has_an_example_of_every_form() -> None:
    assert {"suite-1-sealed", "suite-1-clear", "suite-2-sealed", "suite-3-sealed", "topic", "bundle"} <= set(examples())
    assert {"one-role", "serial", *HANDSHAKE} <= set(examples())
    for side in ("initiator", "responder"):
        assert [one for one in SHAKEN[side]["random"] if len(one) == 64][-1] in SPEC


def test_spec_limits_are_those_of_the_code() -> None:
    table = {row[0]: int(row[1]) for row in rows("Limits")}
    assert table == {name: getattr(limits, name) for name in table}
    ours = {name for name in dir(limits) if name.startswith(("MAX_", "MIN_", "REKEY_", "REJECT_"))}
    assert ours - set(table) == {"MAX_KEPT_REFUSALS", "MAX_KNOWN_TREES"}  # not of the protocol


def test_spec_reasons_are_those_of_the_code() -> None:
    table = [(int(row[0]), row[1].strip("`")) for row in rows("Reasons for a refusal")]
    assert table == [(number, str(reason)) for number, reason in enumerate(REASONS, 1)]


def test_spec_reasons_of_a_handshake_are_those_of_the_code() -> None:
    assert [row[0].strip("`") for row in rows("Reasons of a handshake")] == [str(reason) for reason in HandshakeReason]


def test_spec_sections_that_the_code_names_exist() -> None:
    headings = set(re.findall(r"^## (.+)$", SPEC, re.M))
    named = set()
    for path in [*SOURCES.glob("zmqsec/*.py*"), *SOURCES.glob("csrc/*.[ch]")]:
        for text in re.findall(r"[Ss]pec[^\n]{0,12}?((?:, )?\"[^\n]*)", path.read_text()):
            named |= set(re.findall(r'"([A-Z][A-Za-z ]+)"', text))
    assert len(named) > 5
    assert named - headings == set()
