"""Attestations in Python (floor 8): frames behind a sealed part that sign it, a batch under one signature.

Spec, "Attestations". A leaf hashes what one attestation says of one sealed part, a tree joins the leaves of a batch,
and its root is signed. ``csrc/attest.c`` is the same in C.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from . import limits, sodium
from .ed25519 import verify
from .errors import SocketError

_ABSENT = bytes(limits.HASH_BYTES)


class Signs(Protocol):
    """What signs: an Identity, or whatever else holds an Ed25519 key."""

    @property
    def key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Attestation:
    """One attestation frame: who signs, in which role, and where in its batch's tree the sealed part's leaf stands.

    `key` is an Ed25519 public key, `commitment` that to the association's key (32 bytes, the origin's only),
    `path` the hashes from the leaf's sibling upwards.
    """

    role: int
    key: bytes
    routing_id: bytes = b""
    commitment: bytes = b""
    position: int = 0
    path: tuple[bytes, ...] = ()
    signature: bytes = bytes(limits.SIGNATURE_BYTES)

    def own(self) -> bytes:
        """What a leaf takes in of its own attestation: all that does not depend on the tree."""
        return self._front(0, 0)

    def encode(self) -> bytes:
        """The frame."""
        return self._front(len(self.path), self.position) + self.signature + b"".join(self.path)

    def _front(self, height: int, position: int) -> bytes:
        numbers = bytes([limits.VERSION, self.role, height, len(self.routing_id), position])
        return limits.ATTESTATION_MAGIC + numbers + self.key + self.commitment + self.routing_id

    @classmethod
    def decode(cls, frame: bytes) -> Attestation | None:
        """The attestation that a frame is, or None if it is none: exact lengths, one encoding."""
        if len(frame) < limits.ATTESTATION_HEAD_BYTES or not frame.startswith(limits.ATTESTATION_MAGIC):
            return None
        version, role, height, routing_length, position = frame[3 : limits.ATTESTATION_HEAD_BYTES]
        if version != limits.VERSION or role not in (limits.BY_ORIGIN, limits.BY_HOP):
            return None
        if height > limits.MAX_TREE_HEIGHT or position >> height:
            return None
        fields = []
        rest = frame[limits.ATTESTATION_HEAD_BYTES :]
        committed = limits.HASH_BYTES if role == limits.BY_ORIGIN else 0
        for length in (limits.PUBLIC_KEY_BYTES, committed, routing_length, limits.SIGNATURE_BYTES):
            fields.append(rest[:length])
            rest = rest[length:]
        if len(rest) != height * limits.HASH_BYTES or len(fields[-1]) != limits.SIGNATURE_BYTES:
            return None
        path = tuple(rest[at : at + limits.HASH_BYTES] for at in range(0, len(rest), limits.HASH_BYTES))
        return cls(role, fields[0], fields[2], fields[1], position, path, fields[3])


# -- hashes ------------------------------------------------------------------------------------------------------------


def commitment_of(suite_key: bytes) -> bytes:
    """A public commitment to an association's key, so that no sealed part is one message here and another there."""
    return sodium.blake2b(suite_key, b"zmqsec.commit", b"")


def part_digest(sealed: bytes) -> bytes:
    """The hash of a sealed part, taken once however many attest it."""
    return sodium.hash_unkeyed(b"zmqsec part", sealed)


def leaf_of(attestation: Attestation, previous: bytes, digest: bytes) -> bytes:
    """The leaf: what this attestation says, the frame of the one before it (or nothing), and the part's digest."""
    return sodium.hash_unkeyed(b"zmqsec leaf", attestation.own() + previous + digest)


def node_of(left: bytes, right: bytes) -> bytes:
    """The node over two hashes."""
    return sodium.hash_unkeyed(b"zmqsec node", left + right)


def root_message(root: bytes) -> bytes:
    """What is signed for a whole tree."""
    return b"zmqsec root" + root


