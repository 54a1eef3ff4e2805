"""Turns the CCTV and Wycheproof vectors of Ed25519 into rows of a C table; the standard library alone.

Arguments: ed25519vectors.json, ed25519_test.json, the file to write. By the strict rule a CCTV signature holds if
neither point is of a low order or not canonical, and if the low order components cancel out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TAKEN = {"low_order_component_A", "low_order_component_R"}


def row(name: str, holds: bool, strict: bool, *texts: str) -> str:
    flags = ", ".join(str(flag).lower() for flag in (holds, strict))
    return f'    {{"{name}", {flags}, ' + ", ".join(f'"{text}"' for text in texts) + "},"


def main(cctv: Path, wycheproof: Path, target: Path) -> None:
    rows = []
    for case in json.loads(cctv.read_text()):
        flags = set(case["flags"] or ())
        strict = not any(flag.startswith(("low_order_A", "low_order_R", "non_canonical")) for flag in flags)
        rows.append(
            row(f"cctv {case['number']}", flags <= TAKEN, strict, case["key"], case["sig"], case["msg"].encode().hex())
        )
    data = json.loads(wycheproof.read_text())
    cases = [(group["publicKey"]["pk"], case) for group in data["testGroups"] for case in group["tests"]]
    if len(cases) != data["numberOfTests"]:
        raise SystemExit(f"{wycheproof}: {len(cases)} vectors of {data['numberOfTests']}")
    for key, case in cases:
        if len(case["sig"]) == 128:  # the core takes arrays of 64 bytes only
            holds = case["result"] == "valid"
            rows.append(row(f"wycheproof {case['tcId']}", holds, True, key, case["sig"], case["msg"]))
        elif case["result"] == "valid":
            raise SystemExit(f"{wycheproof}: {case['tcId']}: a signature of another length, and valid")
    head = f"/* {target.name}: made by ed25519_to_c.py; not to be edited. */"
    target.write_text("\n".join([head, "static const vector VECTORS[] = {", *rows, "};", ""]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
