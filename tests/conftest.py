"""Every test that takes `implementation` runs with the C core and with the pure-Python path."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest


def _implementations() -> list[ModuleType]:
    """Both implementations; where the C core was not built, only the other, unless ZMQSEC_REQUIRE_C=1 forbids that."""
    found = [importlib.import_module("zmqsec.reference")]
    try:
        found.append(importlib.import_module("zmqsec._core"))
    except ImportError:
        if os.environ.get("ZMQSEC_REQUIRE_C") == "1":
            raise
    return found


IMPLEMENTATIONS = _implementations()


def _name(module: ModuleType) -> str:
    return "c" if module.__name__ == "zmqsec._core" else "python"


@pytest.fixture(scope="session", params=IMPLEMENTATIONS, ids=_name)
def implementation(request: pytest.FixtureRequest) -> ModuleType:
    """One of the implementations of the protocol."""
    module: ModuleType = request.param
    return module


@pytest.fixture
def runner() -> Iterator[Any]:
    """A relay's loop with plain sockets around it, which go when the test ends; see relay_helpers."""
    from relay_helpers import Runner

    one = Runner()
    try:
        yield one
    finally:
        one.close()
