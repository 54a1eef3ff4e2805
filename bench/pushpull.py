"""PUSH to PULL between two processes: every contender in turn, round after round, so that noise meets all alike."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from .contenders import BUNDLE, CONTENDERS, CURVE_PUBLIC, CURVE_SECRET, Contender

SIZES = (64, 1024, 65536)
TRANSPORTS = ("tcp", "ipc")
#: Messages a round, by size: far more than the high-water marks hold, a fraction of a second each.
COUNTS = {64: 800 * BUNDLE, 1024: 240 * BUNDLE, 65536: 8 * BUNDLE}
SLOW_SHARE = 8


@dataclass
class Peer:
    """A benchmark process and its conversation."""

    process: subprocess.Popen[str]

    def ask(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"benchmark process {self.process.args!r} ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer


@functools.cache
def c_peer() -> Path:
    """The C peer, built once for this run."""
    program = Path(tempfile.mkdtemp(prefix="zmqsec-bench-")) / "cpeer"
    atexit.register(shutil.rmtree, program.parent, ignore_errors=True)
    source = Path(__file__).parent / "cpeer.c"
    subprocess.run(["cc", "-O2", "-o", program, source, "-ldl"], check=True)
    return program


def libzmq_path() -> str:
    """The shared object through which pyzmq's own libzmq is reached."""
    module = importlib.import_module("zmq.backend.cython._zmq")
    for path in sorted((Path(zmq.__file__).parent.parent / "pyzmq.libs").glob("libzmq*.so*")):
        return str(path)
    return str(module.__file__)


@contextmanager
def peer(role: str, contender: Contender, endpoint: str, size: int) -> Iterator[tuple[Peer, str]]:
    environment = dict(os.environ, CURVE_PUBLIC=CURVE_PUBLIC.decode(), CURVE_SECRET=CURVE_SECRET.decode())
    arguments = [sys.executable, "-m", "bench.peer", role, contender.name, endpoint, str(size)]
    if contender.native:
        arguments = [str(c_peer()), libzmq_path(), role, contender.native, endpoint, str(size)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    one = Peer(process)
    try:
        yield one, one.hear()["ready"]
        one.ask("quit")
        process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()


def one_round(sender: Peer, receiver: Peer, count: int) -> float:
    """Messages a second, as the receiver saw them."""
    receiver.ask(f"run {count}")
    sender.ask(f"run {count}")
    sender.hear()
    return float(count / receiver.hear()["seconds"])


def measure(transport: str, size: int, rounds: int, contenders: tuple[Contender, ...] = CONTENDERS) -> dict[str, Any]:
    """Rates of every contender over one transport at one size; ratios are medians of ratios within a round."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    with tempfile.TemporaryDirectory() as folder:
        running: list[tuple[Contender, Any, Any, Peer, Peer]] = []
        try:
            for contender in contenders:
                endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{folder}/{contender.name}"
                pull = peer("pull", contender, endpoint, size)
                receiver, bound = pull.__enter__()
                push = peer("push", contender, bound, size)
                sender, _ = push.__enter__()
                running.append((contender, pull, push, receiver, sender))
            for number in range(rounds + 1):
                for contender, _, _, receiver, sender in running:
                    count = COUNTS[size] // (SLOW_SHARE if contender.slow else 1)
                    count -= count % BUNDLE
                    rate = one_round(sender, receiver, count)
                    if number > 0:  # the first round warms up
                        rates[contender.name].append(rate)
        finally:
            for _, pull, push, _, _ in running:
                push.__exit__(None, None, None)
                pull.__exit__(None, None, None)
    return {name: summary(values) for name, values in rates.items()}


def summary(values: list[float]) -> dict[str, Any]:
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": statistics.median(values), "low": quartiles[0], "high": quartiles[2], "rounds": values}


def ratios(results: dict[str, Any], over: str, under: str) -> float:
    """The median of the ratios within each round of one interleaved run."""
    pairs = zip(results[over]["rounds"], results[under]["rounds"], strict=True)
    return float(statistics.median(a / b for a, b in pairs))
