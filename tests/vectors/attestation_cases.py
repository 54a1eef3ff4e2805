"""attestations.json: what signs to which frames, and what becomes of messages with attestations behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cases import ATTESTED, ONE, Vector, association_to, changed, flipped
from helpers import (
    ALICE,
    BOB,
    NOW,
    RELAY,
    SECOND,
    hop,
    leaf,
    metadata,
    outcome,
    seal_attested,
    seal_raw,
    session_id,
    signed_by,
    suite_key,
)
from json_forms import attested_from
from poly1305 import body_of_two_readings, of_the_same_tag, under_two_keys

from zmqsec import limits, reference
from zmqsec.attestation import Attestation, Attester
from zmqsec.identity import Identity

REQUIRED = replace(ONE, attestation="required")
#: Another secret under the same SPI, and the random part of a session in which one body has two readings; poly1305.py.
OTHER_KEY = replace(ONE, secret=bytes(range(1, 33)))
TWO_READINGS = (988_997).to_bytes(8, "little")
_ORDER = 2**252 + 27742317777372353535851937790883648493


def sealed_batch(count: int, identity: Identity = ALICE, routing_id: bytes = b"") -> list[bytes]:
    return [
        seal_raw(ONE, leaf(b"%d" % at), header_parts=signed_by(identity, routing_id), flags=ATTESTED, sequence=at)
        for at in range(count)
    ]


# -- signing ----------------------------------------------------------------------------------------------------------


def signing(name: str, purpose: str, count: int, hops: Sequence[bytes] = (), routing_id: bytes = b"") -> Vector:
    """The origin signs `count` sealed parts, and then each of the hops, which are their routing ids."""
    sealed = sealed_batch(count, ALICE, routing_id)
    signers = [(ALICE, suite_key(ONE), routing_id), *((RELAY, None, one) for one in hops)]
    signed: list[Vector] = []
    previous: list[bytes] = [b""] * count
    for seed, (identity, key, name_of_place) in zip((0, *[2] * len(hops)), signers, strict=True):
        previous = Attester(identity, key, name_of_place).attest(sealed, previous)
        signed.append(
            {
                "seed": (bytes([seed]) * 32).hex(),
                "suite_key": None if key is None else key.hex(),
                "routing_id": name_of_place.hex(),
                "frames": [one.hex() for one in previous],
            }
        )
    return {"name": name, "purpose": purpose, "sealed": [one.hex() for one in sealed], "signed": signed}


def signing_vectors() -> Iterator[Vector]:
    yield signing("signs-one", "one message: the leaf is the root", 1)
    yield signing("signs-two", "a tree of height 1", 2)
    yield signing("signs-three", "an absent leaf of zeros", 3)
    yield signing("signs-five", "absent leaves have a node of their own above them", 5)
    yield signing("signs-routing-id", "a routing id, in the attestation and in the metadata `from`", 1, routing_id=b"a")
    yield signing("signs-longest-routing-id", "255 bytes of routing id", 1, routing_id=b"r" * 255)
    yield signing("signs-hops", "two hops behind the origin, each over the one before", 2, hops=(b"west", b"east"))


# -- receiving --------------------------------------------------------------------------------------------------------


def received(
    name: str,
    purpose: str,
    expect: str,
    sealed: bytes,
    *route: bytes,
    association: Any = ONE,
    me: Identity | None = None,
    roles: dict[Identity, str] | None = None,
    blocked: Sequence[Identity] = (),
    topic: bytes | None = None,
) -> Vector:
    """A message, and what a receiver makes of it whose trust pins these roles; by default Alice may send."""
    pinned = {ALICE: "send"} if roles is None else roles
    vector: Vector = {
        "name": name,
        "purpose": purpose,
        "association": association_to(association),
        "receiver": {"began": NOW},
        "trust": {
            "pinned": [{"public": one.key.hex(), "roles": what.split()} for one, what in pinned.items()],
            "blocked": [one.key.hex() for one in blocked],
        },
        "now": NOW,
        "topic": None if topic is None else topic.hex(),
        "frame": sealed.hex(),
        "route": [one.hex() for one in route],
        "expect": expect,
    }
    if me is not None:
        vector["receiver"]["me"] = me.fingerprint.hex()
    return vector


def with_origin(vector: Vector) -> Vector:
    """The vector with origin and route as the reference gives them, which must agree before it is written."""
    opened = attested_from(reference, vector)
    assert outcome(opened) == vector["expect"], (vector["name"], opened)
    if vector["expect"] == "opened":
        vector["origin"] = None if opened.origin is None else _signer(opened.origin)
        vector["hops"] = [_signer(one) for one in opened.route]
    return vector


def _signer(one: Any) -> Vector:
    return {"public": one.key.hex(), "routing_id": one.routing_id.hex(), "trusted": one.trusted}


def received_good() -> Iterator[Vector]:
    sealed, frame = seal_attested(ONE, ALICE, leaf(b"a"))
    yield received("origin", "the origin's attestation", "opened", sealed, frame, association=REQUIRED)
    named, of_named = seal_attested(ONE, ALICE, leaf(b"a"), routing_id=b"alice")
    yield received("origin-routing-id", "with a routing id", "opened", named, of_named, association=REQUIRED)
    batch = sealed_batch(5)
    frames = Attester(ALICE, suite_key(ONE)).attest(batch)
    for at in (0, 3, 4):
        yield received(f"origin-{at}-of-5", "one of a batch under one signature", "opened", batch[at], frames[at])
    first = hop(RELAY, sealed, frame, b"west")
    second = hop(SECOND, sealed, first)
    yield received("hop", "the origin and a hop", "opened", sealed, frame, first)
    yield received("hops", "the origin and two hops, the last of the second", "opened", sealed, frame, first, second)
    yield received("hop-cut-off", "the last hop can be cut off", "opened", sealed, frame, first)
    plain = seal_raw(ONE, leaf(b"a"))
    yield received("hop-alone", "a hop attests a message without origin", "opened", plain, hop(RELAY, plain))
    clear, of_clear = seal_attested(ONE, ALICE, leaf(b"a"), flags=limits.FLAG_CLEAR_BODY)
    yield received("clear-body", "a body in clear is attested like any other", "opened", clear, of_clear)
    topic = metadata(b"topic", b"t", True)
    shown, of_shown = seal_attested(ONE, ALICE, leaf(b"a"), header_parts=topic)
    yield received("topic", "with a topic", "opened", shown, of_shown, topic=b"t")
    yield received("unknown-origin", "an unknown identity, where none is required", "opened", sealed, frame, roles={})


def received_stripped() -> Iterator[Vector]:
    sealed, frame = seal_attested(ONE, ALICE, leaf(b"a"))
    first = hop(RELAY, sealed, frame)
    plain = seal_raw(ONE, leaf(b"a"))
    yield received("stripped", "promised by the flag, and nothing is there", "unattested", sealed)
    yield received("stripped-to-the-hop", "the hop's is left", "unattested", sealed, first)
    yield received("turned", "the hop's stands before the origin's", "unattested", sealed, first, frame)
    yield received("required", "required, and not even promised", "unattested", plain, association=REQUIRED)
    yield received(
        "required-not-promised", "required, there, and not promised", "unattested", plain,
        *Attester(ALICE, suite_key(ONE)).attest([plain]), association=REQUIRED,
    )  # fmt: skip
    yield received(
        "not-promised", "the flag does not promise it", "bad-attestation", plain,
        *Attester(ALICE, suite_key(ONE)).attest([plain]),
    )  # fmt: skip
    yield received("twice", "the origin's twice", "bad-attestation", sealed, frame, frame)
    yield received("hop-twice", "the hop's twice", "bad-attestation", sealed, frame, first, first)
    second = hop(SECOND, sealed, first)
    yield received("hop-taken-out", "out of the middle", "bad-attestation", sealed, frame, second)
    yield received("hops-turned", "two hops in the other order", "bad-attestation", sealed, frame, second, first)


def received_grafted() -> Iterator[Vector]:
    bad = "bad-attestation"
    one, of_one = seal_attested(ONE, ALICE, leaf(b"one"))
    two, of_two = seal_attested(ONE, ALICE, leaf(b"two"), sequence=1)
    yield received("swapped", "of another message of the same origin", bad, two, of_one)
    batch = sealed_batch(2)
    frames = Attester(ALICE, suite_key(ONE)).attest(batch)
    yield received("swapped-in-a-batch", "of another message under the same signature", bad, batch[0], frames[1])
    yield received("grafted-hop", "a hop's of another message", bad, one, of_one, hop(RELAY, two, of_two))
    (re_signed,) = Attester(BOB, suite_key(ONE)).attest([one])
    both = {ALICE: "send", BOB: "send"}
    yield received("re-signed", "another identity signs the message as its own", bad, one, re_signed, roles=both)
    claimed = Attestation.decode(re_signed)
    assert claimed is not None
    forged = replace(claimed, key=ALICE.key)
    yield received("forged-name", "another identity signs in the origin's name", bad, one, forged.encode(), roles=both)
    shorter = Attestation.decode(frames[0])
    assert shorter is not None
    yield received(
        "node-as-leaf", "a batch's signature for a lone message", bad, batch[0], replace(shorter, path=()).encode()
    )
    bobs = seal_raw(ONE, leaf(b"one"), header_parts=signed_by(BOB), flags=ATTESTED)
    as_alice = Attester(ALICE, suite_key(ONE)).attest([bobs])
    yield received("from-another", "`from` names another identity", bad, bobs, *as_alice, roles=both)
    nobodys = seal_raw(ONE, leaf(b"one"), flags=ATTESTED)
    yield received(
        "from-missing", "there is no `from`", bad, nobodys, *Attester(ALICE, suite_key(ONE)).attest([nobodys])
    )
    renamed = Attester(ALICE, suite_key(ONE), b"other").attest([one])
    yield received("from-another-place", "`from` has another routing id", bad, one, *renamed)


def received_forms() -> Iterator[Vector]:
    bad = "bad-attestation"
    batch = sealed_batch(2, routing_id=b"id")
    frame = Attester(ALICE, suite_key(ONE), b"id").attest(batch)[0]
    names = {3: "version", 4: "role", 5: "height", 6: "routing-id-length", 7: "position", 8: "key", 40: "commitment",
             72: "routing-id", 74: "signature", 106: "signature-s", 138: "path"}  # fmt: skip
    for at, name in names.items():
        yield received(f"changed-{name}", "one bit of it", bad, batch[0], flipped(frame, at))
    yield received("role-2", "a role that there is not", bad, batch[0], changed(frame, 4, 2))
    yield received("height-9", "a tree higher than 8", bad, batch[0], changed(frame, 5, 9) + bytes(8 * 32))
    yield received("position-2", "a position beyond the tree", bad, batch[0], changed(frame, 7, 2))
    yield received("longer", "a byte more", bad, batch[0], frame + b"\0")
    yield received("shorter", "a byte less", bad, batch[0], frame[:-1])
    yield received("head-alone", "8 bytes", bad, batch[0], frame[:8])
    yield received("magic-alone", "3 bytes", bad, batch[0], frame[:3])
    lone, of_lone = seal_attested(ONE, ALICE, leaf(b"a"))
    s = int.from_bytes(of_lone[-32:], "little") + _ORDER
    yield received(
        "signature-s-not-reduced", "S + L in place of S", bad, lone, of_lone[:-32] + s.to_bytes(32, "little")
    )
    small = changed(of_lone, 8, 1)[:9] + bytes(31) + of_lone[40:]
    yield received("key-of-small-order", "a key that anybody can sign for", bad, lone, small)
    yield received(
        "hop-broken", "the second of two is broken", bad, lone, of_lone, flipped(hop(RELAY, lone, of_lone), -1)
    )
    foreign = Attester(ALICE, suite_key(OTHER_KEY)).attest([lone])
    yield received("commitment-to-another-key", "of another association", bad, lone, *foreign)
    yield received("forged", "the tag is looked at first", "forged", flipped(lone, -1), of_lone)


def received_collisions() -> Iterator[Vector]:
    """What holders of keys can do to Poly1305, and what attestations make of it."""
    bad = "bad-attestation"
    sealed, frame = seal_attested(ONE, ALICE, leaf(b"pay Bob 10 crowns, and to Carol the rest of it"))
    same_tag = of_the_same_tag(ONE, sealed)
    yield received("same-tag", "another body of the same tag, made with the group's key", bad, same_tag, frame)
    sent, by_key = two_readings()
    yield received("two-keys-first", "one text, two keys: the reading that was signed", "opened", sent, by_key[0])
    yield received(
        "two-keys-second", "one text, two keys: the reading that was not", bad, sent, by_key[0], association=OTHER_KEY
    )
    yield received(
        "two-keys-second-signed", "and when that one was signed", "opened", sent, by_key[1], association=OTHER_KEY
    )
    yield received("two-keys-other-way", "signed for the second, received under the first", bad, sent, by_key[1])


def two_readings() -> tuple[bytes, tuple[bytes, bytes]]:
    """A sealed part that two keys open to two messages, and Alice's attestation of it for each."""
    both = (ONE, OTHER_KEY)
    fields: dict[str, Any] = {"header_parts": signed_by(ALICE), "flags": ATTESTED}
    pattern = seal_raw(ONE, bytes(516), session=session_id(NOW, TWO_READINGS), **fields)
    front = pattern[: -516 - limits.TAG_BYTES]
    text = body_of_two_readings(both, front, 516)
    assert text is not None
    sealed = under_two_keys(both, front, text, free=12, other=10)
    first, second = (Attester(ALICE, suite_key(one)).attest([sealed])[0] for one in both)
    return sealed, (first, second)


