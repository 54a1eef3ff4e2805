"""The models in Promela, and what Spin says of them: all states are visited, or the answer is none."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_DEEPEST = 30_000_000


@dataclass(frozen=True)
class Model:
    """A file with switches, and whether an assertion in it must fail."""

    file: str
    name: str
    switches: tuple[str, ...] = ()
    fails: bool = False
    is_quick: bool = True

    @property
    def title(self) -> str:
        """Name, and switches."""
        return f"{self.file}: {self.name}{''.join(f' -D{one}' for one in self.switches)}"


MODELS = (
    Model("rekeying", "no message is refused"),
    Model("rekeying", "no message is refused when the responder starts anew", ("RESTART",), is_quick=False),
    Model("rekeying", "both have keys again when it starts anew", ("RESTART", "GOOD", "SLOTS=4")),
    Model("rekeying", "without an overlap a message is refused", ("NO_OVERLAP",), fails=True),
    Model("rekeying", "who seals before the confirmation has come is refused", ("EARLY_SEAL",), fails=True),
    Model("rekeying", "who forgets an unconfirmed pair at once refuses its peer", ("FORGET_UNCONFIRMED",), fails=True),
    Model("rekeying", "who ignores silence stays on dead keys", ("RESTART", "GOOD", "SLOTS=4", "NO_QUIET"), fails=True),
    Model("enrolment", "a token works once"),
    Model("enrolment", "a token works once", ("REQUESTS=3",), is_quick=False),
    Model("enrolment", "two use it where servers do not take turns", ("NO_LOCK",), fails=True),
    Model("enrolment", "two use it where it is not marked", ("NOT_MARKED",), fails=True),
    Model("enrolment", "a member that asks again is refused", ("NOT_AGAIN",), fails=True),
)


@dataclass(frozen=True)
class Search:
    """`failed` is None where the search was cut short."""

    failed: bool | None
    states: int
    seconds: float
    said: str


def search(model: Model) -> Search:
    """Visit all states of a model, or come to one in which an assertion fails."""
    if shutil.which("spin") is None:
        raise FileNotFoundError("spin is not here; sh scripts/formal-packages.sh installs it")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / f"{model.file}.pml", folder)

        def run(*command: str) -> str:
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: {ran.stdout[-500:]}{ran.stderr[-500:]}")
            return ran.stdout

        run("spin", *(f"-D{one}" for one in model.switches), "-a", f"{model.file}.pml")
        run("cc", "-w", "-O1", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
        said = run("./pan", "-n", f"-m{_DEEPEST}")
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"(\d+) states, stored", said)
    if errors is None or states is None:
        raise RuntimeError(f"{model.title}: {said[-500:]}")
    whole = "Search not completed" not in said and "max search depth too small" not in said
    failed = True if "assertion violated" in said else None if not whole or int(errors.group(1)) else False
    return Search(failed, int(states.group(1)), time.monotonic() - begun, said)
