"""Writes the first inputs of each fuzz target out of the test vectors; the standard library alone.

Arguments: the folder of zmqsec's vectors, and the folder to write to: one folder for each target.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

HEADER, TAG = 32, 16
#: What stands in front of parts: the place (body), 255 parts, a depth of 8, and that "known" is understood.
IN_BODY, IN_HEADER = bytes([1, 255, 7, 1]), bytes([0, 255, 7, 1])


def vectors(folder: Path, name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / f"{name}.json").read_text())["vectors"]
    return found


def frames(folder: Path) -> Iterator[bytes]:
    for name in ("sealed", "refused"):
        for vector in vectors(folder, name):
            if isinstance(frame := vector.get("frame"), str):
                yield bytes.fromhex(frame)


def wire(folder: Path) -> Iterator[bytes]:
    yield from frames(folder)


def parts(folder: Path) -> Iterator[bytes]:
    for vector in vectors(folder, "parts"):
        yield IN_BODY + bytes.fromhex(str(vector["encoded"]))
    for frame in frames(folder):
        if len(frame) >= HEADER + TAG:
            end = HEADER + int.from_bytes(frame[6:8], "little")
            yield IN_HEADER + frame[HEADER:end]
            yield IN_BODY + frame[end:-TAG]  # in clear, or not: bytes all the same


def credential(folder: Path) -> Iterator[bytes]:
    for vector in vectors(folder, "credentials"):
        yield bytes.fromhex(str(vector["raw"]))


def attested(folder: Path) -> Iterator[tuple[bytes, list[bytes]]]:
    """Sealed parts with the attestations behind them."""
    for vector in vectors(folder, "attestations"):
        if isinstance(frame := vector.get("frame"), str):
            route = vector["route"]
            assert isinstance(route, list)
            yield bytes.fromhex(frame), [bytes.fromhex(one) for one in route]


def attestation(folder: Path) -> Iterator[bytes]:
    for frame, route in attested(folder):
        one = bytes([frame[5], len(route), 0]) + b"".join(len(one).to_bytes(2, "little") + one for one in route)
        yield one
        yield one + one


def address(folder: Path) -> Iterator[bytes]:
    for frame, _ in attested(folder):
        yield frame[HEADER : HEADER + int.from_bytes(frame[6:8], "little")]


def main(folder: Path, target: Path) -> None:
    for make in (wire, parts, credential, attestation, address):
        (target / make.__name__).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(make(folder)):
            (target / make.__name__ / f"seed-{number:03}").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
