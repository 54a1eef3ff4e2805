"""What a relay sees of a sealed part: everything in clear as a tree, the rest as so many sealed bytes (floor 12).

Nothing here takes a key. :func:`inspect_part` reads the clear header by the rules of the specification and raises
:class:`InspectError` with the reason that a receiver would give; :func:`tree` and :func:`hex_view` draw it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rich.text import Text
from rich.tree import Tree

from . import limits
from .errors import Reason, SuiteError, ZmqsecError
from .message import Metadata, Part
from .parts import PartsRefused, Scanner
from .suites import suite_by_number

KINDS = ("data", "bundle", "handshake", "control")
_FLAGS = {limits.FLAG_CLEAR_BODY: "clear body", limits.FLAG_ORIGIN_ATTESTED: "origin attested"}
_SUITES = {
    limits.SUITE_XCHACHA20POLY1305: "xchacha20poly1305",
    limits.SUITE_AES256GCM: "aes256gcm",
    limits.SUITE_AES256CTR_HMACSHA256: "aes256ctr-hmacsha256",
}
_LONGEST_LABEL = 34
_ROWS = (16, 8)  # bytes in a row; the second where the first is too wide
_SHOWN_VALUE = 48
_STYLES = {"clear": "bold cyan", "bound": "bold green", "sealed": "bold red", "tag": "bold magenta"}
LEGEND = (
    ("clear", "readable by every relay, and authenticated"),
    ("bound", "the sender's topic and header parts: readable, and bound to the message"),
    ("sealed", "ciphertext"),
    ("tag", "proves all of the above to whoever holds the key"),
)


class InspectError(ZmqsecError, ValueError):
    """These bytes are no sealed part; ``reason`` is the one that a receiver would refuse them for."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Inspection:
    """The clear fields of one sealed part. ``body`` is None where the body is sealed."""

    data: bytes
    version: int
    suite: int
    kind: int
    flags: int
    header_bytes: int
    spi: int
    started: int
    random: bytes
    sequence: int
    header: Sequence[Part]
    body: Sequence[Part] | None
    tag: bytes

    @property
    def body_bytes(self) -> int:
        """Length of the encoded body parts, sealed or clear."""
        return len(self.data) - limits.HEADER_BYTES - self.header_bytes - limits.TAG_BYTES

    @property
    def suite_name(self) -> str:
        """The suite's name, also where it cannot run on this machine."""
        if self.suite in _SUITES:
            return _SUITES[self.suite]
        try:
            return suite_by_number(self.suite).name
        except SuiteError:
            return "a user's own"

    @property
    def flag_names(self) -> list[str]:
        """Names of the flags that are set."""
        return [name for flag, name in _FLAGS.items() if self.flags & flag]

    @property
    def started_utc(self) -> str:
        """When the sender began its session, as ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; bytes are hexadecimal."""
        return {
            "bytes": len(self.data),
            "version": self.version,
            "suite": self.suite,
            "suite_name": self.suite_name,
            "kind": KINDS[self.kind],
            "flags": self.flag_names,
            "spi": f"{self.spi:08x}",
            "session": {"started": self.started, "started_utc": self.started_utc, "random": self.random.hex()},
            "sequence": self.sequence,
            "header_bytes": self.header_bytes,
            "header": [_part_json(part) for part in self.header],
            "body_bytes": self.body_bytes,
            "body_sealed": self.body is None,
            "body": None if self.body is None else [_part_json(part) for part in self.body],
            "tag": self.tag.hex(),
        }


def read_capture(raw: bytes) -> bytes:
    """A captured part from a file: as it is, or written in hexadecimal (which cannot begin with the magic)."""
    if raw.startswith(limits.MAGIC):
        return raw
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        return raw


def inspect_part(data: bytes) -> Inspection:
    """Read the clear fields of a sealed part, in a receiver's order of checks; raises InspectError."""
    _check_frame(data)
    kind_flags, header_bytes = data[5], int.from_bytes(data[6:8], "little")
    header_end = limits.HEADER_BYTES + header_bytes
    scanner = Scanner(understand_all=True)
    kind = kind_flags & 0x0F
    in_clear = bool(kind_flags & limits.FLAG_CLEAR_BODY)
    where = "header"
    try:
        header = scanner.header(data[limits.HEADER_BYTES : header_end])
        where = "clear body"
        body = scanner.body(data[header_end : -limits.TAG_BYTES], kind == limits.KIND_BUNDLE) if in_clear else None
    except PartsRefused as refused:
        raise InspectError(refused.reason, refused.detail or f"the {where} parts are no valid encoding") from None
    return Inspection(
        data=data,
        version=data[3],
        suite=data[4],
        kind=kind,
        flags=kind_flags & 0xF0,
        header_bytes=header_bytes,
        spi=int.from_bytes(data[8:12], "little"),
        started=int.from_bytes(data[12:16], "little"),
        random=data[16:24],
        sequence=int.from_bytes(data[24:32], "little"),
        header=header,
        body=body,
        tag=data[-limits.TAG_BYTES :],
    )


