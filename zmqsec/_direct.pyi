"""Types of the C core's short path."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from ._channel import Channel

class Direct:
    sends: bool
    receives: bool
    def __init__(
        self,
        channel: Channel,
        sending: type[Any],
        receiving: type[Any],
        *,
        partial: list[Any],
        rest: deque[Any],
        ready: deque[Any],
    ) -> None: ...
    def send(
        self,
        data: Any,
        flags: int = ...,
        copy: bool = ...,
        track: bool = ...,
        routing_id: int | None = ...,
        group: str | None = ...,
    ) -> Any: ...
    def send_many(self, messages: Iterable[Any], *, bundle: bool = ..., flags: int = ...) -> int: ...
    def recv(self, flags: int = ..., copy: bool = ..., track: bool = ...) -> Any: ...
    def recv_many(
        self, max_messages: int = ..., timeout: float | None = ..., *, multipart: bool = ..., copy: bool = ...
    ) -> list[Any]: ...
