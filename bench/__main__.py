"""``python -m bench``: runs all benchmarks, the contenders interleaved, and writes JSON, table and picture."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from . import report
from .pushpull import SIZES, TRANSPORTS, measure, ratios


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
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each contender (default 7)")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--transports", nargs="*", default=TRANSPORTS)
    parser.add_argument("--no-micro", action="store_true", help="leave out seal and open without sockets")
    options = parser.parse_args()
    began = time.monotonic()
    results: dict[str, Any] = {"machine": report.machine(), "pushpull": {}}
    results["seal_open"] = [] if options.no_micro else seal_open()
    for transport in options.transports:
        for size in options.sizes:
            results["pushpull"][f"{transport}/{size}"] = measure(transport, size, options.rounds)
            print(f"{transport} {size} B done after {time.monotonic() - began:.0f} s", flush=True)
    results["ratios"] = {
        place: {f"{over}/{under}": ratios(measured, over, under) for over, under in (
            ("batch", "plain"), ("batch", "curve"), ("batch", "reference"), ("batch", "pysodium"),
            ("single", "plain"), ("bundle", "plain"))}
        for place, measured in results["pushpull"].items()
    }  # fmt: skip
    print("\n" + report.table(results["pushpull"]) + "\n")
    print(f"written: {report.save(results)} and {report.draw(results)}")


if __name__ == "__main__":
    main()
