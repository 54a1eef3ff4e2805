"""Threads that wait: whether one does, and signals for it."""

from __future__ import annotations

import threading
import time
from pathlib import Path


def sleeping(thread: threading.Thread) -> bool:
    """Whether a thread waits in the kernel for a socket: true soon after a blocking call, and false before it."""
    try:
        where = Path(f"/proc/self/task/{thread.native_id}/wchan").read_text()
    except OSError:
        where = "0"
    if where in ("", "0") and not Path("/proc/self/wchan").is_file():
        time.sleep(0.1)  # a system that does not tell
        return True
    return "poll" in where
