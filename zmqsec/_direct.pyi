"""Types of the C core's short path."""

from collections import deque
from collections.abc import Callable
from typing import Any

from ._channel import Channel

class Direct:
    sends: bool
    receives: bool
    def __init__(
        self,
        channel: Channel,
        send_other: Callable[..., Any],
        recv_other: Callable[..., Any],
        recv_rest: Callable[..., Any],
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
    def recv(self, flags: int = ..., copy: bool = ..., track: bool = ...) -> Any: ...
