"""The command line, ``zmqsec`` (floor 13). Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import zmq
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from . import __version__, backend, pipe, suite_names
from .association import Association
from .cli_authority import authority
from .cli_identity import identity
from .cli_peers import peers
from .cli_relay import relay
from .cli_top import top
from .context import Context
from .errors import KeyFileError, StreamError, ZmqsecError
from .inspect import InspectError, count_of, hex_view, inspect_part, legend, read_capture, tree
from .limits import MAX_MESSAGE_BYTES
from .socket import Socket
from .stream import Incoming, Outgoing

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

#: Raised by click 8.2 and later for a command without arguments: its help is the message.
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
_SCHEMES = ("tcp://", "ipc://")
_SCALES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Endpoint(_ParamType):
    """An address that another process can reach."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.startswith(_SCHEMES) or text in _SCHEMES:
            self.fail(f"{text!r} is no endpoint; tcp://HOST:PORT and ipc://PATH are allowed", param, ctx)
        if text.startswith("tcp://"):
            _, colon, port = text.removeprefix("tcp://").rpartition(":")
            if port != "*" and not (port.isascii() and port.isdigit() and colon and int(port) <= 65535):
                fault = f"has the port {port!r}" if colon else "has no port"
                self.fail(f"{text!r} {fault}; tcp://HOST:PORT with a port of 0 to 65535 is allowed", param, ctx)
        return text


class Size(_ParamType):
    """A number of bytes, with k, M or G for powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().lower().removesuffix("ib").removesuffix("b")
        number, scale = (text[:-1], text[-1]) if text[-1:] in _SCALES and text else (text, "")
        if not (number.isascii() and number.isdigit()) or int(number) == 0:
            self.fail(f"{value!r} is no size; a whole number above 0 is allowed, or one with k, M or G", param, ctx)
        return int(number) * _SCALES[scale]


class Seconds(_ParamType):
    """A time; 0 is for ever."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        with contextlib.suppress(ValueError):
            if 0 <= (seconds := float(value)) <= 1e9:
                return seconds
        self.fail(f"{value!r} is no time; a number of seconds is allowed, 0 for no limit", param, ctx)


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
cli.add_command(relay)
cli.add_command(peers)
cli.add_command(top)


