"""What an admin may ask of a running relay (floor 11): commands by name, with their arguments, as plain data.

A request is a JSON object ``{"do": NAME, "with": {…}, "challenge": TEXT}``, an answer ``{"ok": true, "result": …}`` or
``{"ok": false, "error": TEXT}``, with the relay's challenge besides (see ``control``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import ConfigError
from .events import Events
from .warden import Warden

_MAX_TEXT = 4096
_MAX_LISTED = 1000
_log = logging.getLogger("zmqsec.relay")


class Governed(Protocol):
    """What the commands need of a service."""

    warden: Warden
    events: Events

    def snapshot(self) -> dict[str, Any]: ...
    def reload(self) -> None: ...


class Arguments:
    """The arguments of a command: each is taken once, and what is left over is an error."""

    def __init__(self, command: str, given: object) -> None:
        if not isinstance(given, dict):
            raise ConfigError(f"the arguments of {command!r} are {given!r}; an object is allowed")
        self._command, self._given = command, dict(given)

    def text(self, name: str, default: str | None = None) -> str:
        """A printable text; without a default it must be there."""
        value = self._given.pop(name, default)
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            given = f"{self._command}: {name}={value!r}"
            raise ConfigError(f"{given}: at most {_MAX_TEXT} printable characters are allowed")
        return value

    def whole(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 on."""
        value = self._given.pop(name, default)
        if type(value) is not int or not 0 <= value <= most:
            raise ConfigError(f"{self._command}: {name}={value!r}: a whole number of 0 to {most} is allowed")
        return value

    def seconds(self, name: str) -> float | None:
        """A number of seconds, or none."""
        value = self._given.pop(name, None)
        if value is not None and type(value) not in (int, float):
            raise ConfigError(f"{self._command}: {name}={value!r}: a number of seconds or null is allowed")
        return None if value is None else float(value)

    def end(self) -> None:
        """Nothing else may stand there."""
        for name in self._given:
            raise ConfigError(f"{self._command}: argument {name!r} is unknown")


class Commands:
    """Carries out what an admin asks; `author` is who that is, as it is to stand in rules and in the log."""

    def __init__(self, service: Governed) -> None:
        self._service = service
        self._known: Mapping[str, Callable[[Arguments, str], Any]] = {
            "status": self._status,
            "reload": self._reload,
            "list": self._list,
            "show": self._show,
            "block": self._block,
            "unblock": self._unblock,
            "events": self._events,
        }

    def carry_out(self, name: object, given: object, author: str) -> Any:
        """The result of a command, as plain data; ConfigError says what is wrong with it."""
        command = self._known.get(name) if isinstance(name, str) else None
        if command is None:
            raise ConfigError(f"no command {name!r}; {', '.join(self._known)} are allowed")
        return command(Arguments(str(name), given), author)

    def _status(self, arguments: Arguments, author: str) -> Any:
        worst = arguments.whole("worst", 0, _MAX_LISTED)
        arguments.end()
        peers = self._service.warden.listing(worst) if worst else []
        return {**self._service.snapshot(), "worst": peers}

    def _reload(self, arguments: Arguments, author: str) -> Any:
        arguments.end()
        _log.info("the configuration is to be reloaded, by %s", author)
        self._service.reload()
        return self._service.snapshot()

    def _list(self, arguments: Arguments, author: str) -> Any:
        most = arguments.whole("most", 100, _MAX_LISTED)
        arguments.end()
        warden = self._service.warden
        rules = warden.lines()
        return {
            "peers": warden.listing(most) if most else [],
            "known": len(warden.ledger),
            "rules": rules[-most:] if most else [],
            "rules_known": len(rules),
        }

    def _show(self, arguments: Arguments, author: str) -> Any:
        kind, value = arguments.text("kind"), arguments.text("value")
        arguments.end()
        return self._service.warden.show(kind, value)

    def _block(self, arguments: Arguments, author: str) -> Any:
        kind, value, note = arguments.text("kind"), arguments.text("value"), arguments.text("note", "")
        seconds = arguments.seconds("seconds")
        arguments.end()
        self._service.warden.block(kind, value, seconds=seconds, author=author, note=note)
        return self._service.warden.show(kind, value)

    def _unblock(self, arguments: Arguments, author: str) -> Any:
        """Strike out what was decided; with `allow` let the peer pass besides, for `seconds` or for good."""
        kind, value, note = arguments.text("kind"), arguments.text("value"), arguments.text("note", "")
        seconds, allow = arguments.seconds("seconds"), arguments.whole("allow", 0, 1)
        arguments.end()
        warden = self._service.warden
        lines = warden.unblock(kind, value, author=author, note=note)
        if allow:
            warden.allow(kind, value, seconds=seconds, author=author, note=note)
        return {**warden.show(kind, value), "lines": lines}

    def _events(self, arguments: Arguments, author: str) -> Any:
        after, most = arguments.whole("after", 0, 1 << 62), arguments.whole("most", 100, _MAX_LISTED)
        arguments.end()
        events, forgotten = self._service.events.after(after, most)
        return {"events": events, "last": self._service.events.last, "forgotten": forgotten}
