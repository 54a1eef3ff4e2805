"""Files of keys (floor 8): written whole or not at all, refused where others can read a secret or write at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import Any

from .errors import KeyFileError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRIVATE = 0o600
PUBLIC = 0o644
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MAX_FILE_BYTES = 65536


def toml_string(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        f"\\u{ord(c):04X}" if ord(c) < 0x20 or ord(c) == 0x7F else f"\\{c}" if c in '"\\' else c for c in text
    )
    return f'"{escaped}"'


def write_private(target: Path, text: str, overwrite: bool) -> None:
    """Write a file of mode 0600, through a temporary one in the same folder: no half-written file is ever seen."""
    write_file(target, text.encode(), PRIVATE, overwrite)


def write_file(target: Path, content: bytes, mode: int, overwrite: bool) -> None:
    """Write a file of that mode, as `write_private` does."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write {target}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)
    except FileExistsError:
        raise KeyFileError(f"{target} exists already; pass overwrite=True to replace it") from None
    except OSError as error:
        raise KeyFileError(f"cannot write {target}: {error.strerror}") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would make the opener wait for its writer


def read_private(path: Path) -> str:
    """The text of a regular file that only its owner can read and write."""
    return _text(path, read_file(path, _OTHERS))


def read_public(path: Path) -> str:
    """The text of a regular file that only its owner can write: whoever writes there says who is trusted."""
    return _text(path, read_file(path, _OTHERS_WRITE))


def read_any(path: Path) -> str:
    """The text of a regular file, whoever may write it: to look what it is, before it is read as that."""
    return _text(path, read_file(path, 0))


def read_file(path: Path, forbidden: int = _OTHERS_WRITE, most: int = _MAX_FILE_BYTES) -> bytes:
    """A regular file of at most `most` bytes, none of whose mode bits is forbidden."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path} is not a regular file")
            if status.st_mode & forbidden:
                mode, can = stat.S_IMODE(status.st_mode), "use the key" if forbidden == _OTHERS else "write to it"
                wanted = "600" if forbidden == _OTHERS else "644"
                raise KeyFileError(f"{path} has mode {mode:04o}: others could {can}; run chmod {wanted} {path}")
            content = file.read(most + 1)
        if len(content) > most:
            raise KeyFileError(f"{path} has more than {most} bytes: no key file")
        return content
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path} is not UTF-8 text") from error


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """The tables of a TOML text; KeyFileError names the file and the place of the fault."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"{path} is not TOML: {error}") from error


def check_keys(path: Path, table: dict[str, Any], needed: set[str], optional: Set[str] = frozenset()) -> None:
    """KeyFileError names the first key that is unknown or missing; those `needed` must be there."""
    known = needed | optional
    if unknown := sorted(set(table) - known):
        raise KeyFileError(f"{path}: key {unknown[0]!r} is unknown; {', '.join(sorted(known))} are allowed")
    if missing := sorted(needed - set(table)):
        raise KeyFileError(f"{path}: {missing[0]!r} must be there")


def hex_bytes(path: Path, table: dict[str, Any], key: str, size: int) -> bytes:
    """The value of a key as bytes, that many."""
    value = table[key]
    try:
        content = bytes.fromhex(value) if isinstance(value, str) and value.isascii() else b""
    except ValueError:
        content = b""
    if len(content) != size or len(value) != 2 * size:
        raise KeyFileError(f"{path}: {key!r} must be {2 * size} hexadecimal digits")
    return content
