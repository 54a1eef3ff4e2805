"""Types of the C core's open_many; see ``receiver`` for what it does."""

from collections.abc import Iterable, Sequence
from typing import Any

from ._engine import Receiver
from .errors import Refusal
from .message import Message

def open_many(
    frames: Iterable[Any],
    receiver: Receiver,
    *,
    topics: Sequence[bytes | None] | None = ...,
    routes: Sequence[Sequence[bytes]] | None = ...,
    copy: bool = ...,
) -> list[Message | Refusal]: ...