# -- keygen ------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="Name of the association.  [default: PATH's name]")
@click.option(
    "--suite", type=click.Choice(suite_names()), default="xchacha20poly1305", show_default=True, help="Cipher."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def keygen(path: Path | None, name: str | None, suite: str, force: bool) -> None:
    """Make an association: a new secret, its name, SPI and suite.

    It is written to PATH (by default NAME.toml, or zmqsec.toml) with mode 0600. Whoever holds the file can seal and
    open: bring it to the other end on a way that you trust.
    """
    path = path or Path(f"{name or 'zmqsec'}.toml")
    if not force and os.path.lexists(path):
        raise KeyFileError(f"{path} exists already; pass --force to replace it, and with it the secret that it holds")
    association = Association.generate(name or path.stem or "default", suite=suite)
    association.save(path, overwrite=force)
    for label, value in (
        ("name", association.name),
        ("SPI", f"{association.spi:08x}"),
        ("suite", association.suite_name),
        ("file", f"{path} (mode 0600)"),
    ):
        click.echo(f"{label:<6}{value}")


# -- send, recv --------------------------------------------------------------------------------------------------------

_KEY = click.option(
    "-k",
    "--key",
    "key",
    required=True,
    envvar="ZMQSEC_KEY",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The association's file, as `zmqsec keygen` makes it.",
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")


def _say(text: str) -> None:
    click.echo(f"zmqsec: {text}", err=True)


def _bytes(count: float) -> str:
    """A number of bytes for people."""
    if count < 1000:
        return count_of(round(count))
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"


@contextlib.contextmanager
def _socket(kind: int, key: Path, endpoint: str, bind: bool, quiet: bool) -> Iterator[tuple[Socket, pipe.Contact]]:
    association = Association.load(key)
    context = Context()
    socket: Socket = context.socket(kind, association=association)
    contact = pipe.Contact(socket)
    try:
        pipe.prepare(socket)
        try:
            if bind:
                socket.bind(endpoint)
            else:
                socket.connect(endpoint)
        except zmq.ZMQError as error:
            why = error.strerror.partition(" (addr=")[0]
            raise StreamError(f"cannot {'bind' if bind else 'connect to'} {endpoint}: {why}") from None
        if bind and not quiet:
            _say(f"listening at {socket.getsockopt_string(zmq.LAST_ENDPOINT)}")
        yield socket, contact
    finally:
        contact.close()
        socket.close()
        context.term()


@contextlib.contextmanager
def _progress(title: str, size: int | None, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, else nothing."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=size)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _summary(verb: str, name: str, length: int, digest: str, seconds: float) -> str:
    name = name if name.isprintable() else ascii(name)
    rate = f"{_bytes(length)} in {seconds:.1f} s ({_bytes(length / max(seconds, 1e-3))}/s)"
    return f"{verb} {name or 'a stream'}: {rate}\nzmqsec: BLAKE2b-256 {digest}, the same at both ends"


@cli.command()
@click.argument("endpoint", type=Endpoint())
@click.argument("file", required=False, default="-", type=click.Path(dir_okay=False, allow_dash=True))
@_KEY
@click.option("--bind/--connect", "bind", default=False, help="Wait for the receiver, or go to it.  [default: connect]")
@click.option("--name", help="What the receiver is told that the stream is called.  [default: FILE's name]")
@click.option(
    "--timeout",
    type=Seconds(),
    default=30,
    show_default=True,
    help="Give up after so many seconds without progress; 0: never.",
)
@_QUIET
def send(endpoint: str, file: str, key: Path, bind: bool, name: str | None, timeout: float, quiet: bool) -> None:
    """Send FILE, or standard input, sealed to a `zmqsec recv`.

    Ends with success only after the receiver has confirmed length and digest of all that was sent.

    \b
      tar c photos | zmqsec send tcp://backup:5555 -k home.toml
    """
    with pipe.source(file) as (source, size), _socket(zmq.DEALER, key, endpoint, bind, quiet) as (socket, contact):
        title = name if name is not None else "" if file == "-" else os.path.basename(file)
        outgoing = Outgoing(title, size)
        began = time.monotonic()
        with _progress(title or "standard input", size, quiet) as progress:
            sender = pipe.Sender(socket, outgoing, contact, timeout=timeout, progress=lambda done: progress(done, size))
            sender.run(source.read)
        if not quiet:
            _say(_summary("sent", title, outgoing.length, outgoing.digest, time.monotonic() - began))


@cli.command()
@click.argument("endpoint", type=Endpoint())
@_KEY
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file.  [default: standard output]",
)
@click.option("--bind/--connect", "bind", default=True, help="Wait for the sender, or go to it.  [default: bind]")
@click.option(
    "--timeout",
    type=Seconds(),
    help="Give up after so many seconds without progress; 0: never.  [default: never before a stream begins, then 30]",
)
@_QUIET
def recv(endpoint: str, key: Path, output: Path | None, bind: bool, timeout: float | None, quiet: bool) -> None:
    """Receive one stream from a `zmqsec send`.

    With -o the stream goes to OUTPUT.part, and gets its name when length and digest are verified; a stream that is
    cut or altered leaves no file. On standard output bytes appear as they come, and the exit code tells whether they
    were all.

    \b
      zmqsec recv tcp://*:5555 -k home.toml | tar x
    """
    with _socket(zmq.ROUTER, key, endpoint, bind, quiet) as (socket, _), pipe.Sink(output) as sink:
        incoming = Incoming(sink.write)
        with _progress(str(output or "receiving"), None, quiet) as bar:
            receiver = pipe.Receiver(
                socket,
                incoming,
                timeout=pipe.DEFAULT_TIMEOUT if timeout is None else timeout,
                first_timeout=timeout,
                progress=lambda done: bar(done, incoming.size),
            )
            receiver.run(sink.finish)
        if not quiet:
            _say(_summary("received", incoming.name, incoming.length, incoming.digest, receiver.seconds))
            if why := pipe.refusals(socket):
                _say(f"besides, {why}")


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the findings and nothing else.")
def demo(file: Path | None, size: int, watch: float, timeout: float, as_json: bool) -> None:
    """Show all of it at work on this machine, and check it.

    Streams FILE (by default the sources of Python's standard library) from a sealed publisher through a plain ZeroMQ
    relay to three subscribers in processes of their own: one from the start, one that joins late, and one that has a
    wrong key. Ends with 1 if anything was lost, altered or readable where it should not be.
    """
    from .demo import run

    if not run(file, size=size, watch=watch, timeout=timeout, as_json=as_json):
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
        _say("interrupted")
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again while it ends
    except (ZmqsecError, zmq.ZMQError, OSError) as error:
        _say(str(error))
    sys.exit(code)
