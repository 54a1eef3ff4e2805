"""``zmqsec admission`` (floor 12): takes from an association the key by which relays know its members."""

from __future__ import annotations

from pathlib import Path

import click

from .association import Association
from .cli_identity import FILE, FORCE


@click.command()
@click.argument("association", type=FILE)
@click.argument("out", type=FILE, required=False)
@FORCE
def admission(association: Path, out: Path | None, force: bool) -> None:
    """Write the admission key of ASSOCIATION to OUT, for relays.

    By default that is NAME.admission.toml beside it. A relay that has it tells members' messages from strangers',
    and can read none. Senders show that they are members where ASSOCIATION says `admit = true`.
    """
    loaded = Association.load(association)
    out = out or association.with_name(f"{loaded.name}.admission.toml")
    loaded.admission().save(out, overwrite=force)
    click.echo(f"name  {loaded.name}\nSPI   {loaded.spi:08x}\nfile  {out} (mode 0600)")
    if not loaded.admit:
        click.echo(f"{association} says admit = false: its senders do not show yet that they are members", err=True)
