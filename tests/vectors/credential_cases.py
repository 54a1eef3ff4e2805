"""credentials.json and revocations.json: signed statements of an authority, those that hold and those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cases import Vector, changed, flipped
from helpers import NOW

from zmqsec import limits
from zmqsec.credential import LABEL, Credential
from zmqsec.errors import Refusal
from zmqsec.identity import Identity
from zmqsec.revocation import LABEL as REVOCATION_LABEL
from zmqsec.revocation import RevocationList
from zmqsec.rights import Rights, Role

AUTHORITY = Identity.from_seed(bytes(range(32)), "authority")
SUBJECT = Identity.from_seed(bytes(range(32, 64)), "subject")
OTHER = Identity.from_seed(bytes(range(64, 96)), "other")
UNTIL = NOW + 90 * 86400
RIGHTS = Rights(Role.SEND, names=("alice",), routing_ids=(b"alice",), publish=(b"weather.*",))
#: y = 2^255 - 18: the point with y = 1, encoded in a second way; and the neutral element itself.
NOT_CANONICAL = bytes.fromhex("ee" + "ff" * 30 + "7f")
SMALL_ORDER = b"\1" + bytes(31)

Check = tuple[int, Role, bytes | None, bytes, bool]


def credential(rights: Rights = RIGHTS, serial: int = 7, begin: int = NOW, end: int = UNTIL) -> Credential:
    return Credential.issue(AUTHORITY, SUBJECT.public, rights, not_before=begin, not_after=end, serial=serial)


def good(name: str, purpose: str, made: Credential, checks: Sequence[Check] = ()) -> Vector:
    rights = made.rights
    return {
        "name": name,
        "purpose": purpose,
        "expect": "valid",
        "authority": made.authority.hex(),
        "subject": made.subject.hex(),
        "serial": made.serial,
        "not_before": made.not_before,
        "not_after": made.not_after,
        "roles": int(rights.roles),
        "names": list(rights.names),
        **{one: [entry.hex() for entry in getattr(rights, one)] for one in ("routing_ids", "publish", "read")},
        "raw": made.raw.hex(),
        "checks": [
            {
                "now": now,
                "role": int(role),
                "topic": None if topic is None else topic.hex(),
                "routing_id": routing_id.hex(),
                "permitted": permitted,
            }
            for now, role, topic, routing_id, permitted in checks
        ],
    }


def good_vectors() -> Iterator[Vector]:
    send, receive, relay, admin = Role
    yield good(
        "one-role",
        "a name, a routing id and a prefix of topics to publish",
        credential(),
        [
            (NOW, send, None, b"", True),
            (NOW, send, b"weather.oslo", b"alice", True),
            (NOW, send, b"weather.", b"alice", True),
            (NOW, send, b"weather", b"", False),
            (NOW, send, b"", b"", False),
            (NOW, send, b"Weather.oslo", b"", False),
            (NOW, send, None, b"alic", False),
            (NOW, send, None, b"alice2", False),
            (NOW, receive, None, b"", False),
            (NOW, relay, None, b"", False),
            (NOW, admin, None, b"", False),
        ],
    )
    yield good(
        "validity",
        "the first and the last second are within, those beside them not",
        credential(begin=NOW, end=NOW + 1),
        [(NOW + later, send, None, b"", later in (0, 1)) for later in (-1, 0, 1, 2)],
    )
    yield good(
        "one-second",
        "not before and not after may be equal",
        credential(begin=NOW, end=NOW),
        [(NOW, send, None, b"", True), (NOW + 1, send, None, b"", False)],
    )
    yield good(
        "empty-lists",
        "empty lists give nothing: no topic, no routing id",
        credential(Rights(Role.SEND)),
        [(NOW, send, None, b"", True), (NOW, send, b"", b"", False), (NOW, send, None, b"x", False)],
    )
    yield good(
        "all-roles",
        "all roles; publish and read are looked at for their own role only",
        credential(Rights(send | receive | relay | admin, publish=(b"out",), read=(b"in",))),
        [
            (NOW, send, b"out", b"", True),
            (NOW, send, b"in", b"", False),
            (NOW, receive, b"in", b"", True),
            (NOW, receive, b"out", b"", False),
            (NOW, relay, b"any", b"", True),
            (NOW, admin, b"any", b"", True),
        ],
    )
    yield good(
        "everything",
        "the pattern of all, for routing ids and topics",
        credential(Rights(send | receive, routing_ids=(b"*",), publish=(b"*",), read=(b"*",))),
        [(NOW, send, b"", b"\xff\xfe", True), (NOW, receive, b"any", b"x", True)],
    )
    yield good(
        "exact-topics",
        "several exact topics, and the empty one",
        credential(Rights(send, publish=(b"", b"a", b"ab", b"b"))),
        [(NOW, send, b"", b"", True), (NOW, send, b"ab", b"", True), (NOW, send, b"abc", b"", False)],
    )
    yield good(
        "star-within",
        "a star is a pattern's end only; elsewhere it is itself",
        credential(Rights(send, publish=(b"a*b", b"c**"))),
        [
            (NOW, send, b"a*b", b"", True),
            (NOW, send, b"axb", b"", False),
            (NOW, send, b"c*", b"", True),
            (NOW, send, b"c*d", b"", True),
            (NOW, send, b"c", b"", False),
        ],
    )
    yield good(
        "binary-routing-ids",
        "routing ids of any bytes",
        credential(Rights(send, routing_ids=(b"\0\1\2\3\4", b"\xff" * 255))),
        [(NOW, send, None, b"\xff" * 255, True), (NOW, send, None, b"\xff" * 254, False)],
    )
    yield good(
        "unicode-names",
        "names of two, three and four bytes a character",
        credential(Rights(send, names=("é", "日本", "\U0001f600"))),
    )
    yield good("largest-serial", "a serial of 64 bits, for ever", credential(serial=2**64 - 1, begin=0, end=2**64 - 1))
    yield good(
        "largest",
        "4,096 bytes, the most",
        credential(Rights(send, publish=tuple(bytes([i]) * 255 for i in range(15)), read=(b"x" * 91,))),
    )
    many = Rights(receive, read=tuple(bytes([i]) for i in range(255)))
    yield good("255-entries", "the longest list", credential(many), [(NOW, receive, b"\xfe", b"", True)])


def refused(name: str, purpose: str, raw: bytes, expect: str) -> Vector:
    found = Credential.read(raw)
    assert isinstance(found, Refusal) and str(found.reason) == expect, (name, found)
    return {"name": name, "purpose": purpose, "expect": expect, "raw": raw.hex()}


def signed(body: bytes, signer: Identity = AUTHORITY, label: bytes = LABEL) -> bytes:
    """The body with a signature that holds, whatever the body may be."""
    return body + signer.sign(label + body)


def lists(*entries: Sequence[bytes]) -> bytes:
    return b"".join(bytes([len(one)]) + b"".join(bytes([len(e)]) + e for e in one) for one in entries)


def body_of(
    tail: bytes = b"\0\0\0\0",
    authority: bytes = AUTHORITY.key,
    subject: bytes = SUBJECT.key,
    roles: int = 1,
    begin: int = NOW,
    end: int = UNTIL,
) -> bytes:
    numbers = b"".join(value.to_bytes(8, "little") for value in (7, begin, end))
    return limits.CREDENTIAL_MAGIC + bytes([1, roles, 0, 0, 0]) + authority + subject + numbers + tail


def refused_vectors() -> Iterator[Vector]:
    raw = credential().raw
    body = raw[:-64]
    plain = body_of()
    big = lists([], [], [bytes([i]) * 255 for i in range(15)], [b"x" * 92])
    yield refused("empty", "no bytes", b"", "malformed")
    yield refused("shorter-than-any", "163 bytes", signed(plain)[:163], "malformed")
    yield refused("too-large", "4,097 bytes, well signed", signed(body_of(big)), "too-large")
    yield refused("magic", "another magic", signed(changed(plain, 2, 0x53)), "malformed")
    yield refused("magic-of-a-list", "a revocation list is no credential", signed(changed(plain, 2, 0x52)), "malformed")
    yield refused("version-0", "version 0", signed(changed(plain, 3, 0)), "version")
    yield refused("version-2", "version 2", signed(changed(plain, 3, 2)), "version")
    yield refused("no-role", "no role at all", signed(body_of(roles=0)), "malformed")
    yield refused("unknown-role", "a reserved role", signed(body_of(roles=0x11)), "malformed")
    for at in (5, 6, 7):
        yield refused(f"reserved-{at}", f"byte {at} is not 0", signed(changed(plain, at, 1)), "malformed")
    yield refused(
        "authority-small-order", "an authority of a small order", signed(body_of(authority=SMALL_ORDER)), "malformed"
    )
    yield refused(
        "subject-small-order", "a subject of a small order", signed(body_of(subject=SMALL_ORDER)), "malformed"
    )
    yield refused(
        "subject-not-canonical", "a subject's key not canonical", signed(body_of(subject=NOT_CANONICAL)), "malformed"
    )
    yield refused("backwards", "not before after not after", signed(body_of(begin=NOW + 1, end=NOW)), "malformed")
    yield refused("lists-cut", "cut before the last list", signed(body_of(b"\0\0\1\1")), "malformed")
    yield refused("entry-cut", "an entry passes the end", signed(body_of(b"\0\0\0\1\5abcd")), "malformed")
    yield refused("entry-missing", "one entry less than counted", signed(body_of(b"\0\0\0\2\1a")), "malformed")
    yield refused("trailing", "a byte behind the lists", signed(body_of(b"\0\0\0\0\0")), "malformed")
    yield refused("name-empty", "an empty name", signed(body_of(lists([b""], [], [], []))), "malformed")
    yield refused("routing-id-empty", "an empty routing id", signed(body_of(lists([], [b""], [], []))), "malformed")
    yield refused("name-not-utf8", "a name of no UTF-8", signed(body_of(lists([b"\xc3\x28"], [], [], []))), "malformed")
    yield refused("name-overlong", "an overlong name", signed(body_of(lists([b"\xc0\xaf"], [], [], []))), "malformed")
    for at, what in enumerate(("names", "routing_ids", "publish", "read")):
        falling = lists(*([b"b", b"a"] if i == at else [] for i in range(4)))
        twice = lists(*([b"a", b"a"] if i == at else [] for i in range(4)))
        yield refused(f"order-{what}", f"{what} in falling order", signed(body_of(falling)), "malformed")
        yield refused(f"twice-{what}", f"{what} with one twice", signed(body_of(twice)), "malformed")
    yield refused(
        "order-by-length", "a longer one before its own beginning", signed(body_of(lists([], [], [b"ab", b"a"], []))),
        "malformed",
    )  # fmt: skip
    yield refused("signature-zero", "no signature", body + bytes(64), "forged")
    yield refused("signature-of-another", "signed by another", signed(body, OTHER), "forged")
    yield refused("signature-of-the-subject", "signed by the subject itself", signed(body, SUBJECT), "forged")
    yield refused("label-none", "signed without the label", signed(body, label=b""), "forged")
    yield refused("label-of-a-list", "the label of revocation lists", signed(body, label=REVOCATION_LABEL), "forged")
    order = 2**252 + 27742317777372353535851937790883648493
    s = (int.from_bytes(raw[-32:], "little") + order).to_bytes(32, "little")
    yield refused("signature-malleated", "S + L in place of S", raw[:-32] + s, "forged")
    for what, at in (("subject", 40), ("serial", 72), ("not-before", 80), ("not-after", 88), ("list", 100)):
        yield refused(f"flipped-{what}", f"one bit of the {what} flipped", flipped(raw, at), "forged")
    yield refused("flipped-role", "another role", changed(raw, 4, 2), "forged")
    yield refused("flipped-signature", "one bit of R flipped", flipped(raw, -50), "forged")


def credential_vectors() -> Iterator[Vector]:
    yield from good_vectors()
    yield from refused_vectors()


# -- revocation lists -------------------------------------------------------------------------------------------------


def revocations(serials: Sequence[int] = (), keys: Sequence[bytes] = (), **fields: int) -> RevocationList:
    numbers = {"number": 1, "issued": NOW, "next_update": NOW + 86400, **fields}
    return RevocationList.issue(AUTHORITY, serials=serials, keys=keys, **numbers)


def good_list(name: str, purpose: str, made: RevocationList) -> Vector:
    return {
        "name": name,
        "purpose": purpose,
        "expect": "valid",
        "authority": made.authority.hex(),
        "number": made.number,
        "issued": made.issued,
        "next_update": made.next_update,
        "serials": sorted(made.serials),
        "keys": sorted(key.hex() for key in made.keys),
        "raw": made.raw.hex(),
    }


def refused_list(name: str, purpose: str, raw: bytes, expect: str) -> Vector:
    found = RevocationList.read(raw)
    assert isinstance(found, Refusal) and str(found.reason) == expect, (name, found)
    return {"name": name, "purpose": purpose, "expect": expect, "raw": raw.hex()}


def list_body(entries: bytes = b"", count: int = 0, issued: int = NOW, authority: bytes = AUTHORITY.key) -> bytes:
    numbers = b"".join(value.to_bytes(8, "little") for value in (1, issued, NOW + 86400))
    head = limits.REVOCATION_MAGIC + bytes([1]) + bytes(4)
    return head + authority + numbers + count.to_bytes(4, "little") + entries


def revocation_vectors() -> Iterator[Vector]:
    def sign(body: bytes, signer: Identity = AUTHORITY, label: bytes = REVOCATION_LABEL) -> bytes:
        return signed(body, signer, label)

    def serial(value: int) -> bytes:
        return b"\0" + value.to_bytes(8, "little")

    yield good_list("none", "nothing is revoked", revocations())
    yield good_list("serial", "one credential", revocations([7]))
    yield good_list("identity", "one identity", revocations(keys=[SUBJECT.key]))
    many = revocations([300, 7, 2**64 - 1, 0], [b"\xff" * 32, OTHER.key])
    yield good_list("both", "serials first, each in ascending order", many)
    yield good_list("largest-number", "numbers of 64 bits", revocations(number=2**64 - 1, next_update=2**64 - 1))
    plain, one = list_body(), sign(list_body(serial(7), 1))
    cases: list[tuple[str, str, bytes, str]] = [
        ("short", "131 bytes", sign(plain)[:131], "malformed"),
        ("magic", "a credential's magic", sign(changed(plain, 2, 0x43)), "malformed"),
        ("version", "version 2", sign(changed(plain, 3, 2)), "version"),
        ("reserved", "byte 7 is not 0", sign(changed(plain, 7, 1)), "malformed"),
        ("authority", "an authority of a small order", sign(list_body(authority=SMALL_ORDER)), "malformed"),
        ("backwards", "issued after the next update", sign(list_body(issued=NOW + 86401)), "malformed"),
        ("count-more", "fewer entries than counted", sign(list_body(serial(7), 2)), "malformed"),
        ("count-less", "more entries than counted", sign(list_body(serial(7), 0)), "malformed"),
        ("count-huge", "2^32 - 1 entries counted", sign(list_body(serial(7), 2**32 - 1)), "malformed"),
        ("entry-cut", "an entry cut", sign(list_body(serial(7)[:-1], 1)), "malformed"),
        ("kind", "an entry of kind 2", sign(list_body(b"\2" + bytes(8), 1)), "malformed"),
        ("order", "serials in falling order", sign(list_body(serial(8) + serial(7), 2)), "malformed"),
        ("twice", "a serial twice", sign(list_body(serial(7) + serial(7), 2)), "malformed"),
        ("keys-twice", "an identity twice", sign(list_body((b"\1" + OTHER.key) * 2, 2)), "malformed"),
        ("mixed", "a serial behind an identity", sign(list_body(b"\1" + OTHER.key + serial(7), 2)), "malformed"),
        ("signer", "signed by another", sign(list_body(serial(7), 1), OTHER), "forged"),
        ("label", "a credential's label", sign(list_body(serial(7), 1), label=LABEL), "forged"),
        ("flipped-number", "another number", flipped(one, 40), "forged"),
        ("flipped-serial", "another serial", flipped(one, 69), "forged"),
        ("flipped-signature", "one bit of S flipped", flipped(one, -1), "forged"),
    ]
    for case in cases:
        yield refused_list(*case)