def tree_of(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The levels of a tree from its leaves to its root, absent leaves being zeros."""
    height = (len(leaves) - 1).bit_length()
    levels = [[*leaves, *[_ABSENT] * ((1 << height) - len(leaves))]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_of(*below[at : at + 2]) for at in range(0, len(below), 2)])
    return levels


# -- signing -----------------------------------------------------------------------------------------------------------


class Attester:
    """An identity that attests, with its routing id: as the origin, of an association's messages, or as a hop.

    `suite_key` is the association's, which an origin's attestation commits to; a hop has none.
    """

    def __init__(self, identity: Signs, suite_key: bytes | None = None, routing_id: bytes = b"") -> None:
        if len(routing_id) > limits.MAX_ROUTING_ID_BYTES:
            raise SocketError(
                f"a routing id of {len(routing_id)} bytes; at most {limits.MAX_ROUTING_ID_BYTES} are allowed"
            )
        self.identity, self.routing_id = identity, routing_id
        role = limits.BY_HOP if suite_key is None else limits.BY_ORIGIN
        commitment = b"" if suite_key is None else commitment_of(suite_key)
        self._template = Attestation(role, identity.key, routing_id, commitment)

    def attest(self, sealed: Sequence[bytes], previous: Sequence[bytes] | None = None) -> list[bytes]:
        """The frames for 1 to 256 sealed parts under one signature; `previous` gives the attestation before each."""
        if not 1 <= len(sealed) <= 1 << limits.MAX_TREE_HEIGHT:
            raise SocketError(f"{len(sealed)} sealed parts: 1 to {1 << limits.MAX_TREE_HEIGHT} share a signature")
        before = [b""] * len(sealed) if previous is None else previous
        leaves = [leaf_of(self._template, one, part_digest(part)) for one, part in zip(before, sealed, strict=True)]
        levels = tree_of(leaves)
        signature = self.identity.sign(root_message(levels[-1][0]))
        return [
            replace(
                self._template,
                position=at,
                path=tuple(level[(at >> i) ^ 1] for i, level in enumerate(levels[:-1])),
                signature=signature,
            ).encode()
            for at in range(len(sealed))
        ]


# -- verifying ---------------------------------------------------------------------------------------------------------

_Place = tuple[int, int]  # a level, 0 being that of the leaves, and a place in it


class Trees:
    """Verifies attestations, and remembers the trees whose signature has held: at most 64, the newest.

    Of a remembered tree each further leaf costs its own hash and those up to the first node that is known. What is
    accepted does not depend on what is remembered.
    """

    def __init__(self) -> None:
        self._trees: OrderedDict[tuple[bytes, bytes, int], dict[_Place, bytes]] = OrderedDict()

    def hold(self, attestation: Attestation, previous: bytes, digest: bytes) -> bool:
        """Does the signature hold for this part, behind that attestation?"""
        height = len(attestation.path)
        name = (attestation.key, attestation.signature, height)
        known = self._trees.get(name)
        walked = self._walk(attestation, leaf_of(attestation, previous, digest), known or {})
        if walked is None:
            return False
        if known is None:
            if not verify(attestation.key, root_message(walked[height, 0]), attestation.signature):
                return False
            known = self._trees[name] = {}
            if len(self._trees) > limits.MAX_KNOWN_TREES:
                self._trees.popitem(last=False)
        known.update(walked)
        return True

    @staticmethod
    def _walk(attestation: Attestation, leaf: bytes, known: dict[_Place, bytes]) -> dict[_Place, bytes] | None:
        """The nodes on the way up, until one is known; None if any of them, or of the path, is not the known one."""
        walked: dict[_Place, bytes] = {}
        node: bytes | None = leaf
        for level in range(len(attestation.path) + 1):
            at = attestation.position >> level
            if node is not None:
                if known.get((level, at), node) != node:
                    return None
                walked[level, at] = node
                if (level, at) in known:
                    node = None  # from here up the nodes are known, and the path has only to be the same
            if level < len(attestation.path):
                beside = attestation.path[level]
                if known.get((level, at ^ 1), beside) != beside:
                    return None
                walked[level, at ^ 1] = beside
                if node is not None:
                    node = node_of(beside, node) if at & 1 else node_of(node, beside)
        return walked
