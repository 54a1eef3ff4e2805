"""Files that hold secrets (floor 8): TOML, mode 0600, written whole or not at all, refused where others can read."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from .errors import KeyFileError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAX_FILE_BYTES = 65536


def toml_string(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        f"\\u{ord(c):04X}" if ord(c) < 0x20 or ord(c) == 0x7F else f"\\{c}" if c in '"\\' else c for c in text
    )
    return f'"{escaped}"'


def write_private(target: Path, text: str, overwrite: bool) -> None:
    """Write a file of mode 0600, through a temporary one in the same folder: no half-written file is ever seen."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write {target}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
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
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path} is not a regular file")
            if status.st_mode & _OTHERS:
                mode = stat.S_IMODE(status.st_mode)
                raise KeyFileError(f"{path} has mode {mode:04o}: others could use the key; run chmod 600 {path}")
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise KeyFileError(f"{path} has more than {_MAX_FILE_BYTES} bytes: no key file")
        return text.decode("utf-8")
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path} is not UTF-8 text") from error


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """The tables of a TOML text; KeyFileError names the file and the place of the fault."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"{path} is not TOML: {error}") from error
