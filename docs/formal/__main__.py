"""`make formal`: every check, several at a time, and whether all came out as they must.

    python docs/formal [--quick] [--only TEXT] [--proof]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import checks
import horn
import spin


def decide(check: checks.Check, proof: bool) -> tuple[str, bool, str]:
    """Line to print, whether it is as it must be, and more to print."""
    verdict = horn.ask(check.build(check.scene), proof=proof)
    said = {True: "reached", False: "out of reach", None: "NO ANSWER"}[verdict.derived]
    good = verdict.derived is check.reachable
    return f"{said:13}{verdict.seconds:7.1f} s {verdict.clauses:9} clauses  {check.title}", good, verdict.proof


def visit(model: spin.Model, proof: bool) -> tuple[str, bool, str]:
    """The same for a model of Spin's."""
    found = spin.search(model)
    said = {True: "fails", False: "holds", None: "NO ANSWER"}[found.failed]
    line = f"{said:13}{found.seconds:7.1f} s {found.states:9} states   {model.title}"
    return line, found.failed is model.fails, found.said if proof else ""


def main() -> int:
    """0 if all is as it must be."""
    parser = argparse.ArgumentParser(description="Check the formal models; docs/formal/README.md says what they are.")
    parser.add_argument("--quick", action="store_true", help="only what takes seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="only checks with this in their title")
    parser.add_argument("--proof", action="store_true", help="print derivations and searches whole")
    given = parser.parse_args()
    begun = time.monotonic()
    models = [one for one in spin.MODELS if one.is_quick or not given.quick]
    asked = checks.quick() if given.quick else checks.every()
    work = [partial(visit, one, given.proof) for one in models if given.only in one.title]
    work += [partial(decide, one, given.proof) for one in asked if given.only in one.title]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line, good, more in pool.map(lambda one: one(), work):
            wrong += not good
            print(f"{'ok   ' if good else 'WRONG'} {line}", flush=True)
            if more:
                print(more)
    print(f"{len(work) - wrong} as they must be, {wrong} not, {time.monotonic() - begun:.0f} s")
    return 1 if wrong or not work else 0


if __name__ == "__main__":
    sys.exit(main())