def _check_frame(data: bytes) -> None:
    size = len(data)
    if size > limits.MAX_MESSAGE_BYTES:
        raise InspectError(Reason.TOO_LARGE, f"{size} bytes; at most {limits.MAX_MESSAGE_BYTES} are allowed")
    if size < limits.MIN_SEALED_BYTES:
        raise InspectError(Reason.MALFORMED, f"{size} bytes; a sealed part has at least {limits.MIN_SEALED_BYTES}")
    if not data.startswith(limits.MAGIC):
        raise InspectError(
            Reason.MALFORMED, f"begins with {data[:3].hex(' ')}; a sealed part begins with {limits.MAGIC.hex(' ')}"
        )
    if data[3] != limits.VERSION:
        raise InspectError(Reason.VERSION, f"version {data[3]}; this zmqsec reads version {limits.VERSION}")
    if data[4] not in _SUITES and data[4] < limits.FIRST_USER_SUITE:
        raise InspectError(Reason.SUITE, f"suite {data[4]} is reserved; 1 to 3 and 128 to 255 are allowed")
    if data[5] & 0x0F >= len(KINDS):
        raise InspectError(Reason.MALFORMED, f"kind {data[5] & 0x0F}; 0 to {len(KINDS) - 1} are allowed")
    if data[5] & 0xC0:
        raise InspectError(Reason.MALFORMED, f"flags {data[5] & 0xF0:02x}; only 10 and 20 are allowed")
    header_bytes = int.from_bytes(data[6:8], "little")
    if limits.HEADER_BYTES + header_bytes + limits.TAG_BYTES > size:
        raise InspectError(Reason.MALFORMED, f"{header_bytes} bytes of header parts do not fit into {size} bytes")
    sequence = int.from_bytes(data[24:32], "little")
    if sequence >= limits.MAX_SEQUENCE:
        raise InspectError(Reason.MALFORMED, f"sequence number {sequence}; it must be below {limits.MAX_SEQUENCE}")


# -- parts -------------------------------------------------------------------------------------------------------------


def _part_json(part: Part) -> dict[str, Any]:
    if isinstance(part, Metadata):
        return {"metadata": part.name, "critical": part.critical, "value": bytes(part.value).hex()}
    if isinstance(part, list):
        return {"list": [_part_json(child) for child in part]}
    return {"leaf": bytes(part).hex()}


def count_of(size: int, more: str = "") -> str:
    """A number of bytes, or of so many more."""
    return f"1 {more}byte" if size == 1 else f"{size:,} {more}bytes"


def printable(value: bytes) -> str:
    """Bytes for people: as quoted text where all of it is printable ASCII, else hexadecimal; cut where long."""
    cut = value[:_SHOWN_VALUE]
    if cut and all(0x20 <= byte < 0x7F for byte in cut):
        shown = '"' + cut.decode("ascii") + '"'
    else:
        shown = cut.hex(" ") if cut else "(empty)"
    return shown + (f" … {count_of(len(value) - len(cut), 'more ')}" if len(value) > len(cut) else "")


def _add_parts(tree: Tree, parts: Sequence[Part]) -> None:
    for part in parts:
        if isinstance(part, Metadata):
            duty = "critical" if part.critical else "ignorable"
            shown = part.name if part.name.isprintable() else ascii(part.name)
            tree.add(Text.assemble((shown, "bold"), (f" ({duty}) ", "dim"), printable(bytes(part.value))))
        elif isinstance(part, list):
            _add_parts(tree.add(Text(f"list of {len(part)}")), part)
        else:
            leaf = bytes(part)
            tree.add(Text.assemble((f"leaf, {count_of(len(leaf))} ", "dim"), printable(leaf)))