def received_addresses() -> Iterator[Vector]:
    def addressed(name: str, purpose: str, expect: str, header: bytes, me: Identity | None = ALICE) -> Vector:
        return received(name, purpose, expect, seal_raw(ONE, leaf(b"a"), header_parts=header), me=me)

    mine, answer = metadata(b"to", ALICE.fingerprint), metadata(b"reply-to", bytes(20))
    yield addressed("to-me", "for this receiver's identity", "opened", mine)
    yield addressed("to-another", "for another identity", "not-permitted", metadata(b"to", BOB.fingerprint))
    yield addressed("to-nobody-here", "the receiver has no identity", "not-permitted", mine, None)
    yield addressed("to-31-bytes", "a byte too short", "malformed", metadata(b"to", ALICE.fingerprint[:31]))
    yield addressed("to-33-bytes", "a byte too long", "malformed", metadata(b"to", ALICE.fingerprint + b"\0"))
    yield addressed("to-twice", "twice", "malformed", mine + mine)
    yield addressed("to-critical", "as critical metadata it is unknown", "unknown-critical",
                    metadata(b"to", ALICE.fingerprint, True))  # fmt: skip
    nested = (len(mine) << 2 | limits.PART_LIST).to_bytes(4, "little") + metadata(b"to", BOB.fingerprint)
    yield addressed("to-nested", "within a list it is metadata like any other", "opened", nested)
    yield addressed("reply-to", "an answer", "opened", answer)
    yield addressed("reply-to-19-bytes", "a byte too short", "malformed", metadata(b"reply-to", bytes(19)))
    yield addressed("reply-to-21-bytes", "a byte too long", "malformed", metadata(b"reply-to", bytes(21)))
    yield addressed("from-31-bytes", "a byte too short", "malformed", metadata(b"from", bytes(31)))
    yield addressed("from-287-bytes", "the longest routing id", "opened", metadata(b"from", bytes(287)))
    yield addressed("from-288-bytes", "a byte too long", "malformed", metadata(b"from", bytes(288)))
    yield addressed("cred-163-bytes", "shorter than any credential", "malformed", metadata(b"cred", bytes(163)))
    yield addressed("cred-4097-bytes", "longer than any credential", "malformed", metadata(b"cred", bytes(4097)))
    yield addressed("cred-of-zeros", "a credential that is none is let be", "opened", metadata(b"cred", bytes(164)))


