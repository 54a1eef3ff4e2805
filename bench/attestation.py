"""Signing and verifying batches of 64, beside doing it message by message; all in each round.

    python -m bench.attestation [--rounds N] [--sizes 64 1024]

Every signature is a new one, so that nothing is verified out of memory that another round has left. The way through
sockets is PUSH to PULL over inproc, in one thread.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import zmq

import zmqsec
from zmqsec import _core

from .contenders import BATCH
from .goals import Goal, table

SIZES = (64, 1024)
#: What is held to a bound: the way, the one that it is compared with, and the least ratio by size. At 1 KiB the hash of
#: the message itself, which both ways take, is more than a batch's share of a signature.
GOALS = (("sign a batch", "sign each", {64: 15.0}), ("verify a batch", "verify each", {64: 20.0, 1024: 20.0}))
_KEY = bytes(32)
_numbers = itertools.count()


def _sealed(size: int) -> list[bytes]:
    """A batch of sealed parts that there never was before."""
    front = b"\x00ZS\x01\x01\x20\x00\x00" + bytes(16)
    return [front + next(_numbers).to_bytes(8, "little") + bytes(size + 20) for _ in range(BATCH)]


class Signing:
    """Attestations without sockets: `each` message signed alone, or a `batch` under one signature."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.attester = _core.Attester(zmqsec.Identity.generate(), _KEY)
        self.verifier = _core.Verifier()
        self.new()

    def new(self) -> None:
        """Other messages, for the next round."""
        self.sealed = _sealed(self.size)
        self.each = [self.attester.attest([one])[0] for one in self.sealed]
        self.batch = self.attester.attest(self.sealed)

    def ways(self) -> dict[str, Callable[[], object]]:
        attest, verify = self.attester.attest, self.verifier.verify_many
        each, batch = ([[one] for one in frames] for frames in (self.each, self.batch))
        return {
            "sign each": lambda: [attest([one]) for one in self.sealed],
            "sign a batch": lambda: attest(self.sealed),
            "verify each": lambda: verify(self.sealed, each),
            "verify a batch": lambda: verify(self.sealed, batch),
        }


class Traffic:
    """Batches from PUSH to PULL that are not attested, attested in batches, and each alone."""

    def __init__(self, size: int) -> None:
        me = zmqsec.Identity.generate()
        ring = zmqsec.Keyring([zmqsec.Association.generate("bench")], trust=zmqsec.Trust([me.public]))
        self.context = zmqsec.Context(keyring=ring)
        self.messages = [bytes(size)] * BATCH
        self.pairs: dict[str, tuple[Any, Any]] = {}
        for attest in ("none", "batch", "message"):
            push = self.context.socket(zmq.PUSH, association="bench", identity=me, attest=attest)
            pull = self.context.socket(zmq.PULL, association="bench")
            pull.bind(f"inproc://{attest}")
            push.connect(f"inproc://{attest}")
            self.pairs[attest] = push, pull

    def ways(self) -> dict[str, Callable[[], object]]:
        return {f"sockets, {attest}": lambda pair=pair: self._pass(*pair) for attest, pair in self.pairs.items()}  # type: ignore[misc]

    def _pass(self, push: Any, pull: Any) -> None:
        push.send_many(self.messages)
        taken = 0
        while taken < BATCH:
            taken += len(pull.recv_many(BATCH))


def measure(size: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Nanoseconds a message of every way, by round."""
    signing, traffic = Signing(size), Traffic(size)
    found: dict[str, list[float]] = {}
    with traffic.context:
        for number in range(rounds + 1):
            signing.new()
            for name, way in (*signing.ways().items(), *traffic.ways().items()):
                began = time.perf_counter_ns()
                way()
                if number > 0:  # the first round warms up
                    found.setdefault(name, []).append((time.perf_counter_ns() - began) / BATCH)
        for push, pull in traffic.pairs.values():
            push.close(0)
            pull.close(0)
    return {name: {"median": statistics.median(times), "rounds": times} for name, times in found.items()}


def attestation_goals(sizes: dict[str, dict[str, dict[str, Any]]]) -> list[Goal]:
    """Each is the median of the ratios within a round."""
    goals = []
    for size, measured in sizes.items():
        for name, under, wanted in GOALS:
            if int(size) not in wanted:
                continue
            pairs = zip(measured[under]["rounds"], measured[name]["rounds"], strict=True)
            got = statistics.median(slow / fast for slow, fast in pairs)
            goals.append(Goal(f"{name} of {BATCH}, {size} B, over {under}", got, wanted[int(size)]))
    return goals


def text(sizes: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Markdown: nanoseconds a message of every way at every size."""
    names = next(iter(sizes.values()))
    head = "".join(f" {size} B |" for size in sizes)
    lines = [f"| ns a message, median |{head}", "|---|" + "---|" * len(sizes)]
    for name in names:
        lines.append(f"| {name} |" + "".join(f" {one[name]['median']:,.0f} |" for one in sizes.values()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.attestation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=99)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    sizes = {str(size): measure(size, options.rounds) for size in options.sizes}
    print(f"{text(sizes)}\n\n{table(attestation_goals(sizes))}")


if __name__ == "__main__":
    main()
