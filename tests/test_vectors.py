"""Both implementations against the vectors, and the vectors against their script."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import SUITES, FakeClock, hchacha20, outcome, register_users_suite
from json_forms import association_from, attested_from, frame_from, message_from, part_from, receiver_from

from zmqsec import limits, sodium
from zmqsec.admission import AdmissionKey, check_admission, derive_admission_key
from zmqsec.errors import Reason
from zmqsec.identity import Identity
from zmqsec.sodium import has_mlkem768

VECTORS = Path(__file__).parent / "vectors"
FOLDER = VECTORS / "zmqsec"
Vector = dict[str, Any]


def load(name: str) -> list[Vector]:
    content = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert (content["format"], content["protocol"]) == (1, limits.VERSION)
    vectors: list[Vector] = content["vectors"]
    return vectors


def runs_here(vector: Vector) -> bool:
    """Suites 2 and 3 need a processor's instructions and a package."""
    return vector.get("association", {}).get("suite", 1) in (*SUITES, 200)


def each(name: str) -> pytest.MarkDecorator:
    found = [vector for vector in load(name) if runs_here(vector)]
    return pytest.mark.parametrize("vector", found, ids=[vector["name"] for vector in found])


@pytest.fixture(scope="module", autouse=True)
def _users_suite() -> None:
    register_users_suite()


@each("keys.json")
def test_keys_match(implementation: ModuleType, vector: Vector) -> None:
    secret, spi = bytes.fromhex(vector["secret"]), vector["default_spi"]
    assert implementation.derive_spi(secret) == spi
    key = implementation.derive_suite_key(secret, vector["suite"], spi)
    assert key.hex() == vector["suite_key"]
    input_16 = bytes.fromhex(vector["bytes_8_to_24"])
    for name, expected in vector.items():
        if name == "hchacha20_key":
            assert hchacha20(key, input_16).hex() == expected
        elif name == "aes256gcm_key":
            assert sodium.blake2b(key, b"zmqsec.aes256gcm", input_16).hex() == expected
        elif name in ("aes256ctr_key", "hmacsha256_key"):
            label = b"zmqsec." + name.removesuffix("_key").encode()
            assert hmac.digest(key, label + input_16, hashlib.sha256).hex() == expected


@each("parts.json")
def test_parts_match_both_ways(implementation: ModuleType, vector: Vector) -> None:
    parts, encoded = part_from(vector["parts"]), bytes.fromhex(vector["encoded"])
    assert implementation.encode_parts(parts) == encoded
    assert implementation.decode_parts(encoded) == parts


def seal_vector(implementation: ModuleType, vector: Vector) -> bytes:
    session = vector["session"]
    sender = implementation.Session(
        association_from(vector["association"]),
        clock=FakeClock(session["start"]),
        random=lambda n: bytes.fromhex(session["random"])[:n],
        sequence=session["sequence"],
    )
    (frame,) = implementation.seal_many([message_from(vector["message"])], sender)
    return bytes(frame)


@each("sealed.json")
def test_sealed_seals_to_these_bytes(implementation: ModuleType, vector: Vector) -> None:
    frame = seal_vector(implementation, vector)
    if "frame" in vector:
        assert frame.hex() == vector["frame"]
    else:
        assert len(frame) == vector["frame_length"]
        assert hashlib.sha256(frame).hexdigest() == vector["frame_sha256"]


@each("sealed.json")
@pytest.mark.parametrize("copy", [True, False], ids=["copy", "views"])
def test_sealed_opens_to_the_message(implementation: ModuleType, vector: Vector, copy: bool) -> None:
    frame = bytearray(seal_vector(implementation, vector))
    receiver, clock = receiver_from(implementation, vector, [vector["association"]])
    clock.now = vector["now"]
    message = message_from(vector["message"])
    (opened,) = implementation.open_many([frame], receiver, topics=[message.topic], copy=copy)
    assert outcome(opened) == "opened"
    session = vector["session"]
    message.spi, message.sequence = vector["association"]["spi"], session["sequence"]
    message.session = session["start"].to_bytes(4, "little") + bytes.fromhex(session["random"])
    assert opened == message
    assert receiver.opened == 1 and not any(receiver.refused.values())


@each("refused.json")
def test_refused_has_the_reason(implementation: ModuleType, vector: Vector) -> None:
    receiver, clock = receiver_from(implementation, vector, [vector["association"]])
    clock.now = vector["now"]
    topic = None if vector["topic"] is None else bytes.fromhex(vector["topic"])
    (refusal,) = implementation.open_many([frame_from(vector)], receiver, topics=[topic])
    assert (outcome(refusal), refusal.detail) == (vector["reason"], vector["detail"])
    assert not refusal
    assert {reason: n for reason, n in receiver.refused.items() if n} == {vector["reason"]: 1}
    assert receiver.opened == 0


@each("sequences.json")
@pytest.mark.parametrize("batched", [False, True], ids=["one-by-one", "batched"])
def test_sequence_gives_what_each_step_expects(implementation: ModuleType, vector: Vector, batched: bool) -> None:
    receiver, clock = receiver_from(implementation, vector, vector["associations"])
    for now, steps in _groups(vector["steps"], batched):
        clock.now = now
        frames = [bytes.fromhex(step["frame"]) for step in steps]
        topics = [None if step["topic"] is None else bytes.fromhex(step["topic"]) for step in steps]
        routes = [[bytes.fromhex(one) for one in step.get("route", ())] for step in steps]
        opened = implementation.open_many(frames, receiver, topics=topics, routes=routes)
        assert [outcome(one) for one in opened] == [step["expect"] for step in steps]
    assert receiver.sessions == vector["sessions"]


