"""Types of the C core's sessions and receivers; see ``session`` and ``receiver`` for what they do."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

from .errors import Refusal
from .message import AssociationLike, Message

class Session:
    association: AssociationLike
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
    ) -> None: ...
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
    ) -> None: ...
    def add(self, association: AssociationLike) -> None: ...
    def check_idle(self) -> None: ...
    def remove(self, spi: int) -> None: ...

def seal_many(messages: Iterable[Any], session: Session) -> list[bytes]: ...
def open_many(
    frames: Iterable[Any],
    receiver: Receiver,
    *,
    topics: Sequence[bytes | None] | None = ...,
    copy: bool = ...,
) -> list[Message | Refusal]: ...
