"""Runs test_ct under valgrind's memcheck or clang's MemorySanitizer, and judges what they report.

Arguments: valgrind or msan, the folder with the three builds (test_ct, test_ct_branch, test_ct_index), tiers.

Reported is every branch and every address that depends on a secret. Allowed is one alone, and only while opening: the
verdict on a tag, which is public. It is known by the source line, which asks about `differ` or calls zs_tag_equal or
zs_hand_tag; and in libsodium, whose source is not here, by the name of the function that opens. The two builds that
leak on purpose have to be reported for that, or the tool saw nothing.

MemorySanitizer stands in for valgrind where that does not know the instructions (AVX-512). clang 14 has no false alarms
for the intrinsics used here: those that it does not know (vpmadd52, permutations, shifts of pairs) it treats lane by
lane, the result being as secret as its arguments. It follows secrets bit by bit and not through carries, so a branch on
a carry alone could escape it; test_trace.c, which compares what is executed for different secrets, is for that.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path
from typing import NamedTuple

CORE = Path(__file__).resolve().parent.parent
VERDICT = re.compile(r"\bdiffer [!=]= 0|\bzs_(tag_equal|hand_tag)\(")
SODIUM_OPENS = "crypto_aead_chacha20poly1305_ietf_decrypt_detached"
SECONDS = 200


class Place(NamedTuple):
    """The innermost frame of a report."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({Path(self.file).name}:{self.line})"


def is_verdict(place: Place) -> bool:
    if "libsodium" in Path(place.file).name:
        return place.function == SODIUM_OPENS
    source = Path(place.file).resolve()
    if source.parent != CORE or place.line < 1:
        return False
    line = source.read_text().splitlines()[place.line - 1]
    if source.name == "impl.h":
        return place.function == "zs_tag_equal"
    return VERDICT.search(line) is not None


def run(command: list[str], **environment: str) -> tuple[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **environment})
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr[-3000:]}"
        raise SystemExit(f"{said}\nFAILED: {' '.join(command)} ended with {done.returncode}")
    return done.stdout, done.stderr


def under_valgrind(program: Path, tier: str) -> tuple[str, Counter[Place]]:
    """What the program says, and where valgrind reports a branch or an address."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        tool = ["valgrind", "--tool=memcheck", "--xml=yes", f"--xml-file={report.name}", "--error-limit=no"]
        said, _ = run([*tool, "--fullpath-after=", str(program), tier])
        tree = xml.parse(report.name)
    places: Counter[Place] = Counter()
    for error in tree.iter("error"):
        frame = error.find("stack/frame")
        assert frame is not None
        folder, source = frame.findtext("dir", ""), frame.findtext("file")
        file = f"{folder}/{source}" if source else frame.findtext("obj", "?")
        places[Place(frame.findtext("fn", "?").partition(".")[0], file, int(frame.findtext("line", "0")))] += 1
    return said, places


def under_msan(program: Path, tier: str) -> tuple[str, Counter[Place]]:
    said, reports = run([str(program), tier], MSAN_OPTIONS="halt_on_error=0:exitcode=0:symbolize=0")
    inner = re.findall(r"WARNING: MemorySanitizer.*\n\s+#0 0x[0-9a-f]+\s+\((.+?)\+(0x[0-9a-f]+)\)", reports)
    if len(inner) != reports.count("WARNING: MemorySanitizer"):
        raise SystemExit(f"{reports[-3000:]}\nFAILED: reports that cannot be read")
    places: Counter[Place] = Counter()
    for (binary, offset), count in Counter(inner).items():
        # A report's address is that of the instruction after the call.
        before = hex(int(offset, 16) - 1)
        command = ["addr2line", "-f", "-i", "-e", binary, before]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        function, where = found.stdout.splitlines()[:2]
        file, _, line = where.partition(" ")[0].rpartition(":")
        places[Place(function.partition(".")[0], file, int(line) if line.isdigit() else 0)] += count
    return said, places


TOOLS = {"valgrind": under_valgrind, "msan": under_msan}


def check(tool: str, folder: Path, tier: str) -> bool:
    said, places = TOOLS[tool](folder / "test_ct", tier)
    print(said, end="")
    if "not run" in said:
        return True
    leaks = {place: count for place, count in places.items() if not is_verdict(place)}
    for place, count in leaks.items():
        print(f"  FAILED {tier}, {tool}: a secret decides a branch or an address in {place}, {count} times")
    verdicts = ", ".join(str(place) for place in places if place not in leaks)
    print(f"  {'--' if leaks else 'ok'}  {tier}, {tool}: nothing is reported but verdicts: {verdicts or 'none'}")
    caught = True
    for kind in ("branch", "index"):
        _, places = TOOLS[tool](folder / f"test_ct_{kind}", tier)
        found = sum(count for place, count in places.items() if place.function == "planted_leak")
        print(f"  {'ok' if found else 'FAILED'}  {tier}, {tool}: a planted {kind} on a key byte is reported ({found})")
        caught = caught and found > 0
    return caught and not leaks


def main(tool: str, folder: Path, tiers: list[str]) -> None:
    held = [check(tool, folder, tier) for tier in tiers]  # each is reported, whatever the others are
    if not all(held):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