def tree(seen: Inspection, title: str = "sealed part") -> Tree:
    """The clear header as a tree for a rich console."""
    root = Tree(Text(f"{title}, {len(seen.data):,} bytes", style="bold"), guide_style="dim")
    flags = ", ".join(seen.flag_names) or "none"
    for name, value in (
        ("version", f"{seen.version}"),
        ("suite", f"{seen.suite} {seen.suite_name}"),
        ("kind", KINDS[seen.kind]),
        ("flags", flags),
        ("SPI", f"{seen.spi:08x}"),
    ):
        root.add(_field(name, value))
    session = root.add(Text("session"))
    session.add(_field("started", seen.started_utc))
    session.add(_field("random", seen.random.hex(" ")))
    root.add(_field("sequence", f"{seen.sequence:,}"))
    header = root.add(Text(f"header parts, {count_of(seen.header_bytes)}", style=_STYLES["bound"]))
    _add_parts(header, seen.header)
    if seen.body is None:
        root.add(Text(f"body, {count_of(seen.body_bytes)}: sealed", style=_STYLES["sealed"]))
    else:
        body = root.add(Text(f"body, {count_of(seen.body_bytes)}: clear, authenticated", style=_STYLES["clear"]))
        _add_parts(body, seen.body)
    root.add(Text.assemble("tag ", (seen.tag.hex(" "), _STYLES["tag"])))
    return root


def _field(name: str, value: str) -> Text:
    return Text.assemble(f"{name} ", (value, _STYLES["clear"]))


# -- hex ---------------------------------------------------------------------------------------------------------------


def _fields(seen: Inspection) -> Iterator[tuple[int, int, str, str]]:
    """(begin, end, what it is, how it is marked) for each stretch of the part."""
    yield 0, 3, "magic", "clear"
    yield 3, 4, f"version {seen.version}", "clear"
    yield 4, 5, f"suite {seen.suite}, {seen.suite_name}", "clear"
    yield 5, 6, f"kind {KINDS[seen.kind]}, flags {seen.flags:02x}", "clear"
    yield 6, 8, f"length of header parts {seen.header_bytes}", "clear"
    yield 8, 12, f"SPI {seen.spi:08x}", "clear"
    yield 12, 16, f"session began {seen.started_utc}", "clear"
    yield 16, 24, "session random", "clear"
    yield 24, 32, f"sequence {seen.sequence:,}", "clear"
    body = limits.HEADER_BYTES + seen.header_bytes
    end = len(seen.data) - limits.TAG_BYTES
    yield limits.HEADER_BYTES, body, "header parts", "bound"
    yield body, end, "body", "sealed" if seen.body is None else "clear"
    yield end, len(seen.data), "tag", "tag"


def _row_bytes(width: int) -> int:
    """How many bytes a row shows within so many columns: offset, bytes, the same as text, mark, label."""
    wide, narrow = _ROWS
    return wide if 6 + 3 * wide + wide + 1 + 7 + _LONGEST_LABEL <= width else narrow


def _rows(data: bytes, at: int, label: str, mark: str, most: int, size: int) -> Iterator[Text]:
    style = _STYLES[mark]
    for row, begin in enumerate(range(0, len(data), size)):
        if row == most:
            yield Text(f"{'':6}… {count_of(len(data) - begin, 'more ')} of {label}", style=style)
            return
        cut = data[begin : begin + size]
        ascii_view = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in cut)
        note = f"{mark:<7}{label}" if row == 0 else ""
        yield Text.assemble(
            (f"{at + begin:04x}  ", "dim"),
            (f"{cut.hex(' '):<{3 * size}}", style),
            (f"{ascii_view:<{size + 1}}", "dim"),
            (note, style),
        )


def hex_view(seen: Inspection, *, topic: bytes | None = None, rows: int = 4, width: int = 120) -> Text:
    """The bytes themselves, a new row for each field, each marked as clear or sealed in word and colour.

    `rows` of each field are shown at most, within `width` columns where they are 80 or more.
    """
    lines: list[Text] = []
    size = _row_bytes(width)
    if topic is not None:
        lines += _rows(topic, 0, "topic frame", "bound", rows, size)
    for begin, end, label, mark in _fields(seen):
        lines += _rows(seen.data[begin:end], begin, label, mark, rows, size)
    return Text("\n").join(lines)


def legend() -> Text:
    """What the marks of :func:`hex_view` mean."""
    return Text("\n").join(Text.assemble((f"{mark:<7}", _STYLES[mark]), (what, "dim")) for mark, what in LEGEND)
