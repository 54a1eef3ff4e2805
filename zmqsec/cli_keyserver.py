"""``zmqsec keyserver`` (floor 13): make a realm, serve it, keep it safe, and look at what was done."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_identity import FILE, JSON, load_public, moment, printable, show
from .cli_realm import connect, need_keyserver, reaches_server
from .errors import KeyFileError

if TYPE_CHECKING:
    from .keyserver.config import Config
    from .keyserver.server import Service

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_log = logging.getLogger("zmqsec.keyserver")


class _ServeByDefault(click.Group):
    """``keyserver CONFIG`` is ``keyserver serve CONFIG``."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["serve", *args])


@click.group(cls=_ServeByDefault, subcommand_metavar="CONFIG | COMMAND [ARGS]...")
def keyserver() -> None:
    """Serve the keys of a realm (`keyserver CONFIG`), make one, back it up, and read its audit log."""


@keyserver.command()
@click.argument("config", type=FILE)
@click.option("--admin", type=FILE, required=True, help="The first admin: the file of an identity, or its public half.")
@click.option("--database", default="sqlite:///realm.db", show_default=True, help="URL of the database.")
@JSON
def init(config: Path, admin: Path, database: str, as_json: bool) -> None:
    """Make a realm: its database, its root key, its identity, and CONFIG if there is none.

    The server's public key is written beside CONFIG, server.pub.toml: members pin it. Whoever has the root key and the
    database has every key of the realm; keep a copy of the root key where no backup of the database is.
    """
    need_keyserver()
    from .keyserver.config import Config, sample
    from .keyserver.realm import Realm
    from .keyserver.rootkey import RootKey

    first, _ = load_public(admin)
    if not os.path.lexists(config):
        config.write_text(sample(database))
    loaded = Config.load(config)
    if loaded.root_key is not None and not loaded.root_key.exists():
        RootKey.create(loaded.root_key)
    realm = Realm.create(loaded.open_store(), loaded.read_root_key(), first, int(time.time()))
    realm.close()
    pinned = config.parent / "server.pub.toml"
    realm.identity.public.save(pinned, overwrite=True)
    found = {"realm": realm.id.hex(), "server": str(realm.identity), "public": realm.identity.key.hex()}
    rows = [*found.items(), ("configuration", config), ("public key", pinned), ("admin", str(first))]
    show(rows, {**found, "configuration": str(config), "admin": str(first)}, as_json)


@keyserver.command()
@click.argument("config", type=FILE)
@click.option("--check", is_flag=True, help="Read and check CONFIG, and do nothing else.")
def serve(config: Path, check: bool) -> None:
    """Serve the realm of CONFIG until SIGTERM or SIGINT. Under systemd it tells when it is ready."""
    need_keyserver()
    from .keyserver.config import Config
    from .log import set_up

    loaded = Config.load(config)
    if check:
        click.echo(f"{config}: nothing wrong")
        return
    handler = set_up(loaded.log)
    try:
        _serve(loaded)
    finally:
        logging.getLogger("zmqsec").removeHandler(handler)


def _serve(config: Config) -> None:
    from .exporter import Exporter
    from .keyserver.metrics import KeyServerCollector
    from .keyserver.server import Service
    from .notify import notify, watchdog_seconds

    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # of the threads to come too: they are all taken here
    service, exporter = Service(config), None
    try:
        service.start()
        if config.metrics is not None:
            exporter = Exporter(config.metrics, KeyServerCollector(service.snapshot))
            exporter.start()
            _log.info("metrics: %s", exporter.endpoint)
        _log.info("realm %s at %s, as %s", service.realm.id.hex(), service.endpoint, service.realm.identity)
        notify("READY=1")
        _wait(service, watchdog_seconds())
        notify("STOPPING=1")
    finally:
        if exporter is not None:
            exporter.stop()
        service.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if service.failure is not None:
        raise click.ClickException(f"the key server has failed: {service.failure}")
    _log.info("stopped")


def _wait(service: Service, watchdog: float | None) -> None:
    """Until a signal says to end, or the service has failed."""
    from .notify import notify

    turns = service.turns
    while service.alive:
        got = signal.sigtimedwait(_SIGNALS, min(1.0, watchdog or 1.0))
        if got is not None:
            return
        if watchdog is not None and service.turns != turns:  # only a loop that turns is alive
            turns = service.turns
            notify("WATCHDOG=1")


@keyserver.command()
@click.argument("config", type=FILE)
@click.argument("target", type=FILE)
def backup(config: Path, target: Path) -> None:
    """Write the realm of CONFIG to the file TARGET, while it is served. Secrets in it are sealed by the root key."""
    need_keyserver()
    from .keyserver.backup import save
    from .keyserver.config import Config
    from .keyserver.realm import Realm

    loaded = Config.load(config)
    root = loaded.read_root_key()
    realm = Realm(loaded.open_store(), root)
    try:
        count = save(realm, root, target, int(time.time()))
    finally:
        realm.close()
    click.echo(f"{target}: {count} rows; it is of use only with the root key, which is not in it")


@keyserver.command()
@click.argument("config", type=FILE)
@click.argument("source", type=FILE)
def restore(config: Path, source: Path) -> None:
    """Fill the empty database of CONFIG from the backup SOURCE, and give all groups new keys.

    Who was revoked after the backup was made is a member again: revoke them again.
    """
    need_keyserver()
    from .keyserver.backup import restore as fill
    from .keyserver.config import Config

    loaded = Config.load(config)
    if not source.exists():
        raise KeyFileError(f"{source} is not there")
    realm = fill(loaded.open_store(), loaded.read_root_key(), source, int(time.time()))
    number = realm.revision()
    realm.close()
    click.echo(f"restored, {number} changes; revoke again who was revoked after the backup was made")


@keyserver.command()
@click.argument("config", type=FILE)
@click.option("--from", "first", type=click.IntRange(1), default=1, help="Begin with this entry.")
@JSON
def audit(config: Path, first: int, as_json: bool) -> None:
    """Verify the audit log of CONFIG's realm, all of it, and print it.

    Ends with 1 where an entry was changed, is missing, or the root key does not vouch for the end.
    """
    need_keyserver()
    from .keyserver import audit as log
    from .keyserver.config import Config
    from .keyserver.realm import Realm

    loaded = Config.load(config)
    realm = Realm(loaded.open_store(), loaded.read_root_key())
    try:
        number, last = realm.verify()
        with realm.view(int(time.time())) as view:
            _print_audit((one.as_json() for one in log.entries(view.connection, first)), as_json)
    finally:
        realm.close()
    if not as_json:
        click.echo(f"{number} entries, unbroken; the last hash is {last.hex()}")


@keyserver.command("log")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="Begin with this entry.")
@JSON
@reaches_server
def remote_log(first: int, as_json: bool, **how: Any) -> None:
    """Print the audit log of a running server, as an admin. `audit` verifies it where the root key is."""
    rows: list[dict[str, Any]] = []
    with connect(**how) as ask:
        more = True
        while more:
            found = ask("audit", **{"from": rows[-1]["number"] + 1 if rows else first})
            rows += found["rows"]
            more = found["more"]
    _print_audit(rows, as_json)


def _print_audit(rows: Iterable[dict[str, Any]], as_json: bool) -> None:
    for row in rows:
        if as_json:
            click.echo(json.dumps(row))
            continue
        detail = " ".join(f"{key}={printable(json.dumps(value))}" for key, value in row["detail"].items())
        click.echo(f"{row['number']:>6}  {moment(row['time'])}  {row['actor'][:12]:<12}  {row['operation']}  {detail}")
