"""The vectors of handshakes: what this package makes of them, and another implementation of Noise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from handshake_helpers import pairs, sent
from noise.connection import Keypair, NoiseConnection

from zmqsec import limits, sodium
from zmqsec.handshake import Bounds, Initiator, Pair, Party, Responder, anyone
from zmqsec.handshake_frames import OFFER_END, pattern_of, prologue_of
from zmqsec.identity import Identity

Vector = dict[str, Any]
VECTORS = json.loads((Path(__file__).parent / "vectors" / "zmqsec" / "handshakes.json").read_text())["vectors"]
SUITES = {1: "xchacha20poly1305", 2: "aes256gcm"}


def of(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


class Given:
    """Randomness out of a vector, all of it and in its order."""

    def __init__(self, values: list[str]) -> None:
        self.left = [bytes.fromhex(value) for value in values]

    def __call__(self, n: int) -> bytes:
        value = self.left.pop(0)
        assert len(value) == n
        return value


def party(vector: Vector, side: str) -> Party:
    said = vector[side]
    identity = Identity.from_seed(bytes.fromhex(said["seed"]))
    made = Party(
        identity,
        permit=anyone,
        hybrid=said["hybrid"],
        suites=[SUITES[number] for number in said["suites"]],
        psks=[] if vector["psk"] is None else [bytes.fromhex(vector["psk"])],
        credential=bytes.fromhex(vector["credential"]) if side == "initiator" else b"",
    )
    assert made.static.public.hex() == said["static"]
    return made


def halves(pair: Pair, send: str, receive: str) -> Vector:
    return {
        name: {"spi": half.spi, "suite": half.suite, "secret": half.secret.hex()}
        for name, half in ((send, pair.send), (receive, pair.receive))
    }


@of([one for one in VECTORS if one["initiator"]["hybrid"] == "off" or sodium.has_mlkem768()])
def test_handshake_vector_comes_out(vector: Vector) -> None:
    alice, bob = party(vector, "initiator"), party(vector, "responder")
    here, there = Given(vector["initiator"]["random"]), Given(vector["responder"]["random"])
    initiator = Initiator(
        alice,
        bob.identity.public if vector["names_responder"] else None,
        static=bob.static.public if vector["knows_static"] else None,
        random=here,
    )
    bounds = Bounds(under_load=0) if vector["under_load"] else None
    responder = Responder(bob, random=there, anonymous=not vector["names_responder"], bounds=bounds)
    source, events = bytes.fromhex(vector["source"]), initiator.poll(0.0)
    ours, theirs = [], []
    for number, frame in enumerate(vector["frames"]):
        assert sent(events) == [bytes.fromhex(frame)]
        if number % 2:
            events = initiator.receive(bytes.fromhex(frame), 0.0)
            ours += pairs(events)
        else:
            events = responder.receive(bytes.fromhex(frame), source, 0.0)
            theirs += pairs(events)
    (pair,), (other,) = ours, theirs
    expected = {name: vector[name] for name in ("to_responder", "to_initiator")}
    assert halves(pair, "to_responder", "to_initiator") == halves(other, "to_initiator", "to_responder") == expected
    assert (pair.binding.hex(), pair.hybrid, pair.lost_token.hex()) == tuple(
        vector[name] for name in ("hash", "hybrid", "lost_token")
    )
    assert pair.is_lost(bytes.fromhex(vector["lost"])) and other.credential.hex() == vector["credential"]
    assert here.left == there.left == []


@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
@of([one for one in VECTORS if one["frames"][0][50:52] < "04"])
def test_handshake_vector_is_that_of_another_implementation_of_noise(vector: Vector) -> None:
    """noiseprotocol, given the prologue, keys and payloads of the specification, makes the same bytes and keys."""
    frames = [bytes.fromhex(frame) for frame in vector["frames"]]
    if vector["under_load"]:
        frames = frames[2:]
    opening, is_ik = frames[0], vector["knows_static"]
    bob = party(vector, "responder")
    prologue = prologue_of(bob.identity.fingerprint if vector["names_responder"] else bytes(32), opening)
    states = {}
    for side in ("initiator", "responder"):
        state = states[side] = NoiseConnection.from_name(pattern_of(opening[25]).protocol_name)
        getattr(state, f"set_as_{side}")()
        state.set_prologue(prologue)
        state.set_keypair_from_private_bytes(Keypair.STATIC, party(vector, side).static.secret)
        ephemeral = [one for one in vector[side]["random"] if len(one) == 64][-1]  # after the secret of cookies
        state.set_keypair_from_private_bytes(Keypair.EPHEMERAL, bytes.fromhex(ephemeral))
        if vector["psk"]:
            state.set_psks(psk=bytes.fromhex(vector["psk"]))
        if is_ik and side == "initiator":
            state.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, bob.static.public)
        state.start_handshake()
    contents = [opening[OFFER_END : -2 * limits.MAC_BYTES], *(frame[limits.HEADER_BYTES :] for frame in frames[1:])]
    for number, payload in enumerate(vector["payloads"]):
        writer, reader = ("initiator", "responder") if number % 2 == 0 else ("responder", "initiator")
        assert bytes(states[writer].write_message(bytes.fromhex(payload))) == contents[number]
        assert bytes(states[reader].read_message(contents[number])).hex() == payload
    h = states["initiator"].get_handshake_hash()
    assert h.hex() == vector["hash"]
    for half, key in (
        ("to_responder", states["initiator"].noise_protocol.cipher_state_encrypt.k),
        ("to_initiator", states["initiator"].noise_protocol.cipher_state_decrypt.k),
    ):
        personal = b"zmqsec.pair".ljust(16, b"\0")
        derived = hashlib.blake2b(h, key=key, digest_size=32, person=personal).hexdigest()
        assert derived == vector[half]["secret"]


def test_handshake_vectors_have_every_mode_and_one_purpose_each() -> None:
    assert {int(one["frames"][0][50:52], 16) for one in VECTORS} == set(range(8))
    assert all(one["purpose"] for one in VECTORS)
    assert {"anonymous", "cookie", "credential", "suites", "hybrid-left-out"} <= {one["name"] for one in VECTORS}
