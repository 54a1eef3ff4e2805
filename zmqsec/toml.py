"""A TOML file that is read strictly (floor 8): every fault is told with the file, the line and the key."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
_MAX_BYTES = 1 << 20
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:=|\.)""")


class Document:
    """A parsed file that knows where its keys stand."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = text.splitlines()
        try:
            self.root = Table(self, (), tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a file of at most 1 MiB."""
        try:
            with open(path, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
            text = data.decode("utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8 text") from error
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path} has more than {_MAX_BYTES} bytes: no configuration")
        return cls(path, text)

    def line_of(self, place: tuple[str | int, ...]) -> int:
        """The line of a key, from 1 on; that of its table where the key does not stand by itself."""
        table: tuple[str | int, ...] = ()
        seen: dict[str, int] = {}
        best, best_length = 1, -1
        for number, line in enumerate(self._lines, 1):
            header, key = _HEADER.match(line), _KEY.match(line)
            if header is not None:
                name = header[2]
                if header[1] == "[[":
                    seen[name] = seen.get(name, -1) + 1
                    table = (name, seen[name])
                else:
                    table = tuple(part.strip(" \"'") for part in name.split("."))
                here = table
            elif key is not None:
                here = (*table, key[1] or key[2] or key[3])
            else:
                continue
            if here == place[: len(here)] and len(here) > best_length:
                best, best_length = number, len(here)
        return best


class Table:
    """One table of a document: each key is taken once, what is left over at the end is unknown."""

    def __init__(self, document: Document, place: tuple[str | int, ...], values: dict[str, Any]) -> None:
        self._document, self._place, self._values = document, place, dict(values)
        self._known: list[str] = []

    def fault(self, key: str | None, text: str) -> ConfigError:
        """An error at a key of this table, or at the table itself."""
        place = self._place if key is None else (*self._place, key)
        name = ""
        for part in place:
            name += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if name else part
        return ConfigError(f"{self._document.path}:{self._document.line_of(place)}: {name or 'the file'}: {text}")

    def take(self, key: str, kind: type[T], default: Any = ..., *, check: Callable[[T], str | None] | None = None) -> T:
        """The value of a key of that type; without a default it must be there. `check` gives what is wrong, or None."""
        self._known.append(key)
        if key not in self._values:
            if default is ...:
                raise self.fault(None, f"{key!r} must be there")
            value: T = default
            return value
        value = self._values.pop(key)
        if kind is float and type(value) is int:
            value = float(value)  # type: ignore[assignment,arg-type]
        if type(value) is not kind:
            names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
            raise self.fault(key, f"{value!r}: {names[kind]} is allowed")
        wrong = check(value) if check is not None else None
        if wrong:
            raise self.fault(key, f"{value!r}: {wrong}")
        return value

    def choice(self, key: str, allowed: Collection[str], default: Any = ...) -> str:
        """One of some words."""
        return self.take(
            key, str, default, check=lambda one: None if one in allowed else f"one of {', '.join(allowed)} is allowed"
        )

    def number(self, key: str, default: float | None, *, least: float, most: float) -> float | None:
        """A number within bounds, or the default."""

        def check(one: float) -> str | None:
            return None if least <= one <= most else f"{least:g} to {most:g} is allowed"

        return self.take(key, float, default, check=check)

    def whole(self, key: str, default: int | None, *, least: int, most: int) -> int | None:
        """A whole number within bounds, or the default."""

        def check(one: int) -> str | None:
            return None if least <= one <= most else f"{least} to {most} is allowed"

        return self.take(key, int, default, check=check)

    def strings(self, key: str, default: Any = ...) -> tuple[str, ...]:
        """A string, or a list of strings."""
        if isinstance(self._values.get(key), str):
            return (self.take(key, str),)
        found = self.take(key, list, default)
        if not all(isinstance(one, str) for one in found):
            raise self.fault(key, f"{found!r}: strings are allowed")
        return tuple(found)

    def path(self, key: str, default: Any = ...) -> Path | None:
        """A path, relative to the folder that the file stands in."""
        found = self.take(key, str, default)
        return None if found is None else self.folder / found

    def table(self, key: str, *, needed: bool = False) -> Table:
        """A table within this one; an empty one where there is none, unless it is needed."""
        self._known.append(key)
        found = self._values.pop(key, None if needed else {})
        if not isinstance(found, dict):
            raise self.fault(None if found is None else key, f"a table [{key}] must be there")
        return Table(self._document, (*self._place, key), found)

    def tables(self, key: str) -> list[Table]:
        """The tables of an array, ``[[key]]``."""
        self._known.append(key)
        found = self._values.pop(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.fault(key, f"tables [[{key}]] are allowed")
        return [Table(self._document, (*self._place, key, i), one) for i, one in enumerate(found)]

    @property
    def folder(self) -> Path:
        """The folder that the file stands in."""
        return self._document.path.parent

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def end(self) -> None:
        """Nothing else may stand in this table."""
        for key in self._values:
            raise self.fault(key, f"unknown; {', '.join(sorted(self._known))} are allowed")
