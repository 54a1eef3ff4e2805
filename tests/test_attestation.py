"""Attestations without sockets: both implementations byte for byte, and what was changed never holds, cold or warm."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from helpers import FakeAssociation, flips, seal_raw
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqsec import limits, reference, sodium
from zmqsec.attestation import Attestation, root_message, tree_of
from zmqsec.errors import Reason, SocketError
from zmqsec.identity import Identity

core = pytest.importorskip("zmqsec._core")

BOTH = (reference, core)
KEY = bytes(range(32))
ALICE, BOB, RELAY = (Identity.from_seed(bytes([n]) * 32) for n in range(3))
ATTESTED = limits.FLAG_ORIGIN_ATTESTED


def sealed_parts(count: int, flags: int = ATTESTED) -> list[bytes]:
    return [seal_raw(FakeAssociation(), b"\0\0\0\0", flags=flags, sequence=i) for i in range(count)]


def attested(count: int, implementation: Any = reference) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Sealed parts, the origin's attestations of them, and a hop's behind those."""
    sealed = sealed_parts(count)
    origins = implementation.Attester(ALICE, KEY, b"alice").attest(sealed)
    return sealed, origins, implementation.Attester(RELAY, None, b"relay").attest(sealed, origins)


def verdict(implementation: Any, part: bytes, *frames: bytes) -> str:
    return verdicts(implementation.Verifier(), [part], [frames])[0]


def verdicts(verifier: Any, sealed: Sequence[bytes], routes: Sequence[Sequence[bytes]]) -> list[str]:
    return ["holds" if one is None else str(one) for one in verifier.verify_many(sealed, routes)]


# -- the two implementations ------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=20),
    routing_ids=st.tuples(st.binary(max_size=255), st.binary(max_size=255)),
    key=st.binary(min_size=32, max_size=32),
)
def test_attestation_is_byte_for_byte_the_same(
    parts: list[bytes], routing_ids: tuple[bytes, bytes], key: bytes
) -> None:
    first, second = [one.Attester(ALICE, key, routing_ids[0]).attest(parts) for one in BOTH]
    assert first == second
    hops = [one.Attester(RELAY, None, routing_ids[1]).attest(parts, first) for one in BOTH]
    assert hops[0] == hops[1]
    assert all(Attestation.decode(frame).encode() == frame for frame in (*first, *hops[0]))  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 255, 256])
def test_attestation_of_a_batch_holds_in_both(count: int) -> None:
    sealed, origins, hops = attested(count)
    assert attested(count, core) == (sealed, origins, hops)
    assert len({frame[-32:] for frame in origins}) == (2 if count > 1 else 1), "the top of the path"
    for implementation in BOTH:
        verifier = implementation.Verifier()
        assert verdicts(verifier, sealed, list(zip(origins, hops, strict=True))) == ["holds"] * count
        assert verdicts(verifier, sealed, [[one] for one in origins]) == ["holds"] * count


@st.composite
def changed_routes(draw: st.DrawFn) -> list[bytes]:
    """The frames of one message of a batch with a fault or two, or none."""
    _, origins, hops = attested(3)
    pool = [*origins, *hops]
    frames = draw(st.one_of(st.just([origins[0], hops[0]]), st.lists(st.sampled_from(pool), max_size=3)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(0, len(frames) - 1)))
        if not frames or not frames[at]:
            break
        frame = bytearray(frames[at])
        where = min(len(frame) - 1, draw(st.one_of(st.integers(0, 8), st.integers(0, len(frame) - 1))))
        how = draw(st.integers(0, 2))
        if how == 0:
            frame[where] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            del frame[where:]
        else:
            frame += draw(st.binary(max_size=40))
        frames[at] = bytes(frame)
    return frames


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(changed_routes(), st.integers(0, 2), st.sampled_from([0, ATTESTED])), min_size=1, max_size=6))
def test_attestation_verdicts_are_the_same_cold_and_warm(tries: list[tuple[list[bytes], int, int]]) -> None:
    by_flags = {flags: sealed_parts(3, flags) for flags in (0, ATTESTED)}
    parts = [by_flags[flags][at] for _, at, flags in tries]
    routes = [frames for frames, _, _ in tries]
    cold = [verdict(reference, part, *frames) for part, frames in zip(parts, routes, strict=True)]
    for implementation in BOTH:
        verifier = implementation.Verifier()
        sealed, origins, hops = attested(3)
        assert verdicts(verifier, sealed, list(zip(origins, hops, strict=True))) == ["holds"] * 3
        assert verdicts(verifier, parts, routes) == cold
        assert verdicts(implementation.Verifier(), parts, routes) == cold


# -- what does not hold -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_attestation_with_any_bit_changed_does_not_hold(implementation: ModuleType, warm: bool) -> None:
    sealed, origins, hops = attested(3)
    verifier = implementation.Verifier()
    if warm:
        assert verdicts(verifier, sealed, list(zip(origins, hops, strict=True))) == ["holds"] * 3
    for which in range(2):
        for _, changed in flips((origins[1], hops[1])[which]):
            frames = [changed, hops[1]] if which == 0 else [origins[1], changed]
            assert verdicts(verifier, [sealed[1]], [frames])[0] in ("bad-attestation", "unattested")
    assert verdicts(verifier, [sealed[1]], [[origins[1], hops[1]]]) == ["holds"]


