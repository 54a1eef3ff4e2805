"""What the tests share: associations, clocks and randomness that are given, and the sealing of any bytes at all."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pysodium

from zmqsec import limits, sodium
from zmqsec.attestation import Attester
from zmqsec.errors import SuiteError
from zmqsec.header import Header, derive_suite_key
from zmqsec.identity import Identity
from zmqsec.message import Message, Metadata
from zmqsec.suites import XChaCha20Poly1305, register_suite, suite_by_number

NOW = 1_700_000_000
SECRET = bytes(range(32))
ALICE, BOB, RELAY, SECOND = (Identity.from_seed(bytes([n]) * 32, f"identity {n}") for n in range(4))


@dataclass(frozen=True)
class FakeAssociation:
    """What an implementation reads of an association, without the checks of the real one."""

    spi: int = 0x01020304
    suite: int = limits.SUITE_XCHACHA20POLY1305
    secret: bytes = SECRET
    lifetime: int = limits.REJECT_AFTER_TIME
    skew: int = limits.CLOCK_SKEW
    late_join: int = limits.REJECT_AFTER_TIME
    allow_clear: bool = True
    admit: bool = False
    attestation: str = "none"
    hops_min: int = 0
    hops_max: int = limits.MAX_ATTESTATION_FRAMES
    hops: tuple[bytes, ...] = ()


class FakeClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingRandom:
    """Randomness that never repeats and is the same in every run: the number of the call, big-endian."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, n: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(n, "big")


class UsersSuite(XChaCha20Poly1305):
    """A user's own suite: the cipher of suite 1, whose key the suite's number makes another one."""

    number = 200
    name = "users-own"


USERS_SUITE = UsersSuite()


def register_users_suite() -> None:
    """Make suite 200 known; more than once does no harm."""
    register_suite(USERS_SUITE)


def runnable_suites() -> list[int]:
    """The built-in suites that this machine can run."""
    found = []
    for number in (1, 2, 3):
        try:
            suite_by_number(number)
        except SuiteError:
            continue
        found.append(number)
    return found


SUITES = runnable_suites()


def session_id(start: int = NOW, random: bytes = b"\0\0\0\0\0\0\0\1") -> bytes:
    return start.to_bytes(4, "little") + random


def seal_raw(
    association: Any,
    body: bytes = b"\0\0\0\0",
    *,
    header_parts: bytes = b"",
    kind: int = limits.KIND_DATA,
    flags: int = 0,
    spi: int | None = None,
    session: bytes | None = None,
    sequence: int = 0,
) -> bytes:
    """A sealed part with a tag that holds, whatever its fields and its bytes may be."""
    header = Header(
        suite=association.suite,
        kind=kind,
        flags=flags,
        header_parts=len(header_parts) & 0xFFFF,
        spi=association.spi if spi is None else spi,
        session=session_id() if session is None else session,
        sequence=sequence,
    )
    clear = bool(flags & limits.FLAG_CLEAR_BODY)
    front = header.encode() + header_parts + (body if clear else b"")
    key = derive_suite_key(association.secret, association.suite, association.spi)
    suite = suite_by_number(association.suite)
    return front + suite.seal(key, front[limits.NONCE_OFFSET : limits.HEADER_BYTES], front, b"" if clear else body)


def signed_by(identity: Identity, routing_id: bytes = b"") -> bytes:
    """The metadata `from` of a message of this identity."""
    return metadata(b"from", identity.fingerprint + routing_id)


def suite_key(association: Any) -> bytes:
    return derive_suite_key(association.secret, association.suite, association.spi)


def seal_attested(
    association: Any,
    identity: Identity,
    body: bytes = b"\0\0\0\0",
    *,
    routing_id: bytes = b"",
    header_parts: bytes = b"",
    flags: int = 0,
    **fields: Any,
) -> tuple[bytes, bytes]:
    """A sealed part as seal_raw makes it, from this identity, and its attestation, which is signed alone."""
    header_parts = signed_by(identity, routing_id) + header_parts
    sealed = seal_raw(association, body, header_parts=header_parts, flags=flags | limits.FLAG_ORIGIN_ATTESTED, **fields)
    (attestation,) = Attester(identity, suite_key(association), routing_id).attest([sealed])
    return sealed, attestation


def hop(identity: Identity, sealed: bytes, previous: bytes = b"", routing_id: bytes = b"") -> bytes:
    """A hop's attestation of a sealed part behind the one before."""
    (attestation,) = Attester(identity, None, routing_id).attest([sealed], [previous])
    return attestation


def part(kind: int, value: bytes) -> bytes:
    """One part: head and value."""
    return (len(value) << 2 | kind).to_bytes(4, "little") + value


def leaf(value: bytes) -> bytes:
    return part(limits.PART_LEAF, value)


def listed(*parts: bytes) -> bytes:
    return part(limits.PART_LIST, b"".join(parts))


def metadata(name: bytes, value: bytes = b"", critical: bool = False) -> bytes:
    kind = limits.PART_CRITICAL if critical else limits.PART_IGNORABLE
    return part(kind, bytes([len(name)]) + name + value)


def nested(depth: int, innermost: bytes = b"x") -> bytes:
    """A leaf at `depth`; 1 is directly in the body."""
    encoded = leaf(innermost)
    for _ in range(depth - 1):
        encoded = listed(encoded)
    return encoded


def session_of(implementation: ModuleType, association: Any = None, **options: Any) -> Any:
    """A session with a clock that stands and randomness that counts."""
    options.setdefault("clock", FakeClock())
    options.setdefault("random", CountingRandom())
    return implementation.Session(association or FakeAssociation(), **options)


def receiver_of(implementation: ModuleType, *associations: Any, **options: Any) -> Any:
    """A receiver with a clock that stands."""
    options.setdefault("clock", FakeClock())
    return implementation.Receiver(associations or (FakeAssociation(),), **options)


def outcome(opened: Any) -> str:
    """`opened`, or the reason of a refusal."""
    return "opened" if isinstance(opened, Message) else str(opened.reason)


def outcomes(implementation: ModuleType, frames: Iterable[Any], receiver: Any, **options: Any) -> list[str]:
    return [outcome(one) for one in implementation.open_many(frames, receiver, **options)]


def as_plain(parts: Sequence[Any]) -> list[Any]:
    """Parts with every leaf as bytes, so that views compare equal."""
    return [
        as_plain(one) if isinstance(one, (list, tuple)) else one if isinstance(one, Metadata) else bytes(one)
        for one in parts
    ]


def flips(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Every change of one bit, with the bit's number."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def hchacha20(key: bytes, input_16: bytes) -> bytes:
    """The subkey that suite 1 makes of bytes 8 to 24, by libsodium."""
    out = ctypes.create_string_buffer(limits.KEY_BYTES)
    pysodium.sodium.crypto_core_hchacha20(out, input_16, key, None)
    return out.raw


def has_aes256gcm() -> bool:
    return sodium.has_aes256gcm()
