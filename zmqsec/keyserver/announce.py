"""The word that a group has a new key (floor 11): signed, multicast, and no secret; spec, "Key servers".

    0 3 magic 00 5A 4B | 3 1 version 01 | 4 4 spread | 8 16 realm | 24 32 group
    56 8 epoch | 64 8 issued | 72 64 signature

"group" is H("zmqsec.group", realm || name), which is also the topic, so that no name is shown. "spread" are the seconds
over which members fetch, "issued" unix seconds. The signature covers "zmqsec announce" || all before it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .. import ed25519, sodium
from ..identity import Identity

_HEAD = struct.Struct("<3sBI16s32sQQ")
_MAGIC = b"\x00ZK"
_VERSION = 1
_LABEL = b"zmqsec announce"
BYTES = _HEAD.size + 64


def topic_of(realm: bytes, group: str) -> bytes:
    """The 32 bytes by which a group is announced."""
    return sodium.hash_unkeyed(b"zmqsec.group", realm + group.encode())


@dataclass(frozen=True, slots=True)
class Announcement:
    """A new epoch of a group."""

    realm: bytes
    topic: bytes
    epoch: int
    spread: int
    issued: int

    def sign(self, server: Identity) -> bytes:
        """The whole blob."""
        head = _HEAD.pack(_MAGIC, _VERSION, self.spread, self.realm, self.topic, self.epoch, self.issued)
        return head + server.sign(_LABEL + head)

    @classmethod
    def verify(cls, blob: bytes, server: bytes, realm: bytes) -> Announcement | None:
        """What this server says of this realm; None for anything else."""
        if len(blob) != BYTES:
            return None
        head, signature = blob[: _HEAD.size], blob[_HEAD.size :]
        magic, version, spread, said_realm, topic, epoch, issued = _HEAD.unpack(head)
        if (magic, version, said_realm) != (_MAGIC, _VERSION, realm):
            return None
        if not ed25519.verify(server, _LABEL + head, signature):
            return None
        return cls(realm, topic, epoch, spread, issued)
