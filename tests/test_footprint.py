"""Memory: flat however many messages pass, and nothing is allocated for a message beyond itself.

``make check-memory`` runs this with 10^7 messages; ZMQSEC_MEMORY_MESSAGES says how many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zmqsec
from zmqsec import limits

MESSAGES = int(os.environ.get("ZMQSEC_MEMORY_MESSAGES", 200_000))
#: What the allocator itself may need on top, whatever the number of messages.
ROOM = 768 * 1024

pytestmark = pytest.mark.skipif(
    zmqsec.backend != "c" or not sys.platform.startswith("linux"), reason="counts the C core's memory, on Linux"
)

COUNTER = """
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
size_t malloc_calls;
static void count(void) { __atomic_fetch_add(&malloc_calls, 1, __ATOMIC_RELAXED); }
void *malloc(size_t size) { count(); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { if (!old) count(); return __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
"""


def run(way: str, endpoint: str, messages: int, size: int, **environment: str) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.footprint_worker", way, endpoint, str(messages), str(size)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=os.environ | environment, cwd=root, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
@pytest.mark.parametrize("way", ["batches", "single", "bundles"])
def test_footprint_of_short_messages_is_flat(way: str, transport: str) -> None:
    endpoint = "inproc://memory" if transport == "inproc" else "tcp://127.0.0.1:*"
    found = run(way, endpoint, MESSAGES, 64)
    assert found["opened"] >= MESSAGES // 64
    assert found["grown"] < ROOM, f"{found['grown'] / MESSAGES:.2f} bytes for each of {MESSAGES} messages"


@pytest.mark.parametrize("way", ["batches", "views"])
def test_footprint_of_long_messages_is_flat(way: str) -> None:
    messages = MESSAGES // 100
    found = run(way, "tcp://127.0.0.1:*", messages, 65536)
    # What libzmq and the kernel hold of them moves by a few messages.
    assert found["grown"] < 8 * 1024 * 1024, f"{found['grown'] / messages:.0f} bytes for each of {messages} messages"


def test_footprint_of_identities_is_bounded() -> None:
    """At most 1 KiB for each that a receiver remembers, and nothing for all above that: 160,000 by check-memory."""
    messages = min(MESSAGES // 25, 160_000)
    found = run("identities", "inproc://memory", messages, 64)
    assert found["opened"] >= messages
    remembered = min(messages, limits.MAX_SESSIONS)
    assert found["grown"] < remembered * 1024 + ROOM, f"{found['grown'] / remembered:.0f} bytes for each"


@pytest.fixture
def counting(tmp_path: Path) -> dict[str, str]:
    """The environment in which every allocation, Python's too, is a counted malloc."""
    source, counter = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", counter, source], check=True)
    return {"LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc"}


# What is above 2, or above 1 for a bundle's one zmq message, is a call's: a list, its iterator, part of a queue.
@pytest.mark.parametrize(("way", "most"), [("batches", 2.25), ("single", 2.1), ("bundles", 1.25)])
def test_footprint_is_allocated_for_the_zmq_message_and_the_bytes_alone(
    way: str, most: float, counting: dict[str, str]
) -> None:
    messages = 64_000
    found = run(way, "inproc://memory", messages, 64, **counting)
    assert 0.99 < found["allocations"] / messages < most


def test_footprint_counter_counts_every_object(counting: dict[str, str]) -> None:
    code = (
        "import ctypes; calls = ctypes.c_size_t.in_dll(ctypes.CDLL(None), 'malloc_calls'); before = calls.value\n"
        "kept = [bytes(9) for _ in [None] * 1000]; print(calls.value - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | counting, capture_output=True, check=True)
    assert 1000 <= int(done.stdout) < 1020
