"""The keyring (floor 10): the associations of a program by name, which running sockets follow."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .association import Association
from .errors import AssociationError, KeyFileError


class Keyring:
    """The associations of a program, by name and by SPI. Changes reach running sockets at their next receive."""

    def __init__(self, associations: Iterable[Association] = ()) -> None:
        self._by_name: dict[str, Association] = {}
        self._by_spi: dict[int, Association] = {}
        self._listeners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()  # sockets are made in one thread while another changes the keyring
        for association in associations:
            self.add(association)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Keyring:
        """Every ``*.toml`` of a directory, in the order of their names."""
        folder = Path(directory)
        if not folder.is_dir():
            raise KeyFileError(f"{folder} is not a directory; a keyring is a directory of *.toml files")
        return cls(Association.load(path) for path in sorted(folder.glob("*.toml")))

    def add(self, association: Association) -> None:
        """Add an association; its name and its SPI must be new."""
        if not isinstance(association, Association):
            raise AssociationError(f"a keyring holds Association objects, not {type(association).__name__}")
        if association.name in self._by_name:
            raise AssociationError(f"the keyring has an association named {association.name!r} already")
        if association.spi in self._by_spi:
            other = self._by_spi[association.spi].name
            raise AssociationError(f"SPI {association.spi:#010x} of {association.name!r} is that of {other!r}")
        self._by_name[association.name] = association
        self._by_spi[association.spi] = association
        self._tell()

    def remove(self, name: str) -> None:
        """Remove an association by name."""
        association = self.get(name)
        del self._by_name[name], self._by_spi[association.spi]
        self._tell()

    def get(self, name: str) -> Association:
        """The association of that name; AssociationError names those that are there."""
        try:
            return self._by_name[name]
        except KeyError:
            there = ", ".join(sorted(self._by_name)) or "none"
            raise AssociationError(f"no association named {name!r} in the keyring; there are: {there}") from None

    def listen(self, listener: Any) -> None:
        """Call ``listener.keyring_changed()`` after each change, for as long as the listener lives."""
        with self._lock:
            self._listeners.add(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.keyring_changed()

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Association]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._by_name) or 'empty'})"
