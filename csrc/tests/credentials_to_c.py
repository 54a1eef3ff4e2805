"""Turns zmqsec's own vectors of credentials into a C table; the standard library alone.

Arguments: credentials.json and the file to write. A check has its place in the table of checks, a topic that is not
there is NULL.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

STATUS = {
    "valid": "ZS_OK",
    "malformed": "ZS_MALFORMED",
    "too-large": "ZS_TOO_LARGE",
    "version": "ZS_BAD_VERSION",
    "forged": "ZS_FORGED",
}
LISTS = ("names", "routing_ids", "publish", "read")


def main(source: Path, target: Path) -> None:
    rows, checks = [], []
    for vector in json.loads(source.read_text())["vectors"]:
        first = len(checks)
        for check in vector.get("checks", ()):
            topic = "NULL" if check["topic"] is None else f'"{check["topic"]}"'
            permitted = str(check["permitted"]).lower()
            checks.append(f'    {{{check["role"]}, {check["now"]}u, {topic}, "{check["routing_id"]}", {permitted}}},')
        counts = ", ".join(str(len(vector.get(name, ()))) for name in LISTS)
        numbers = ", ".join(f"UINT64_C({vector.get(name, 0)})" for name in ("serial", "not_before", "not_after"))
        text = ", ".join(f'"{text}"' for text in (vector["name"], vector["raw"], vector.get("subject", "")))
        status, roles = STATUS[vector["expect"]], vector.get("roles", 0)
        rows.append(f"    {{{text}, {status}, {roles}, {{{numbers}}}, {{{counts}}}, {first}, {len(checks) - first}}},")
    head = f"/* {target.name}: made by credentials_to_c.py from {source.name}; not to be edited. */"
    tables = ["static const check CHECKS[] = {", *checks, "};", "static const vector VECTORS[] = {", *rows, "};", ""]
    target.write_text("\n".join([head, *tables]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
