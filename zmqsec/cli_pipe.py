"""``zmqsec send`` and ``zmqsec recv`` (floor 13): one stream of bytes, sealed, signed where identities are given."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import zmq
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from . import pipe
from .association import Association
from .cli_identity import FILE, PASSPHRASE_FILE, load_identity, printable
from .context import Context
from .credential import Credential
from .errors import StreamError
from .identity import Identity
from .inspect import count_of
from .keydir import read_directory
from .keyring import Keyring
from .signer import Signer
from .socket import Socket
from .stream import Incoming, Outgoing

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

_SCHEMES = ("tcp://", "ipc://")


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


class Seconds(_ParamType):
    """A time; 0 is for ever."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        with contextlib.suppress(ValueError):
            if 0 <= (seconds := float(value)) <= 1e9:
                return seconds
        self.fail(f"{value!r} is no time; a number of seconds is allowed, 0 for no limit", param, ctx)


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
_IDENTITY = click.option("-i", "--identity", "identity_file", type=FILE, help="Sign what is sent as this identity.")
_CREDENTIAL = click.option("--credential", "credential_file", type=FILE, help="Show this, an authority's word for it.")
_TRUST = click.option(
    "-t",
    "--trust",
    "trust",
    type=click.Path(file_okay=False, path_type=Path),
    help="A keyring's directory: take nothing that is not signed by an identity it trusts.",
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")


def say(text: str) -> None:
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


@dataclass(frozen=True, slots=True)
class _Who:
    """Who a side is, and whom it takes: what the options of both commands say."""

    identity_file: Path | None
    credential_file: Path | None
    passphrase_file: Path | None
    trust: Path | None

    def keyring(self, key: Path) -> tuple[Keyring, Identity | None]:
        """With the one association of the file `key`, and the identity, if there is one."""
        association, known = Association.load(key), None
        if self.trust is not None:
            known = read_directory(self.trust, trust_only=True).trust
            association = replace(association, secret=association.secret, attestation="required")
        elif association.attestation == "required":
            raise click.UsageError(f"{key} demands signed messages; say with --trust DIR whose are taken")
        if self.credential_file is not None and self.identity_file is None:
            raise click.UsageError("--credential is shown by an identity; give it with --identity")
        me = None if self.identity_file is None else load_identity(self.identity_file, self.passphrase_file)
        made = Keyring([association], identities=[] if me is None else [me], trust=known)
        if self.credential_file is not None:
            made.add_credential(Credential.load(self.credential_file))
        return made, me


def _who(command: Callable[..., None]) -> Callable[..., None]:
    """The options that a `_Who` holds."""

    @functools.wraps(command)
    def run(
        *,
        identity_file: Path | None,
        credential_file: Path | None,
        passphrase_file: Path | None,
        trust: Path | None,
        **others: Any,
    ) -> None:
        command(who=_Who(identity_file, credential_file, passphrase_file, trust), **others)

    return _IDENTITY(_CREDENTIAL(PASSPHRASE_FILE(_TRUST(run))))


@contextlib.contextmanager
def _socket(
    kind: int, key: Path, who: _Who, endpoint: str, bind: bool, quiet: bool
) -> Iterator[tuple[Socket, pipe.Contact]]:
    keyring, me = who.keyring(key)
    context = Context(keyring=keyring)
    (association,) = keyring
    socket: Socket = context.socket(kind, association=association.name, identity=me)
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
            say(f"listening at {socket.getsockopt_string(zmq.LAST_ENDPOINT)}")
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


def _summary(verb: str, name: str, length: int, digest: str, seconds: float, by: Signer | None) -> str:
    name = printable(name)
    rate = f"{_bytes(length)} in {seconds:.1f} s ({_bytes(length / max(seconds, 1e-3))}/s)"
    whom = ""
    if by is not None and by.trusted:
        whom = f" {'to' if verb == 'sent' else 'from'} {printable(by.name) or 'an identity'} ({by.identity})"
    return f"{verb} {name or 'a stream'}{whom}: {rate}\nzmqsec: BLAKE2b-256 {digest}, the same at both ends"


@click.command()
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
@_who
@_QUIET
def send(
    endpoint: str, file: str, key: Path, who: _Who, bind: bool, name: str | None, timeout: float, quiet: bool
) -> None:
    """Send FILE, or standard input, sealed to a `zmqsec recv`.

    Ends with success only after the receiver has confirmed length and digest of all that was sent. With --trust it is
    one of the identities trusted there that must have confirmed it.

    \b
      tar c photos | zmqsec send tcp://backup:5555 -k home.toml
    """
    with pipe.source(file) as (source, size), _socket(zmq.DEALER, key, who, endpoint, bind, quiet) as (socket, contact):
        title = name if name is not None else "" if file == "-" else os.path.basename(file)
        outgoing = Outgoing(title, size)
        began = time.monotonic()
        with _progress(title or "standard input", size, quiet) as progress:
            sender = pipe.Sender(socket, outgoing, contact, timeout=timeout, progress=lambda done: progress(done, size))
            sender.run(source.read)
        if not quiet:
            say(_summary("sent", title, outgoing.length, outgoing.digest, time.monotonic() - began, sender.peer))


@click.command()
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
@_who
@_QUIET
def recv(
    endpoint: str, key: Path, who: _Who, output: Path | None, bind: bool, timeout: float | None, quiet: bool
) -> None:
    """Receive one stream from a `zmqsec send`.

    With -o the stream goes to OUTPUT.part, and gets its name when length and digest are verified; a stream that is
    cut or altered leaves no file. On standard output bytes appear as they come, and the exit code tells whether they
    were all. With --trust only a stream is taken that one identity has signed which is trusted there to send.

    \b
      zmqsec recv tcp://*:5555 -k home.toml | tar x
    """
    with _socket(zmq.ROUTER, key, who, endpoint, bind, quiet) as (socket, _), pipe.Sink(output) as sink:
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
            say(_summary("received", incoming.name, incoming.length, incoming.digest, receiver.seconds, receiver.peer))
            if why := pipe.refusals(socket):
                say(f"besides, {why}")
