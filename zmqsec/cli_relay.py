"""``zmqsec relay`` (floor 13): runs a relay in the foreground until it is told to stop, and asks a running one."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_admin import connect, print_whole, reaches_relay
from .cli_identity import JSON
from .cli_top import legs_table, summary
from .errors import ZmqsecError

if TYPE_CHECKING:
    from .relay.config import RelayConfig
    from .relay.service import Service

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_log = logging.getLogger("zmqsec.relay")


class _RunByDefault(click.Group):
    """``relay CONFIG`` is ``relay run CONFIG``."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["run", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault, subcommand_metavar="CONFIG | COMMAND [ARGS]...")
def relay() -> None:
    """Run a relay (`relay CONFIG`), or ask a running one over its control socket."""


@relay.command()
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read and check CONFIG, and do nothing else.")
def run(config: Path, check: bool) -> None:
    """Forward sealed messages as CONFIG says, without the means to read them.

    SIGHUP reads CONFIG anew without losing a message, SIGTERM and SIGINT forward what has come and end. Under systemd
    it tells when it is ready.
    """
    try:
        from .relay.config import RelayConfig
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing; pip install 'zmqsec[relay]'") from error
    loaded = RelayConfig.load(config)
    if check:
        click.echo(f"{config}: {len(loaded.legs)} legs, nothing wrong")
        return
    from .log import set_up

    handler = set_up(loaded.log)
    try:
        _run(loaded)
    finally:
        logging.getLogger("zmqsec").removeHandler(handler)


@relay.command()
@JSON
@reaches_relay
def reload(as_json: bool, **how: Any) -> None:
    """Have a running relay read its configuration anew, without losing a message."""
    with connect(**how) as admin:
        found = admin.ask("reload")
    click.echo(json.dumps(found, indent=2) if as_json else f"{found['name']}: {len(found['legs'])} legs")


@relay.command()
@JSON
@reaches_relay
def status(as_json: bool, **how: Any) -> None:
    """Show the legs of a running relay, and what it has counted since it began."""
    with connect(**how) as admin:
        found = admin.ask("status")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(summary(found))
    print_whole(legs_table(found))


def _run(config: RelayConfig) -> None:
    from .notify import notify, watchdog_seconds
    from .relay.service import Service

    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # of the threads to come too: they are all taken here
    service = Service(config)
    try:
        service.start()
        found = service.snapshot()
        for name, leg in found["legs"].items():
            _log.info("leg %s: %s", name, ", ".join(f"{side} {' '.join(at)}" for side, at in leg["endpoints"].items()))
        for what in ("control", "metrics"):
            if endpoint := found[what].get("endpoint"):
                _log.info("%s: %s", what, endpoint)
        notify("READY=1")
        _serve(service, watchdog_seconds(), notify)
        notify("STOPPING=1")
        _log.info("draining")
    finally:
        service.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if service.failure is not None:
        raise click.ClickException(f"the relay has failed: {service.failure}")
    _log.info("stopped")


def _serve(service: Service, watchdog: float | None, notify: Callable[..., bool]) -> None:
    """Until a signal says to end, or the loop has failed."""
    patience = min(1.0, watchdog or 1.0)
    while service.alive:
        got = signal.sigtimedwait(_SIGNALS, patience)
        if watchdog is not None:
            service.ask(lambda: None)  # only a loop that turns is alive
            notify("WATCHDOG=1")
        if got is None:
            continue
        if got.si_signo != signal.SIGHUP:
            return
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            service.reload()
        except ZmqsecError as error:
            _log.error("the configuration stays as it was: %s", error)
        notify("READY=1")
