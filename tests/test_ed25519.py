"""The rule of signatures against the CCTV and Wycheproof vectors, and each of its conditions by itself."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from zmqsec import ed25519, sodium

VECTORS = Path(__file__).parent / "vectors"
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD_ORDER = 2**255 - 19
PUBLIC, SECRET = sodium.ed25519_keys(bytes(range(32)))
MESSAGE = b"message"
SIGNATURE = sodium.ed25519_sign(SECRET, MESSAGE)
#: What the rule takes: a torsion component that cancels out is nobody's doing but the signer's.
TAKEN_FLAGS = {"low_order_component_A", "low_order_component_R"}


def cctv() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / "cctv" / "ed25519vectors.json").read_text())
    return found


def test_ed25519_cctv_vectors_are_taken_exactly_where_the_rule_says() -> None:
    verdicts: Counter[bool] = Counter()
    for vector in cctv():
        key, signature = bytes.fromhex(vector["key"]), bytes.fromhex(vector["sig"])
        taken = ed25519.verify(key, vector["msg"].encode(), signature)
        assert taken == (set(vector["flags"] or ()) <= TAKEN_FLAGS), vector
        verdicts[taken] += 1
    assert verdicts == {True: 43, False: 871}


def test_ed25519_cctv_flags_are_those_of_the_points() -> None:
    """The checks in front of libsodium find every point that the vectors call of low order or not canonical."""
    for vector in cctv():
        flags = set(vector["flags"] or ())
        for half, point in (("A", vector["key"]), ("R", vector["sig"][:64])):
            strict = not flags & {f"low_order_{half}", f"non_canonical_{half}"}
            assert ed25519.is_strict_point(bytes.fromhex(point)) == strict, vector


def test_ed25519_wycheproof_vectors_have_their_results() -> None:
    groups = json.loads((VECTORS / "wycheproof" / "ed25519_test.json").read_text())["testGroups"]
    seen: Counter[str] = Counter()
    for group in groups:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            holds = ed25519.verify(key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
            assert holds == (test["result"] == "valid"), test
            seen[test["result"]] += 1
    assert seen["valid"] > 80 and seen["invalid"] > 60 and set(seen) == {"valid", "invalid"}


def test_ed25519_signature_with_s_beyond_the_order_is_refused() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little")
    assert ed25519.verify(PUBLIC, MESSAGE, SIGNATURE)
    for malleated in (s + GROUP_ORDER, s + 2 * GROUP_ORDER):
        assert not ed25519.verify(PUBLIC, MESSAGE, SIGNATURE[:32] + malleated.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_ed25519_wrong_lengths_do_not_hold(length: int) -> None:
    assert not ed25519.verify(PUBLIC, MESSAGE, (SIGNATURE + b"\0")[:length])
    assert not ed25519.verify((PUBLIC * 3)[:length], MESSAGE, SIGNATURE)


@pytest.mark.parametrize("y", [0, 1, FIELD_ORDER - 1, FIELD_ORDER, FIELD_ORDER + 1, FIELD_ORDER + 3, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_ed25519_point_of_small_order_or_beyond_the_field_is_not_strict(y: int, sign: int) -> None:
    assert not ed25519.is_strict_point((y | sign << 255).to_bytes(32, "little"))


def test_ed25519_points_of_order_eight_are_those_that_libsodium_knows() -> None:
    """Eight times such a point is the neutral element, and four times is not."""
    d = -121665 * pow(121666, -1, FIELD_ORDER) % FIELD_ORDER

    def double(x: int, y: int) -> tuple[int, int]:
        bend = d * x * x * y * y
        return (
            2 * x * y * pow(1 + bend, -1, FIELD_ORDER) % FIELD_ORDER,
            (y * y + x * x) * pow(1 - bend, -1, FIELD_ORDER) % FIELD_ORDER,
        )

    for y in ed25519._SMALL_ORDER_Y:
        square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD_ORDER) % FIELD_ORDER
        x = pow(square, (FIELD_ORDER + 3) // 8, FIELD_ORDER)
        if x * x % FIELD_ORDER != square:
            x = x * pow(2, (FIELD_ORDER - 1) // 4, FIELD_ORDER) % FIELD_ORDER
        assert x * x % FIELD_ORDER == square, "on the curve"
        assert double(*double(*double(x, y))) == (0, 1)
    assert len(ed25519._SMALL_ORDER_Y) == 5


def test_ed25519_every_flipped_bit_of_a_signature_is_refused() -> None:
    for bit in range(512):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        assert not ed25519.verify(PUBLIC, MESSAGE, bytes(changed)), bit
