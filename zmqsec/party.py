"""One side of handshakes: its identity, its keys, what it takes, whom it trusts, and what it signs (floor 10).

Spec, "Identities in a handshake".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from . import ed25519, limits, sodium
from .association import Association
from .errors import HandshakeError, HandshakeReason, HybridUnavailable, Reason, Refusal
from .handshake_frames import HYBRID_OFF, HYBRID_OFFERED, HYBRID_REQUIRED, FrameRefused, Offer, fault_of_suites
from .identity import Identity, PublicIdentity
from .noise import KeyPair
from .rights import Role
from .suites import suite_by_name
from .trust import Trust

#: Given a peer's public key and its credential (may be empty): None, or why it may not come in.
Permit = Callable[[bytes, bytes], "Refusal | None"]

INITIATOR: Final = b"\x00"
RESPONDER: Final = b"\x01"
_LABEL: Final = b"zmqsec handshake"
_HYBRID: Final = {"off": HYBRID_OFF, "offered": HYBRID_OFFERED, "required": HYBRID_REQUIRED}
_LENGTH: Final = 2
_ANY_CLOCK: Final = dict.fromkeys(("lifetime", "skew", "late_join"), limits.MAX_ASSOCIATION_SECONDS)
_POLICY: Final = {*_ANY_CLOCK, "allow_clear", "attestation", "hops_min", "hops_max", "hops"}
_SIGNED_END: Final = -limits.SIGNATURE_BYTES
_LEAST: Final = limits.PUBLIC_KEY_BYTES + _LENGTH + limits.SIGNATURE_BYTES


def trusted_by(trust: Trust, role: Role = Role.SEND | Role.RECEIVE) -> Permit:
    """Let in whom the trust permits to act in this role; credentials that peers bring are learned."""

    def permit(key: bytes, credential: bytes) -> Refusal | None:
        if credential:
            trust.learn(credential)
        return trust.check(key, role)

    return permit


def anyone(key: bytes, credential: bytes) -> Refusal | None:
    """Let everyone in who proves an identity: for a service that decides later what the identity may do."""
    return None


def psk_id(psk: bytes) -> bytes:
    """The four bytes by which an opening names a pre-shared key."""
    return sodium.blake2b(psk, b"zmqsec.psk.id", b"")[:4]


class Party:
    """What one side brings to its handshakes; one object serves any number of them.

    `permit` says which peers may come in; a responder must have one, and an initiator that names no peer. `credential`
    is shown to every peer, or what that function gives when it is called in each handshake. `hybrid` is
    "off", "offered" or "required", and by default "offered" where libsodium has ML-KEM-768 and else "off". `suites` are
    names in the order of preference. With `psks`, 32 secret bytes each, only handshakes that know one of them come
    about; an initiator uses the first. `static` is the Noise key pair, by default derived from the identity. `policy`
    goes to the associations that come out: `allow_clear`, `attestation`, `hops_min`, `hops_max`, `hops`, `lifetime`,
    `skew`, `late_join`. The last three ask for no agreement of the clocks unless they are given: that a pair's messages
    are fresh follows from its keys, which are younger than the handshake and which no restart survives.
    """

    __slots__ = ("_credential", "hybrid", "identity", "permit", "policy", "psks", "static", "suites")

    def __init__(
        self,
        identity: Identity,
        *,
        permit: Permit | None = None,
        credential: bytes | Callable[[], bytes] = b"",
        hybrid: str | None = None,
        suites: Iterable[str] = ("xchacha20poly1305",),
        psks: Iterable[bytes] = (),
        static: KeyPair | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(identity, Identity):
            raise HandshakeError(f"{type(identity).__name__} is no Identity; a handshake needs one of one's own")
        self.identity, self.permit = identity, permit
        self._credential = credential if callable(credential) else bytes(credential)
        self._shown()  # which checks its length
        self.hybrid = _hybrid(hybrid)
        self.suites = tuple(suite_by_name(name).number for name in suites)
        if fault := fault_of_suites(self.suites):
            raise HandshakeError(fault)
        self.psks = {psk_id(psk): _psk(psk) for psk in psks}
        self.static = KeyPair.of(identity.derive(b"zmqsec.static")) if static is None else static
        self.policy = _policy(policy or {})

    def offer(self, spi: int, psk: bool) -> Offer:
        """What this side offers in one handshake, receiving on that SPI."""
        return Offer(spi, self.suites, self.hybrid, next(iter(self.psks)) if psk else bytes(4))

    # -- the statement in a payload ------------------------------------------------------------------------------------

    def state(self, role: bytes, h: bytes, front: bytes = b"") -> bytes:
        """The payload in which this side proves who it is: `front`, key, credential, and the signature of it all."""
        credential = self._shown()
        said = front + self.identity.key + len(credential).to_bytes(_LENGTH, "little") + credential
        return said + self.identity.sign(_signed(role, h, self.static.public, said))

    def _shown(self) -> bytes:
        shown = self._credential() if callable(self._credential) else self._credential
        if len(shown) > limits.MAX_CREDENTIAL_BYTES:
            most = limits.MAX_CREDENTIAL_BYTES
            raise HandshakeError(f"a credential of {len(shown)} bytes: at most {most} are allowed")
        return shown

    def check_statement(
        self, role: bytes, h: bytes, static: bytes, payload: bytes, expected: bytes | None, front: int = 0
    ) -> tuple[PublicIdentity, bytes]:
        """The peer's identity and its credential, if what it states holds and it may come in; else FrameRefused.

        `expected` is the fingerprint of the only one that may, `front` how many bytes stand before the statement.
        """
        key, credential = _read_statement(payload[front:])
        said, signature = payload[:_SIGNED_END], payload[_SIGNED_END:]
        if not ed25519.verify(key, _signed(role, h, static, said), signature):
            raise FrameRefused(HandshakeReason.FORGED, "the signature of the peer's identity does not hold")
        peer = PublicIdentity(key)
        refusal = None if self.permit is None else self.permit(key, credential)
        if expected is not None:
            # Naming a peer is trusting it; only a block is stronger.
            if peer.fingerprint != expected:
                raise FrameRefused(HandshakeReason.NOT_PERMITTED, f"{peer} answers, and another was meant")
            if refusal is not None and refusal.reason != Reason.BLOCKED:
                refusal = None
        elif self.permit is None:
            raise FrameRefused(HandshakeReason.NOT_PERMITTED, f"{peer} comes, and nobody is permitted")
        if refusal is not None:
            blocked = refusal.reason == Reason.BLOCKED
            raise FrameRefused(HandshakeReason.BLOCKED if blocked else HandshakeReason.NOT_PERMITTED, refusal.detail)
        return peer, credential

    def __repr__(self) -> str:
        return f"Party({self.identity})"


def _signed(role: bytes, h: bytes, static: bytes, said: bytes) -> bytes:
    return _LABEL + role + h + static + said


def _read_statement(statement: bytes) -> tuple[bytes, bytes]:
    """Key and credential, whose lengths fit exactly."""
    if len(statement) >= _LEAST:
        at = limits.PUBLIC_KEY_BYTES + _LENGTH
        length = int.from_bytes(statement[limits.PUBLIC_KEY_BYTES : at], "little")
        if len(statement) == _LEAST + length and length <= limits.MAX_CREDENTIAL_BYTES:
            return statement[: limits.PUBLIC_KEY_BYTES], statement[at : at + length]
    raise FrameRefused(HandshakeReason.MALFORMED, "a statement of identity whose lengths do not fit")


def _policy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of a pair's associations; AssociationError if it is none."""
    if unknown := set(given) - _POLICY:
        raise HandshakeError(f"policy with {', '.join(sorted(map(repr, unknown)))}: {sorted(_POLICY)} are allowed")
    policy = {**_ANY_CLOCK, **given}
    Association("policy", 1, limits.SUITE_XCHACHA20POLY1305, b"\1" * limits.KEY_BYTES, **policy)
    return policy


def _psk(psk: bytes) -> bytes:
    if len(psk) != limits.KEY_BYTES or psk == bytes(limits.KEY_BYTES):
        raise HandshakeError(f"a pre-shared key of {len(psk)} bytes: exactly 32 are allowed, and not all of them zero")
    return bytes(psk)


def _hybrid(given: str | None) -> int:
    if given is None:
        return HYBRID_OFFERED if sodium.has_mlkem768() else HYBRID_OFF
    if given not in _HYBRID:
        raise HandshakeError(f"hybrid={given!r}: {', '.join(map(repr, _HYBRID))} are allowed")
    if given != "off" and not sodium.has_mlkem768():
        raise HybridUnavailable(
            f"hybrid={given!r}, and the libsodium here ({sodium.library_path()}) has no ML-KEM-768; "
            "version 1.0.22 has it, which comes with pyzmq's wheels"
        )
    return _HYBRID[given]
