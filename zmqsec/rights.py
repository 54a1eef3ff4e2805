"""What an identity may do (floor 8): roles, names, routing ids and topics; spec, "Credentials"."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import IdentityError
from .limits import MAX_LIST_ENTRIES, MAX_LIST_ENTRY_BYTES


class Role(enum.IntFlag):
    """What an identity may be; `SEND` may publish its topics and `RECEIVE` read its own."""

    SEND = 1
    RECEIVE = 2
    RELAY = 4
    ADMIN = 8

    def __str__(self) -> str:
        return ", ".join(self.words()) or "none"

    def words(self) -> list[str]:
        """The names of the roles that are set, as files and commands write them."""
        return [str(role.name).lower() for role in Role if role in self]

    @classmethod
    def of(cls, words: Iterable[str]) -> Role:
        """The roles of these names; IdentityError names those that there are."""
        known = {str(role.name).lower(): role for role in cls}
        roles = cls(0)
        for word in words:
            if not isinstance(word, str) or word not in known:
                raise IdentityError(f"role {word!r}: {', '.join(known)} are allowed")
            roles |= known[word]
        return roles


ALL = b"*"


def matches(patterns: Iterable[bytes], value: bytes) -> bool:
    """Whether a value is one of the patterns, or begins with one that ends with ``*``."""
    return any(value == one or (one[-1:] == ALL and value.startswith(one[:-1])) for one in patterns)


def covers(patterns: Iterable[bytes], prefix: bytes) -> bool:
    """Whether the patterns match every value that begins with the prefix, as a subscription asks for."""
    return any(one[-1:] == ALL and prefix.startswith(one[:-1]) for one in patterns)


def _entries(what: str, given: Iterable[str | bytes]) -> tuple[bytes, ...]:
    if isinstance(given, (str, bytes)):
        raise IdentityError(f"{what}={given!r}: a list is allowed, not one text")
    try:
        entries = sorted({one.encode() if isinstance(one, str) else bytes(memoryview(one)) for one in given})
    except TypeError:
        raise IdentityError(f"{what}={given!r}: a list of texts or bytes is allowed") from None
    if len(entries) > MAX_LIST_ENTRIES:
        raise IdentityError(f"{len(entries)} {what}: at most {MAX_LIST_ENTRIES} are allowed")
    for one in entries:
        if len(one) > MAX_LIST_ENTRY_BYTES:
            raise IdentityError(f"{what} with {one!r}: at most {MAX_LIST_ENTRY_BYTES} bytes are allowed")
        if not one and what in ("names", "routing_ids"):
            raise IdentityError(f"{what} with an empty one: 1 to {MAX_LIST_ENTRY_BYTES} bytes are allowed")
    return tuple(entries)


@dataclass(frozen=True, slots=True, init=False)
class Rights:
    """Roles and four lists, each sorted; an empty list gives nothing.

    `names` are what the identity may be called; `routing_ids`, and the topics to `publish` and to `read`, are patterns:
    exact, or a prefix with a final ``*``; ``*`` alone is all. Texts become UTF-8.
    """

    roles: Role
    names: tuple[str, ...]
    routing_ids: tuple[bytes, ...]
    publish: tuple[bytes, ...]
    read: tuple[bytes, ...]

    def __init__(
        self,
        roles: int,
        names: Iterable[str] = (),
        routing_ids: Iterable[str | bytes] = (),
        publish: Iterable[str | bytes] = (),
        read: Iterable[str | bytes] = (),
    ) -> None:
        if not isinstance(roles, int) or not 0 < roles <= sum(Role):
            raise IdentityError(f"roles={roles!r}: one or more of {Role(sum(Role))} are allowed")
        try:
            decoded = tuple(one.decode() for one in _entries("names", names))
        except UnicodeDecodeError as error:
            raise IdentityError(f"names with {error.object!r}: UTF-8 is allowed") from None
        for name, value in (
            ("roles", Role(roles)),
            ("names", decoded),
            ("routing_ids", _entries("routing_ids", routing_ids)),
            ("publish", _entries("publish", publish)),
            ("read", _entries("read", read)),
        ):
            object.__setattr__(self, name, value)

    def lacks(self, role: Role, topic: bytes | None = None, routing_id: bytes = b"") -> str:
        """What is missing, in words, to act in this role on this topic under this routing id; empty if nothing is.

        Without a topic none is looked at, and without a routing id none is.
        """
        if role not in self.roles:
            return f"the role {role}"
        if routing_id and not matches(self.routing_ids, routing_id):
            return f"the routing id {routing_id!r}"
        if topic is not None and role in (Role.SEND, Role.RECEIVE):
            verb, patterns = ("publish", self.publish) if role == Role.SEND else ("read", self.read)
            if not matches(patterns, topic):
                return f"the topic {topic!r} to {verb}"
        return ""

    def may_subscribe(self, prefix: bytes) -> bool:
        """Whether all that a subscription to this prefix brings may be read."""
        return Role.RECEIVE in self.roles and covers(self.read, prefix)


#: Of a key that the operator pinned without saying more.
PINNED = Rights(Role.SEND | Role.RECEIVE, routing_ids=(ALL,), publish=(ALL,), read=(ALL,))
