"""Who is obeyed, or believed, at a control socket (floor 11): identities that are named, or that have a credential.

Both ends of the socket share what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..association import Association
from ..errors import IdentityError, KeyFileError, Reason, Refusal
from ..identity import PublicIdentity, fingerprint, fingerprint_bytes
from ..limits import PUBLIC_KEY_BYTES
from ..rights import Role
from ..trust import Trust

#: Why a request was not carried out that was made for another relay, or for this one before it was started anew.
WRONG_CHALLENGE = "challenge"


def attested(association: Association) -> Association:
    """The association as both ends of a control socket use it, whatever its file says: with signatures alone."""
    return replace(association, secret=association.secret, attestation="required", allow_clear=False)


class NamedTrust(Trust):
    """A trust in which to send takes the role `role`, or to be `named`: a name, or none, by fingerprint of 32 bytes.

    `is_blocked_key` says whom an operator has blocked, by public key.
    """

    def __init__(
        self,
        named: Iterable[tuple[bytes, str]] = (),
        *,
        role: Role = Role.SEND,
        is_blocked_key: Callable[[bytes], bool] = lambda key: False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._named, self._role, self._is_blocked_key = dict(named), role, is_blocked_key

    def become(self, named: Iterable[tuple[bytes, str]], other: Trust) -> None:
        """Name these from now on, and trust whom `other` does, in one step."""
        self._named = dict(named)
        self.take(other)

    def name_of(self, key: bytes, now: float | None = None) -> str:
        """As a trust calls a key, or as it is named here."""
        return super().name_of(key, now) or self._named.get(fingerprint(bytes(key)), "")

    def check(
        self, key: bytes, role: Role, topic: bytes | None = None, now: float | None = None, *, routing_id: bytes = b""
    ) -> Refusal | None:
        """As a trust does; for `SEND` the role of this trust is asked for."""
        if self._is_blocked_key(key):
            return Refusal(Reason.BLOCKED, f"identity {key.hex()} is blocked")
        if role is not Role.SEND:
            return super().check(key, role, topic, now, routing_id=routing_id)
        if fingerprint(bytes(key)) in self._named and not super().is_blocked(key):
            return None
        return super().check(key, self._role, topic, now, routing_id=routing_id)


def named(text: str, folder: Path) -> tuple[bytes, str]:
    """Who is meant by a fingerprint, a public key of 64 hexadecimal digits, or the file of a public identity.

    Fingerprint, and the name in the file; IdentityError and KeyFileError say what is allowed.
    """
    if text.endswith(".toml"):
        public = PublicIdentity.load(folder / text)
        return public.fingerprint, public.name
    if len(text) == 2 * PUBLIC_KEY_BYTES and all(digit in "0123456789abcdef" for digit in text):
        return PublicIdentity(bytes.fromhex(text)).fingerprint, ""
    try:
        return fingerprint_bytes(text), ""
    except IdentityError:
        raise KeyFileError(
            f"{text!r}: a fingerprint (zs1…), a public key of 64 hexadecimal digits or the .toml file of a public "
            "identity is allowed"
        ) from None
