"""``zmqsec relay`` (floor 12): runs a relay in the foreground until it is told to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import ZmqsecError

if TYPE_CHECKING:
    from .relay.config import RelayConfig
    from .relay.service import Service

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_log = logging.getLogger("zmqsec.relay")


@click.command()
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read and check CONFIG, and do nothing else.")
def relay(config: Path, check: bool) -> None:
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


def _run(config: RelayConfig) -> None:
    from .notify import notify, watchdog_seconds
    from .relay.service import Service

    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # of the threads to come too: they are all taken here
    service = Service(config)
    try:
        service.start()
        for name, leg in service.snapshot()["legs"].items():
            _log.info("leg %s: %s", name, ", ".join(f"{side} {' '.join(at)}" for side, at in leg["endpoints"].items()))
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
