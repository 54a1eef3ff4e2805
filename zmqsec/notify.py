"""Words to systemd (floor 8): sd_notify(3) over the socket that NOTIFY_SOCKET names; nothing where there is none."""

from __future__ import annotations

import os
import socket


def notify(*words: str) -> bool:
    """Send states such as ``READY=1``; whether there was somebody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.sendto("\n".join(words).encode(), address)
    return True


def watchdog_seconds() -> float | None:
    """How often systemd wants a ``WATCHDOG=1``, at half its patience; None if it does not ask this process."""
    patience, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(patience) / 2e6 if patience.isdigit() and int(patience) > 0 and process == str(os.getpid()) else None
