"""The demonstration's processes, seen from the one that starts them (floor 12)."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import ZmqsecError

_TICK = 0.05
_DEAD_AFTER = 5.0

#: Called with all parts after each event.
Watcher = Callable[["dict[str, Part]"], None]


class DemoError(ZmqsecError):
    """A process of the demonstration died, or a step of it did not come."""


@dataclass(slots=True)
class Part:
    """One process of the demonstration, and the latest that it told of each kind."""

    name: str
    process: subprocess.Popen[str]
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    rate: float = 0.0
    peak: float = 0.0
    expected_to_end: bool = False
    ended: bool = False
    _since: tuple[float, int] = (0.0, 0)

    def order(self, **order: Any) -> None:
        """One line on its standard input."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise DemoError(self.obituary()) from None

    def get(self, key: str, default: Any = 0, event: str = "progress") -> Any:
        """A value of the latest event of that kind."""
        return self.told.get(event, {}).get(key, default)

    @property
    def refused(self) -> dict[str, int]:
        """Its refusals by reason."""
        return dict(self.get("refused", {}))

    def take(self, event: dict[str, Any]) -> None:
        """Keep an event, and reckon the rate of bytes."""
        kind = event.pop("event")
        self.told[kind] = event
        if kind != "progress":
            return
        now, count = time.monotonic(), event["bytes"]
        if now - self._since[0] >= 0.1:
            self.rate = (count - self._since[1]) / (now - self._since[0]) if self._since[0] else 0.0
            self._since = (now, count)
            self.peak = max(self.peak, self.rate)

    def obituary(self) -> str:
        """Why it is dead, as far as can be told."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_DEAD_AFTER)
        last = (self.process.stderr.read() if self.process.stderr else "").strip().splitlines()
        return f"the {self.name} died with exit code {self.process.returncode}: {last[-1] if last else 'no last words'}"


class Stage:
    """All processes; whatever happens, none of them is left behind."""

    def __init__(self, watcher: Watcher, timeout: float) -> None:
        self.parts: dict[str, Part] = {}
        self._events: queue.SimpleQueue[tuple[str, dict[str, Any] | None]] = queue.SimpleQueue()
        self._watcher, self._timeout = watcher, timeout
        self._began = time.monotonic()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts.values():
            part.process.kill()
        for part in self.parts.values():
            part.process.wait()
            for pipe in (part.process.stdin, part.process.stdout, part.process.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def start(self, name: str, role: str) -> Part:
        """Start a process; it waits for its first order, the configuration."""
        process = subprocess.Popen(
            [sys.executable, "-m", "zmqsec.demo_parts", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.parts[name] = part = Part(name, process)
        threading.Thread(target=self._read, args=(part,), daemon=True).start()
        return part

    def _read(self, part: Part) -> None:
        assert part.process.stdout is not None
        with contextlib.suppress(ValueError):  # closed, or no JSON: it is dead either way
            for line in part.process.stdout:
                self._events.put((part.name, json.loads(line)))
        self._events.put((part.name, None))

    def until(self, done: Callable[[], object], what: str) -> None:
        """Take events until `done`; DemoError if a process dies or the time is up first."""
        while not done():
            try:
                name, event = self._events.get(timeout=_TICK)
            except queue.Empty:
                pass
            else:
                if event is not None:
                    self.parts[name].take(event)
                elif not self.parts[name].expected_to_end:
                    raise DemoError(self.parts[name].obituary())
                else:
                    self.parts[name].ended = True
            self._watcher(self.parts)
            if self._timeout and time.monotonic() - self._began > self._timeout:
                raise DemoError(f"given up after {self._timeout:g} s, while {what}")

    def stop(self, name: str) -> None:
        """Let a process end in its own way."""
        part = self.parts[name]
        part.expected_to_end = True
        part.order(do="stop")
        self.until(lambda: part.ended, f"the {name} was ending")
