"""How commands reach a key server (floor 13), and how they show what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich import box
from rich.table import Table
from rich.text import Text

from .cli_admin import print_whole
from .cli_identity import FILE, PASSPHRASE_FILE, load_identity, load_public, moment, printable
from .identity import PublicIdentity

if TYPE_CHECKING:
    from .keyserver.link import Link

F = TypeVar("F", bound=Callable[..., Any])

ROLES = click.Choice(("send", "receive", "relay"))
#: The policy's options, as flags: name, type, what it is.
_POLICY: tuple[tuple[str, Any, str], ...] = (
    ("suite", str, "Cipher, as `zmqsec keygen` names it."),
    ("lifetime", int, "Seconds that a key is used."),
    ("overlap", int, "Seconds that the key before is opened beside the new one."),
    ("spread", int, "Seconds between the word of a new key and its use."),
    ("urgent-overlap", int, "Overlap when a member was put out."),
    ("urgent-spread", int, "Spread when a member was put out."),
    ("reject-after", int, "Seconds after which a key ends without the server's word."),
    ("skew", int, "Seconds by which clocks may differ."),
    ("attestation", click.Choice(("none", "required")), "Whether every message is signed."),
    ("hops-min", int, "Hops that must have signed a message."),
    ("hops-max", int, "Hops that may have signed a message."),
)


def reaches_server(command: F) -> F:
    """The options that say which key server, and as whom."""
    for option in (
        click.option(
            "--identity", "who", type=FILE, envvar="ZMQSEC_IDENTITY", show_envvar=True, required=True,
            help="Whose request it is: the file of an identity.",
        ),
        click.option(
            "--server-key", "pinned", envvar="ZMQSEC_SERVER_KEY", show_envvar=True, required=True,
            help="The server's public key: its file, or 64 hexadecimal digits.",
        ),
        click.option(
            "--server", "endpoint", envvar="ZMQSEC_SERVER", show_envvar=True, required=True,
            help="The server's address, as tcp://HOST:PORT.",
        ),
        click.option("--timeout", type=float, default=10, show_default=True, help="Seconds to wait for an answer."),
        PASSPHRASE_FILE,
    ):  # fmt: skip
        command = option(command)
    return command


def policy_options(command: F) -> F:
    """A group's policy; what is not said stays as it is."""
    for name, kind, what in reversed(_POLICY):
        command = click.option(f"--{name}", type=kind, help=what)(command)
    for name, what in (
        ("queued", "Messages wait in queues for receivers that are not there yet."),
        ("admit", "Senders show relays that they are members."),
        ("allow-clear", "Messages may be readable on the way."),
    ):
        command = click.option(f"--{name}/--no-{name}", default=None, help=what)(command)
    return command


def policy_said(options: dict[str, Any]) -> dict[str, Any]:
    """Takes the policy out of a command's options."""
    names = [name.replace("-", "_") for name, _, _ in _POLICY] + ["queued", "admit", "allow_clear"]
    taken = {name: options.pop(name) for name in names}
    return {name: value for name, value in taken.items() if value is not None}


def pinned_key(text: str) -> PublicIdentity:
    """A public key from its file or from its digits."""
    if len(text) == 64 and not Path(text).exists():
        try:
            return PublicIdentity(bytes.fromhex(text))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--server-key") from None
    return load_public(Path(text))[0]


def need_keyserver() -> None:
    """A mistake in the installation is told in one line."""
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing; pip install 'zmqsec[keyserver]'") from error


@contextmanager
def connect(
    endpoint: str, pinned: str, who: Path, timeout: float, passphrase_file: Path | None = None
) -> Iterator[Callable[..., dict[str, Any]]]:
    """A way to ask the server, which closes with the block; ``ask.pages`` gives all rows of a list."""
    need_keyserver()
    from .keyserver import client
    from .keyserver.link import Link

    identity, server = load_identity(who, passphrase_file), pinned_key(pinned)
    opened = client.dealer(identity, server)
    link = Link(lambda context: opened(context, endpoint), server.key)
    try:
        yield _Asking(link, timeout)
    finally:
        link.close()


class _Asking:
    def __init__(self, link: Link, timeout: float) -> None:
        self._link, self._timeout = link, timeout

    def __call__(self, op: str, **args: Any) -> dict[str, Any]:
        return self._link.ask(op, self._timeout, **args)

    def pages(self, op: str, **args: Any) -> list[dict[str, Any]]:
        return self._link.pages(op, **args)


def show_rows(rows: list[dict[str, Any]], columns: Iterable[tuple[str, str]], as_json: bool) -> None:
    """A list as JSON, or as a table with these columns: title and key."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title, _ in columns:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell(key, row[key])) for _, key in columns))
    print_whole(table)


def cell(key: str, value: Any) -> str:
    """A value for people."""
    if key in ("created", "registered", "revoked", "rekey_at", "time"):
        return "" if value is None else moment(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    return printable(", ".join(map(str, value)) if isinstance(value, list) else value)


def told(found: dict[str, Any], text: str, as_json: bool) -> None:
    """What came of a change, as JSON or in words."""
    click.echo(json.dumps(found, indent=2) if as_json else text)
