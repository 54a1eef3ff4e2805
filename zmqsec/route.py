"""What the attestations behind one sealed part prove: its origin, and the hops it came by (floor 9).

Spec, "The checks of a receiver"; ``csrc/route.c`` is the same in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import limits
from .attestation import Attestation, Trees, part_digest
from .errors import Reason
from .header import Header, is_sealed


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What an association asks of attestations; `commitment` is that to its key, None where nobody here knows it."""

    required: bool = False
    hops_min: int = 0
    hops_max: int = limits.MAX_ATTESTATION_FRAMES
    commitment: bytes | None = None


def claimed_origin(frames: Sequence[bytes], flags: int) -> bytes:
    """The key that claims to be the origin's, before anything is proven; empty where none does."""
    if flags & limits.FLAG_ORIGIN_ATTESTED and frames:
        first = Attestation.decode(frames[0])
        if first is not None and first.role == limits.BY_ORIGIN:
            return first.key
    return b""


def verify_route(
    frames: Sequence[bytes], sealed: bytes, flags: int, policy: RoutePolicy, trees: Trees
) -> Reason | tuple[Attestation, ...]:
    """The attestations in their order, each of which holds, or the reason why they are refused."""
    promised = bool(flags & limits.FLAG_ORIGIN_ATTESTED)
    every = [Attestation.decode(frame) for frame in frames]
    if policy.required and not promised:
        return Reason.UNATTESTED
    if promised and (not every or (every[0] is not None and every[0].role == limits.BY_HOP)):
        return Reason.UNATTESTED
    fit = _fit(every, promised, policy)
    if fit is None:
        return Reason.BAD_ATTESTATION
    hops = len(fit) - promised
    if hops < policy.hops_min:
        return Reason.UNATTESTED
    if hops > policy.hops_max:
        return Reason.NOT_PERMITTED
    digest = part_digest(sealed) if fit else b""
    for attestation, previous in zip(fit, (b"", *frames), strict=False):
        if not trees.hold(attestation, previous, digest):
            return Reason.BAD_ATTESTATION
    return tuple(fit)


def _fit(every: Sequence[Attestation | None], promised: bool, policy: RoutePolicy) -> list[Attestation] | None:
    """Forms and roles of them all, and the origin's commitment, before the first signature is looked at."""
    fit = []
    for at, one in enumerate(every):
        by_origin = promised and at == 0
        if one is None or one.role != (limits.BY_ORIGIN if by_origin else limits.BY_HOP):
            return None
        if by_origin and policy.commitment not in (None, one.commitment):
            return None
        fit.append(one)
    return fit


class Verifier:
    """Verifies the attestations behind sealed parts without any key, and remembers trees whose signature has held."""

    def __init__(self) -> None:
        self._trees = Trees()
        self._policy = RoutePolicy()

    def verify_many(self, sealed: Sequence[bytes], routes: Sequence[Sequence[bytes]]) -> list[Reason | None]:
        """None for each sealed part whose attestation frames hold, or the reason why a receiver would refuse them."""
        verdicts: list[Reason | None] = []
        for part, frames in zip(sealed, routes, strict=True):
            if not is_sealed(part) or len(frames) > limits.MAX_ATTESTATION_FRAMES:
                verdicts.append(Reason.MALFORMED)
                continue
            verdict = verify_route(frames, part, Header.decode(part).flags, self._policy, self._trees)
            verdicts.append(verdict if isinstance(verdict, Reason) else None)
        return verdicts
