"""Horn clauses, and what SPASS says of them: whether what must not happen can be derived.

A term is text in SPASS's own syntax: names that begin with a small letter are functions, capitals are variables.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

_SYMBOL = re.compile(r"(\w+)(\()?")
_ARGUMENTS = re.compile(r"[(),]|\w+")


def term(function: str, *arguments: str) -> str:
    """`function(arguments)`, or the constant."""
    return f"{function}({','.join(arguments)})" if arguments else function


@dataclass
class Theory:
    """Clauses `body -> head`, and goals: bodies that must have no instance in which all of it is derived."""

    clauses: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    goals: list[tuple[str, ...]] = field(default_factory=list)

    def rule(self, body: Iterable[str], *heads: str) -> None:
        """What follows once all of the body is there."""
        needed = tuple(body)
        self.clauses += [(needed, head) for head in heads]

    def fact(self, *heads: str) -> None:
        """What is there from the beginning."""
        self.rule((), *heads)

    def never(self, *body: str) -> None:
        """What must not come about."""
        self.goals.append(body)

    def text(self) -> str:
        """The problem in SPASS's language DFG."""
        said = dict.fromkeys(_clause(body, head) for body, head in self.clauses)
        wrong = [_clause(body, "") for body in self.goals]
        literals = [one for body, head in self.clauses for one in (*body, head)]
        predicates: dict[str, int] = {}
        functions: dict[str, int] = {}
        for literal in (*literals, *(one for body in self.goals for one in body)):
            _scan(literal, predicates, functions)
        lines = [
            "begin_problem(zmqsec).",
            "list_of_descriptions.",
            "name({*zmqsec*}). author({*zmqsec*}). status(unknown). description({*docs/formal*}).",
            "end_of_list.",
            "list_of_symbols.",
            f"functions[{_arities(functions)}].",
            f"predicates[{_arities(predicates)}].",
            "end_of_list.",
            "list_of_clauses(axioms, cnf).",
            *(f"clause({one}, r{number})." for number, one in enumerate(said)),
            "end_of_list.",
            "list_of_clauses(conjectures, cnf).",
            *(f"clause({one}, goal{number})." for number, one in enumerate(wrong)),
            "end_of_list.",
            "end_problem.",
        ]
        return "\n".join(lines) + "\n"


def _arities(symbols: dict[str, int]) -> str:
    return ",".join(f"({name},{arity})" for name, arity in symbols.items())


def _scan(literal: str, predicates: dict[str, int], functions: dict[str, int]) -> None:
    """Enter the arity of each symbol of a literal."""
    stack: list[tuple[str, int]] = []
    tokens = _ARGUMENTS.findall(literal)

    def enter(name: str, arity: int) -> None:
        into = functions if stack else predicates
        if name[0].islower() and into.setdefault(name, arity) != arity:
            raise ValueError(f"{name} stands with {arity} and with {into[name]} arguments")

    for at, token in enumerate(tokens):
        if token == "(":
            stack.append((tokens[at - 1], 1))
        elif token == ",":
            name, count = stack.pop()
            stack.append((name, count + 1))
        elif token == ")":
            enter(*stack.pop())
        elif at + 1 == len(tokens) or tokens[at + 1] != "(":
            enter(token, 0)


def _clause(body: tuple[str, ...], head: str) -> str:
    literals = [f"not({one})" for one in body] + ([head] if head else [])
    names = dict.fromkeys(name for name, call in _SYMBOL.findall(" ".join(literals)) if name[0].isupper() and not call)
    said = f"or({','.join(literals)})"
    return f"forall([{','.join(names)}],{said})" if names else said


@dataclass(frozen=True)
class Verdict:
    """`derived` is None when SPASS came to no end; `clauses` is how many it kept, `proof` its derivation if asked."""

    derived: bool | None
    clauses: int
    seconds: float
    proof: str


def ask(theory: Theory, *, seconds: int = 120, proof: bool = False) -> Verdict:
    """Let SPASS look for a derivation of any goal until it has one, or knows that there is none."""
    if shutil.which("SPASS") is None:
        raise FileNotFoundError("SPASS is not here; sh scripts/formal-packages.sh installs it")
    # SPASS chooses its rules itself, and completely; without sort resolution it is several times as fast here.
    options = ["-Sorts=0", f"-TimeLimit={seconds}", f"-DocProof={int(proof)}", "-PGiven=0", "-PProblem=0", "-Stdin"]
    ran = subprocess.run(["SPASS", *options], input=theory.text(), capture_output=True, text=True, check=False)
    said = re.search(r"SPASS beiseite: (.*)", ran.stdout)
    if said is None:
        raise RuntimeError(f"SPASS failed: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    derived = {"Proof found.": True, "Completion found.": False}.get(said.group(1))
    kept = re.search(r"kept (\d+) clauses", ran.stdout)
    spent = re.search(r"SPASS spent\s+(\d+):(\d+):([\d.]+) on the problem", ran.stdout)
    hours, minutes, rest = spent.groups() if spent else ("0", "0", "0")
    return Verdict(
        derived,
        int(kept.group(1)) if kept else 0,
        3600 * int(hours) + 60 * int(minutes) + float(rest),
        ran.stdout if proof else "",
    )
