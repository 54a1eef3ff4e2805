"""Types of the C core's sessions and receivers; see ``session`` and ``receiver`` for what they do."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

from .identity import Identity
from .judge import TrustLike
from .message import AssociationLike, Attest, Show

class Session:
    association: AssociationLike
    identity: Identity | None
    attest: Attest
    lead: bytes
    @property
    def session_id(self) -> bytes: ...
    @property
    def sequence(self) -> int: ...
    @property
    def start(self) -> int: ...
    def __init__(
        self,
        association: AssociationLike,
        *,
        clock: Callable[[], float] = ...,
        random: Callable[[int], bytes] = ...,
        sequence: int = ...,
        rotate: bool = ...,
        identity: Identity | None = ...,
        attest: Attest = ...,
        routing_id: bytes = ...,
        show: Show | None = ...,
    ) -> None: ...
    def use_routing_id(self, routing_id: bytes) -> None: ...
    def next_lead(self) -> bytes: ...
    @property
    def lead_size(self) -> tuple[int, int]: ...
    def attest_many(self, sealed: Sequence[bytes]) -> list[bytes]: ...
    def has_sealed(self, message_id: bytes) -> bool: ...
    @property
    def last_id(self) -> bytes: ...
    def rotate(self) -> None: ...
    def reserve(self, n: int) -> int: ...
    def __reduce__(self) -> NoReturn: ...

class Receiver:
    @property
    def refused(self) -> dict[str, int]: ...
    @property
    def opened(self) -> int: ...
    @property
    def sessions(self) -> int: ...
    def __init__(
        self,
        associations: Iterable[AssociationLike] = ...,
        *,
        clock: Callable[[], float] = ...,
        max_message: int = ...,
        max_parts: int = ...,
        max_depth: int = ...,
        max_sessions: int = ...,
        understood: Collection[str] = ...,
        kinds: Collection[int] = ...,
        me: Any = ...,
        trust: TrustLike | None = ...,
    ) -> None: ...
    def add(self, association: AssociationLike) -> None: ...
    def check_idle(self) -> None: ...
    def remove(self, spi: int) -> None: ...

def seal_many(messages: Iterable[Any], session: Session) -> list[bytes]: ...
