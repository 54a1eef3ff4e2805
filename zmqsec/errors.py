"""Every exception and every reason for a refusal (floor 7).

Programming mistakes raise a :class:`ZmqsecError`, which names what was given and what is allowed.
What a peer sends never raises: it becomes a :class:`Refusal` with one :class:`Reason`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class ZmqsecError(Exception):
    """The root of every exception that zmqsec raises by itself."""


class BackendError(ZmqsecError, ImportError):
    """The implementation asked for cannot run here, or a library lacks a symbol that it needs."""


class KeyFileError(ZmqsecError, ValueError):
    """A key file is missing, malformed, or readable by others than its owner."""


class IdentityError(ZmqsecError, ValueError):
    """An identity, a credential or a revocation list is missing, malformed, or was given values out of bounds."""


class AssociationError(ZmqsecError, ValueError):
    """An association is unknown, missing, ambiguous, or was given values out of bounds."""


class SuiteError(ZmqsecError, ValueError):
    """A suite is unknown, cannot run on this machine, or failed its conformance checks."""


class PartsError(ZmqsecError, ValueError):
    """Parts cannot be encoded or decoded: a wrong type, a limit passed, a length that does not fit."""


class HandshakeError(ZmqsecError, ValueError):
    """A handshake was given keys, a policy or a state that it cannot run with, or it has failed for good."""


class HybridUnavailable(HandshakeError):
    """The hybrid mode is required, and this libsodium has no ML-KEM-768."""


class SequenceExhausted(ZmqsecError, RuntimeError):
    """A session that may not rotate has reached a limit and seals no more."""


class SocketError(ZmqsecError, ValueError):
    """A secured socket was used in a way that its type or its association does not allow."""


class ConfigError(ZmqsecError, ValueError):
    """A configuration is missing something, or holds what is not allowed."""


class StreamError(ZmqsecError):
    """A stream through the sealed pipe is incomplete or was altered."""


class Reason(str, enum.Enum):
    """Why a message was refused: the closed list of the specification, in the order of the C status codes."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    VERSION = "version"
    SUITE = "suite"
    UNKNOWN_SPI = "unknown-spi"
    BLOCKED = "blocked"
    STALE_SESSION = "stale-session"
    REPLAYED = "replayed"
    FORGED = "forged"
    UNKNOWN_CRITICAL = "unknown-critical"
    TOPIC_MISMATCH = "topic-mismatch"
    UNATTESTED = "unattested"
    BAD_ATTESTATION = "bad-attestation"
    NOT_PERMITTED = "not-permitted"
    RATE_LIMITED = "rate-limited"

    def __str__(self) -> str:
        return self.value


class HandshakeReason(str, enum.Enum):
    """Why a handshake frame was refused or a handshake failed: the closed list of the specification."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    VERSION = "version"
    UNKNOWN_HANDSHAKE = "unknown-handshake"
    REPLAYED = "replayed"
    FORGED = "forged"
    COOKIE = "cookie"
    RATE = "rate"
    BUSY = "busy"
    BLOCKED = "blocked"
    NOT_PERMITTED = "not-permitted"
    SUITE = "suite"
    HYBRID = "hybrid"
    PSK = "psk"
    TIMEOUT = "timeout"
    LOST = "lost"

    def __str__(self) -> str:
        return self.value


#: ``REASONS[status - 1]`` is the reason for a C status code; status 0 means that the message opened.
REASONS: tuple[Reason, ...] = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused message: its reason, a detail for people, and the SPI where the header could be read."""

    reason: Reason
    detail: str = ""
    spi: int | None = None

    def __bool__(self) -> Literal[False]:
        return False
