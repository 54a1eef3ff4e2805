"""Announcements: the layout of the specification, and nothing that the server has not signed."""

from __future__ import annotations

import pytest
from realm_helpers import ALICE, OPS

from zmqsec.keyserver.announce import BYTES, Announcement, topic_of

REALM = bytes(range(16))
SAID = Announcement(REALM, topic_of(REALM, "weather"), 7, 9, 1_700_000_000)


def test_announcement_has_the_layout_of_the_specification() -> None:
    blob = SAID.sign(OPS)
    assert len(blob) == BYTES == 136
    assert blob[:8] == bytes.fromhex("005a4b01 09000000")
    assert blob[8:24] == REALM and blob[24:56] == SAID.topic
    assert blob[56:72] == (7).to_bytes(8, "little") + (1_700_000_000).to_bytes(8, "little")
    assert OPS.public.verify(b"zmqsec announce" + blob[:72], blob[72:])
    assert Announcement.verify(blob, OPS.key, REALM) == SAID


def test_announcement_with_any_bit_flipped_is_none() -> None:
    blob = SAID.sign(OPS)
    for bit in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        assert Announcement.verify(bytes(changed), OPS.key, REALM) is None


@pytest.mark.parametrize("blob", (b"", SAID.sign(OPS)[:-1], SAID.sign(OPS) + b"\0", SAID.sign(ALICE)))
def test_announcement_that_is_none_is_refused(blob: bytes) -> None:
    assert Announcement.verify(blob, OPS.key, REALM) is None


def test_announcement_of_another_realm_is_none() -> None:
    assert Announcement.verify(SAID.sign(OPS), OPS.key, bytes(16)) is None
