"""Types of the C core's channel; see ``channel`` for what it does."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import zmq

from ._engine import Receiver, Session
from .answers import Answers
from .aside import Aside
from .errors import Refusal
from .message import Message

class Channel:
    @property
    def socket(self) -> zmq.Socket[Any] | None: ...
    session: Session | None
    receiver: Receiver | None
    fronts: list[int]
    answers: Answers
    aside: Aside
    @property
    def last_id(self) -> bytes: ...
    sealed: int
    waiting_refusals: int
    max_message: int
    stale: bool
    follow: Callable[[], None] | None
    def __init__(
        self,
        socket: zmq.Socket[Any],
        session: Session | None,
        receiver: Receiver | None,
        *,
        layout: int = ...,
        accept_subscriptions: bool = ...,
    ) -> None: ...
    def is_used_elsewhere(self) -> bool: ...
    def poll(self, timeout: int | None, flags: int) -> int: ...
    def use_session(self, session: Session | None) -> None: ...
    def send_one(self, message: Any, flags: int = ...) -> None: ...
    def send_many(self, messages: Iterable[Any], flags: int = ...) -> int: ...
    @staticmethod
    def are_plain(messages: list[Any], lists: bool) -> bool: ...
    def bundles_of(self, messages: Sequence[Any]) -> Iterator[tuple[Message, int]]: ...
    def send_bundles(self, messages: list[Any], flags: int = ...) -> int: ...
    def recv_one(self, flags: int = ..., form: int = ..., copy: bool = ...) -> list[Any] | None: ...
    def recv_many(self, max_messages: int, flags: int = ..., form: int = ..., copy: bool = ...) -> list[Any]: ...
    def seal_with(self, session: Session) -> None: ...
    def take_refusals(self) -> list[Refusal]: ...
