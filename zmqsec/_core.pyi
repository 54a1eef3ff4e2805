"""Types of the C core; what each name does stands with its readable twin, which ``zmqsec.reference`` names."""

from collections.abc import Iterable
from typing import Any

import zmq

from ._engine import Receiver as Receiver
from ._engine import Session as Session
from ._engine import open_many as open_many
from ._engine import seal_many as seal_many
from ._library import derive_spi as derive_spi
from ._library import derive_suite_key as derive_suite_key
from ._library import kernels as kernels
from ._library import random_bytes as random_bytes
from ._library import use_kernels as use_kernels
from ._parts import decode_parts as decode_parts
from ._parts import encode_parts as encode_parts
from .errors import Refusal

class Channel:
    socket: zmq.Socket[Any]
    session: Session | None
    receiver: Receiver | None
    fronts: list[int]
    sealed: int
    waiting_refusals: int
    max_message: int
    def __init__(
        self,
        socket: zmq.Socket[Any],
        session: Session | None,
        receiver: Receiver | None,
        *,
        layout: int = ...,
        accept_subscriptions: bool = ...,
    ) -> None: ...
    def use_session(self, session: Session | None) -> None: ...
    def send_one(self, message: Any, flags: int = ...) -> None: ...
    def send_many(self, messages: Iterable[Any], flags: int = ...) -> int: ...
    def send_bundles(self, messages: list[Any], flags: int = ...) -> int: ...
    def recv_one(self, flags: int = ..., form: int = ..., copy: bool = ...) -> list[Any] | None: ...
    def recv_many(self, max_messages: int, flags: int = ..., form: int = ..., copy: bool = ...) -> list[Any]: ...
    def take_refusals(self) -> list[Refusal]: ...
