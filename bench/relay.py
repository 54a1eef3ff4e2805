"""A relay between PUSH and PULL, three processes; ours beside zmq_proxy and Python's loops, all in each round.

    python -m bench.relay [--rounds N] [--sizes 64 1024] [--transports ipc tcp] [--only NAME ...]

The ends are the same C program for all. A way is a relay and what it carries.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmqsec import Association, Identity
from zmqsec.backend import implementation

from .contenders import BATCH, BUNDLE
from .pushpull import Peer, c_peer, libzmq_path, one_round, ratios, summary

SIZES = (64, 1024)
#: Messages a round, by size.
COUNTS = {64: 800 * BUNDLE, 1024: 240 * BUNDLE}
SLOW_SHARE = 4
SECRET, SPI = bytes(range(32)), 7
BATCHES = 200


@dataclass(frozen=True)
class Way:
    """A relay of `bench.relay_peer`, and the traffic that it carries; `per` messages of a user in each of ZeroMQ's."""

    relay: str
    traffic: str
    title: str
    slow: bool = False
    per: int = 1

    @property
    def name(self) -> str:
        return f"{self.relay}/{self.traffic}"


WAYS = (
    Way("proxy", "plain", "zmq_proxy"),
    Way("loop", "plain", "loop in Python", slow=True),
    Way("multipart", "plain", "multipart loop in Python", slow=True),
    Way("none", "plain", "zmqsec relay, no checks"),
    Way("membership", "member", "zmqsec relay, membership"),
    Way("origin", "attested", "zmqsec relay, origin of batches"),
    Way("none", "bundle", f"zmqsec relay, bundles of {BUNDLE}", per=BUNDLE),
)
#: What is held to a bound: way, the way that it is compared with, and the least ratio.
GOALS = (
    ("none/plain", "proxy/plain", 1.3),
    ("membership/member", "proxy/plain", 1.0),
    ("origin/attested", "proxy/plain", 0.6),
    ("none/bundle", "none/plain", 10.0),
)


def traffic(kind: str, size: int) -> list[list[bytes]]:
    """Messages of one kind, each as its frames, that a sender repeats for ever."""
    body = random.Random(size).randbytes(size)
    if kind == "plain":
        return [[body]]
    if kind in ("member", "attested"):
        return sealed_traffic(size, attested=kind == "attested")
    if kind == "bundle":
        return [[random.Random(size).randbytes(52 + BUNDLE * (8 + size))]]
    raise ValueError(kind)


def sealed_traffic(size: int, *, attested: bool) -> list[list[bytes]]:
    """Sealed messages with admissions, or with attestations of more batches than a verifier remembers."""
    identity = Identity.from_seed(bytes(32)) if attested else None
    key = Association.from_secret(SECRET, name="bench", spi=SPI, admit=not attested)
    session = implementation.Session(key, identity=identity, attest="batch" if attested else "none")
    out: list[list[bytes]] = []
    for _ in range(BATCHES if attested else 1):
        sealed = implementation.seal_many([bytes(size)] * BATCH, session)
        behind = session.attest_many(sealed) if attested else [b""] * BATCH
        out += [[part, *filter(None, [frame])] for part, frame in zip(sealed, behind, strict=True)]
    return out


def write_traffic(path: Path, messages: Sequence[Sequence[bytes]]) -> None:
    """As bench/cpeer.c reads it."""
    out = [struct.pack("<I", len(messages))]
    for message in messages:
        out.append(struct.pack("<I", len(message)))
        for frame in message:
            out += [struct.pack("<I", len(frame)), frame]
    path.write_bytes(b"".join(out))


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(stack: ExitStack, arguments: list[str]) -> tuple[Peer, str]:
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    one = Peer(process)
    return one, str(one.hear()["ready"])


def measure(transport: str, size: int, rounds: int, ways: Sequence[Way] = WAYS) -> dict[str, Any]:
    """Rates of every way over one transport at one size, and the relay's CPU nanoseconds a message."""
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    costs: dict[str, list[float]] = {way.name: [] for way in ways}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = []
        for way in ways:
            file = folder / way.traffic
            write_traffic(file, traffic(way.traffic, size))
            end = f"ipc://{folder}/{way.name.replace('/', '-')}" if transport == "ipc" else "tcp://127.0.0.1:*"
            ends = [str(c_peer()), libzmq_path()]
            receiver, out = _start(stack, [*ends, "pull", "plain", end, f"@{file}"])
            relay, front = _start(stack, [sys.executable, "-m", "bench.relay_peer", way.relay, out])
            sender, _ = _start(stack, [*ends, "push", "plain", front, f"@{file}"])
            running.append((way, receiver, relay, sender))
        for number in range(rounds + 1):
            for way, receiver, relay, sender in running:
                count = COUNTS[size] // (SLOW_SHARE if way.slow else 1) // way.per
                before = _cpu_seconds(relay.process.pid)
                rate = one_round(sender, receiver, count) * way.per
                if number > 0:  # the first round warms up
                    rates[way.name].append(rate)
                    costs[way.name].append((_cpu_seconds(relay.process.pid) - before) / count / way.per * 1e9)
    return {name: {**summary(values), "cpu_ns": sum(costs[name]) / len(costs[name])} for name, values in rates.items()}


def table(measured: dict[str, Any], ways: Sequence[Way] = WAYS) -> str:
    """Markdown: the median rate of each way, over zmq_proxy, and what the relay's process spends on a message."""
    lines = ["| relay | k messages/s | over zmq_proxy | CPU ns a message |", "|---|---|---|---|"]
    for way in ways:
        one = measured[way.name]
        over = ratios(measured, way.name, WAYS[0].name)
        lines.append(
            f"| {way.title} ({way.traffic}) | {one['median'] / 1000:,.0f} | {over:.2f} | {one['cpu_ns']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, choices=SIZES)
    parser.add_argument("--transports", nargs="*", default=("ipc", "tcp"))
    parser.add_argument("--only", nargs="*", help="names of ways as relay/traffic, besides proxy/plain")
    options = parser.parse_args()
    ways = tuple(way for way in WAYS if not options.only or way.name in ("proxy/plain", *options.only))
    names = {way.name for way in ways}
    for transport in options.transports:
        for size in options.sizes:
            measured = measure(transport, size, options.rounds, ways)
            print(f"\n{transport}, {size} B, batches of {BATCH}\n\n{table(measured, ways)}\n")
            for over, under, wanted in GOALS:
                if {over, under} <= names:
                    got = ratios(measured, over, under)
                    print(f"{over} over {under}: {got:.2f}, wanted {wanted:g}: {'met' if got >= wanted else 'missed'}")


if __name__ == "__main__":
    main()
