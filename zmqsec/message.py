"""The message as the user sees it: header and body parts, metadata, topic, envelope (floor 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union

from . import limits

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

    from .signer import Signer
else:
    Buffer = object

Protect = Literal["sealed", "authenticated"]
Attest = Literal["none", "message", "batch"]
Clock = Callable[[], float]
Random = Callable[[int], bytes]
Show = Callable[[float], "bytes | None"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """One metadata part: a UTF-8 name of 1 to 255 bytes, a value, and whether a node must understand it.

    A node that meets an unknown critical name refuses the message; an unknown ignorable one it skips.
    """

    name: str
    value: bytes = b""
    critical: bool = False


#: A recursive part: bytes are a leaf, a list nests, metadata describes the list that it stands in.
Part = Union["Buffer", "list[Part]", Metadata]


@dataclass(slots=True)
class Message:
    """A whole message.

    ``envelope`` and ``topic`` travel in clear as frames of their own (the topic is bound to the message);
    ``header`` is readable by every node and authenticated; ``body`` is encrypted unless ``protect`` is
    ``"authenticated"``. ``to`` is the fingerprint (32 bytes) of the identity that the message is for, ``reply_to`` the
    ``id`` of the message that it answers. Where the message was received, ``session`` and ``sequence`` are filled in,
    ``origin``, whose signature held, and ``route``, the hops that signed it on its way, in their order.
    """

    body: Sequence[Part] = ()
    header: Sequence[Part] = ()
    metadata: Mapping[str, bytes | Metadata] = field(default_factory=dict)
    protect: Protect = "sealed"
    kind: int = limits.KIND_DATA
    topic: bytes | None = None
    envelope: Sequence[bytes] = ()
    spi: int = 0
    session: bytes = b""
    sequence: int = 0
    to: Any = None
    reply_to: bytes | None = None
    origin: Signer | None = None
    route: Sequence[Signer] = ()

    @property
    def id(self) -> bytes:
        """Session and sequence number, 20 bytes: what a reply's `reply_to` repeats."""
        return self.session + self.sequence.to_bytes(8, "little")

    def reply(self, body: Sequence[Part] = (), **fields: Any) -> Message:
        """A Message that answers this one: bound to it, back along its envelope, for its origin if that was proven."""
        fields.setdefault("to", None if self.origin is None else self.origin.fingerprint)
        return Message(body=body, envelope=self.envelope, reply_to=self.id, **fields)


class AssociationLike(Protocol):
    """What an implementation of the protocol reads of an association."""

    @property
    def spi(self) -> int: ...
    @property
    def suite(self) -> int: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def lifetime(self) -> int: ...
    @property
    def skew(self) -> int: ...
    @property
    def late_join(self) -> int: ...
    @property
    def allow_clear(self) -> bool: ...
    @property
    def admit(self) -> bool: ...
    @property
    def attestation(self) -> str: ...
    @property
    def hops_min(self) -> int: ...
    @property
    def hops_max(self) -> int: ...
    @property
    def hops(self) -> Sequence[bytes]: ...
