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
    """The associations of a program, by name and by SPI. Changes reach running sockets at their next call.

    Under one name there can be several, one for each epoch: the current one seals, and all of them open. So a key
    changes without a lost message: `accept` the next one at every receiver, `replace` the current one at the senders,
    and `retire` the previous one when nothing sealed with it is under way any more.
    """

    def __init__(self, associations: Iterable[Association] = ()) -> None:
        self._by_name: dict[str, Association] = {}
        self._accepted: dict[str, tuple[Association, ...]] = {}  # beside the current one, the newest last
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
        self._check(association)
        if association.name in self._by_name:
            raise AssociationError(f"the keyring has an association named {association.name!r} already; see replace")
        self._by_name[association.name] = association
        self._by_spi[association.spi] = association
        self._tell()

    def accept(self, association: Association) -> None:
        """Open with this association too under its name, and do not seal with it yet; its SPI must be new."""
        self._check(association)
        self._accepted[association.name] = (*self._accepted.get(association.name, ()), association)
        self._by_spi[association.spi] = association
        self._tell()

    def replace(self, association: Association) -> None:
        """Seal with this association under its name; the one before goes on opening until it is retired."""
        name = association.name
        if self._by_spi.get(association.spi) is not association:
            self._check(association)
        before = self._by_name.get(name)
        if before is association:
            return
        others = tuple(one for one in self._accepted.get(name, ()) if one is not association)
        self._accepted[name] = others if before is None else (*others, before)
        self._by_name[name] = association
        self._by_spi[association.spi] = association
        self._tell()

    def retire(self, spi: int) -> None:
        """Forget one association by its SPI, with its windows and keys in every running socket."""
        association = self._by_spi.get(spi)
        if association is None:
            raise AssociationError(f"SPI {spi:#010x} is none of this keyring's")
        name = association.name
        if self._by_name.get(name) is association:
            del self._by_name[name]
        self._accepted[name] = tuple(one for one in self._accepted.get(name, ()) if one is not association)
        del self._by_spi[spi]
        self._tell()

    def remove(self, name: str) -> None:
        """Forget all associations of that name."""
        if not self.opening(name):
            self.get(name)  # which says what names there are
        for association in self.opening(name):
            del self._by_spi[association.spi]
        self._by_name.pop(name, None)
        self._accepted.pop(name, None)
        self._tell()

    def opening(self, name: str) -> tuple[Association, ...]:
        """All that open under this name, the current one first; empty if there are none."""
        current = self._by_name.get(name)
        return (*(() if current is None else (current,)), *self._accepted.get(name, ()))

    def _check(self, association: Association) -> None:
        if not isinstance(association, Association):
            raise AssociationError(f"a keyring holds Association objects, not {type(association).__name__}")
        if association.spi in self._by_spi:
            other = self._by_spi[association.spi].name
            raise AssociationError(f"SPI {association.spi:#010x} of {association.name!r} is that of {other!r}")

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
