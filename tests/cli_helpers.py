"""The command line as a user runs it: a process of its own, and a mistake told in one line."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import zmqsec
from zmqsec.cli import main

COMMAND = [sys.executable, "-m", "zmqsec"]
TREE = str(Path(zmqsec.__file__).parents[1])
ENVIRONMENT = {**os.environ, "PYTHONPATH": TREE, "COLUMNS": "100"}
ENVIRONMENT.pop("ZMQSEC_KEY", None)


def run(*arguments: object, cwd: Path, given: bytes = b"", timeout: float = 30) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=given, env=ENVIRONMENT, capture_output=True, timeout=timeout)


def failure(result: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one line of a user's mistake."""
    text = result.stderr.decode()
    assert result.returncode == code, text
    assert len(text.splitlines()) == 1 and "Traceback" not in text, text
    return text


def run_here(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """The same within this process, much quicker, with nothing at standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code, before, stdin = 0, Path.cwd(), sys.stdin
    os.chdir(cwd)
    try:
        sys.stdin = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(one) for one in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os.chdir(before)
        sys.stdin = stdin
    for stream in (out, err):
        stream.flush()
    return subprocess.CompletedProcess(arguments, code, out.buffer.getvalue(), err.buffer.getvalue())
