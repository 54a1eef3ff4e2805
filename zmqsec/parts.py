"""Recursive parts in Python (floor 8); spec, "Recursive parts". Exact lengths and one encoding."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from . import limits
from .errors import PartsError, Reason
from .message import Metadata, Part


class PartsRefused(Exception):
    """Parts that a receiver refuses: the reason, and for critical metadata its name."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


# -- encoding ----------------------------------------------------------------------------------------------------------


def _head(kind: int, length: int) -> bytes:
    if length > limits.MAX_PART_BYTES:
        raise PartsError(f"a part of {length} bytes; at most {limits.MAX_PART_BYTES} are allowed")
    return (length << 2 | kind).to_bytes(limits.PART_HEAD_BYTES, "little")


def as_bytes(data: Any) -> bytes:
    """The bytes of anything with the buffer protocol; PartsError for anything else."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        raise PartsError(f"a part must be bytes-like, a list or Metadata, not str: {data!r}; encode it")
    try:
        return bytes(memoryview(data.buffer if isinstance(data, zmq.Frame) else data))
    except TypeError:
        raise PartsError(f"a part must be bytes-like, a list or Metadata, not {type(data).__name__}") from None


def encode_metadata(name: str, value: Any, critical: bool) -> bytes:
    """metadata value := u8 name length, name (UTF-8), bytes"""
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        encoded = b""
    if not 1 <= len(encoded) <= limits.MAX_METADATA_NAME_BYTES:
        raise PartsError(f"metadata name {name!r}: 1 to {limits.MAX_METADATA_NAME_BYTES} bytes of UTF-8 are allowed")
    content = bytes([len(encoded)]) + encoded + as_bytes(value)
    return _head(limits.PART_CRITICAL if critical else limits.PART_IGNORABLE, len(content)) + content


def encode_parts(parts: Iterable[Part], _depth: int = 1) -> bytes:
    """part := head(u32) value, with head = length << 2 | type; raises PartsError for what cannot be encoded."""
    if _depth > limits.DEPTH_LIMIT:
        raise PartsError(f"parts nested more than {limits.DEPTH_LIMIT} deep")
    out = bytearray()
    for part in parts:
        if isinstance(part, (list, tuple)):
            nested = encode_parts(part, _depth + 1)
            out += _head(limits.PART_LIST, len(nested)) + nested
        elif isinstance(part, Metadata):
            out += encode_metadata(part.name, part.value, part.critical)
        else:
            leaf = as_bytes(part)
            out += _head(limits.PART_LEAF, len(leaf)) + leaf
    return bytes(out)


# -- decoding ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Scanner:
    """Decodes the header and then the body of one message; counts the parts of both together."""

    max_parts: int = limits.MAX_PARTS
    max_depth: int = limits.MAX_DEPTH
    understood: Collection[str] = ()
    understand_all: bool = False
    parts: int = 0
    topic: bytes | None = None

    def header(self, data: bytes) -> list[Part]:
        """The header's list, in which `topic` is understood."""
        return self._list(data, 1, in_header=True)

    def body(self, data: bytes, bundle: bool = False) -> list[Part]:
        """The body's list; a bundle's holds lists and metadata only."""
        return self._list(data, 1, bundle=bundle)

    def _list(self, data: bytes, depth: int, in_header: bool = False, bundle: bool = False) -> list[Part]:
        parts: list[Part] = []
        at = 0
        while at < len(data):
            if len(data) - at < limits.PART_HEAD_BYTES:
                raise PartsRefused(Reason.MALFORMED)
            head = int.from_bytes(data[at : at + limits.PART_HEAD_BYTES], "little")
            kind, length = head & 3, head >> 2
            at += limits.PART_HEAD_BYTES
            if length > len(data) - at:
                raise PartsRefused(Reason.MALFORMED)
            self._count(depth)
            value = data[at : at + length]
            at += length
            if kind == limits.PART_LIST:
                parts.append(self._list(value, depth + 1))
            elif kind == limits.PART_LEAF:
                if bundle:
                    raise PartsRefused(Reason.MALFORMED)
                parts.append(value)
            else:
                parts.append(self._metadata(value, kind == limits.PART_CRITICAL, in_header))
        return parts

    def _count(self, depth: int) -> None:
        self.parts += 1
        if self.parts > self.max_parts or depth > self.max_depth:
            raise PartsRefused(Reason.TOO_LARGE)

    def _metadata(self, value: bytes, critical: bool, in_header: bool) -> Metadata:
        if len(value) < 1 or value[0] == 0 or value[0] + 1 > len(value):
            raise PartsRefused(Reason.MALFORMED)
        try:
            name = value[1 : 1 + value[0]].decode("utf-8")
        except UnicodeDecodeError:
            raise PartsRefused(Reason.MALFORMED) from None
        content = value[1 + value[0] :]
        if name == "topic" and in_header:
            if not critical or self.topic is not None:
                raise PartsRefused(Reason.MALFORMED)
            self.topic = content
        elif critical and not self.understand_all and (name == "topic" or name not in self.understood):
            raise PartsRefused(Reason.UNKNOWN_CRITICAL, f"unknown critical metadata: {name}")
        return Metadata(name, content, critical)


def decode_parts(data: bytes, *, max_parts: int = limits.MAX_PARTS, max_depth: int = limits.MAX_DEPTH) -> list[Part]:
    """Decode one implicit list; raises PartsError where it is not exactly one encoding within the limits."""
    held = as_bytes(data)
    try:
        return Scanner(max_parts, min(max_depth, limits.DEPTH_LIMIT), understand_all=True).body(held)
    except PartsRefused as refused:
        raise PartsError(
            f"parts of {len(held)} bytes are {refused.reason} (limits: {max_parts} parts, depth {max_depth})"
        ) from None


def leaves(parts: Sequence[Part]) -> list[Any]:
    """The leaves of a list, depth first."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, list):
            found += leaves(part)
        elif not isinstance(part, Metadata):
            found.append(part)
    return found
