"""Types of the tables of a relay's checks; see ``_policy.pyx`` for what they hold."""

from collections.abc import Iterable

from ._attest import Attester
from .admission import AdmissionKey
from .errors import Reason
from .identity import Identity
from .trust import Trust

_Rate = tuple[float, float] | None

class Rules:
    def __init__(self, given: Iterable[tuple[int, bytes, int, int, int]] = ...) -> None: ...

class Peers:
    def __init__(self, most: int = ...) -> None: ...
    def __len__(self) -> int: ...
    def rule(self, rules: Rules, throttled: Rules) -> None: ...
    def take(self, most: int = ...) -> list[tuple[str, bytes, bytes, int, int, dict[str, int]]]: ...
    def meet(
        self,
        address: str,
        routing_id: bytes = ...,
        identity: bytes = ...,
        *,
        reason: Reason | None = ...,
        size: int = ...,
    ) -> None: ...

class Admissions:
    def __init__(self, keys: Iterable[AdmissionKey]) -> None: ...
    def check_many(self, sealed: Iterable[bytes]) -> list[Reason | None]: ...

class Grants:
    def __init__(self, trust: Trust, before: Grants | None = ...) -> None: ...
    @property
    def learned(self) -> int: ...

class Envelopes:
    def __init__(self, identity: Identity, most: int = ..., lifetime: float = ...) -> None: ...
    def __len__(self) -> int: ...
    def rule(self, peers: Peers) -> None: ...

class Policy:
    @property
    def peers(self) -> Peers | None: ...
    def __init__(
        self,
        *,
        check: int = ...,
        layout: int = ...,
        subscriptions: bool = ...,
        names_peers: bool = ...,
        handshakes: bool = ...,
        max_message: int = ...,
        topics: tuple[bytes, ...] | None = ...,
        messages: _Rate = ...,
        bytes: _Rate = ...,
        peer_messages: _Rate = ...,
        peer_bytes: _Rate = ...,
        throttled_messages: _Rate = ...,
        throttled_bytes: _Rate = ...,
        admissions: Admissions | None = ...,
        grants: Grants | None = ...,
        peers: Peers | None = ...,
        sign: Envelopes | None = ...,
        open: Envelopes | None = ...,
        hop: Attester | None = ...,
    ) -> None: ...
