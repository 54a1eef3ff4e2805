"""Who a message is from and by what right, whom it is for, what it answers (floor 9); spec, "Routing metadata"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import limits
from .errors import PartsError, Reason
from .message import Message, Metadata, Part
from .parts import PartsRefused, as_bytes, encode_metadata

#: Bytes of the content, least and most, of each name; ignorable, directly in the header list, at most once.
FORMS: Final = {
    "from": (limits.FINGERPRINT_BYTES, limits.FINGERPRINT_BYTES + limits.MAX_ROUTING_ID_BYTES),
    "to": (limits.FINGERPRINT_BYTES, limits.FINGERPRINT_BYTES),
    "reply-to": (limits.MESSAGE_ID_BYTES, limits.MESSAGE_ID_BYTES),
    "cred": (limits.MIN_CREDENTIAL_BYTES, limits.MAX_CREDENTIAL_BYTES),
}

#: How a user says what zmqsec writes into this metadata itself.
_GIVEN_AS: Final = {
    "topic": "give it as Message.topic",
    "from": "it comes with attest=",
    "to": "give it as Message.to",
    "reply-to": "give it as Message.reply_to",
    "cred": "it comes with attest=, from the keyring",
    "admit": "it comes with the association's admit",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The contents of the metadata, or None for each that is not there."""

    sender: bytes | None = None  # fingerprint and routing id
    to: bytes | None = None  # fingerprint
    reply_to: bytes | None = None  # session and sequence number
    credential: bytes | None = None


def is_ours(part: Part) -> bool:
    """Is this part of a header list metadata that zmqsec writes itself, and no user's?

    The topic may be critical, and nothing else of these names.
    """
    return isinstance(part, Metadata) and part.name in _GIVEN_AS and (part.name == "topic" or not part.critical)


def read_address(header: Sequence[Part]) -> Address:
    """The routing metadata of a header list; PartsRefused for a length or a second one of a name."""
    found: dict[str, bytes] = {}
    for part in header:
        if isinstance(part, Metadata) and not part.critical and part.name in FORMS:
            least, most = FORMS[part.name]
            if part.name in found or not least <= len(part.value) <= most:
                raise PartsRefused(Reason.MALFORMED)
            found[part.name] = part.value
    return Address(found.get("from"), found.get("to"), found.get("reply-to"), found.get("cred"))


def fingerprint_of(peer: Any, what: str = "to") -> bytes:
    """The 32-byte fingerprint that `peer` is, or has: 32 bytes, a PublicIdentity, an Identity or a Signer."""
    given = getattr(peer, "fingerprint", peer)
    if not isinstance(given, bytes) or len(given) != limits.FINGERPRINT_BYTES:
        raise PartsError(f"{what}={peer!r}: an identity or a fingerprint, {limits.FINGERPRINT_BYTES} bytes, is allowed")
    return given


def check_name(name: str, critical: bool) -> None:
    """Refuse a user's metadata of a name that zmqsec itself writes into a message's header parts."""
    if name == "topic" or (name in _GIVEN_AS and not critical):
        raise PartsError(f"metadata {name!r} is written by zmqsec itself; {_GIVEN_AS[name]}")


def encode_address(message: Message, lead: bytes) -> bytes:
    """The routing metadata of a message to seal; `lead` is the session's own, encoded."""
    out = lead
    if message.to is not None:
        out += encode_metadata("to", fingerprint_of(message.to), False)
    if message.reply_to is not None:
        out += encode_metadata("reply-to", _message_id(message.reply_to), False)
    return out


def _message_id(given: Any) -> bytes:
    found = as_bytes(given)
    if len(found) != limits.MESSAGE_ID_BYTES:
        raise PartsError(
            f"reply_to of {len(found)} bytes: the {limits.MESSAGE_ID_BYTES} bytes of a Message's id are allowed"
        )
    return found
