"""``zmqsec identity`` (floor 12): make, show and export identities; what `zmqsec authority` shares with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .errors import KeyFileError
from .identity import Identity, PublicIdentity, is_sealed
from .keyfile import check_keys, hex_bytes, parse_toml, read_any, read_private
from .limits import PUBLIC_KEY_BYTES

_WIDEST = 100_000

FILE: Any = click.Path(dir_okay=False, path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
FORCE = click.option("--force", is_flag=True, help="Replace an existing file.")
PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    type=FILE,
    help="Its first line is the passphrase.  [default: $ZMQSEC_PASSPHRASE, else it is asked for]",
)


def printable(value: object) -> str:
    """A text for a terminal: what could move its cursor is escaped."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def moment(seconds: int) -> str:
    """A time for people; what is beyond a calendar stays a number."""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s after 1970"


def show(rows: Iterable[tuple[str, Any]], found: dict[str, Any], as_json: bool) -> None:
    """One thing and its properties, as a table or as JSON."""
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    texts = [(label, Text(printable(value))) for label, value in rows]
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    for label, text in texts:
        table.add_row(label, text)
    console.width = max(console.width, console.measure(table, options=console.options.update(width=_WIDEST)).maximum)
    console.print(table)  # keys are for copying: no line is folded


def refuse_existing(path: Path, force: bool) -> None:
    """A mistake is told before any work is done."""
    if not force and os.path.lexists(path):
        raise KeyFileError(f"{path} exists already; pass --force to replace it")


def passphrase_of(file: Path | None, why: str, *, new: bool = False) -> str:
    """The passphrase from a file, from the environment, or from the one who sits at the terminal."""
    if file is not None:
        try:
            with open(file, encoding="utf-8") as lines:
                return lines.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"cannot read a passphrase from {file}: {error}") from error
    if given := os.environ.get("ZMQSEC_PASSPHRASE"):
        return given
    if not sys.stdin.isatty():
        raise KeyFileError(f"{why}; pass --passphrase-file, set ZMQSEC_PASSPHRASE, or run this at a terminal")
    return str(click.prompt(why, hide_input=True, confirmation_prompt=new, err=True))


def load_identity(path: Path, passphrase_file: Path | None) -> Identity:
    """An identity to sign with; a passphrase is asked for only where the file has one."""
    sealed = is_sealed(parse_toml(path, read_any(path)))
    return Identity.load(path, passphrase_of(passphrase_file, f"passphrase of {path}") if sealed else None)


def load_public(path: Path) -> tuple[PublicIdentity, str]:
    """The public half in any file that has one, with the file's kind; a seed is not looked at."""
    table = parse_toml(path, read_any(path))
    kind = table.get("kind")
    if kind in ("public", "authority"):
        return PublicIdentity.load(path, kind=kind), kind
    if kind != "identity":
        raise KeyFileError(f"{path} is of kind {kind!r}; 'identity', 'public' or 'authority' is wanted here")
    table = parse_toml(path, read_private(path))  # now that it is known to hold a secret
    check_keys(path, {key: table[key] for key in ("public", "name") if key in table}, {"public", "name"})
    return PublicIdentity(hex_bytes(path, table, "public", PUBLIC_KEY_BYTES), table["name"]), kind


def describe(public: PublicIdentity) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """What there is to say of a public key: rows of a table, and JSON."""
    found = {"name": public.name, "fingerprint": str(public), "public": public.key.hex()}
    return [("name", public.name), ("fingerprint", str(public)), ("public key", public.key.hex())], found


@click.group()
def identity() -> None:
    """Key pairs that sign: make one, show it, and export its public half.

    The public half goes to those who are to trust it: into their keyring's directory, or to an authority that issues a
    credential for it.
    """


@identity.command()
@click.argument("path", required=False, type=FILE)
@click.option("--name", help="What it is called.  [default: PATH's name]")
@click.option("-p", "--passphrase", is_flag=True, help="Encrypt the file under a passphrase.")
@PASSPHRASE_FILE
@FORCE
@JSON
def new(
    path: Path | None, name: str | None, passphrase: bool, passphrase_file: Path | None, force: bool, as_json: bool
) -> None:
    """Make an identity and write it to PATH (by default NAME.toml) with mode 0600.

    Whoever holds the file can sign as this identity: it stays on the machine that signs.
    """
    path = path or Path(f"{name or 'identity'}.toml")
    refuse_existing(path, force)
    secret = None
    if passphrase or passphrase_file is not None:
        secret = passphrase_of(passphrase_file, f"new passphrase of {path}", new=True)
    made = Identity.generate(name if name is not None else path.stem)
    made.save(path, secret, overwrite=force)
    rows, found = describe(made.public)
    how = "mode 0600" if secret is None else "mode 0600, under a passphrase"
    show([*rows, ("file", f"{path} ({how})")], {**found, "file": str(path), "passphrase": secret is not None}, as_json)


@identity.command("show")
@click.argument("path", type=FILE)
@JSON
def show_identity(path: Path, as_json: bool) -> None:
    """Show who stands in a file: an identity, a public identity or an authority. No passphrase is needed."""
    public, kind = load_public(path)
    rows, found = describe(public)
    sealed = kind == "identity" and is_sealed(parse_toml(path, read_any(path)))
    what = {"identity": "identity", "public": "public identity", "authority": "trusted authority"}[kind]
    what += ", under a passphrase" if sealed else ""
    show([("kind", what), *rows], {"kind": kind, **found, "passphrase": sealed}, as_json)


@identity.command()
@click.argument("path", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write to this file, mode 0644.  [default: standard output]")
@click.option("--authority", is_flag=True, help="For those who are to trust the credentials that it issues.")
@FORCE
def export(path: Path, output: Path | None, authority: bool, force: bool) -> None:
    """Write the public half of an identity, for others to trust. No passphrase is needed.

    \b
      zmqsec identity export alice.toml -o alice.pub.toml
      zmqsec identity export ops.toml --authority -o ops.authority.toml
    """
    public, _ = load_public(path)
    if output is None:
        click.echo(public.to_toml("authority" if authority else "public"), nl=False)
        return
    refuse_existing(output, force)
    public.save(output, kind="authority" if authority else "public", overwrite=force)
