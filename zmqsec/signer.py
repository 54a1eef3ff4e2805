"""Who signed a message, or its way: an identity whose signature has held (floor 9)."""

from __future__ import annotations

from dataclasses import dataclass

from .identity import PublicIdentity


@dataclass(frozen=True, slots=True)
class Signer:
    """A proven identity, and the routing id that it signed.

    `trusted` says whether the receiver's trust allows it what it did: an origin to send, a hop to relay.
    """

    identity: PublicIdentity
    routing_id: bytes = b""
    trusted: bool = False

    @property
    def key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""
        return self.identity.key

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of the key, 32 bytes: the address of this peer."""
        return self.identity.fingerprint

    @property
    def name(self) -> str:
        """What the receiver's trust calls the identity; empty where it does not know it."""
        return self.identity.name
