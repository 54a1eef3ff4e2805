"""Turns Wycheproof's ChaCha20-Poly1305 vectors into rows of a C table; the standard library alone.

Arguments: chacha20_poly1305_test.json and the file to write. Vectors whose nonce has another length than 12 bytes
cannot be asked of the kernels; their number is written too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FIELDS = ("key", "iv", "aad", "msg", "ct", "tag")


def main(source: Path, target: Path) -> None:
    rows, left_out = [], 0
    data = json.loads(source.read_text())
    for group in data["testGroups"]:
        if (group["keySize"], group["tagSize"]) != (256, 128):
            raise SystemExit(f"{source}: a group of keys or tags that are unknown here")
        for case in group["tests"]:
            if group["ivSize"] != 96:
                if case["result"] != "invalid":
                    raise SystemExit(f"{source}: {case['tcId']}: another nonce, and valid")
                left_out += 1
                continue
            texts = ", ".join(f'"{case[field]}"' for field in FIELDS)
            rows.append(f'    {{{case["tcId"]}, {str(case["result"] == "valid").lower()}, {texts}}},')
    if len(rows) + left_out != data["numberOfTests"]:
        raise SystemExit(f"{source}: {len(rows)} and {left_out} vectors of {data['numberOfTests']}")
    head = f"/* {target.name}: made by wycheproof_to_c.py from {source.name}; not to be edited. */"
    count = f"static const size_t WYCHEPROOF_OTHER_NONCES = {left_out};"
    table = "static const vector WYCHEPROOF[] = {"
    target.write_text("\n".join([head, count, table, *rows, "};", ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
