"""The goals that the figures are held to: each is a ratio within one interleaved run, with its bound."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from .kernels import ratio as kernel_ratio
from .pushpull import ratios

#: Kernels of the AVX-512 tier in batches of 64, by size: over libsodium, over the best of the others.
KERNELS = {64: (7.0, 3.0), 256: (4.5, 2.0), 1024: (2.2, 1.4), 4096: (1.8, 1.0), 65536: (1.6, 0.9), 1 << 20: (0.0, 0.9)}
OTHERS = ("OpenSSL EVP", "intel-ipsec-mb, direct", "intel-ipsec-mb, jobs")
#: Batches end to end, by size: over the plaintext loop, CURVE, and the pure-Python path.
BATCHES = {64: (2.2, 3.5, 16.0), 1024: (1.0, 2.0, 6.0), 65536: (0.8, 1.3, 3.0)}
MULTICAST = {64: 4.0, 1024: 3.0}


@dataclass(frozen=True)
class Goal:
    """One goal: `got` should be at least `wanted`, or with `at_most` no more than it."""

    name: str
    got: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.got <= self.wanted if self.at_most else self.got >= self.wanted


def kernel_goals(rows: list[dict[str, Any]]) -> list[Goal]:
    names = {row["name"] for row in rows}
    goals: list[Goal] = []
    for operation in ("seal", "open"):
        for size, (over_sodium, over_others) in KERNELS.items():
            batch = 64 if size <= 65536 else 4
            place = (operation, size, batch)
            if "zmqsec avx512" in names:
                if over_sodium:
                    got = kernel_ratio(rows, "zmqsec avx512", "libsodium", place)
                    goals.append(Goal(f"{operation} {size} B × {batch}, AVX-512 over libsodium", got, over_sodium))
                present = [kernel_ratio(rows, "zmqsec avx512", other, place) for other in OTHERS if other in names]
                if present:
                    goals.append(
                        Goal(f"{operation} {size} B × {batch}, over the best other", min(present), over_others)
                    )
                got = kernel_ratio(rows, "zmqsec avx512", "libsodium", (operation, size, 1))
                goals.append(Goal(f"{operation} {size} B × 1, AVX-512 over libsodium", got, 1.0))
            if "zmqsec avx2" in names:
                got = kernel_ratio(rows, "zmqsec avx2", "libsodium", place)
                goals.append(
                    Goal(f"{operation} {size} B × {batch}, AVX2 over libsodium", got, 1.8 if size == 64 else 1.0)
                )
                got = kernel_ratio(rows, "zmqsec avx2", "libsodium", (operation, size, 1))
                goals.append(Goal(f"{operation} {size} B × 1, AVX2 over libsodium", got, 1.0))
    return goals


def pushpull_goals(places: dict[str, dict[str, Any]]) -> list[Goal]:
    goals: list[Goal] = []
    for place, measured in places.items():
        size = int(place.split("/")[1])
        for under, wanted in zip(("plain", "curve", "reference"), BATCHES.get(size, ()), strict=False):
            goals.append(Goal(f"{place} B, batches over {under}", ratios(measured, "batch", under), wanted))
        if size == 64:
            goals.append(Goal(f"{place} B, bundles over libzmq in C", ratios(measured, "bundle", "c-plain"), 1.2))
            goals.append(Goal(f"{place} B, one by one over plain", ratios(measured, "single", "plain"), 0.85))
    return goals


def multicast_goals(sizes: dict[str, dict[str, Any]]) -> list[Goal]:
    goals: list[Goal] = []
    for size, measured in sizes.items():
        goals.append(Goal(f"PUB to 8, {size} B, over CURVE", ratios(measured, "batch", "curve"), MULTICAST[int(size)]))
        pairs = zip(measured["batch"]["costs"], measured["plain"]["costs"], strict=True)
        cost = statistics.median(ours / theirs for ours, theirs in pairs)
        goals.append(Goal(f"PUB to 8, {size} B, publisher's CPU over plain", cost, 1.35, at_most=True))
    return goals


def table(goals: list[Goal]) -> str:
    """Markdown: every goal, what was measured, and whether it was met."""
    lines = ["| goal | wanted | measured | |", "|---|---|---|---|"]
    for goal in goals:
        bound = f"{'at most' if goal.at_most else 'at least'} {goal.wanted:g}"
        lines.append(f"| {goal.name} | {bound} | {goal.got:.2f} | {'met' if goal.met else 'missed'} |")
    return "\n".join(lines)
