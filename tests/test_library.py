"""The libraries under the C core: found in the process as it is, one of each, and named where they lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("zmqsec._library")

# Another library of this process under the name of pyzmq's, so that its symbols are looked for where they are not.
HIDDEN = """
import _ctypes, zmq.backend.cython._zmq as bindings
bindings.__file__ = _ctypes.__file__
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"ZMQSEC_BACKEND": "c"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_library_without_a_symbol_is_an_error_that_names_it() -> None:
    """libsodium is then found where pysodium has it, and libzmq nowhere."""
    done = run(HIDDEN + "import zmqsec")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "BackendError: the symbol 'zmq_msg_init' is in none of [" in last
    assert "_ctypes" in last and "sodium" in last


def test_library_without_a_symbol_leaves_python_unless_c_is_forced() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ZMQSEC_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN + "import zmqsec; print(zmqsec.backend)"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "python", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and "'zmq_msg_init' is in none of" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what a process has loaded")
@pytest.mark.parametrize("backend", ["c", "python"])
def test_library_is_loaded_once(backend: str) -> None:
    code = """
import json, re, zmqsec, zmqsec.asyncio, zmqsec.cli
paths = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if line.count("/")}
print(json.dumps({name: [path for path in sorted(paths) if re.search(name + r"[-.\\w]*\\.so", path)]
                  for name in ("libzmq", "libsodium")}))
"""
    done = run(code, ZMQSEC_BACKEND=backend)
    loaded = json.loads(done.stdout)
    assert len(loaded["libzmq"]) <= 1 and len(loaded["libsodium"]) == 1, loaded


def test_library_kernels_that_are_unknown_are_refused_with_what_is_allowed() -> None:
    done = run("import zmqsec", ZMQSEC_CPU="fortran")
    assert done.returncode != 0
    assert "kernels 'fortran' cannot run here: 'avx512', 'avx2' and 'portable' are known" in done.stderr


def test_library_kernels_are_chosen_at_import() -> None:
    done = run("import zmqsec._core; print(zmqsec._core.kernels())", ZMQSEC_CPU="portable")
    assert done.stdout.strip() == "portable", done.stderr
