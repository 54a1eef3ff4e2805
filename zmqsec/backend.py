"""Chooses the implementation: the C core, or pure Python (floor 10).

``ZMQSEC_BACKEND=c`` or ``python`` forces one, and fails where it cannot run. Without it the C core runs, and where it
was not built the pure-Python path does, with one warning at import.
"""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType

from .errors import BackendError

_MODULES = {"c": "zmqsec._core", "python": "zmqsec.reference"}


def load(name: str) -> ModuleType:
    """The implementation called `name`, ``"c"`` or ``"python"``; BackendError says why one cannot run."""
    if name not in _MODULES:
        raise BackendError(f"ZMQSEC_BACKEND={name!r}: 'c' or 'python' is allowed")
    try:
        return importlib.import_module(_MODULES[name])
    except BackendError:
        raise
    except ImportError as error:
        raise BackendError(f"the {name!r} implementation cannot run here: {error}") from error


def _choose() -> tuple[str, ModuleType]:
    forced = os.environ.get("ZMQSEC_BACKEND")
    if forced is not None:
        return forced, load(forced)
    try:
        return "c", load("c")
    except BackendError as error:
        warnings.warn(
            f"zmqsec runs in pure Python, many times slower: {error}. Install it where a C compiler is at hand, "
            "or set ZMQSEC_BACKEND=python to accept this",
            RuntimeWarning,
            stacklevel=2,
        )
        return "python", load("python")


name, implementation = _choose()
