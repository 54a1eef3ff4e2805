"""Roles, patterns and lists."""

from __future__ import annotations

from typing import Any

import pytest

from zmqsec.errors import IdentityError
from zmqsec.rights import PINNED, Rights, Role, covers, matches


@pytest.mark.parametrize(
    ("patterns", "value", "expected"),
    [
        ([], b"", False),
        ([b""], b"", True),
        ([b""], b"a", False),
        ([b"a"], b"a", True),
        ([b"a"], b"ab", False),
        ([b"a*"], b"a", True),
        ([b"a*"], b"ab", True),
        ([b"a*"], b"b", False),
        ([b"*"], b"", True),
        ([b"*a"], b"ba", False),
        ([b"*a"], b"*a", True),
        ([b"x", b"a*"], b"abc", True),
    ],
)
def test_patterns_match_exactly_or_by_prefix(patterns: list[bytes], value: bytes, expected: bool) -> None:
    assert matches(patterns, value) == expected


@pytest.mark.parametrize(
    ("patterns", "prefix", "expected"),
    [
        ([b"*"], b"", True),
        ([b"a*"], b"", False),
        ([b"a*"], b"a", True),
        ([b"a*"], b"ab", True),
        ([b"a"], b"a", False),  # the subscription brings "ab" too
        ([], b"a", False),
    ],
)
def test_patterns_cover_a_subscription(patterns: list[bytes], prefix: bytes, expected: bool) -> None:
    assert covers(patterns, prefix) == expected
    assert Rights(Role.RECEIVE, read=patterns).may_subscribe(prefix) == expected
    assert not Rights(Role.SEND, read=patterns).may_subscribe(prefix)


def test_rights_are_sorted_and_texts_are_utf8() -> None:
    rights = Rights(Role.SEND, names=["b", "a"], publish=["é", b"a", "a"], routing_ids=[bytearray(b"x")])
    assert rights.names == ("a", "b") and rights.publish == (b"a", "é".encode()) and rights.routing_ids == (b"x",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"roles": 0}, "roles=0: one or more of send, receive, relay, admin are allowed"),
        ({"roles": 16}, "roles=16"),
        ({"publish": "weather"}, "publish='weather': a list is allowed, not one text"),
        ({"read": [5]}, "a list of texts or bytes is allowed"),
        ({"read": ["x" * 256]}, "at most 255 bytes are allowed"),
        ({"read": [str(i) for i in range(256)]}, "256 read: at most 255 are allowed"),
        ({"names": [""]}, "names with an empty one"),
        ({"routing_ids": [b""]}, "routing_ids with an empty one"),
        ({"names": [b"\xff"]}, "UTF-8 is allowed"),
    ],
)
def test_rights_out_of_bounds_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(IdentityError, match=said):
        Rights(**{"roles": Role.SEND, **fields})


def test_rights_say_what_they_lack() -> None:
    rights = Rights(Role.SEND, routing_ids=[b"a"], publish=[b"t"])
    assert rights.lacks(Role.SEND, b"t", b"a") == ""
    assert rights.lacks(Role.RECEIVE) == "the role receive"
    assert rights.lacks(Role.SEND, b"u") == "the topic b'u' to publish"
    assert rights.lacks(Role.SEND, None, b"b") == "the routing id b'b'"
    assert PINNED.lacks(Role.SEND, b"any", b"any") == "" and PINNED.lacks(Role.ADMIN) == "the role admin"


def test_roles_are_read_and_written_by_name() -> None:
    roles = Role.of(["relay", "send"])
    assert roles == Role.SEND | Role.RELAY and roles.words() == ["send", "relay"] and str(roles) == "send, relay"
    with pytest.raises(IdentityError, match="role 'king': send, receive, relay, admin are allowed"):
        Role.of(["king"])
