"""Whether the identities that a message's attestations prove are allowed what they did (floor 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from . import limits
from .errors import Reason, Refusal
from .identity import PublicIdentity
from .message import AssociationLike
from .rights import Role
from .signer import Signer

#: A public key, and the routing id that was signed with it.
Claim = tuple[bytes, bytes]


class TrustLike(Protocol):
    """What is asked of a receiver's trust."""

    @property
    def version(self) -> int:
        """Grows with each change by the operator."""

    def check(
        self, key: bytes, role: Role, topic: bytes | None = None, now: float | None = None, *, routing_id: bytes = b""
    ) -> Refusal | None:
        """None, or why the owner of this key may not act in this role: `blocked`, or `not-permitted`."""

    def name_of(self, key: bytes, now: float | None = None) -> str:
        """What the identity is called; empty where it is unknown."""

    def learn(self, raw: bytes) -> Any:
        """Take a credential that a message brought."""


class Judge:
    """Asks a receiver's trust about origins and hops, and remembers its answers within the second.

    Without trust nobody is trusted. A change of the trust, a credential and the next second make all be asked anew.
    """

    def __init__(self, trust: TrustLike | None) -> None:
        self.trust = trust
        self._asked: dict[tuple[Claim, Role, bytes | None], Refusal | None] = {}
        self._signers: dict[tuple[Claim, Role, bytes | None], Signer] = {}
        self._learned: set[bytes] = set()
        self._learnings = 0
        self._now = 0
        self._fresh: tuple[int, int, int] | None = None

    def fresh(self, now: int) -> tuple[int, int, int]:
        """What all answers depend on: they hold as long as this is the same."""
        found = (now, 0 if self.trust is None else self.trust.version, self._learnings)
        if found != self._fresh or max(len(self._asked), len(self._signers)) > limits.MAX_PEERS:
            if now != self._now:
                self._learned.clear()
            self._asked.clear()
            self._signers.clear()
            self._fresh, self._now = found, now
        return found

    def learn(self, credential: bytes, now: int) -> None:
        """Show the trust a credential that a message brought; the same one at most once in a second."""
        self.fresh(now)
        if self.trust is None or credential in self._learned or len(self._learned) >= limits.MAX_CREDENTIALS:
            return
        self._learned.add(credential)
        self._learnings += 1
        self.trust.learn(credential)

    def verdict(
        self, policy: AssociationLike, origin: Claim | None, hops: Sequence[Claim], topic: bytes | None, now: int
    ) -> Refusal | None:
        """None if an association takes a message of this origin that came by these hops."""
        self.fresh(now)
        if origin is not None:
            refusal = self._ask(origin, Role.SEND, topic)
            if refusal is not None and (refusal.reason is Reason.BLOCKED or policy.attestation == "required"):
                return refusal
        demanded = bool(policy.hops) or policy.hops_min > 0
        for hop in hops:
            refusal = self._ask(hop, Role.RELAY, None)
            if refusal is None:
                continue
            if refusal.reason is Reason.BLOCKED or (demanded and hop[0] not in policy.hops):
                return refusal
        if missing := set(policy.hops) - {key for key, _ in hops}:
            return Refusal(Reason.UNATTESTED, f"it did not come by {min(missing).hex()}")
        return None

    def signer(self, claim: Claim, role: Role, topic: bytes | None, now: int) -> Signer:
        """A proven identity as a message shows it."""
        self.fresh(now)
        name = (claim, role, topic)
        known = self._signers.get(name)
        if known is None:
            key, routing_id = claim
            called = "" if self.trust is None else self.trust.name_of(key, now)
            known = Signer(PublicIdentity(key, called), routing_id, self._ask(claim, role, topic) is None)
            self._signers[name] = known
        return known

    def _ask(self, claim: Claim, role: Role, topic: bytes | None) -> Refusal | None:
        name = (claim, role, topic)
        if name not in self._asked:
            key, routing_id = claim
            if self.trust is None:
                self._asked[name] = Refusal(Reason.NOT_PERMITTED, f"identity {key.hex()} is unknown here")
            else:
                self._asked[name] = self.trust.check(key, role, topic, self._now, routing_id=routing_id)
        return self._asked[name]