def received_policies() -> Iterator[Vector]:
    sealed, frame = seal_attested(ONE, ALICE, leaf(b"a"), routing_id=b"place")
    first = hop(RELAY, sealed, frame)
    second = hop(SECOND, sealed, first)
    both = {ALICE: "send", RELAY: "relay"}
    refused = "not-permitted"
    yield received("unknown", "required, and unknown", refused, sealed, frame, association=REQUIRED, roles={})
    yield received(
        "wrong-role", "may receive only", refused, sealed, frame, association=REQUIRED, roles={ALICE: "receive"}
    )
    yield received("blocked", "an operator blocked it", "blocked", sealed, frame, association=REQUIRED, blocked=[ALICE])
    yield received("blocked-where-none-is-required", "even so", "blocked", sealed, frame, blocked=[ALICE])
    yield received("blocked-hop", "a blocked hop", "blocked", sealed, frame, first, blocked=[RELAY])
    one_hop, no_hop = replace(ONE, hops_min=1), replace(ONE, hops_max=0)
    by_relay = replace(ONE, hops=(RELAY.key,))
    yield received("hops-min", "one hop is demanded", "opened", sealed, frame, first, association=one_hop, roles=both)
    yield received(
        "hops-min-missing", "and it is not there", "unattested", sealed, frame, association=one_hop, roles=both
    )
    yield received("hops-min-unknown", "and it is unknown", refused, sealed, frame, first, association=one_hop)
    yield received("hops-max", "none is allowed", refused, sealed, frame, first, association=no_hop)
    yield received("hops-max-none", "and none is there", "opened", sealed, frame, association=no_hop)
    yield received("hops-named", "this hop is demanded", "opened", sealed, frame, first, association=by_relay)
    yield received("hops-named-missing", "no hop at all", "unattested", sealed, frame, association=by_relay)
    other = hop(SECOND, sealed, frame)
    known = {**both, SECOND: "relay"}
    yield received(
        "hops-named-other", "another one", "unattested", sealed, frame, other, association=by_relay, roles=known
    )
    yield received(
        "hops-named-and-unknown", "it and an unknown one", refused, sealed, frame, first, second, association=by_relay
    )


def attestation_vectors() -> Iterator[Vector]:
    yield from signing_vectors()
    for group in (
        received_good, received_stripped, received_grafted, received_forms, received_collisions, received_addresses,
        received_policies,
    ):  # fmt: skip
        for vector in group():
            yield with_origin(vector)
