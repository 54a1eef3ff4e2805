"""What the demonstration shows: a live table on a terminal, lines elsewhere, and the findings at the end (floor 13)."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .demo_capture import Seen
from .demo_stage import Part
from .inspect import hex_view, inspect_part, legend

_ORDER = ("key server", "publisher", "relay", "subscriber", "late joiner", "evicted", "wrong key")
_REFRESH = 10
#: In plain words.
_SIGHT = {
    "key server": "who belongs to the group, and its keys; not one message, since none passed through it",
    "publisher": "what it sent; the group's keys, but not who reads",
    "relay": "topics, lengths, times and numbers of keys and sessions; nothing of the file",
    "subscriber": "the whole file, through every change of the key",
    "late joiner": "the file from where it joined; what was sent before is not sent again",
    "evicted": "the file until it was put out, and with the keys that it kept nothing of what came after",
    "wrong key": "what the relay saw, and nothing more",
}


@dataclass(slots=True)
class Findings:
    """What came of the demonstration."""

    title: str
    size: int
    chunks: int
    digest: str
    full_speed_bytes: int
    full_speed_seconds: float
    parts: dict[str, dict[str, Any]]
    seen: Seen
    checks: list[tuple[str, bool, str]] = field(default_factory=list)

    def check(self, name: str, held: bool, text: str) -> None:
        """Note whether something held."""
        self.checks.append((name, bool(held), text))

    @property
    def held(self) -> bool:
        """Did everything hold?"""
        return bool(self.checks) and all(held for _, held, _ in self.checks)

    @property
    def throughput(self) -> float:
        """Bytes in a second from the publisher to the first subscriber, in the half at full speed."""
        return self.full_speed_bytes / self.full_speed_seconds

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        sample = None
        if self.seen.sample is not None:
            topic, sealed = self.seen.sample
            sample = {"topic": topic.decode("utf-8", "replace"), "sealed_part": inspect_part(sealed).as_json()}
        return {
            "held": self.held,
            "checks": [{"name": name, "held": held, "text": text} for name, held, text in self.checks],
            "source": self.title,
            "bytes": self.size,
            "chunks": self.chunks,
            "blake2b_256": self.digest,
            "throughput_bytes_per_second": round(self.throughput),
            "parts": self.parts,
            "relay": {
                "messages": self.seen.messages,
                "bytes": self.seen.size,
                "topics": sorted(topic.decode("utf-8", "replace") for topic in self.seen.topics),
                "unsealed_messages": self.seen.unsealed,
                "readable_messages": self.seen.readable,
                "blocks_searched_for": self.seen.blocks,
                "sample": sample,
            },
        }


def mebibytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / (1 << 20):,.1f} MiB" if count >= 1 << 20 else f"{count / 1024:,.1f} KiB"


def table(parts: dict[str, Part], *, final: bool = False) -> Table:
    """Counts, rates and refusals as of now; at the end the highest rates."""
    out = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("process", "messages", "bytes", "peak rate" if final else "rate"):
        out.add_column(column, justify="left" if column == "process" else "right", no_wrap=True)
    out.add_column("refused")
    for name in _ORDER:
        if (part := parts.get(name)) is None:
            continue
        refused = ", ".join(f"{count:,} {reason}" for reason, count in part.refused.items())
        told = "progress" in part.told
        streams = told and name != "key server"
        rate = part.peak if final else part.rate
        out.add_row(
            Text(name, "bold"),
            f"{part.get('messages'):,}" if told else "-",
            mebibytes(part.get("bytes")) if streams else "-",
            f"{mebibytes(rate)}/s" if streams else "-",
            Text(refused, "red" if name in ("evicted", "wrong key") else "yellow"),
        )
    return out


class View:
    """Shows the course: live on a terminal, as lines elsewhere, not at all for JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True, quiet=as_json)
        self._live: Live | None = None
        self._began = time.monotonic()
        self._last: dict[str, Part] = {}
        self._shown = 0.0

    def __enter__(self) -> View:
        if self.console.is_terminal and not self._as_json:
            self._live = Live(console=self.console, refresh_per_second=_REFRESH, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._live is not None:
            self._live.update(table(self._last, final=True), refresh=True)
            self._live.stop()
        elif self._last and kind is None:
            self.console.print(table(self._last, final=True))

    def say(self, text: str) -> None:
        """A step of the course."""
        line = Text.assemble((f"{time.monotonic() - self._began:5.1f} s  ", "dim"), text)
        (self._live.console if self._live else self.console).print(line)

    def update(self, parts: dict[str, Part]) -> None:
        """Show the table anew, where it is live."""
        self._last = parts
        if self._live is not None and time.monotonic() - self._shown >= 1 / _REFRESH:
            self._shown = time.monotonic()
            self._live.update(table(parts), refresh=True)

    def report(self, findings: Findings) -> None:
        """The end: what the relay saw, what held, digest and throughput."""
        if self._as_json:
            print(json.dumps(findings.as_json(), indent=2))
            return
        self.console.print()
        if findings.seen.sample is not None:
            topic, sealed = findings.seen.sample
            seen = inspect_part(sealed)
            picture = Group(hex_view(seen, topic=topic, width=self.console.width), Text(), legend())
            self.console.print(Text(f"What the relay sees of one message, {len(sealed):,} bytes", "bold"))
            self.console.print(picture)
            self.console.print()
        for _, held, text in findings.checks:
            mark = Text("ok    ", "bold green") if held else Text("FAILED", "bold red")
            self.console.print(Text.assemble(mark, f"  {text}"))
        self.console.print()
        self.console.print(Text("What each of them could and could not see", "bold"))
        for name, text in _SIGHT.items():
            if name in findings.parts:
                self.console.print(Text.assemble((f"{name:12}", "bold"), text))
        self.console.print()
        self.console.print(Text.assemble(("BLAKE2b-256  ", "dim"), findings.digest))
        rate = f"{mebibytes(findings.throughput)}/s sealed, through the relay, to all subscribers at once"
        self.console.print(Text.assemble(("throughput   ", "dim"), rate))
        lost = sum(not held for _, held, _ in findings.checks)
        verdict = ("Nothing was lost, altered or readable.", "bold green")
        self.console.print(Text(*(verdict if findings.held else (f"{lost} of these did not hold.", "bold red"))))
