"""Enrolment (floor 11): a short-lived token by which a new machine becomes a member, once, with one command.

A token is ``zst1`` and RFC 4648's base32, in lower case and without padding, of 20 random bytes and the 32 bytes of the
server's public key: who redeems it knows whom to talk to. The database holds a hash of the random bytes only.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

import sqlalchemy as sql

from .. import limits, sodium
from ..rights import Rights
from . import groups, members
from .errors import Invalid, NotAllowed
from .realm import Change
from .tables import tokens

_PREFIX = "zst1"
_RANDOM_BYTES = 20
SECONDS = 900
MAX_SECONDS = 7 * 86400


def token_text(random: bytes, server: bytes) -> str:
    """A token as people copy it."""
    return _PREFIX + base64.b32encode(random + server).decode("ascii").rstrip("=").lower()


def read_token(text: str) -> tuple[bytes, bytes]:
    """The random bytes of a token, and the public key of the server that gave it."""
    body = text.strip().removeprefix(_PREFIX).upper()
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _RANDOM_BYTES + limits.PUBLIC_KEY_BYTES or token_text(raw[:20], raw[20:]) != text.strip():
        raise Invalid("that is no token; zst1 and 84 letters a to z and digits 2 to 7 are allowed")
    return raw[:_RANDOM_BYTES], raw[_RANDOM_BYTES:]


def _hash(random: bytes) -> bytes:
    return sodium.hash_unkeyed(b"zmqsec.token", random)


def offer(
    change: Change,
    server: bytes,
    name: str,
    grants: Mapping[str, Rights],
    *,
    admin: bool = False,
    seconds: int = SECONDS,
) -> str:
    """A new token for one member of that name, who is let into these groups when it comes."""
    name = members.checked_name("member", name)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= MAX_SECONDS:
        raise Invalid(f"a token for {seconds!r} seconds: 1 to {MAX_SECONDS} are allowed")
    if any(one.name == name for one in members.every(change)):
        raise Invalid(f"the name {name!r} is taken by a member, perhaps a revoked one")
    for group in grants:
        groups.find(change, group)
    random = sodium.random_bytes(_RANDOM_BYTES)
    said = {group: groups.grant_as_json(grant) for group, grant in grants.items()}
    row = {"name": name, "admin": admin, "grants": json.dumps(said), "expires": change.now + seconds}
    change.connection.execute(tokens.insert().values(hash=_hash(random), **row))
    change.log("member.token", member=name, admin=admin, grants=said, seconds=seconds)
    return token_text(random, server)


def redeem(change: Change, key: bytes, random: bytes) -> members.Member:
    """Register the identity that brings a token, as the token says; again by the same identity does nothing."""
    chosen = sql.select(tokens).where(tokens.c.hash == _hash(random))
    token = change.connection.execute(chosen).one_or_none()
    if token is not None and token.used_by == key:
        return members.active(change, key)
    if token is None or token.used_by is not None or change.now > token.expires:
        why = "is unknown" if token is None else "was used already" if token.used_by is not None else "has expired"
        raise NotAllowed(f"the token {why}; an admin makes another one: zmqsec member token NAME")
    member = members.register(change, key, token.name, admin=token.admin)
    for group, said in json.loads(token.grants).items():
        groups.add(change, group, member.fingerprint, groups.grant_from_json(said))
    change.connection.execute(tokens.update().where(tokens.c.hash == token.hash).values(used_by=key))
    change.log("member.enrol", member=member.name, fingerprint=member.fingerprint)
    return member


def expire(change: Change) -> int:
    """Delete the tokens that have expired; how many."""
    return change.connection.execute(tokens.delete().where(tokens.c.expires < change.now)).rowcount
