"""A directory of keys and of who is trusted (floor 10); spec, "Keyrings"."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .association import Association
from .credential import Credential
from .errors import IdentityError, KeyFileError
from .identity import RIGHTS_KEYS, Identity, PublicIdentity, is_sealed
from .keyfile import hex_bytes, parse_toml, read_any
from .limits import PUBLIC_KEY_BYTES
from .revocation import RevocationList
from .rights import PINNED, Rights, Role
from .trust import Trust

CREDENTIAL_SUFFIX = ".cred"
REVOCATION_SUFFIX = ".revoked"
_KINDS = "identity, public, authority"
_OF_SECRETS = (None, "identity")

#: A passphrase for all identities, or a function of the file's path that gives one.
Passphrase = str | bytes | Callable[[Path], str | bytes | None] | None


@dataclass(slots=True)
class Contents:
    """What the files of a directory hold; `own` are the credentials of its identities."""

    associations: list[Association] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    own: list[Credential] = field(default_factory=list)
    trust: Trust = field(default_factory=Trust)


def read_directory(
    directory: str | os.PathLike[str], passphrase: Passphrase = None, *, trust_only: bool = False
) -> Contents:
    """Every ``*.toml``, ``*.cred`` and ``*.revoked`` of a directory, in the order of their names.

    Lists and credentials of an authority that is not there are errors; only the credentials of identities that are
    there may come from anywhere, for it is others who judge them. Of an authority's lists the newest counts. With
    `trust_only` no secret is read: associations are left out, and of identities only their public keys are looked at.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise KeyFileError(f"{folder} is not a directory; a keyring is a directory of *.toml files")
    found = Contents()
    mine: set[bytes] = set()
    for path in sorted(folder.glob("*.toml")):
        table = parse_toml(path, read_any(path))
        if table.get("kind") == "identity":
            mine.add(hex_bytes(path, table, "public", PUBLIC_KEY_BYTES) if "public" in table else b"")
        if not trust_only or table.get("kind") not in _OF_SECRETS:
            _read_toml(found, path, table, passphrase)
    lists = [(RevocationList.load(path), path) for path in sorted(folder.glob("*" + REVOCATION_SUFFIX))]
    for revocations, path in sorted(lists, key=lambda one: one[0].number):
        with _naming(path):
            found.trust.revoke(revocations)
    for path in sorted(folder.glob("*" + CREDENTIAL_SUFFIX)):
        credential = Credential.load(path)
        if credential.subject in mine:
            found.own.append(credential)
            continue
        with _naming(path):
            found.trust.add(credential)
    return found


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What is wrong with a file's content is told with the file's name."""
    try:
        yield
    except IdentityError as error:
        raise KeyFileError(f"{path}: {error}") from error


def _read_toml(found: Contents, path: Path, table: dict[str, Any], passphrase: Passphrase) -> None:
    kind = table.get("kind")
    if kind is None:
        found.associations.append(Association.load(path))
    elif kind == "identity":
        asked = None if not is_sealed(table) else passphrase(path) if callable(passphrase) else passphrase
        found.identities.append(Identity.load(path, asked))
    elif kind == "public":
        found.trust.pin(PublicIdentity.load(path), pinned_rights(path, table))
    elif kind == "authority":
        found.trust.add_authority(PublicIdentity.load(path, kind="authority"))
    else:
        raise KeyFileError(f"{path}: kind = {kind!r}; {_KINDS} are allowed, or none for an association")


def pinned_rights(path: Path, table: dict[str, Any]) -> Rights:
    """The rights in the file of a pinned key; those of `PINNED` that it does not name stay."""
    said: dict[str, Any] = {name: table[name] for name in RIGHTS_KEYS if name in table}
    for name, value in said.items():
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise KeyFileError(f"{path}: {name!r} must be a list of strings")
    with _naming(path):
        roles = Role.of(said.pop("roles")) if "roles" in said else PINNED.roles
        whole: dict[str, Any] = {name: getattr(PINNED, name) for name in RIGHTS_KEYS - {"roles"}}
        return Rights(roles, **{**whole, **said})
