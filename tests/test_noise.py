"""The Noise engine against published vectors, against another implementation, and against what does not hold."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import CountingRandom, flips
from noise.connection import Keypair, NoiseConnection

from zmqsec import noise, sodium
from zmqsec.errors import HandshakeError
from zmqsec.noise import KeyPair, NoiseError
from zmqsec.noise_handshake import HandshakeState
from zmqsec.noise_pattern import Pattern, pattern

VECTORS = json.loads((Path(__file__).parent / "vectors" / "noise" / "cacophony.json").read_text())["vectors"]
PATTERNS = {one.name: one for base, psk in (("XX", 3), ("IK", 2)) for one in (pattern(base), pattern(base, psk))}
HYBRID = {
    one.name: one for base, psk in (("XX", 3), ("IK", 2)) for one in (pattern(base, hfs=True), pattern(base, psk, True))
}
EVERY = [*PATTERNS.values(), *HYBRID.values()]
PSK = bytes(range(32))
PROLOGUE = b"prologue"


def given(secret: bytes) -> Callable[[int], bytes]:
    """Randomness for one ephemeral key."""
    return lambda n: secret


def pair_of(one: Pattern, *, seed: int = 0, **changed: Any) -> tuple[HandshakeState, HandshakeState]:
    """Initiator and responder of the same handshake in every run."""
    random = CountingRandom()
    random.calls = 1000 * (seed + 1)
    mine, theirs = KeyPair.of(random(32)), KeyPair.of(random(32))
    psk = PSK if one.has_psk else None
    rs = theirs.public if one.knows_responder else None
    settings = {"prologue": PROLOGUE, "rs": rs, "psk": psk, **changed}
    prologue, rs, psk_there = settings["prologue"], settings["rs"], settings["psk"]
    initiator = HandshakeState(one, True, PROLOGUE, mine, random=random, rs=rs, psk=psk)
    responder = HandshakeState(one, False, prologue, theirs, random=random, psk=psk_there)
    return initiator, responder


def run(one: Pattern, **changed: Any) -> tuple[HandshakeState, HandshakeState, list[bytes]]:
    """A whole handshake with a payload in each message."""
    initiator, responder = pair_of(one, **changed)
    messages = []
    for number in range(len(one.messages)):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        message = writer.write_message(b"payload %d" % number)
        assert reader.read_message(message) == b"payload %d" % number
        messages.append(message)
    return initiator, responder, messages


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_noise_cacophony_vector_comes_out(vector: dict[str, Any]) -> None:
    one = PATTERNS[vector["protocol_name"].split("_")[1]]
    assert one.protocol_name == vector["protocol_name"].encode()

    def state(who: str, initiator: bool) -> HandshakeState:
        def field(name: str) -> bytes | None:
            value = vector.get(f"{who}_{name}")
            return None if value is None else bytes.fromhex(value[0] if isinstance(value, list) else value)

        s, e, prologue = field("static"), field("ephemeral"), field("prologue")
        assert s is not None and e is not None and prologue is not None
        random = given(e)
        return HandshakeState(
            one, initiator, prologue, KeyPair.of(s), random=random, rs=field("remote_static"), psk=field("psks")
        )

    initiator, responder = state("init", True), state("resp", False)
    ciphers: tuple[Any, Any] = (None, None)
    for number, message in enumerate(vector["messages"]):
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        if number < len(one.messages):
            writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
            assert writer.write_message(payload) == expected
            assert reader.read_message(expected) == payload
        else:
            if number == len(one.messages):
                assert initiator.finished and responder.finished
                ours, theirs = initiator.split(), responder.split()
                ciphers = tuple(zip(ours, theirs, strict=True))
            sending, receiving = ciphers[number % 2][:: -1 if number % 2 else 1]
            assert sending.encrypt_with_ad(b"", payload) == expected
            assert receiving.decrypt_with_ad(b"", expected) == payload
    assert initiator.h == responder.h == bytes.fromhex(vector["handshake_hash"])


def test_noise_vectors_are_those_of_every_pattern_used() -> None:
    assert {vector["protocol_name"].split("_")[1] for vector in VECTORS} == set(PATTERNS)


@pytest.mark.parametrize("one", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("we_begin", [True, False], ids=["initiator", "responder"])
def test_noise_handshake_with_noiseprotocol(one: Pattern, we_begin: bool) -> None:
    ours, theirs = KeyPair.of(sodium.random_bytes(32)), KeyPair.of(sodium.random_bytes(32))
    peer = NoiseConnection.from_name(one.protocol_name)
    (peer.set_as_responder if we_begin else peer.set_as_initiator)()
    peer.set_prologue(PROLOGUE)
    peer.set_keypair_from_private_bytes(Keypair.STATIC, theirs.secret)
    if one.has_psk:
        peer.set_psks(psk=PSK)
    if one.knows_responder and not we_begin:
        peer.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, ours.public)
    peer.start_handshake()
    rs = theirs.public if one.knows_responder and we_begin else None
    psk = PSK if one.has_psk else None
    us = HandshakeState(one, we_begin, PROLOGUE, ours, random=sodium.random_bytes, rs=rs, psk=psk)
    for number in range(len(one.messages)):
        payload = b"payload %d" % number
        if we_begin == (number % 2 == 0):
            assert bytes(peer.read_message(us.write_message(payload))) == payload
        else:
            assert us.read_message(bytes(peer.write_message(payload))) == payload
    assert peer.handshake_finished and us.finished
    assert peer.get_handshake_hash() == us.h
    sending, receiving = us.split()[:: 1 if we_begin else -1]
    assert bytes(peer.decrypt(sending.encrypt_with_ad(b"", b"to the peer"))) == b"to the peer"
    assert receiving.decrypt_with_ad(b"", bytes(peer.encrypt(b"from the peer"))) == b"from the peer"


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_noise_handshake_gives_both_the_same(one: Pattern) -> None:
    initiator, responder, _ = run(one)
    assert initiator.h == responder.h
    ours, theirs = initiator.split(), responder.split()
    assert [cipher.k for cipher in ours] == [cipher.k for cipher in theirs]
    assert ours[0].k != ours[1].k
    assert initiator.rs == responder.s.public and responder.rs == initiator.s.public


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_noise_another_prologue_holds_in_no_message_that_is_encrypted(one: Pattern) -> None:
    """Only XX without psk has no key yet in its first message."""
    initiator, responder = pair_of(one, prologue=b"another")
    if not one.knows_responder and not one.has_psk:
        responder.read_message(initiator.write_message(b""))
        with pytest.raises(NoiseError, match="a tag does not hold"):
            initiator.read_message(responder.write_message(b""))
    else:
        with pytest.raises(NoiseError, match="a tag does not hold"):
            responder.read_message(initiator.write_message(b""))


@pytest.mark.parametrize("one", [one for one in EVERY if one.has_psk], ids=lambda one: one.name)
def test_noise_another_psk_does_not_hold(one: Pattern) -> None:
    with pytest.raises(NoiseError, match="a tag does not hold"):
        run(one, psk=bytes(32))


@pytest.mark.parametrize("one", PATTERNS.values(), ids=PATTERNS)
def test_noise_every_flipped_bit_is_refused_and_the_copy_reads_on(one: Pattern) -> None:
    """XX without psk sends its first message in clear: a change there breaks the second one."""
    initiator, responder = pair_of(one)
    for number in range(len(one.messages)):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        message = writer.write_message(b"")
        if number or one.knows_responder or one.has_psk:
            for _, changed in flips(message):
                with pytest.raises(NoiseError):
                    reader.copy().read_message(changed)
        assert reader.read_message(message) == b""


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_noise_message_that_is_cut_is_refused(one: Pattern) -> None:
    initiator, responder = pair_of(one)
    message = initiator.write_message(b"")
    for length in range(0, len(message), 1 if len(message) < 200 else 37):
        with pytest.raises(NoiseError):
            responder.copy().read_message(message[:length])
    with pytest.raises(NoiseError, match="65536 bytes"):
        responder.read_message(message.ljust(noise.MAX_MESSAGE + 1))


def small_order_points() -> list[bytes]:
    p = 2**255 - 19
    odd = (
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    )
    return [value.to_bytes(32, "little") for value in (0, 1, *odd, p - 1, p, p + 1)]


@pytest.mark.parametrize("point", small_order_points(), ids=lambda point: point.hex()[:8])
def test_noise_public_key_of_small_order_is_refused(point: bytes) -> None:
    """Section 12.1 allows an error in place of an all-zero output."""
    with pytest.raises(NoiseError, match="small order"):
        noise.dh(KeyPair.of(PSK), point)
    _, responder = pair_of(pattern("XX"))
    assert responder.read_message(point) == b""
    with pytest.raises(NoiseError, match="small order"):
        responder.write_message(b"")


def test_noise_encapsulation_key_that_is_none_is_refused() -> None:
    one = pattern("XX", hfs=True)
    _, responder = pair_of(one)
    responder.read_message(PSK + b"\xff" * sodium.MLKEM768_KEY_BYTES)
    with pytest.raises(NoiseError, match="encapsulation key"):
        responder.write_message(b"")


@pytest.mark.parametrize("base", ["XX", "IK"])
def test_noise_kem_that_one_side_leaves_out_does_not_hold(base: str) -> None:
    for who in range(3):
        initiator, responder = pair_of(pattern(base, hfs=True))
        if who != 1:
            initiator.leave_out_kem()
        if who != 0:
            responder.leave_out_kem()
        responder.read_message(initiator.write_message(b""))
        message = responder.write_message(b"answer")
        if who == 2:
            assert initiator.read_message(message) == b"answer"
        else:
            with pytest.raises(NoiseError):
                initiator.read_message(message)


def test_noise_hybrid_secret_reaches_every_later_key() -> None:
    """Another encapsulation in the same handshake changes what is split; the X25519 secrets are equal."""
    one = pattern("IK", hfs=True)
    split = []
    for change in (0, 1):
        initiator, responder = pair_of(one)
        responder.read_message(initiator.write_message(b""))
        random = responder._random
        calls: list[int] = []

        def changed(n: int, random: Any = random, calls: list[int] = calls, change: int = change) -> bytes:
            calls.append(n)
            drawn = bytes(random(n))
            return bytes([drawn[0] ^ change]) + drawn[1:] if len(calls) == 2 else drawn

        responder._random = changed
        initiator.read_message(responder.write_message(b""))
        assert calls == [32, 32]
        split.append([cipher.k for cipher in initiator.split()])
    assert set(split[0]).isdisjoint(split[1])


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (pattern("XX", hfs=True), "Noise_XXhfs_25519+MLKEM768_ChaChaPoly_BLAKE2b"),
        (pattern("IK", 2, hfs=True), "Noise_IKhfs+psk2_25519+MLKEM768_ChaChaPoly_BLAKE2b"),
        (pattern("IK", 0), "Noise_IKpsk0_25519_ChaChaPoly_BLAKE2b"),
    ],
)
def test_noise_protocol_name_is_that_of_section_8(one: Pattern, name: str) -> None:
    assert one.protocol_name == name.encode()


def test_noise_tokens_are_those_of_the_specification() -> None:
    """Sections 7.5 and 9.4, and the table of the hfs extension's section 5."""
    tokens = {one.name: "; ".join(" ".join(message) for message in one.messages) for one in EVERY}
    assert tokens == {
        "XX": "e; e ee s es; s se",
        "XXpsk3": "e; e ee s es; s se psk",
        "IK": "e es s ss; e ee se",
        "IKpsk2": "e es s ss; e ee se psk",
        "XXhfs": "e e1; e ee ekem1 s es; s se",
        "XXhfs+psk3": "e e1; e ee ekem1 s es; s se psk",
        "IKhfs": "e es e1 s ss; e ee ekem1 se",
        "IKhfs+psk2": "e es e1 s ss; e ee ekem1 se psk",
    }
    assert pattern("IK", 0).messages[0][0] == "psk"


@pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 127, 128, 129, 300])
def test_noise_hkdf_is_that_of_the_standard_library(implementation: ModuleType, size: int) -> None:
    key, material = PSK + b"\xff" * 32, bytes(range(size % 256)) + b"x" * (size - size % 256)
    temp = hmac.digest(key, material, hashlib.blake2b)
    first = hmac.digest(temp, b"\x01", hashlib.blake2b)
    second = hmac.digest(temp, first + b"\x02", hashlib.blake2b)
    third = hmac.digest(temp, second + b"\x03", hashlib.blake2b)
    for count in (1, 2, 3):
        assert implementation.hkdf(key, material, count) == (first, second, third)[:count]


def test_noise_nonces_end_before_the_last() -> None:
    cipher = noise.CipherState(PSK, 2**64 - 2)
    cipher.encrypt_with_ad(b"", b"")
    with pytest.raises(NoiseError, match="used up"):
        cipher.encrypt_with_ad(b"", b"")


def test_noise_failed_decryption_leaves_the_nonce() -> None:
    cipher, sealed = noise.CipherState(PSK), noise.CipherState(PSK).encrypt_with_ad(b"", b"text")
    for bad in (b"", sealed[:15], sealed[:-1] + b"\0"):
        with pytest.raises(NoiseError):
            cipher.decrypt_with_ad(b"", bad)
    assert cipher.n == 0 and cipher.decrypt_with_ad(b"", sealed) == b"text"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: KeyPair.of(b"short"), "a secret key of 5 bytes: exactly 32 are allowed"),
        (lambda: pair_of(pattern("IK"), rs=b"x"), "IK with rs of 1 bytes: exactly 32 bytes are allowed"),
        (lambda: pair_of(pattern("IK"), rs=None), "IK with rs of None: exactly 32 bytes are allowed"),
        (lambda: pair_of(pattern("XX", 3), psk=b"x"), "XXpsk3 with psk of 1 bytes: exactly 32 bytes are allowed"),
        (lambda: pair_of(pattern("XX"))[0].split(), "split with 3 messages to come"),
        (lambda: run(pattern("IK", 2), psk=None), "a token was met before what it needs"),
    ],
)
def test_noise_misuse_is_named(act: Callable[[], Any], message: str) -> None:
    with pytest.raises(HandshakeError, match=message):
        act()


def test_noise_secrets_are_not_shown_and_forgotten_after_split() -> None:
    initiator, _, _ = run(pattern("XX"))
    assert initiator.s.secret.hex() not in repr(initiator.s)
    initiator.split()
    assert initiator.symmetric.ck == b"" and initiator.symmetric.cipher.k is None and initiator.e is None