def _groups(steps: list[Vector], batched: bool) -> Iterator[tuple[int, list[Vector]]]:
    """Steps one at a time, or all that follow each other at the same time in one call."""
    group: list[Vector] = []
    for step in steps:
        if group and (not batched or group[0]["now"] != step["now"]):
            yield group[0]["now"], group
            group = []
        group.append(step)
    yield group[0]["now"], group


def signing_and_received() -> tuple[list[Vector], list[Vector]]:
    every = load("attestations.json")
    return [one for one in every if "signed" in one], [one for one in every if "expect" in one]


def of(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


@of(signing_and_received()[0])
def test_attestation_signs_to_these_frames(implementation: ModuleType, vector: Vector) -> None:
    sealed = [bytes.fromhex(one) for one in vector["sealed"]]
    previous = [b""] * len(sealed)
    for signer in vector["signed"]:
        identity = Identity.from_seed(bytes.fromhex(signer["seed"]))
        key = None if signer["suite_key"] is None else bytes.fromhex(signer["suite_key"])
        previous = implementation.Attester(identity, key, bytes.fromhex(signer["routing_id"])).attest(sealed, previous)
        assert [one.hex() for one in previous] == signer["frames"]


@of(signing_and_received()[1])
@pytest.mark.parametrize("copy", [True, False], ids=["copy", "views"])
def test_attested_message_gives_what_is_expected(implementation: ModuleType, vector: Vector, copy: bool) -> None:
    opened = attested_from(implementation, vector, copy)
    assert outcome(opened) == vector["expect"]
    if vector["expect"] == "opened":
        signers = [
            {"public": one.key.hex(), "routing_id": one.routing_id.hex(), "trusted": one.trusted}
            for one in (*([] if opened.origin is None else [opened.origin]), *opened.route)
        ]
        assert signers == [*([] if vector["origin"] is None else [vector["origin"]]), *vector["hops"]]


@each("frames.json")
def test_frames_give_what_is_expected(implementation: ModuleType, vector: Vector) -> None:
    layout = {"plain": limits.LAYOUT_PLAIN, "topic": limits.LAYOUT_TOPIC, "envelope": limits.LAYOUT_ENVELOPE}
    receiver = implementation.Receiver([association_from(vector["association"])], clock=FakeClock(vector["now"]))
    with zmq.Context() as context, context.socket(zmq.PAIR) as near, context.socket(zmq.PAIR) as far:
        near.bind("inproc://vectors")
        far.connect("inproc://vectors")
        channel = implementation.Channel(near, None, receiver, layout=layout[vector["layout"]])
        far.send_multipart([bytes.fromhex(frame) for frame in vector["frames"]])
        items = channel.recv_many(1, 0, limits.FORM_MESSAGES)
        refusals = channel.take_refusals()
    assert [outcome(one) for one in (*items, *refusals)] == [vector["expect"]]


@of([one for one in load("admissions.json") if "secret" in one])
def test_admission_key_matches(vector: Vector) -> None:
    assert derive_admission_key(bytes.fromhex(vector["secret"]), vector["spi"]).hex() == vector["admission_key"]


@of([one for one in load("admissions.json") if "frame" in one])
def test_admission_gives_what_is_expected(vector: Vector) -> None:
    keys = {one["spi"]: bytes.fromhex(one["key"]) for one in vector["keys"]}
    frame = bytes.fromhex(vector["frame"])
    assert str(check_admission(frame, keys) or "admitted") == vector["expect"]
    policy = pytest.importorskip("zmqsec._policy")
    table = policy.Admissions(AdmissionKey("vector", spi, key) for spi, key in keys.items())
    assert [str(one or "admitted") for one in table.check_many([frame, frame])] == [vector["expect"]] * 2


def test_vectors_are_enough() -> None:
    """At least 40, of them 25 refused; every suite, kind, flag and every reason that version 1 gives."""
    sealed, refused, sequences = load("sealed.json"), load("refused.json"), load("sequences.json")
    assert len(sealed) >= 40 and len(refused) >= 25
    assert {vector["association"]["suite"] for vector in sealed} >= {1, 2, 3, 200}
    assert {vector["message"].get("kind", 0) for vector in sealed} == {0, 1, 2, 3}
    assert {vector["message"].get("protect", "sealed") for vector in sealed} == {"sealed", "authenticated"}
    reasons = {vector["reason"] for vector in refused}
    reasons |= {step["expect"] for vector in sequences for step in vector["steps"]} - {"opened"}
    reasons |= {vector["expect"] for vector in signing_and_received()[1]} - {"opened"}
    assert reasons == {str(reason) for reason in Reason} - {"rate-limited"}  # by relays only


@pytest.mark.parametrize(
    "name",
    [
        "sealed.json",
        "refused.json",
        "sequences.json",
        "frames.json",
        "keys.json",
        "attestations.json",
        "admissions.json",
    ],
)
def test_vectors_have_one_purpose_each(name: str) -> None:
    vectors = load(name)
    assert all(vector["purpose"] for vector in vectors)
    assert len({vector["name"] for vector in vectors}) == len(vectors)


@pytest.mark.skipif(
    SUITES != [1, 2, 3] or not has_mlkem768(), reason="the script needs every suite and ML-KEM-768; one is missing here"
)
def test_vectors_come_out_of_their_script_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(VECTORS / "make_vectors.py"), str(tmp_path)], check=True, timeout=60)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
