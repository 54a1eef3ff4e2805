"""Keys and the 32-byte header of a sealed part in Python (floor 8); spec, "Key derivation" and "The sealed part"."""

from __future__ import annotations

from dataclasses import dataclass

from . import limits, sodium
from .errors import AssociationError


def derive_suite_key(secret: bytes, suite: int, spi: int) -> bytes:
    """The 32-byte key of one suite; spec, "Key derivation"."""
    return sodium.blake2b(secret, b"zmqsec.suite.key", bytes([suite]) + spi.to_bytes(4, "little"))


def derive_spi(secret: bytes) -> int:
    """The SPI of an association that names none: the first nonzero 4 bytes of a hash of its secret."""
    digest = sodium.blake2b(secret, b"zmqsec.spi", b"")
    for at in range(0, len(digest), 4):
        spi = int.from_bytes(digest[at : at + 4], "little")
        if spi != 0:
            return spi
    raise AssociationError("this secret gives no SPI; generate another")


def is_sealed(frame: bytes) -> bool:
    """Does `frame` look like a sealed part? Only its length and its magic are looked at."""
    return len(frame) >= limits.MIN_SEALED_BYTES and frame.startswith(limits.MAGIC)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of the 32 bytes in front of every sealed part."""

    suite: int
    kind: int
    flags: int
    header_parts: int
    spi: int
    session: bytes
    sequence: int

    @property
    def start(self) -> int:
        """When the session began, unix seconds."""
        return int.from_bytes(self.session[:4], "little")

    def encode(self) -> bytes:
        return (
            limits.MAGIC
            + bytes([limits.VERSION, self.suite, self.kind | self.flags])
            + self.header_parts.to_bytes(2, "little")
            + self.spi.to_bytes(4, "little")
            + self.session
            + self.sequence.to_bytes(8, "little")
        )

    @classmethod
    def decode(cls, frame: bytes) -> Header:
        return cls(
            suite=frame[4],
            kind=frame[5] & 0x0F,
            flags=frame[5] & 0xF0,
            header_parts=int.from_bytes(frame[6:8], "little"),
            spi=int.from_bytes(frame[8:12], "little"),
            session=frame[12:24],
            sequence=int.from_bytes(frame[24:32], "little"),
        )
