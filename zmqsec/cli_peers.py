"""``zmqsec peers`` (floor 13): who talks to a running relay, and who may not."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich import box
from rich.table import Table
from rich.text import Text

from .cli_admin import Duration, ago, connect, finite, print_whole, reaches_relay
from .cli_identity import JSON, moment, printable
from .errors import IdentityError, KeyFileError, SocketError
from .identity import fingerprint_text
from .relay.admins import named
from .relay.events import in_words

F = TypeVar("F", bound=Callable[..., Any])
_KINDS = ("identity", "routing-id", "address", "network")
_STYLES = {"blocked": "red", "throttled": "yellow", "warned": "yellow", "allowed": "green"}
_WATCH_SECONDS = 0.5


def who_is(who: str, kind: str | None) -> tuple[str, str]:
    """Kind and value of what an operator calls a peer, as a relay takes them."""
    kind = kind or _guess(who)
    if kind == "identity":
        try:
            return kind, fingerprint_text(named(who, Path.cwd())[0])
        except (KeyFileError, IdentityError) as error:
            raise click.BadParameter(str(error), param_hint="WHO") from None
    if kind == "routing-id":
        return kind, who[2:].lower() if who.startswith("0x") else who.encode().hex()
    return kind, who


def _guess(who: str) -> str:
    if who.startswith("zs1") or who.endswith(".toml") or len(who) == 64:
        return "identity"
    for kind, parse in (("address", ipaddress.ip_address), ("network", ipaddress.ip_network)):
        try:
            parse(who)
        except ValueError:
            continue
        return kind
    raise click.BadParameter(
        f"{who!r} is no IP address, no network in CIDR form and no identity; for a routing id pass --as routing-id",
        param_hint="WHO",
    )


def _about(command: F) -> F:
    kind = click.option("--as", "kind", type=click.Choice(_KINDS), help="What WHO is.  [default: as it looks]")
    return click.argument("who")(kind(command))


def called(kind: str, value: str) -> str:
    """A peer for people."""
    if kind != "routing-id":
        return printable(value)
    digits, at, address = value.partition("@")
    try:
        text = bytes.fromhex(digits).decode()
    except ValueError:
        text = ""
    name = f"0x{digits}" + (f" {text!r}" if text.isprintable() and text else "")
    return f"{name} at {printable(address)}" if at else name


def state_of(peer: dict[str, Any]) -> Text:
    """What is done with a peer, and by whose word."""
    rule = peer["rule"]
    state = {"block": "blocked", "allow": "allowed"}[rule["decision"]] if rule else peer["verdict"]
    by = " by operator" if rule and rule["origin"] == "operator" else ""
    return Text(state + by, style=_STYLES.get(state, ""))


def peers_table(peers: Iterable[dict[str, Any]], now: float) -> Table:
    """Peers, the worst first."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), title="Peers", title_justify="left")
    table.add_column("peer", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for title in ("score", "forwarded"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("refused", no_wrap=True)
    table.add_column("seen", no_wrap=True)
    for peer in peers:
        refused = ", ".join(f"{reason} {count:,}" for reason, count in sorted(peer["refused"].items()))
        table.add_row(
            Text(called(peer["kind"], peer["value"])),
            state_of(peer),
            f"{peer['score']:,.0f}",
            f"{peer['forwarded']:,}",
            Text(refused),
            ago(now - peer["last_seen"]),
        )
    return table


def rules_table(rules: Iterable[dict[str, Any]]) -> Table:
    """What was decided."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), title="Rules", title_justify="left")
    for title in ("who", "decision", "until", "by", "reason"):
        table.add_column(title, no_wrap=True)
    for rule in rules:
        table.add_row(
            Text(f"{rule['kind']} {called(rule['kind'], rule['value'])}"),
            Text(rule["decision"], style="red" if rule["decision"] == "block" else "green"),
            "ever" if rule["until"] is None else moment(int(rule["until"])),
            Text(printable(rule["author"])),
            Text(printable(rule["note"])),
        )
    return table


@click.group()
def peers() -> None:
    """Who talks to a running relay: list and show them, block and unblock them, watch what happens.

    WHO is an IP address, a network (192.0.2.0/24), an identity (zs1…, its public key or its .toml file), or with
    --as routing-id a routing id, as text or 0x and hexadecimal digits. What an operator says overrules what the relay
    finds, and what names a peer closely overrules what names it widely: identity, routing id, address, network.
    """


@peers.command("list")
@click.option("-n", "--most", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many of each.")
@JSON
@reaches_relay
def list_peers(most: int, as_json: bool, **how: Any) -> None:
    """List the peers with the highest scores, and the newest rules."""
    with connect(**how) as admin:
        found = admin.ask("list", most=most)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for rows, table, known in (
        (found["peers"], peers_table(found["peers"], time.time()), found["known"]),
        (found["rules"], rules_table(found["rules"]), found["rules_known"]),
    ):
        if rows:
            print_whole(table)
        if len(rows) < known:
            click.echo(f"and {known - len(rows):,} more")
    if not found["known"] and not found["rules_known"]:
        click.echo("no peers seen, no rules")


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if found["peers"]:
        print_whole(peers_table(found["peers"], time.time()))
    if found["rules"]:
        print_whole(rules_table(found["rules"]))
    if not found["peers"] and not found["rules"]:
        click.echo(f"{found['kind']} {called(found['kind'], found['value'])}: never seen, no rules")


@peers.command()
@_about
@JSON
@reaches_relay
def show(who: str, kind: str | None, as_json: bool, **how: Any) -> None:
    """Show what is known and decided about WHO."""
    meant = who_is(who, kind)
    with connect(**how) as admin:
        _tell(admin.ask("show", kind=meant[0], value=meant[1]), as_json)


@peers.command()
@_about
@click.option("--for", "duration", type=Duration(), help="90s, 15m, 1h, 7d, 2w or ever.  [default: ever]")
@click.option("--reason", default="", help="Stands beside the rule, and in the log.")
@JSON
@reaches_relay
def block(who: str, kind: str | None, duration: float | None, reason: str, as_json: bool, **how: Any) -> None:
    """Turn WHO away: new connections are denied, and what comes over those that there are is dropped."""
    meant = who_is(who, kind)
    with connect(**how) as admin:
        found = admin.ask("block", kind=meant[0], value=meant[1], seconds=finite(duration), note=reason)
    _tell(found, as_json)


@peers.command()
@_about
@click.option(
    "--for", "duration", type=Duration(), help="Let WHO pass besides, whatever the relay finds, for so long or ever."
)
@click.option("--reason", default="", help="Stands beside the rule, and in the log.")
@JSON
@reaches_relay
def unblock(who: str, kind: str | None, duration: float | None, reason: str, as_json: bool, **how: Any) -> None:
    """Strike out the rules about WHO, an operator's and the relay's own, and begin its score anew.

    A wider rule stays; with --for WHO passes all the same.
    """
    meant = who_is(who, kind)
    allow = int(duration is not None)
    with connect(**how) as admin:
        found = admin.ask("unblock", kind=meant[0], value=meant[1], seconds=finite(duration), allow=allow, note=reason)
    if not as_json:
        count = found["lines"]
        click.echo(f"{count} rule{'' if count == 1 else 's'} struck out")
    _tell(found, as_json)


@peers.command()
@click.option(
    "--last", type=click.IntRange(0, 1000), default=0, show_default=True, help="Begin with so many past ones."
)
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@reaches_relay
def watch(last: int, count: int | None, as_json: bool, **how: Any) -> None:
    """Print what happens to peers, as it happens: warned, throttled, blocked, unblocked, and by whom."""
    left = count
    with connect(**how) as admin:
        number = max(0, admin.ask("events", after=0, most=0)["last"] - last)
        life = admin.life
        while left is None or left > 0:
            try:
                found = admin.ask("events", after=number)
            except SocketError as error:
                click.echo(f"zmqsec: {error}", err=True)
                admin.reconnect()
                continue
            if admin.life != life:
                life, number = admin.life, 0
                continue
            if found["forgotten"] and number:
                click.echo(f"zmqsec: {found['forgotten']} events are forgotten", err=True)
            events = found["events"][:left]
            for event in events:
                click.echo(json.dumps(event) if as_json else f"{moment(int(event['at']))} {printable(in_words(event))}")
            if events:
                number = events[-1]["number"]
                left = None if left is None else left - len(events)
            else:
                time.sleep(_WATCH_SECONDS)
