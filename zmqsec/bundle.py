"""Bundles (floor 8): consecutive messages of one topic and envelope in one sealed part; spec, "Bundles"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import limits
from .errors import PartsError
from .message import Message
from .parts import as_bytes

_FIXED_BYTES = limits.HEADER_BYTES + limits.TAG_BYTES
_TOPIC_BYTES = limits.PART_HEAD_BYTES + 1 + len("topic")


def _split(item: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """What must be equal within a bundle, and the message's own parts."""
    if isinstance(item, Message):
        if item.header or item.metadata or item.protect != "sealed" or item.kind != limits.KIND_DATA:
            raise PartsError("a message with header parts, metadata or protect='authenticated' is not bundled")
        return (tuple(item.envelope), item.topic), list(item.body)
    return ((), None), list(item) if isinstance(item, (list, tuple)) else [item]


def _size(parts: Sequence[Any]) -> tuple[int, int]:
    """Heads and bytes that a message adds to a bundle."""
    heads, size = 1, limits.PART_HEAD_BYTES
    for part in parts:
        if isinstance(part, list):
            inner_heads, inner_size = _size(part)
            heads, size = heads + inner_heads, size + inner_size
        else:
            heads, size = heads + 1, size + limits.PART_HEAD_BYTES + len(as_bytes(part))
    return heads, size


def bundles_of(items: Sequence[Any], max_message: int) -> Iterator[tuple[Message, int]]:
    """Bundles with the number of messages in each, within MAX_PARTS heads and `max_message` bytes of sealed part."""
    body: list[Any] = []
    shared: tuple[Any, ...] = ((), None)
    heads = size = 0

    def bundle() -> tuple[Message, int]:
        return Message(kind=limits.KIND_BUNDLE, body=list(body), envelope=shared[0], topic=shared[1]), len(body)

    for item in items:
        common, parts = _split(item)
        more_heads, more_size = _size(parts)
        fixed = _FIXED_BYTES + (0 if common[1] is None else _TOPIC_BYTES + len(common[1]))
        full = heads + more_heads + 1 > limits.MAX_PARTS or size + more_size + fixed > max_message
        if body and (full or common != shared):
            yield bundle()
            body, heads, size = [], 0, 0
        shared = common
        body.append(parts)
        heads, size = heads + more_heads, size + more_size
    if body:
        yield bundle()
