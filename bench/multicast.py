"""PUB to 8 SUBs over tcp: one publisher process, two processes of four subscribers; all contenders in each round.

The publisher waits instead of dropping (XPUB_NODROP), so that a rate means messages that all eight have received. Its
own CPU time a message is measured too: sealing once for all is what sets it apart from encrypting each connection.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

from .contenders import BY_NAME, CURVE_PUBLIC, CURVE_SECRET, MULTICAST
from .pushpull import Peer, summary

SUBSCRIBERS, PROCESSES = 8, 2
COUNTS = {64: 64 * 1600, 1024: 64 * 400}
SLOW_SHARE = 4


def _start(stack: ExitStack, role: str, name: str, endpoint: str, size: int) -> tuple[Peer, str]:
    environment = dict(os.environ, CURVE_PUBLIC=CURVE_PUBLIC.decode(), CURVE_SECRET=CURVE_SECRET.decode())
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.multicast_peer", role, name, endpoint, str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    one = Peer(process)
    return one, str(one.hear()["ready"])


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Rates, and the publisher's CPU nanoseconds a message, of every multicast contender at one size."""
    rates: dict[str, list[float]] = {name: [] for name in MULTICAST}
    costs: dict[str, list[float]] = {name: [] for name in MULTICAST}
    with ExitStack() as stack:
        groups = []
        for name in MULTICAST:
            publisher, endpoint = _start(stack, "pub", name, "tcp://127.0.0.1:*", size)
            subscribers = [_start(stack, "sub", name, endpoint, size)[0] for _ in range(PROCESSES)]
            publisher.ask(f"wait {SUBSCRIBERS}")
            publisher.hear()
            groups.append((name, publisher, subscribers))
        for number in range(rounds + 1):
            for name, publisher, subscribers in groups:
                count = COUNTS[size] // (SLOW_SHARE if name == "curve" or BY_NAME[name].slow else 1)
                for subscriber in subscribers:
                    subscriber.ask(f"run {count}")
                publisher.ask(f"run {count}")
                publisher.hear()
                slowest = max(subscriber.hear()["seconds"] for subscriber in subscribers)
                publisher.ask(f"cpu {count}")
                cost = publisher.hear()["cpu"] / count * 1e9
                if number > 0:
                    rates[name].append(count / slowest)
                    costs[name].append(cost)
    return {
        name: {**summary(rates[name]), "publisher_cpu_ns": statistics.median(costs[name]), "costs": costs[name]}
        for name in MULTICAST
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """A Markdown table: rate, and the publisher's CPU time a message."""
    lines = ["| PUB to 8 SUBs over tcp | size | k messages/s | publisher's CPU, ns a message |", "|---|---|---|---|"]
    for size, measured in results.items():
        for name in MULTICAST:
            row = measured[name]
            lines.append(
                f"| {BY_NAME[name].title} | {size} B | {row['median'] / 1000:,.0f} | {row['publisher_cpu_ns']:,.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    found = {str(size): measure(size, 5) for size in COUNTS}
    print(table(found))
    json.dump(found, sys.stderr)
