"""What commands to a running relay share (floor 12): how it is reached, durations, tables."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from .cli_identity import FILE, PASSPHRASE_FILE, passphrase_of
from .errors import KeyFileError
from .relay.admin import Admin, AdminConfig

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_WIDEST = 100_000


def _default_file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(folder) / "zmqsec" / "admin.toml"


def _admin_option(command: F) -> F:
    option = click.option(
        "-a",
        "--admin",
        "admin_file",
        envvar="ZMQSEC_ADMIN",
        show_envvar=True,
        type=FILE,
        help="The file that says how to reach the relay.  [default: ~/.config/zmqsec/admin.toml]",
    )
    return option(command)


def _timeout_option(command: F) -> F:
    option = click.option(
        "--timeout",
        type=click.FloatRange(0.1, 3600),
        default=5.0,
        show_default=True,
        help="Give up after so many seconds without an answer.",
    )
    return option(command)


def reaches_relay(command: F) -> F:
    """The options of a command that asks a relay; `connect` takes what they give."""
    return _admin_option(PASSPHRASE_FILE(_timeout_option(command)))


def connect(admin_file: Path | None, passphrase_file: Path | None, timeout: float) -> Admin:
    """The connection that those options ask for."""
    path = admin_file or _default_file()
    if not path.is_file():
        raise KeyFileError(f"there is no {path}, which would say how to reach the relay; see --admin")

    def passphrase(identity: Path) -> str:
        return passphrase_of(passphrase_file, f"passphrase of {identity}")

    return Admin(AdminConfig.load(path), passphrase, timeout=timeout)


class Duration(_ParamType):
    """Seconds, or a number with s, m, h, d or w; "ever" is without end."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip().lower()
        if text == "ever":
            return math.inf
        number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
        try:
            seconds = float(number) * _UNITS[unit]
        except (ValueError, KeyError):
            seconds = 0.0
        if not 0 < seconds <= 10 * 365 * 86400:
            self.fail(f"{value!r} is no duration; 90s, 15m, 1h, 7d, 2w and ever are allowed", param, ctx)
        return seconds


def finite(seconds: float | None) -> float | None:
    """A duration as a relay takes it: None is without end."""
    return None if seconds is None or math.isinf(seconds) else seconds


def ago(seconds: float) -> str:
    """How long something is past, for people."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def print_whole(table: Table) -> None:
    """Print a table on lines that are as long as they must be: identities are for copying."""
    console = Console(highlight=False)
    console.width = max(console.width, console.measure(table, options=console.options.update(width=_WIDEST)).maximum)
    console.print(table)
