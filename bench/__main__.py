"""``python -m bench``: runs all benchmarks, the contenders interleaved, and writes JSON, table and picture."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from . import attestation, goals, kernels, multicast, report
from .pushpull import SIZES, TRANSPORTS, measure


def seal_open() -> list[dict[str, Any]]:
    """Seal and open without sockets, by pytest-benchmark; nanoseconds a message."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "benchmark.json"
        here = Path(__file__).parent / "test_seal_open.py"
        status = pytest.main(
            [str(here), "-q", f"--benchmark-json={raw}", "--benchmark-max-time=0.5", "--benchmark-min-rounds=20",
             "--benchmark-columns=median,iqr", "-p", "no:cacheprovider"]
        )  # fmt: skip
        if status != 0:
            raise SystemExit(f"the seal and open benchmarks failed with status {status}")
        found = json.loads(raw.read_text())["benchmarks"]
    rows = []
    for one in found:
        count, stats = one["extra_info"]["messages"], one["stats"]
        rows.append({
            "name": one["name"], "messages": count, "size": one["extra_info"]["size"],
            "median_ns": stats["median"] / count * 1e9, "iqr_ns": stats["iqr"] / count * 1e9,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds of each contender (default 9)")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--transports", nargs="*", default=TRANSPORTS)
    parser.add_argument("--quick", action="store_true", help="leave out seal and open, kernels and multicast")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md as well")
    options = parser.parse_args()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{what} done after {time.monotonic() - began:.0f} s", flush=True)

    results: dict[str, Any] = {"machine": report.machine(), "pushpull": {}}
    if not options.quick:
        results["kernels"] = kernels.run(options.rounds)
        say("kernels")
    for transport in options.transports:
        for size in options.sizes:
            results["pushpull"][f"{transport}/{size}"] = measure(transport, size, options.rounds)
            say(f"{transport} {size} B")
    if not options.quick:
        results["multicast"] = {str(size): multicast.measure(size, options.rounds) for size in multicast.COUNTS}
        say("multicast")
        results["attestation"] = {str(size): attestation.measure(size, 99) for size in attestation.SIZES}
        say("attestation")
        results["seal_open"] = seal_open()
    reached = [
        *goals.kernel_goals(results.get("kernels", {"rows": []})["rows"]),
        *goals.pushpull_goals(results["pushpull"]),
        *goals.multicast_goals(results.get("multicast", {})),
        *attestation.attestation_goals(results.get("attestation", {})),
    ]
    results["goals"] = [{"name": one.name, "wanted": one.wanted, "got": one.got, "met": one.met} for one in reached]
    if "attestation" in results:
        print("\n" + attestation.text(results["attestation"]))
    print("\n" + report.text(results) + "\n\n" + goals.table(reached) + "\n")
    print(f"written: {report.save(results)} and {report.draw(results)}")
    if options.readme:
        print(f"written: {report.into_readme(results)}")


if __name__ == "__main__":
    main()
