"""Which implementation runs, and what is said where one cannot."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import zmqsec
from zmqsec.errors import BackendError

# zmqsec.backend is the name of the implementation, and hides the module
backend = importlib.import_module("zmqsec.backend")

SHOW = "import zmqsec; print(zmqsec.backend, zmqsec.Session.__module__)"
WITHOUT_C = "import sys; sys.modules['zmqsec._core'] = None; "


def run(code: str, choice: str | None = None, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ZMQSEC_BACKEND"}
    if choice is not None:
        environment["ZMQSEC_BACKEND"] = choice
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_backend_name_is_that_of_the_implementation() -> None:
    module = {"c": "zmqsec._core", "python": "zmqsec.reference"}[zmqsec.backend]
    assert backend.implementation.__name__ == module
    assert zmqsec.seal_many is backend.implementation.seal_many


def test_backend_python_is_forced() -> None:
    done = run(SHOW, "python", "-W", "error")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["python", "zmqsec.session"]


def test_backend_c_is_forced() -> None:
    pytest.importorskip("zmqsec._core")
    done = run(SHOW, "c")
    assert done.stdout.split()[0] == "c", done.stderr


def test_backend_forced_and_unavailable_is_an_error_that_names_the_cause() -> None:
    done = run(WITHOUT_C + SHOW, "c")
    assert done.returncode != 0
    assert "BackendError: the 'c' implementation cannot run here" in done.stderr
    assert "zmqsec._core" in done.stderr


def test_backend_without_c_warns_once_and_runs_python() -> None:
    done = run(WITHOUT_C + SHOW + "; import zmqsec.keyring, zmqsec.context", None, "-W", "always")
    assert done.stdout.split()[0] == "python", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert "zmqsec runs in pure Python" in done.stderr


@pytest.mark.parametrize("choice", ["", "C", "rust"])
def test_backend_unknown_is_refused_with_what_is_allowed(choice: str) -> None:
    done = run(SHOW, choice)
    assert done.returncode != 0
    assert f"BackendError: ZMQSEC_BACKEND={choice!r}: 'c' or 'python' is allowed" in done.stderr


def test_backend_load_unknown_raises() -> None:
    with pytest.raises(BackendError, match="'c' or 'python' is allowed"):
        backend.load("fortran")


def test_backend_finds_the_bundled_libsodium_though_pysodium_was_there_first() -> None:
    """A libsodium of the system may lack ML-KEM-768; which one is used must not depend on who imports what first."""
    done = run("import pysodium; from zmqsec import sodium; print(sodium.library_path(), sodium.bundled_path())")
    used, bundled = done.stdout.split()
    assert done.returncode == 0 and (used == bundled or bundled == "None"), done.stderr
