"""Whole handshakes a second of one responder on one core, beside noiseprotocol's in every round.

    python -m bench.handshake [--rounds N] [--count N]

Timed is the responder alone, in seconds of its thread: from the bytes of an opening to those of the answer, and from
the confirmation to done and a pair of associations. noiseprotocol does the two Noise messages of IK and one encrypted
message in each direction; it keeps no table, makes no associations and has no hybrid mode. Once it proves no identity,
and once it verifies and makes an Ed25519 signature of the handshake's hash, by the library that it takes X25519 from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from noise.connection import Keypair, NoiseConnection

from zmqsec import sodium
from zmqsec.handshake import Bounds, Established, Event, Initiator, Party, Responder, Send, anyone
from zmqsec.identity import Identity
from zmqsec.noise import KeyPair
from zmqsec.noise_handshake import HandshakeState
from zmqsec.noise_pattern import pattern

UNBOUNDED = Bounds(under_load=1e12, of_source=1e12, of_hop=1e12, of_all=1e12, looks_of_hop=1e12)
#: Name, IK, hybrid mode, and the handshakes a second that are the goal.
OURS = (
    ("zmqsec IK", True, "off", 2000),
    ("zmqsec IK, ML-KEM-768", True, "required", 1000),
    ("zmqsec XX", False, "off", None),
    ("zmqsec XX, ML-KEM-768", False, "required", None),
)
PEER = "noiseprotocol IK"
SIGNING_PEER = "noiseprotocol IK, signed"

_clock = time.thread_time


def _frame(events: list[Event]) -> bytes:
    (frame,) = [one.frame for one in events if isinstance(one, Send)]
    return frame


def ours(ik: bool, hybrid: str, bounds: Bounds) -> Callable[[int], float]:
    """Seconds of a responder for so many handshakes; the peers are another identity in each."""
    me = Party(Identity.generate(), permit=anyone, hybrid=hybrid)
    responder = Responder(me, bounds=bounds)

    def run(count: int) -> float:
        spent = 0.0
        for _ in range(count):
            now = time.monotonic()
            peer = Party(Identity.generate(), hybrid=hybrid)
            initiator = Initiator(peer, me.identity.public, static=me.static.public if ik else None)
            frame, source = _frame(initiator.poll(now)), peer.identity.key
            for _ in range(3 if bounds.under_load == 0 else 2):
                began = _clock()
                events = responder.receive(frame, source, now)
                spent += _clock() - began
                answers = initiator.receive(_frame(events), now)
                frame = b"" if isinstance(answers[-1], Established) else _frame(answers)
            assert initiator.is_over
        return spent

    return run


def theirs(count: int, signed: bool = False) -> float:
    """Seconds of noiseprotocol for so many handshakes as the responder; its peer is this package."""
    signer = Ed25519PrivateKey.generate()
    key, signature = signer.public_key(), signer.sign(bytes(64))
    one, static, spent = pattern("IK"), KeyPair.of(sodium.random_bytes(32)), 0.0
    for _ in range(count):
        me = KeyPair.of(sodium.random_bytes(32))
        peer = HandshakeState(one, True, b"prologue", me, random=sodium.random_bytes, rs=static.public)
        first = peer.write_message(b"")
        began = _clock()
        responder = NoiseConnection.from_name(one.protocol_name)
        responder.set_as_responder()
        responder.set_prologue(b"prologue")
        responder.set_keypair_from_private_bytes(Keypair.STATIC, static.secret)
        responder.start_handshake()
        responder.read_message(first)
        if signed:
            key.verify(signature, bytes(64))
        second = responder.write_message(signer.sign(bytes(64)) if signed else b"")
        spent += _clock() - began
        peer.read_message(bytes(second))
        sending, receiving = peer.split()
        confirm = sending.encrypt_with_ad(b"", b"text")
        began = _clock()
        responder.decrypt(confirm)
        done = responder.encrypt(b"text")
        spent += _clock() - began
        assert receiving.decrypt_with_ad(b"", bytes(done)) == b"text"
    return spent


def refusals(count: int) -> dict[str, float]:
    """Microseconds that an opening costs which comes to nothing, by why."""
    me = Party(Identity.generate(), permit=anyone)
    idle, loaded = Responder(me, bounds=UNBOUNDED), Responder(me, bounds=Bounds(under_load=0, looks_of_hop=1e12))
    opening = _frame(Initiator(Party(Identity.generate()), me.identity.public).poll(0.0))
    stranger = _frame(Initiator(Party(Identity.generate()), Identity.generate().public).poll(0.0))
    dropped = Responder(me, bounds=Bounds(looks_of_hop=1))
    found = {}
    for why, responder, frame in (
        ("beyond the rate of its hop", dropped, opening),
        ("for somebody else", idle, stranger),
        ("under load, answered with a cookie", loaded, opening),
    ):
        began = _clock()
        for _ in range(count):
            responder.receive(frame, b"hop", 0.0)
        found[why] = (_clock() - began) / count * 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.handshake", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="measured rounds of each contender (default 15)")
    parser.add_argument("--count", type=int, default=100, help="handshakes in a round (default 100)")
    options = parser.parse_args()
    contenders: dict[str, Callable[[int], float]] = {
        name: ours(ik, hybrid, UNBOUNDED) for name, ik, hybrid, _ in OURS if hybrid == "off" or sodium.has_mlkem768()
    }
    contenders["zmqsec IK, after a cookie"] = ours(True, "off", Bounds(under_load=0, looks_of_hop=1e12, of_all=1e12))
    contenders |= {PEER: theirs, SIGNING_PEER: lambda count: theirs(count, signed=True)}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(options.rounds + 1):
        for name, run in contenders.items():
            rate = options.count / run(options.count)
            if number:  # the first round warms up
                rates[name].append(rate)
    goals = {name: goal for name, _, _, goal in OURS}
    print(f"{'responder':28} {'handshakes/s':>12} {'over ' + PEER:>22} {'over it, signed':>16}  goal")
    for name, each in rates.items():
        over, over_signed = (
            median(mine / its for mine, its in zip(each, rates[peer], strict=True)) for peer in (PEER, SIGNING_PEER)
        )
        goal = goals.get(name)
        said = "" if goal is None else f"{goal}: {'met' if median(each) >= goal and over_signed > 1 else 'missed'}"
        print(f"{name:28} {median(each):12,.0f} {over:22.2f} {over_signed:16.2f}  {said}")
    for why, cost in refusals(20 * options.count).items():
        print(f"an opening {why}: {cost:.1f} µs")


if __name__ == "__main__":
    main()
