"""What a handshake yields: a pairwise association for each direction (floor 10); spec, "What comes out"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from . import limits, sodium
from .association import Association
from .identity import PublicIdentity
from .lost import says_lost
from .noise_handshake import HandshakeState

_NONCE: Final = bytes(12)  # each of these keys seals one text
_TEXT: Final = bytes(4)  # so that a frame has the length of a sealed part


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """Both directions between this side and `peer`.

    `send` seals what this side sends and must never open anything; `receive` opens what comes. `credential` is what the
    peer showed, or empty. `static` is its Noise key, with which the next handshake can be IK. `hybrid` says whether
    ML-KEM-768 was mixed in. `binding` is the handshake's hash, 64 bytes that are not secret and that no other pair has
    (Noise, section 11.2). `lost_token` is what the responder shows if it has lost the pair; empty on its own side.
    """

    send: Association
    receive: Association
    peer: PublicIdentity
    credential: bytes
    static: bytes
    hybrid: bool
    binding: bytes
    lost_token: bytes = b""

    def is_lost(self, frame: bytes) -> bool:
        """Whether a handshake frame says, as only the peer can, that it has lost this pair: shake hands again.

        Go on with this pair until there is another: whoever holds the token can at most make the two shake hands.
        """
        return says_lost(frame, self.send.spi, self.lost_token)

    def __repr__(self) -> str:
        return f"Pair(peer={self.peer}, send={self.send.spi:#010x}, receive={self.receive.spi:#010x})"


class Confirmation:
    """The keys that prove that both sides came to the same end: one text sealed in each direction."""

    __slots__ = ("_h", "_mine", "_theirs")

    def __init__(self, mine: bytes, theirs: bytes, h: bytes) -> None:
        self._mine = sodium.blake2b(mine, b"zmqsec.confirm", h)
        self._theirs = sodium.blake2b(theirs, b"zmqsec.confirm", h)
        self._h = h

    def seal(self, header: bytes) -> bytes:
        """The whole frame."""
        return header + sodium.chacha20poly1305_seal(self._mine, _NONCE, header + self._h, _TEXT)

    def holds(self, frame: bytes) -> bool:
        """Whether the peer sealed this frame."""
        header, sealed = frame[: limits.HEADER_BYTES], frame[limits.HEADER_BYTES :]
        return sodium.chacha20poly1305_open(self._theirs, _NONCE, header + self._h, sealed) == _TEXT


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the two offers and the peer's statement say."""

    name: str
    suite: int
    send_spi: int
    receive_spi: int
    peer: PublicIdentity
    credential: bytes
    hybrid: bool
    policy: Mapping[str, Any]
    lost_token: bytes = b""


def finish(noise: HandshakeState, agreed: Agreed) -> tuple[Pair, Confirmation]:
    """Split(), and all keys from its two; what the handshake knew is forgotten."""
    h, static = noise.h, noise.rs
    assert static is not None  # a finished XX or IK has it
    ciphers = noise.split()
    sending, receiving = ciphers if noise.initiator else ciphers[::-1]
    assert sending.k is not None and receiving.k is not None

    def association(key: bytes, spi: int, direction: Literal["send", "receive"]) -> Association:
        secret = sodium.blake2b(key, b"zmqsec.pair", h)
        return Association(agreed.name, spi, agreed.suite, secret, direction=direction, **agreed.policy)

    pair = Pair(
        send=association(sending.k, agreed.send_spi, "send"),
        receive=association(receiving.k, agreed.receive_spi, "receive"),
        peer=agreed.peer,
        credential=agreed.credential,
        static=static,
        hybrid=agreed.hybrid,
        binding=h,
        lost_token=agreed.lost_token,
    )
    return pair, Confirmation(sending.k, receiving.k, h)
