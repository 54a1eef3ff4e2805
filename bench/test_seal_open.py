"""Seal and open without sockets, under pytest-benchmark: singly and in batches of 64, both implementations."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import zmqsec
from zmqsec import _core, reference

BATCH = 64
SIZES = (64, 1024, 65536)
IMPLEMENTATIONS = {"c": _core, "python": reference}


def _ends(module: ModuleType) -> tuple[Any, Any]:
    association = zmqsec.Association.from_secret(bytes(range(32)), name="bench")
    return module.Session(association), module.Receiver([association])


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def module(request: pytest.FixtureRequest) -> ModuleType:
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", (1, BATCH))
def test_seal(benchmark: Callable[..., Any], module: ModuleType, size: int, count: int) -> None:
    session, _ = _ends(module)
    messages = [bytes(size)] * count
    benchmark.extra_info.update(messages=count, size=size)  # type: ignore[attr-defined]
    sealed = benchmark(module.seal_many, messages, session)
    assert len(sealed) == count and len(sealed[0]) == size + 52


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", (1, BATCH))
def test_open(benchmark: Any, module: ModuleType, size: int, count: int) -> None:
    session, receiver = _ends(module)
    benchmark.extra_info.update(messages=count, size=size)

    def fresh() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (module.seal_many([bytes(size)] * count, session), receiver), {"copy": True}

    opened = benchmark.pedantic(module.open_many, setup=fresh, rounds=400 if size < 65536 else 60, warmup_rounds=5)
    assert [message.body for message in opened] == [[bytes(size)]] * count
