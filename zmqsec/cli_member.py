"""``zmqsec member`` (floor 13): identities in a realm, by an admin's word; and how a new machine becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import sodium
from .cli_identity import FILE, FORCE, JSON, load_public, refuse_existing, show
from .cli_realm import ROLES, connect, need_keyserver, reaches_server, show_rows, told
from .identity import Identity, PublicIdentity


@click.group()
def member() -> None:
    """Members of a realm: register them, or let them in by a token, and revoke them."""


@member.command()
@click.argument("public", type=FILE)
@click.option("--name", help="What it is called in the realm.  [default: as its file says]")
@click.option("--admin", is_flag=True, help="It may administer the realm.")
@JSON
@reaches_server
def register(public: Path, name: str | None, admin: bool, as_json: bool, **how: Any) -> None:
    """Register the identity whose public half is in the file PUBLIC."""
    identity, _ = load_public(public)
    with connect(**how) as ask:
        found = ask("member.register", public=identity.key.hex(), name=name or identity.name, admin=admin)
    told(found, f"{found['name']} is a member: {found['fingerprint']}", as_json)


@member.command("list")
@JSON
@reaches_server
def list_members(as_json: bool, **how: Any) -> None:
    """List all members, revoked ones too."""
    with connect(**how) as ask:
        rows = ask.pages("member.list")  # type: ignore[attr-defined]
    show_rows(rows, [(one, one) for one in ("name", "admin", "registered", "revoked", "fingerprint")], as_json)


@member.command()
@click.argument("member_name", metavar="WHO")
@JSON
@reaches_server
def revoke(member_name: str, as_json: bool, **how: Any) -> None:
    """Revoke WHO, by name or fingerprint: all of its groups get new keys at once, and it does not come back."""
    with connect(**how) as ask:
        found = ask("member.revoke", member=member_name)
    told(found, f"{found['name']} is revoked; new keys for {', '.join(found['groups']) or 'no group'}", as_json)


@member.command()
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="Let it into this group; may be said more than once.")
@click.option("--role", "roles", type=ROLES, multiple=True, help="Its roles in these groups.")
@click.option("--publish", multiple=True, help="Topics it may publish.  [default: all]")
@click.option("--read", multiple=True, help="Topics it may read.  [default: all]")
@click.option("--admin", is_flag=True, help="It may administer the realm.")
@click.option("--seconds", type=int, default=900, show_default=True, help="How long the token is good.")
@JSON
@reaches_server
def token(
    name: str, groups: tuple[str, ...], roles: tuple[str, ...], publish: tuple[str, ...], read: tuple[str, ...],
    admin: bool, seconds: int, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Make a token by which one new machine becomes the member NAME, once.

    On that machine: zmqsec member enrol TOKEN tcp://HOST:PORT. Bring the token there on a way that nobody else reads.
    """
    if groups and not roles:
        raise click.UsageError("--group needs --role: what it may do there")
    topics = {key: list(given) for key, given in (("publish", publish), ("read", read)) if given}
    with connect(**how) as ask:
        found = ask(
            "member.token", name=name, groups=list(groups), roles=list(roles), admin=admin, seconds=seconds, **topics
        )
    told(found, found["token"], as_json)


@member.command()
@click.argument("token")
@click.argument("endpoint")
@click.option("-o", "--output", type=FILE, help="Where the identity goes.  [default: member-….toml]")
@click.option("--timeout", type=float, default=10, show_default=True, help="Seconds to wait for an answer.")
@FORCE
@JSON
def enrol(token: str, endpoint: str, output: Path | None, timeout: float, force: bool, as_json: bool) -> None:
    """Become a member of a realm with a TOKEN of its admin, at its key server's ENDPOINT.

    Makes an identity, registers it, and writes it with mode 0600 beside the server's public key, server.pub.toml.
    """
    need_keyserver()
    from .keyserver import client, enrolment
    from .keyserver.link import Link

    _, key = enrolment.read_token(token)
    server = PublicIdentity(key, "key server")
    seed = sodium.random_bytes(32)
    path = output or Path(f"member-{str(Identity.from_seed(seed))[3:11]}.toml")
    refuse_existing(path, force)
    Identity.from_seed(seed).save(path, overwrite=force)  # it is there before the token is used up
    opened = client.dealer(Identity.from_seed(seed), server)
    link = Link(lambda context: opened(context, endpoint), server.key)
    try:
        found = link.ask("enrol", timeout, token=token)
    except BaseException:
        path.unlink()
        raise
    finally:
        link.close()
    Identity.from_seed(seed, found["name"]).save(path, overwrite=True)
    pinned = path.parent / "server.pub.toml"
    if force or not pinned.exists():
        server.save(pinned, overwrite=True)
    rows = [("name", found["name"]), ("fingerprint", found["fingerprint"]), ("identity", path), ("server", pinned)]
    show(rows, {**found, "identity": str(path), "server": str(pinned)}, as_json)
