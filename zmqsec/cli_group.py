"""``zmqsec group`` (floor 13): groups of a realm, their members and their keys, by an admin's word."""

from __future__ import annotations

from typing import Any

import click

from .cli_identity import JSON, show
from .cli_realm import ROLES, cell, connect, policy_options, policy_said, reaches_server, show_rows, told


@click.group()
def group() -> None:
    """Groups that share keys: make one, say who is in it, and change its key."""


@group.command()
@click.argument("name")
@policy_options
@JSON
@reaches_server
def create(name: str, as_json: bool, **options: Any) -> None:
    """Make the group NAME, without members, and its first key."""
    said = policy_said(options)
    with connect(**options) as ask:
        _show(ask("group.create", group=name, policy=said), as_json)


@group.command("list")
@JSON
@reaches_server
def list_groups(as_json: bool, **how: Any) -> None:
    """List all groups."""
    with connect(**how) as ask:
        rows = ask.pages("group.list")  # type: ignore[attr-defined]
    show_rows(rows, (("group", "name"), ("epoch", "epoch"), ("next key", "rekey_at"), ("made", "created")), as_json)


@group.command("show")
@click.argument("name")
@JSON
@reaches_server
def show_group(name: str, as_json: bool, **how: Any) -> None:
    """Show the group NAME with its policy."""
    with connect(**how) as ask:
        _show(ask("group.show", group=name), as_json)


@group.command()
@click.argument("name")
@JSON
@reaches_server
def members(name: str, as_json: bool, **how: Any) -> None:
    """List who is in the group NAME, what each may do there, and the newest epoch that it has fetched."""
    with connect(**how) as ask:
        rows = ask.pages("group.members", group=name)  # type: ignore[attr-defined]
    columns = [(one, one) for one in ("name", "roles", "publish", "read", "held", "fingerprint")]
    show_rows(rows, columns, as_json)


@group.command()
@click.argument("name")
@click.argument("member")
@click.option("--role", "roles", type=ROLES, multiple=True, required=True, help="May be said more than once.")
@click.option("--publish", multiple=True, help="Topics it may publish, as weather.* or *.  [default: all]")
@click.option("--read", multiple=True, help="Topics it may read.  [default: all]")
@JSON
@reaches_server
def add(
    name: str, member: str, roles: tuple[str, ...], publish: tuple[str, ...], read: tuple[str, ...], as_json: bool,
    **how: Any,
) -> None:  # fmt: skip
    """Let MEMBER, by name or fingerprint, into the group NAME, or change what it may do there."""
    topics = {key: list(given) for key, given in (("publish", publish), ("read", read)) if given}
    with connect(**how) as ask:
        found = ask("group.add", group=name, member=member, roles=list(roles), **topics)
    told(found, f"{member} is in {name}: {', '.join(found['roles'])}", as_json)


@group.command()
@click.argument("name")
@click.argument("member")
@JSON
@reaches_server
def remove(name: str, member: str, as_json: bool, **how: Any) -> None:
    """Put MEMBER out of the group NAME, which gets a new key at once."""
    with connect(**how) as ask:
        found = ask("group.remove", group=name, member=member)
    said = (
        f"{member} is out of {name}, epoch {found['epoch']} begins" if found["removed"] else f"{member} was not in it"
    )
    told(found, said, as_json)


@group.command()
@click.argument("name")
@click.option("--urgent", is_flag=True, help="With the short times, as when a member is put out.")
@JSON
@reaches_server
def rekey(name: str, urgent: bool, as_json: bool, **how: Any) -> None:
    """Change the key of the group NAME now."""
    with connect(**how) as ask:
        found = ask("group.rekey", group=name, urgent=urgent)
    told(found, f"{name}: epoch {found['epoch']} begins", as_json)


@group.command()
@click.argument("name")
@policy_options
@JSON
@reaches_server
def policy(name: str, as_json: bool, **options: Any) -> None:
    """Change the policy of the group NAME; what is not said stays. With it comes a new key."""
    said = policy_said(options)
    with connect(**options) as ask:
        _show(ask("group.policy", group=name, policy=said), as_json)


def _show(found: dict[str, Any], as_json: bool) -> None:
    rows = [(key.replace("_", " "), cell(key, found[key])) for key in ("name", "epoch", "rekey_at", "created")]
    rows += [(key.replace("_", " "), cell(key, value) or "no") for key, value in found["policy"].items()]
    show(rows, found, as_json)
