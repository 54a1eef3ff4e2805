"""handshakes.json: whole handshakes, all that both sides draw, send and get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cases import Vector
from handshake_helpers import MODES, PSK, SeededRandom, mode_name, only_sent, pairs, sent
from helpers import ALICE, BOB

from zmqsec import limits
from zmqsec.handshake import Bounds, Initiator, Party, Responder, anyone
from zmqsec.keyring import Keyring

_SOURCE = b"alice"


class Recorder:
    """Randomness that writes down what it gave."""

    def __init__(self, seed: object) -> None:
        self._random, self.given = SeededRandom(seed), list[str]()

    def __call__(self, n: int) -> bytes:
        drawn = self._random(n)
        self.given.append(drawn.hex())
        return drawn


class Telling(Party):
    """A party that writes down the payloads in which it says who it is."""

    __slots__ = ("said",)
    said: list[bytes]

    def state(self, role: bytes, h: bytes, front: bytes = b"") -> bytes:
        self.said.append(super().state(role, h, front))
        return self.said[-1]


def _half(association: Any) -> dict[str, Any]:
    return {"spi": association.spi, "suite": association.suite, "secret": association.secret.hex()}


def _side(party: Party, random: Recorder, suites: list[int]) -> Vector:
    hybrid = ("off", "offered", "required")[party.hybrid]
    seed = (bytes([0]) if party.identity == ALICE else bytes([1])) * 32
    return {
        "seed": seed.hex(),
        "static": party.static.public.hex(),
        "suites": suites,
        "hybrid": hybrid,
        "random": random.given,
    }


def whole(
    name: str,
    purpose: str,
    mode: tuple[bool, bool, str],
    *,
    suites: tuple[list[str], list[str]] = (["xchacha20poly1305"], ["xchacha20poly1305"]),
    hybrid: tuple[str, str] | None = None,
    credential: bytes = b"",
    load: bool = False,
    anonymous: bool = False,
) -> Vector:
    """One handshake of Alice's with Bob, all of its frames and all that both sides draw and get."""
    ik, psk, offered = mode
    psks = [PSK] if psk else []
    mine, theirs = hybrid or (offered, offered)
    alice = Telling(ALICE, permit=anyone, hybrid=mine, suites=suites[0], psks=psks, credential=credential)
    bob = Telling(BOB, permit=anyone, hybrid=theirs, suites=suites[1], psks=psks)
    said = alice.said = bob.said = list[bytes]()
    here, there = Recorder((name, "initiator")), Recorder((name, "responder"))
    peer = None if anonymous else BOB.public
    initiator = Initiator(alice, peer, static=bob.static.public if ik else None, random=here)
    responder = Responder(bob, random=there, anonymous=anonymous, bounds=Bounds(under_load=0) if load else None)
    frames = [only_sent(initiator.poll(0.0))]
    if load:
        frames.append(only_sent(responder.receive(frames[-1], _SOURCE, 0.0)))
        frames.append(only_sent(initiator.receive(frames[-1], 0.0)))
    frames.append(only_sent(responder.receive(frames[-1], _SOURCE, 0.0)))
    frames.append(sent(initiator.receive(frames[-1], 0.0))[0])
    events = responder.receive(frames[-1], _SOURCE, 0.0)
    frames.append(only_sent(events))
    (pair,), (other,) = pairs(initiator.receive(frames[-1], 0.0)), pairs(events)
    assert pair.binding == other.binding
    lost = Responder(bob, taken=Keyring().opens)
    frames_of_lost = lost._lost.frame(pair.send.spi, bytes(limits.HANDSHAKE_ID_BYTES))
    assert pair.is_lost(frames_of_lost)
    numbers = {"xchacha20poly1305": 1, "aes256gcm": 2}
    return {
        "name": name,
        "purpose": purpose,
        "psk": PSK.hex() if psk else None,
        "names_responder": not anonymous,
        "knows_static": ik,
        "under_load": load,
        "source": _SOURCE.hex(),
        "credential": credential.hex(),
        "initiator": _side(alice, here, [numbers[one] for one in suites[0]]),
        "responder": _side(bob, there, [numbers[one] for one in suites[1]]),
        "payloads": [payload.hex() for payload in ([] if ik else [b""]) + said],
        "frames": [frame.hex() for frame in frames],
        "lost": frames_of_lost.hex(),
        "hash": pair.binding.hex(),
        "hybrid": pair.hybrid,
        "to_responder": _half(pair.send),
        "to_initiator": _half(pair.receive),
        "lost_token": pair.lost_token.hex(),
    }


def handshake_vectors() -> Iterator[Vector]:
    for mode in MODES:
        name = mode_name(mode)
        yield whole(name, f"a whole handshake of {name}", mode)
    xx = (False, False, "off")
    yield whole("anonymous", "an opening that names no responder", xx, anonymous=True)
    yield whole("cookie", "a responder under load, and a cookie", xx, load=True)
    yield whole("credential", "a credential in a statement", (True, False, "off"), credential=bytes(range(200)))
    both = (["aes256gcm", "xchacha20poly1305"], ["xchacha20poly1305", "aes256gcm"])
    yield whole("suites", "the initiator's first suite that both take", xx, suites=both)
    yield whole("hybrid-left-out", "a responder without ML-KEM-768 leaves ekem1 out", xx, hybrid=("offered", "off"))
