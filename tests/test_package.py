"""What is installed: types for those who import it, and a README whose examples run as they stand."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import zmqsec

HOME = Path(zmqsec.__file__).parent
ROOT = Path(__file__).parent.parent
STUBS = sorted(path.stem for path in HOME.glob("_*.pyi"))


def names_of(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """What a stub declares."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def public_names(thing: Any, module: str) -> set[str]:
    """What an extension module defines itself, or a class of one has."""
    found = {name for name in vars(thing) if not name.startswith("_")}
    if isinstance(thing, ModuleType):
        found = {name for name in found if getattr(getattr(thing, name), "__module__", None) == module}
    return found


def test_package_is_typed() -> None:
    assert (HOME / "py.typed").is_file()


@pytest.mark.parametrize("name", STUBS)
def test_package_stub_says_what_its_module_has(name: str) -> None:
    module = pytest.importorskip(f"zmqsec.{name}")
    declared = dict(names_of(ast.parse((HOME / f"{name}.pyi").read_text()).body))
    missing = {one for one in declared if not hasattr(module, one)}
    assert not missing, f"{name}.pyi declares what is not there"
    undeclared = public_names(module, module.__name__) - declared.keys()
    assert not undeclared, f"{name}.pyi says nothing of these"
    for one, node in declared.items():
        if isinstance(node, ast.ClassDef):
            inside = {inner for inner, _ in names_of(node.body) if not inner.startswith("__")}
            assert inside >= public_names(getattr(module, one), ""), f"{name}.pyi, class {one}"
            assert all(hasattr(getattr(module, one), inner) for inner in inside), f"{name}.pyi, class {one}"


def test_package_has_a_stub_for_every_extension_module_that_python_imports() -> None:
    pytest.importorskip("zmqsec._core")
    imported = set()
    for path in HOME.rglob("*.py*"):
        if path.suffix in (".py", ".pyi"):
            imported |= set(re.findall(r"from \.+(_\w+) import", path.read_text()))
    modules = {name: importlib.import_module(f"zmqsec.{name}") for name in imported}
    built = {name for name, module in modules.items() if str(module.__file__).endswith(".so")}
    assert built and built <= set(STUBS)


def test_package_exports_exist_and_are_sorted() -> None:
    assert zmqsec.__all__ == sorted(zmqsec.__all__)
    assert all(hasattr(zmqsec, name) for name in zmqsec.__all__)


def test_readme_examples_run_as_they_stand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One after the other in one process, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) >= 2
    scope: dict[str, Any] = {}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"README.md, example {number + 1}", "exec"), scope)
    finally:
        scope["context"].destroy(0)
    message, body, count = capsys.readouterr().out.splitlines()
    assert message == "b'one message'" and body == "[b'for the endpoints', [b'nested', b'parts']]"
    assert 1 <= int(count) <= 64
