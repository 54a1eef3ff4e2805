"""Turns measurements into ``latest.json``, tables for people, and the picture of the README."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

import zmq

import zmqsec

from . import kernels, multicast
from .contenders import CONTENDERS
from .pushpull import ratios

RESULTS = Path(__file__).parent / "results"
_BEGIN, _END = "<!-- benchmark -->", "<!-- /benchmark -->"
_SIZE_NAMES = {64: "64 B", 1024: "1 KiB", 65536: "64 KiB"}
_COLOURS = {
    "c-plain": "#9a9a9a",
    "c-curve": "#e8a0aa",
    "plain": "#444444",
    "curve": "#d1495b",
    "pysodium": "#c9a227",
    "reference": "#8d6cab",
    "single": "#66a182",
    "batch": "#2e86ab",
    "bundle": "#0b3954",
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        model = found.group(1) if found else model
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        flags = ""
    vectors = "AVX-512 IFMA" if "avx512ifma" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return {
        "processor": f"{model} ({vectors})",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "pyzmq": zmq.__version__,
        "libzmq": zmq.zmq_version(),
        "zmqsec": zmqsec.__version__,
        "kernels": getattr(zmqsec._backend.implementation, "kernels", lambda: "libsodium")(),
    }


def table(pushpull: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of median rates, and of ratios to the plaintext loop."""
    places = list(pushpull)
    lines = [
        "| k messages/s, median (× the plaintext loop) | " + " | ".join(map(_place_name, places)) + " |",
        "|---|" + "---|" * len(places),
    ]
    for contender in CONTENDERS:
        cells = []
        for place in places:
            results = pushpull[place]
            rate = results[contender.name]["median"] / 1000
            cells.append(f"{rate:,.0f} ({ratios(results, contender.name, 'plain'):.2f})")
        lines.append(f"| {contender.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _place_name(place: str) -> str:
    transport, size = place.split("/")
    return f"{transport} {_SIZE_NAMES[int(size)]}"


def text(results: dict[str, Any]) -> str:
    """Every table there is."""
    tables = [table(results["pushpull"])]
    if "kernels" in results:
        tables += [kernels.table(results["kernels"], operation) for operation in kernels.OPERATIONS]
    if "multicast" in results:
        tables.append(multicast.table(results["multicast"]))
    return "\n\n".join(tables)


def into_readme(results: dict[str, Any]) -> Path:
    """Put the machine, the picture and the tables between the README's two marks."""
    about = results["machine"]
    block = (
        f"{_BEGIN}\n\nMeasured on {about['processor']}, {about['cores']} cores, with pyzmq {about['pyzmq']}, libzmq "
        f"{about['libzmq']} and Python {about['python']}; medians of rounds in which\nevery contender has its turn.\n\n"
        "![Throughput of every contender against message size](bench/results/throughput.svg)\n\n"
        f"{text(results)}\n\n{_END}"
    )
    path = RESULTS.parent.parent / "README.md"
    before, rest = path.read_text().split(_BEGIN)
    path.write_text(before + block + rest.split(_END)[1])
    return path


def save(results: dict[str, Any]) -> Path:
    """Write ``latest.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def draw(results: dict[str, Any]) -> Path:
    """Throughput of every contender against message size, the plaintext loop as a line; one panel a transport."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "zmqsec"
    pushpull = results["pushpull"]
    transports = sorted({place.split("/")[0] for place in pushpull}, reverse=True)
    figure, panels = plt.subplots(1, len(transports), figsize=(11, 4.6), sharey=True, squeeze=False)
    for panel, transport in zip(panels[0], transports, strict=True):
        _draw_panel(panel, transport, pushpull)
    panels[0][0].set_ylabel("messages a second (log)")
    panels[0][-1].legend(loc="upper right", fontsize=8, frameon=False)
    about = results["machine"]
    figure.suptitle("PUSH to PULL between two processes, XChaCha20-Poly1305: medians, with quartiles", fontsize=11)
    figure.text(
        0.5,
        0.005,
        f"{about['processor']}, {about['cores']} cores; pyzmq {about['pyzmq']}, "
        f"libzmq {about['libzmq']}, Python {about['python']}",
        ha="center",
        fontsize=7.5,
        color="#555555",
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.97))
    path = RESULTS / "throughput.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _draw_panel(panel: Any, transport: str, pushpull: dict[str, Any]) -> None:
    places = sorted((int(place.split("/")[1]), place) for place in pushpull if place.startswith(f"{transport}/"))
    groups = range(len(places))
    width = 0.8 / len(CONTENDERS)
    for index, contender in enumerate(CONTENDERS):
        rows = [pushpull[place][contender.name] for _, place in places]
        medians = [row["median"] for row in rows]
        spread = [[row["median"] - row["low"] for row in rows], [row["high"] - row["median"] for row in rows]]
        at = [group - 0.4 + width * (index + 0.5) for group in groups]
        panel.bar(
            at,
            medians,
            width * 0.92,
            yerr=spread,
            color=_COLOURS[contender.name],
            label=contender.title,
            error_kw={"elinewidth": 0.8, "ecolor": "#222222"},
        )
    for group, (_, place) in enumerate(places):
        line = pushpull[place]["plain"]["median"]
        panel.plot([group - 0.42, group + 0.42], [line, line], color="#444444", linestyle="--", linewidth=1)
    panel.set_yscale("log")
    panel.set_xticks(list(groups), [_SIZE_NAMES[size] for size, _ in places])
    panel.set_title(transport)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", alpha=0.25, linewidth=0.5)
