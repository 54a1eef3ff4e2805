"""Recursive parts: one encoding, exact lengths, limits, and mistakes that raise."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import leaf, listed, metadata, nested, part

from zmqsec import limits
from zmqsec.errors import PartsError
from zmqsec.message import Metadata
from zmqsec.parts import leaves

SIMPLE = [b"a", [b"b", [b""], []], Metadata("from", b"x"), Metadata("must", b"", True)]
SIMPLE_ENCODED = (
    leaf(b"a")
    + listed(leaf(b"b"), listed(leaf(b"")), listed())
    + metadata(b"from", b"x")
    + metadata(b"must", b"", critical=True)
)


def test_parts_encode_as_the_grammar_says(implementation: ModuleType) -> None:
    assert implementation.encode_parts(SIMPLE) == SIMPLE_ENCODED
    assert implementation.encode_parts([b"hello"]) == bytes.fromhex("14000000") + b"hello"


def test_parts_decode_to_what_was_encoded(implementation: ModuleType) -> None:
    assert implementation.decode_parts(SIMPLE_ENCODED) == SIMPLE


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, zmq.Frame], ids=lambda kind: kind.__name__)
def test_parts_leaf_of_any_buffer_encodes_alike(implementation: ModuleType, kind: Any) -> None:
    assert implementation.encode_parts([kind(b"hello"), (kind(b""),)]) == leaf(b"hello") + listed(leaf(b""))
    assert implementation.encode_parts([Metadata("n", kind(b"hello"))]) == metadata(b"n", b"hello")


def test_parts_leaf_of_a_strided_buffer_is_its_elements(implementation: ModuleType) -> None:
    assert implementation.encode_parts([memoryview(b"abcdef")[::2]]) == leaf(b"ace")


@pytest.mark.parametrize("kind", [bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_parts_decode_takes_any_buffer(implementation: ModuleType, kind: Any) -> None:
    assert implementation.decode_parts(kind(SIMPLE_ENCODED)) == SIMPLE


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, {"a": 1}, object()], ids=lambda wrong: type(wrong).__name__)
def test_parts_of_a_wrong_type_raise(implementation: ModuleType, wrong: Any) -> None:
    for parts in ([wrong], [[wrong]], [Metadata("name", wrong)]):
        with pytest.raises(PartsError, match="must be bytes-like"):
            implementation.encode_parts(parts)
    with pytest.raises(PartsError, match="must be bytes-like"):
        implementation.decode_parts(wrong)


@pytest.mark.parametrize("name", ["", "x" * 256, "é" * 128, "\ud800"], ids=["empty", "256", "256-utf8", "surrogate"])
def test_parts_metadata_name_out_of_bounds_raises(implementation: ModuleType, name: str) -> None:
    with pytest.raises(PartsError, match="1 to 255 bytes of UTF-8"):
        implementation.encode_parts([Metadata(name, b"")])


@pytest.mark.parametrize("name", ["x", "x" * 255, "\U0010ffff", "\0"], ids=["1", "255", "last", "nul"])
def test_parts_metadata_name_within_bounds_comes_back(implementation: ModuleType, name: str) -> None:
    parts = [Metadata(name, b"v", True)]
    assert implementation.decode_parts(implementation.encode_parts(parts)) == parts


def test_parts_nested_to_the_limit_encode_and_deeper_raise(implementation: ModuleType) -> None:
    parts: list[Any] = [b"x"]
    for _ in range(limits.DEPTH_LIMIT - 1):
        parts = [parts]
    assert implementation.encode_parts(parts) == nested(limits.DEPTH_LIMIT)
    with pytest.raises(PartsError, match="more than 64 deep"):
        implementation.encode_parts([parts])


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"\0\0\0", "malformed"),
        (leaf(b"a") + b"\0", "malformed"),
        (b"\x08\0\0\0a", "malformed"),
        (b"\xfc\xff\xff\xff", "malformed"),
        (part(1, b"\x08\0\0\0a"), "malformed"),
        (part(1, leaf(b"a") + b"\0\0\0"), "malformed"),
        (metadata(b""), "malformed"),
        (part(3, b""), "malformed"),
        (part(2, b"\2a"), "malformed"),
        (metadata(b"\x80"), "malformed"),
        (metadata(b"\xe0\x80\x80"), "malformed"),
        (metadata(b"\xf4\x90\x80\x80"), "malformed"),
        (metadata(b"\xf0\x8f\xbf\xbf"), "malformed"),
        (metadata(b"\xed\xbf\xbf"), "malformed"),
        (metadata(b"\xe2\x82"), "malformed"),
        (nested(9), "too-large"),
        (leaf(b"") * 1025, "too-large"),
        (listed(leaf(b"") * 1024), "too-large"),
    ],
)
def test_parts_faulty_encoding_raises_with_its_reason(implementation: ModuleType, encoded: bytes, reason: str) -> None:
    with pytest.raises(PartsError, match=f"are {reason} "):
        implementation.decode_parts(encoded)


def test_parts_at_the_limits_decode(implementation: ModuleType) -> None:
    assert implementation.decode_parts(nested(8)) == [[[[[[[[b"x"]]]]]]]]
    assert len(implementation.decode_parts(leaf(b"") * 1024)) == 1024
    assert implementation.decode_parts(b"") == []


def test_parts_limits_of_the_caller_hold(implementation: ModuleType) -> None:
    assert implementation.decode_parts(nested(3), max_depth=3, max_parts=3)
    for bounds in ({"max_depth": 2}, {"max_parts": 2}):
        with pytest.raises(PartsError, match="too-large"):
            implementation.decode_parts(nested(3), **bounds)
    assert implementation.decode_parts(nested(limits.DEPTH_LIMIT), max_depth=10**6)
    with pytest.raises(PartsError, match="too-large"):
        implementation.decode_parts(nested(limits.DEPTH_LIMIT + 1), max_depth=10**6)


def test_parts_every_truncation_is_refused_or_a_prefix(implementation: ModuleType) -> None:
    """Cut where a part ends, the rest is a shorter list; cut anywhere else, it is malformed."""
    ends, at = set(), 0
    for one in SIMPLE:
        ends.add(at)
        at += len(implementation.encode_parts([one]))
    for length in range(len(SIMPLE_ENCODED)):
        if length in ends:
            count = sorted(ends).index(length)
            assert implementation.decode_parts(SIMPLE_ENCODED[:length]) == SIMPLE[:count]
        else:
            with pytest.raises(PartsError, match="malformed"):
                implementation.decode_parts(SIMPLE_ENCODED[:length])


def test_leaves_come_depth_first_without_metadata() -> None:
    assert leaves([b"a", [b"b", [b"c"], Metadata("n")], Metadata("m"), b"d"]) == [b"a", b"b", b"c", b"d"]
