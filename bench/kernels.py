"""The kernels beside libsodium, OpenSSL and intel-ipsec-mb: builds and runs bench/kernel/peers.c with what is here."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from zmqsec import sodium

ROOT = Path(__file__).parent.parent
OPERATIONS = ("seal", "open", "seal, paused")
OPTIONAL = {
    "OpenSSL": ("openssl/evp.h", "-DWITH_OPENSSL", "-lcrypto", "libssl-dev"),
    "intel-ipsec-mb": ("intel-ipsec-mb.h", "-DWITH_IPSEC_MB", "-lIPSec_MB", "libipsec-mb-dev"),
}


def _has_header(header: str) -> bool:
    check = subprocess.run(["cc", "-E", "-xc", "-"], input=f"#include <{header}>\n", text=True, capture_output=True)
    return check.returncode == 0


def run(rounds: int = 21) -> dict[str, Any]:
    """Rows of nanoseconds a message for each contender, size and batch, and what was not installed."""
    flags, libraries, missing = [], [], {}
    for name, (header, flag, library, package) in OPTIONAL.items():
        if _has_header(header):
            flags.append(flag)
            libraries.append(library)
        else:
            missing[name] = f"not installed (Debian: {package})"
    core = sorted(map(str, (ROOT / "csrc").glob("*.c")))
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peers"
        source = ROOT / "bench" / "kernel" / "peers.c"
        subprocess.run(
            ["cc", "-std=gnu11", "-O2", *flags, "-o", program, source, *core, *libraries, "-ldl"], check=True
        )
        output = subprocess.run(
            [program, sodium.library_path(), str(rounds)], check=True, capture_output=True, text=True
        )
    rows = json.loads(output.stdout)
    if not any(row["name"].startswith("AEGIS") for row in rows):
        missing["AEGIS"] = "not installed (libsodium 1.0.19 or later)"
    for row in rows:
        row["median_ns"] = statistics.median(row["ns"])
    return {"rows": rows, "missing": missing}


def ratio(rows: list[dict[str, Any]], over: str, under: str, place: tuple[str, int, int]) -> float:
    """How many times as fast `over` is as `under`: the median of the ratios within each round."""
    by_place = {(row["name"], row["operation"], row["size"], row["batch"]): row["ns"] for row in rows}
    pairs = zip(by_place[(over, *place)], by_place[(under, *place)], strict=True)
    return float(statistics.median(theirs / ours for ours, theirs in pairs))


def table(results: dict[str, Any], operation: str = "seal") -> str:
    """Markdown: ns a message, and how many times libsodium's speed, as medians of ratios within each round."""
    rows = [row for row in results["rows"] if row["operation"] == operation]
    places = list(dict.fromkeys((row["size"], row["batch"]) for row in rows))
    lines = [
        f"| {operation}, ns a message (× libsodium) | "
        + " | ".join(f"{_size(s)} × {batch}" for s, batch in places)
        + " |",
        "|---|" + "---|" * len(places),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        cells = []
        for size, batch in places:
            mine = next(row for row in rows if (row["name"], row["size"], row["batch"]) == (name, size, batch))
            times = ratio(rows, name, "libsodium", (operation, size, batch))
            cells.append(f"{mine['median_ns']:,.0f} ({times:.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, why in results["missing"].items():
        lines.append(f"| {name} | {why} |" + " |" * (len(places) - 1))
    return "\n".join(lines)


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB" if size >= 1024 else f"{size} B"


if __name__ == "__main__":
    found = run()
    print("\n\n".join(table(found, operation) for operation in OPERATIONS))