def test_attestation_of_another_message_does_not_hold(implementation: ModuleType) -> None:
    sealed, origins, hops = attested(4)
    verifier = implementation.Verifier()
    for frames in ([origins[0]], [origins[0], hops[0]], [origins[1], hops[0]], [origins[0], hops[1]]):
        assert verdicts(verifier, [sealed[1]], [frames]) == ["bad-attestation"]


def test_attestation_stripped_turned_or_doubled_is_refused(implementation: ModuleType) -> None:
    sealed, origins, hops = attested(2)
    part, origin, hop = sealed[0], origins[0], hops[0]
    assert verdict(implementation, part) == "unattested"
    assert verdict(implementation, part, hop) == "unattested"
    assert verdict(implementation, part, hop, origin) == "unattested"
    assert verdict(implementation, part, origin, hop, hop) == "bad-attestation"
    assert verdict(implementation, part, origin, origin) == "bad-attestation"
    assert verdict(implementation, part, origin[:-1]) == "bad-attestation"
    assert verdict(implementation, part, origin) == "holds"


def test_attestation_that_was_not_promised_is_refused(implementation: ModuleType) -> None:
    (part,) = sealed_parts(1, flags=0)
    (frame,) = reference.Attester(ALICE, KEY).attest([part])
    assert verdict(implementation, part, frame) == "bad-attestation"
    assert verdict(implementation, part) == "holds"
    (hop,) = reference.Attester(RELAY).attest([part])
    assert verdict(implementation, part, hop) == "holds"


def test_attestation_hops_cannot_be_taken_out_of_the_middle(implementation: ModuleType) -> None:
    sealed, origins, hops = attested(2)
    last = reference.Attester(BOB).attest(sealed, hops)
    assert verdict(implementation, sealed[0], origins[0], hops[0], last[0]) == "holds"
    assert verdict(implementation, sealed[0], origins[0], last[0]) == "bad-attestation"
    assert verdict(implementation, sealed[0], origins[0], last[0], hops[0]) == "bad-attestation"


def test_attestation_signed_by_another_key_under_the_first_ones_name(implementation: ModuleType) -> None:
    """The tree is right and the signature is Bob's, and the frame says that it is Alice's."""
    (part,), (frame,), _ = attested(1)
    forged = Attestation.decode(reference.Attester(BOB, KEY, b"alice").attest([part])[0])
    assert forged is not None
    claimed = frame[:-64] + forged.signature
    assert verdict(implementation, part, claimed) == "bad-attestation"


def test_attestation_node_is_no_leaf(implementation: ModuleType) -> None:
    """A signature over a tree of two does not serve a lone message whose leaf would be its root."""
    sealed, origins, _ = attested(2)
    frame = Attestation.decode(origins[0])
    assert frame is not None
    shorter = Attestation(frame.role, frame.key, frame.routing_id, frame.commitment, 0, (), frame.signature)
    assert verdict(implementation, sealed[0], shorter.encode()) == "bad-attestation"


def test_attestation_label_keeps_roots_apart_from_all_else_that_is_signed(implementation: ModuleType) -> None:
    (part,), _, _ = attested(1)
    template = Attestation(limits.BY_ORIGIN, ALICE.key, b"", bytes(32))
    leaf = sodium.hash_unkeyed(b"zmqsec leaf", template.own() + sodium.hash_unkeyed(b"zmqsec part", part))
    assert tree_of([leaf]) == [[leaf]]
    for message, expected in ((leaf, "bad-attestation"), (root_message(leaf), "holds")):
        signed = Attestation(template.role, template.key, b"", bytes(32), 0, (), ALICE.sign(message))
        assert verdict(implementation, part, signed.encode()) == expected


def test_attestation_verifier_forgets_and_verifies_again(implementation: ModuleType) -> None:
    verifier = implementation.Verifier()
    sealed = sealed_parts(2)
    batches = [implementation.Attester(ALICE, KEY, b"%d" % i).attest(sealed) for i in range(150)]
    for _ in range(2):
        for frames in batches:
            assert verdicts(verifier, sealed, [[one] for one in frames]) == ["holds", "holds"]
            assert verdicts(verifier, sealed, [[one] for one in reversed(frames)]) == ["bad-attestation"] * 2


def test_attestation_verifier_takes_anything(implementation: ModuleType) -> None:
    (part,), (frame,), _ = attested(1)
    assert implementation.Verifier().verify_many([b"", part[:51]], [[], [frame]]) == [Reason.MALFORMED] * 2
    assert verdict(implementation, part, frame, *[b""] * 15) == "bad-attestation"
    assert implementation.Verifier().verify_many([part], [[frame] * 17]) == [Reason.MALFORMED]


def test_attester_says_what_is_allowed(implementation: ModuleType) -> None:
    with pytest.raises(SocketError, match="a routing id of 256 bytes; at most 255 are allowed"):
        implementation.Attester(ALICE, KEY, bytes(256))
    attester = implementation.Attester(ALICE, KEY)
    for count in (0, 257):
        with pytest.raises(SocketError, match=f"{count} sealed parts.*1 to 256 share a signature"):
            attester.attest([b"x"] * count)
