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
_TO_BYTES = limits.PART_HEAD_BYTES + 1 + len("to") + limits.FINGERPRINT_BYTES
_REPLY_TO_BYTES = limits.PART_HEAD_BYTES + 1 + len("reply-to") + limits.MESSAGE_ID_BYTES
_PLAIN: tuple[Any, ...] = ((), None, None, None)


def _split(item: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """What must be equal within a bundle, and the message's own parts."""
    if isinstance(item, Message):
        if item.header or item.metadata or item.protect != "sealed" or item.kind != limits.KIND_DATA:
            raise PartsError("a message with header parts, metadata or protect='authenticated' is not bundled")
        return (tuple(item.envelope), item.topic, item.to, item.reply_to), list(item.body)
    return _PLAIN, list(item) if isinstance(item, (list, tuple)) else [item]


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


def _header(shared: tuple[Any, ...], lead: tuple[int, int]) -> tuple[int, int]:
    """Heads and bytes of the header parts of a bundle."""
    _, topic, to, reply_to = shared
    sizes = [] if topic is None else [_TOPIC_BYTES + len(topic)]
    sizes += ([] if to is None else [_TO_BYTES]) + ([] if reply_to is None else [_REPLY_TO_BYTES])
    return lead[0] + len(sizes), lead[1] + sum(sizes)


def bundles_of(items: Sequence[Any], max_message: int, lead: tuple[int, int] = (0, 0)) -> Iterator[tuple[Message, int]]:
    """Bundles with the number of messages in each, within MAX_PARTS heads and `max_message` bytes of sealed part.

    `lead` is the session's `lead_size`.
    """
    body: list[Any] = []
    shared: tuple[Any, ...] = _PLAIN
    heads = size = 0

    def bundle() -> tuple[Message, int]:
        envelope, topic, to, reply_to = shared
        message = Message(
            kind=limits.KIND_BUNDLE, body=list(body), envelope=envelope, topic=topic, to=to, reply_to=reply_to
        )
        return message, len(body)

    for item in items:
        common, parts = _split(item)
        more_heads, more_size = _size(parts)
        fixed_heads, fixed = _header(common, lead)
        full = (
            heads + more_heads + max(1, fixed_heads) > limits.MAX_PARTS
            or size + more_size + fixed + _FIXED_BYTES > max_message
        )
        if body and (full or common != shared):
            yield bundle()
            body, heads, size = [], 0, 0
        shared = common
        body.append(parts)
        heads, size = heads + more_heads, size + more_size
    if body:
        yield bundle()
