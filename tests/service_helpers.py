"""``zmqsec relay`` as a process of the tests' own, with a control socket and an admin for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from socket_helpers import TIMEOUT

from zmqsec import Association, Identity
from zmqsec.relay.admin import Admin, AdminConfig


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def leg(name: str, front: int, back: int, pattern: str = "push-pull") -> str:
    return (
        f'[[leg]]\nname = "{name}"\npattern = "{pattern}"\n'
        f'front = {{ bind = "tcp://127.0.0.1:{front}" }}\nback = {{ bind = "tcp://127.0.0.1:{back}" }}\n'
    )


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, until it is ready as systemd would be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = str(path.parent / "notify")
        Path(address).unlink(missing_ok=True)
        systemd.bind(address)
        systemd.settimeout(TIMEOUT / 1000 * 4)
        process = subprocess.Popen(
            [sys.executable, "-m", "zmqsec", "relay", str(path)],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stderr=subprocess.PIPE,
        )
        try:
            assert systemd.recv(100) == b"READY=1"
            process.systemd = systemd  # type: ignore[attr-defined]
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


@dataclass
class Governed:
    """A folder with the files of a relay that has a control socket, and of its admin."""

    folder: Path
    port: int
    admin: Identity
    relay: Identity

    @classmethod
    def make(cls, folder: Path) -> Governed:
        """New keys; the admin is named in the configuration by her file."""
        made = cls(folder, free_port(), Identity.generate("alice"), Identity.generate("edge"))
        made.admin.save(folder / "alice.toml")
        made.admin.public.save(folder / "alice.pub.toml")
        made.relay.save(folder / "edge.toml")
        made.relay.public.save(folder / "edge.pub.toml")
        Association.generate("control").save(folder / "control.toml")
        made.write_admin(folder / "admin.toml")
        return made

    def write_admin(self, path: Path, identity: str = "alice.toml", **lines: str) -> Path:
        """The file of an admin who is called by this file of an identity."""
        said = {
            "endpoint": f"tcp://127.0.0.1:{self.port}",
            "association": "control.toml",
            "identity": identity,
            "relay": "edge.pub.toml",
            **lines,
        }
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in said.items()))
        return path

    def write(self, legs: str, relay: str = "", control: str = "", rest: str = "") -> Path:
        """The relay's configuration."""
        path = self.folder / "relay.toml"
        admins = "" if "admins" in control or "trust" in control else 'admins = ["alice.pub.toml"]\n'
        path.write_text(
            f'[relay]\nlog = "json"\nidentity = "edge.toml"\n{relay}'
            f'[control]\nendpoint = "tcp://127.0.0.1:{self.port}"\nassociation = "control.toml"\n{admins}{control}'
            f"{rest}{legs}"
        )
        return path

    def connect(self, file: str = "admin.toml", timeout: float = TIMEOUT / 1000) -> Admin:
        """The admin's connection."""
        return Admin(AdminConfig.load(self.folder / file), timeout=timeout)


class RawPusher:
    """A peer that speaks ZMTP by itself, and so can send frames of a message that never ends."""

    _GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    _READY = b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH"

    def __init__(self, source: str, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT / 1000, (source, 0))
        self._socket.sendall(self._GREETING)
        self._take(64)
        self._socket.sendall(b"\x04" + bytes([len(self._READY)]) + self._READY)
        if not self._take(self._take(2)[1]).startswith(b"\x05READY"):
            self._socket.close()
            raise ConnectionRefusedError("the relay has answered with an error")

    def _take(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            if not (more := self._socket.recv(count - len(found))):
                raise ConnectionResetError("the relay has closed the connection")
            found += more
        return found

    def more(self, frames: int, size: int = 0) -> None:
        """Send so many frames of up to 255 bytes, each with more to come; OSError where the connection is gone."""
        self._socket.sendall((b"\x01" + bytes([size]) + bytes(size)) * frames)

    def close(self) -> None:
        self._socket.close()
