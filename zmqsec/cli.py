"""The command line, ``zmqsec`` (floor 13). Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import zmq
from rich.console import Console

from . import __version__, backend, pipe, suite_names
from .association import Association
from .cli_admission import admission
from .cli_authority import authority
from .cli_group import group
from .cli_identity import identity
from .cli_keyserver import keyserver
from .cli_member import member
from .cli_peers import peers
from .cli_pipe import Seconds, recv, say, send
from .cli_relay import relay
from .cli_top import top
from .errors import KeyFileError, ZmqsecError
from .inspect import InspectError, hex_view, inspect_part, legend, read_capture, tree
from .limits import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

#: Raised by click 8.2 and later for a command without arguments: its help is the message.
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
_SCHEMES = ("tcp://", "ipc://")
_SCALES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Size(_ParamType):
    """A number of bytes, with k, M or G for powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().lower().removesuffix("ib").removesuffix("b")
        number, scale = (text[:-1], text[-1]) if text[-1:] in _SCALES and text else (text, "")
        if not (number.isascii() and number.isdigit()) or int(number) == 0:
            self.fail(f"{value!r} is no size; a whole number above 0 is allowed, or one with k, M or G", param, ctx)
        return int(number) * _SCALES[scale]


class Commands(click.Group):
    """The commands, which an unknown one is told."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {', '.join(self.list_commands(ctx))} are allowed")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message=f"zmqsec %(version)s (backend {backend}, libzmq {zmq.zmq_version()})")
def cli() -> None:
    """Message-based security for ZeroMQ: sealed by the sender, opened only by the endpoints.

    Make a key with `keygen` and bring it to the other machine, pipe files and streams with `send` and `recv`, see with
    `inspect` what a relay sees of a message, and with `demo` all of it at work. `identity` and `authority` make keys
    that sign, and say what they may do.
    """


cli.add_command(identity)
cli.add_command(authority)
cli.add_command(admission)
cli.add_command(relay)
cli.add_command(send)
cli.add_command(recv)
cli.add_command(peers)
cli.add_command(top)
cli.add_command(keyserver)
cli.add_command(group)
cli.add_command(member)


# -- keygen ------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="Name of the association.  [default: PATH's name]")
@click.option(
    "--suite", type=click.Choice(suite_names()), default="xchacha20poly1305", show_default=True, help="Cipher."
)
@click.option("--signed", is_flag=True, help="Take nothing that no trusted identity has signed.")
@click.option("--admit", is_flag=True, help="Have senders show relays that they are members; see `zmqsec admission`.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def keygen(path: Path | None, name: str | None, suite: str, signed: bool, admit: bool, force: bool) -> None:
    """Make an association: a new secret, its name, SPI and suite.

    It is written to PATH (by default NAME.toml, or zmqsec.toml) with mode 0600. Whoever holds the file can seal and
    open: bring it to the other end on a way that you trust.
    """
    path = path or Path(f"{name or 'zmqsec'}.toml")
    if not force and os.path.lexists(path):
        raise KeyFileError(f"{path} exists already; pass --force to replace it, and with it the secret that it holds")
    attestation = "required" if signed else "none"
    name = name or path.stem or "default"
    association = Association.generate(name, suite=suite, admit=admit, attestation=attestation)
    association.save(path, overwrite=force)
    for label, value in (
        ("name", association.name),
        ("SPI", f"{association.spi:08x}"),
        ("suite", association.suite_name),
        ("file", f"{path} (mode 0600)"),
    ):
        click.echo(f"{label:<6}{value}")


# -- inspect, demo -----------------------------------------------------------------------------------------------------


@cli.command(short_help="Show what a relay sees of a captured message.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the picture.")
@click.option(
    "--rows", type=click.IntRange(1), default=4, show_default=True, help="Rows of each field in the hex view."
)
def inspect(file: str, as_json: bool, rows: int) -> None:
    """Show what a relay sees of a captured sealed part: the clear header as a tree, and the bytes.

    FILE holds one sealed part, as it was or in hexadecimal; - is standard input. No key is needed, none is asked for.
    """
    try:
        with pipe.source(file) as (source, _):
            raw = bytearray()
            while len(raw) <= 4 * MAX_MESSAGE_BYTES and (data := source.read(1 << 20)):
                raw += data
        seen = inspect_part(read_capture(bytes(raw)))
    except InspectError as error:
        raise InspectError(error.reason, f"{file}: {error.detail}") from None
    if as_json:
        click.echo(json.dumps(seen.as_json(), indent=2))
        return
    console = Console(highlight=False)
    console.print(tree(seen))
    console.print()
    console.print(hex_view(seen, rows=rows, width=console.width), soft_wrap=True)
    console.print()
    console.print(legend(), soft_wrap=True)


@cli.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--size", type=Size(), default="32M", show_default=True, help="Stream at most so much of FILE.")
@click.option(
    "--watch",
    type=Seconds(),
    default=2,
    show_default=True,
    help="Seconds for the first half; the second goes at full speed.",
)
@click.option(
    "--timeout", type=Seconds(), default=60, show_default=True, help="Give up after so many seconds; 0: never."
)
@click.option("--shared-key", is_flag=True, help="With a key from a file, and neither a key server nor an eviction.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the findings and nothing else.")
def demo(file: Path | None, size: int, watch: float, timeout: float, shared_key: bool, as_json: bool) -> None:
    """Show all of it at work on this machine, and check it.

    Streams FILE (by default the sources of Python's standard library) from a sealed publisher through a plain ZeroMQ
    relay to subscribers in processes of their own: one from the start, one that joins late, one that is put out in the
    middle, and one that has a wrong key. A key server gives the members their keys, and new ones in mid-stream. Ends
    with 1 if anything was lost, altered or readable where it should not be.
    """
    from .demo import run

    if not run(file, size=size, watch=watch, timeout=timeout, as_json=as_json, shared_key=shared_key):
        sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; what a user can get wrong is told in one line."""
    logging.getLogger("zmqsec").addHandler(logging.NullHandler())  # refusals are told in words of its own
    code = 1
    try:
        result = cli.main(arguments, prog_name="zmqsec", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        code = end.exit_code
    except _NO_ARGUMENTS as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "zmqsec"
        click.echo(f"{command}: {' '.join(error.format_message().split())}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again while it ends
    except (ZmqsecError, zmq.ZMQError, OSError) as error:
        say(str(error))
    sys.exit(code)
