"""What a relay sees of a sealed part, without a key."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import zmqsec
from zmqsec.inspect import InspectError, hex_view, inspect_part, legend, read_capture, tree
from zmqsec.message import Message, Metadata

SECRET = b"the body that no relay may read."
MESSAGE = Message(
    body=[SECRET],
    header=[[b"nested leaf"], b"\x00\xff"],
    metadata={"note": b"alice", "sent": Metadata("sent", b"\x01\x02", critical=True)},
    topic=b"weather.",
)


@pytest.fixture(scope="module")
def association() -> zmqsec.Association:
    return zmqsec.Association.from_secret(bytes(range(32)), name="test", spi=0xA1B2C3D4)


def seal(association: zmqsec.Association, message: Message) -> bytes:
    session = zmqsec.Session(
        association, clock=lambda: 1_700_000_000.0, random=lambda count: b"\xaa" * count, sequence=7
    )
    (sealed,) = zmqsec.seal_many([message], session)
    return bytes(sealed)


@pytest.fixture(scope="module")
def sealed(association: zmqsec.Association) -> bytes:
    return seal(association, MESSAGE)


def shown(*renderables: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=160, color_system=None)
    for one in renderables:
        console.print(one)
    return out.getvalue()


def test_inspect_sealed_part_gives_every_clear_field(sealed: bytes) -> None:
    seen = inspect_part(sealed)
    assert (seen.version, seen.suite, seen.suite_name, seen.kind, seen.flags) == (1, 1, "xchacha20poly1305", 0, 0)
    assert (seen.spi, seen.started, seen.random, seen.sequence) == (0xA1B2C3D4, 1_700_000_000, b"\xaa" * 8, 7)
    assert seen.started_utc == "2023-11-14T22:13:20Z"
    assert seen.header_bytes == int.from_bytes(sealed[6:8], "little")
    assert seen.header[:3] == [
        Metadata("topic", b"weather.", True),
        Metadata("note", b"alice", False),
        Metadata("sent", b"\x01\x02", True),
    ]
    assert seen.header[3:] == [[b"nested leaf"], b"\x00\xff"]
    assert seen.body is None and seen.body_bytes == 4 + len(SECRET)
    assert seen.tag == sealed[-16:]


def test_inspect_sealed_part_shows_nothing_of_the_body(sealed: bytes) -> None:
    seen = inspect_part(sealed)
    picture = shown(tree(seen), hex_view(seen, rows=100), legend())
    assert "no relay may read" not in picture and SECRET.hex() not in str(seen.as_json())
    for expected in ("a1b2c3d4", "2023-11-14T22:13:20Z", "topic (critical)", "note (ignorable)", '"alice"', "sealed"):
        assert expected in picture


def test_inspect_clear_body_shows_it_as_a_tree(association: zmqsec.Association) -> None:
    seen = inspect_part(seal(association, Message(body=[b"hello", [b"deep"]], protect="authenticated")))
    assert seen.flag_names == ["clear body"] and seen.body == [b"hello", [b"deep"]]
    assert '"hello"' in shown(tree(seen)) and "clear, authenticated" in shown(tree(seen))


def test_inspect_json_holds_the_same(sealed: bytes) -> None:
    values = inspect_part(sealed).as_json()
    assert values["session"] == {
        "started": 1_700_000_000,
        "started_utc": "2023-11-14T22:13:20Z",
        "random": "aa" * 8,
    }
    assert values["header"][1] == {"metadata": "note", "critical": False, "value": b"alice".hex()}
    assert values["header"][3] == {"list": [{"leaf": b"nested leaf".hex()}]}
    assert values["body_sealed"] is True and values["body"] is None


def test_hex_view_shows_every_byte_where_rows_suffice(sealed: bytes) -> None:
    rows = shown(hex_view(inspect_part(sealed), rows=1000)).splitlines()
    assert b"".join(bytes.fromhex(row[6:54].strip()) for row in rows) == sealed


def test_hex_view_cuts_long_fields_and_says_how_much(association: zmqsec.Association) -> None:
    seen = inspect_part(seal(association, Message(body=[bytes(1000)])))
    assert f"{1004 - 32:,} more bytes of body" in shown(hex_view(seen, rows=2))


def test_tree_shows_control_characters_of_a_name_harmlessly(association: zmqsec.Association) -> None:
    seen = inspect_part(seal(association, Message(body=[b""], metadata={"\x1b[31mred": b"\x1b[0m"})))
    assert "\x1b" not in shown(tree(seen), hex_view(seen))


def test_capture_in_hexadecimal_is_read_like_bytes(sealed: bytes) -> None:
    assert read_capture(sealed) == sealed
    assert read_capture(sealed.hex(" ").encode() + b"\n") == sealed
    assert read_capture(b"neither") == b"neither"


def changed(sealed: bytes, at: int, value: int) -> bytes:
    return sealed[:at] + bytes([value]) + sealed[at + 1 :]


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 1, "malformed: begins with 01 5a 53; a sealed part begins with 00 5a 53"),
        (3, 2, "version: version 2; this zmqsec reads version 1"),
        (4, 0, "suite: suite 0 is reserved"),
        (4, 127, "suite: suite 127 is reserved"),
        (5, 4, "malformed: kind 4; 0 to 3 are allowed"),
        (5, 0x40, "malformed: flags 40; only 10 and 20 are allowed"),
        (7, 255, "bytes of header parts do not fit"),
        (28, 1, "sequence number 4294967303; it must be below 4294967296"),
        (32, 0xFF, "malformed: the header parts are no valid encoding"),
    ],
)
def test_inspect_malformed_part_names_the_fault(sealed: bytes, at: int, value: int, message: str) -> None:
    with pytest.raises(InspectError, match=message):
        inspect_part(changed(sealed, at, value))


def test_inspect_short_part_names_the_least_length(sealed: bytes) -> None:
    with pytest.raises(InspectError, match="malformed: 51 bytes; a sealed part has at least 52"):
        inspect_part(sealed[:51])


def test_inspect_truncated_part_is_an_error_but_where_parts_end(association: zmqsec.Association) -> None:
    whole = seal(association, Message(body=[b"a", b"b"], header=[b"c"], protect="authenticated"))
    passed = []
    for length in range(len(whole)):
        try:
            passed.append((length, inspect_part(whole[:length]).body))
        except InspectError:
            continue
    # Without a key nobody can tell these from whole ones: the tag is not checked here.
    assert passed == [(len(whole) - 10, []), (len(whole) - 5, [b"a"])]


def test_inspect_users_own_suite_is_shown_without_it(sealed: bytes) -> None:
    assert inspect_part(changed(sealed, 4, 222)).suite_name == "a user's own"
