"""``zmqsec top`` (floor 13): a running relay at a glance: legs, rates, refusals, and the peers to look at."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .cli_admin import connect, print_whole, reaches_relay
from .cli_identity import printable
from .cli_peers import peers_table
from .errors import SocketError
from .relay.admin import Admin

_WAYS = {"out": "→", "back": "←"}
_COUNTED = ("received", "forwarded", "forwarded_bytes", "lost")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def summary(found: dict[str, Any]) -> Text:
    """A relay in two lines."""
    memory, connections = found["memory"], found["connections"]
    up = timedelta(seconds=int(time.time() - found["began"]))
    states = ", ".join(f"{count:,} {state}" for state, count in found["states"].items() if count) or "none"
    rules = sum(count for origins in found["rules"].values() for count in origins.values())
    limit = f" of {size(memory['limit'])}" if memory["limit"] else ""
    lines = (
        f"relay {found['name']}, up {up}, memory {size(memory['bytes'])}{limit}, {memory['cuts']} cuts, "
        f"{found['reloads']['done']} reloads",
        f"peers: {states} · rules: {rules:,} · "
        f"connections: {connections['allowed']:,} taken, {connections['denied']:,} denied",
    )
    return Text("\n".join(printable(line) for line in lines))


def _rate(now: dict[str, Any], before: dict[str, Any] | None, name: str, seconds: float) -> float:
    """What a lane counts in a second; one that was laid anew counts from 0 on."""
    if before is None or seconds <= 0 or now[name] < before[name]:
        return 0.0
    return float(now[name] - before[name]) / seconds


def legs_table(found: dict[str, Any], before: dict[str, Any] | None = None, seconds: float = 0.0) -> Table:
    """Legs and lanes: with a status from `seconds` before, rates besides."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), title="Legs", title_justify="left")
    for title in ("leg", "pattern", ""):
        table.add_column(title, no_wrap=True)
    rates = ("messages/s", "bytes/s") if before is not None else ()
    for title in (*rates, "received", "forwarded", "bytes", "lost", "refused"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("for", no_wrap=True)
    for name, leg in found["legs"].items():
        for way, lane in leg["lanes"].items():
            refused = lane["refused"]
            cells = [f"{lane['received']:,}", f"{lane['forwarded']:,}", size(lane["forwarded_bytes"])]
            cells += [f"{lane['lost']:,}", f"{sum(refused.values()):,}"]
            if before is not None:
                past = before["legs"].get(name, {}).get("lanes", {}).get(way)
                cells = [
                    f"{_rate(lane, past, 'forwarded', seconds):,.0f}",
                    size(_rate(lane, past, "forwarded_bytes", seconds)),
                    *cells,
                ]
            first = (name, leg["pattern"]) if way == "out" else ("", "")
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(refused.items()))
            table.add_row(*first, _WAYS[way], *cells, reasons)
    return table


def picture(found: dict[str, Any], before: dict[str, Any] | None, seconds: float) -> list[RenderableType]:
    """All of it, from top to bottom."""
    parts: list[RenderableType] = [summary(found), legs_table(found, before, seconds)]
    if found["worst"]:
        parts.append(peers_table(found["worst"], time.time()))
    return parts


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option(
    "--interval", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("-n", "--most", type=click.IntRange(0, 1000), default=10, show_default=True, help="How many peers.")
@reaches_relay
def top(once: bool, interval: float, most: int, **how: Any) -> None:
    """Watch a running relay: legs, rates, refusals, and the peers with the highest scores. Ctrl-C ends it."""
    with connect(**how) as admin:
        before, at = admin.ask("status"), time.monotonic()
        if once:
            time.sleep(interval)
            found = admin.ask("status", worst=most)
            for part in picture(found, before, time.monotonic() - at):
                print_whole(part) if isinstance(part, Table) else click.echo(part)
            return
        _live(admin, before, at, interval, most)


def _live(admin: Admin, before: dict[str, Any], at: float, interval: float, most: int) -> None:
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            try:
                found, now = admin.ask("status", worst=most), time.monotonic()
            except SocketError as error:
                live.update(Text(str(error), style="red"), refresh=True)
                admin.reconnect()
                continue
            if found["began"] != before["began"]:
                before = found  # started anew: nothing to compare with
            live.update(Group(*picture(found, before, now - at)), refresh=True)
            before, at = found, now
