"""The realm of a key server: members, groups and their epochs, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from postgres import postgres
from realm_helpers import ALICE, BOB, CAROL, NOW, OPS, ROOT, doing, new_realm, operations, seeing, sqlite_url, weather

from zmqsec import Role
from zmqsec.keyserver import audit, enrolment, epochs, groups, members, traffic
from zmqsec.keyserver.errors import Conflict, Invalid, KeyServerError, NotAllowed, StoreError, Unknown
from zmqsec.keyserver.policy import Policy
from zmqsec.keyserver.realm import Change, Realm, answered, keep_answer
from zmqsec.keyserver.rootkey import RootKey
from zmqsec.keyserver.store import Store
from zmqsec.keyserver.tables import audit as audit_table
from zmqsec.keyserver.tables import metadata


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


def emptied(url: str) -> str:
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sql.text("DROP SCHEMA public CASCADE"))
        connection.execute(sql.text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return sqlite_url(tmp_path) if request.param == "sqlite" else emptied(request.getfixturevalue("postgres_url"))


@pytest.fixture
def realm(url: str) -> Iterator[Realm]:
    found = new_realm(url)
    yield found
    found.close()


def test_realm_is_the_same_after_a_restart(url: str) -> None:
    first = new_realm(url)
    doing(first, weather)
    first.close()
    again = Realm(Store(url), ROOT)
    assert (again.id, again.identity.key) == (first.id, first.identity.key)
    assert [one.name for one in seeing(again, members.every)] == ["alice", "bob", "ops"]
    assert again.verify()[0] == again.revision()
    again.close()


def test_realm_is_made_once(realm: Realm, url: str) -> None:
    with pytest.raises(Conflict, match="holds a realm already"):
        Realm.create(Store(url), ROOT, OPS.public, NOW)


def test_realm_of_another_root_key_is_not_opened(realm: Realm, url: str) -> None:
    with pytest.raises(StoreError, match="the root key is not that of this realm"):
        Realm(Store(url), RootKey(bytes(range(2, 34))))


def test_migrations_lead_to_the_tables(realm: Realm) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with realm.store.view() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_database_of_a_later_version_is_refused(realm: Realm, url: str) -> None:
    with realm.store.change() as connection:
        connection.execute(sql.text("UPDATE alembic_version SET version_num = 'v9999'"))
    with pytest.raises(StoreError, match="of a form that this version does not know"):
        Store(url)


def test_change_that_fails_leaves_nothing(realm: Realm) -> None:
    before = realm.revision()
    with pytest.raises(RuntimeError, match="half-way"), realm.change("tests", NOW) as change:
        weather(change)
        raise RuntimeError("half-way")
    assert realm.revision() == before
    assert seeing(realm, groups.every) == []
    assert realm.verify()[0] == before


def test_view_is_of_one_moment(realm: Realm) -> None:
    doing(realm, groups.create, "a", Policy())
    with realm.view(NOW) as view:
        assert len(groups.every(view)) == 1
        doing(realm, groups.create, "b", Policy())
        assert len(groups.every(view)) == 1


# -- members -----------------------------------------------------------------------------------------------------------


def test_member_registered_again_is_the_same_one(realm: Realm) -> None:
    first = doing(realm, members.register, ALICE.key, "alice")
    number = realm.revision()
    assert doing(realm, members.register, ALICE.key, "alice") == first
    assert realm.revision() == number


@pytest.mark.parametrize(
    ("change", "error", "text"),
    (
        (lambda c: members.register(c, ALICE.key, "alicia"), Conflict, "is a member already, 'alice'"),
        (lambda c: members.register(c, CAROL.key, "alice"), Conflict, "the name 'alice' is taken"),
        (lambda c: members.register(c, bytes(32), "zero"), Invalid, "not canonical or of a small order"),
        (lambda c: members.register(c, CAROL.key, "zs1x"), Invalid, "member name 'zs1x': 1 to 255 bytes are allowed"),
        (lambda c: members.register(c, CAROL.key, ""), Invalid, "1 to 255 bytes are allowed"),
        (lambda c: members.register(c, CAROL.key, "a\nb"), Invalid, "printable text"),
        (lambda c: members.revoke(c, "nobody"), Unknown, "no member 'nobody'"),
        (lambda c: members.revoke(c, "ops"), Conflict, "'ops' is the only admin"),
        (lambda c: groups.create(c, "weather", Policy()), Conflict, "there is a group 'weather' already"),
        (lambda c: groups.add(c, "news", "bob", groups.grant_of(["send"])), Unknown, "no group 'news'"),
        (lambda c: groups.remove(c, "weather", "nobody"), Unknown, "no member 'nobody'"),
        (lambda c: groups.grant_of(["admin"]), Invalid, "one or more of send, receive, relay are allowed"),
        (lambda c: groups.grant_of(["shout"]), Invalid, "role 'shout': send, receive, relay, admin are allowed"),
        (lambda c: groups.grant_of(["send", "relay"]), Invalid, "a relay gets no key to read or write with"),
        (lambda c: groups.grant_of([]), Invalid, "one or more of"),
        (lambda c: enrolment.offer(c, OPS.fingerprint, "bob", {}), Invalid, "the name 'bob' is taken"),
        (lambda c: enrolment.offer(c, OPS.fingerprint, "eve", {"news": None}), Unknown, "no group 'news'"),
        (lambda c: enrolment.offer(c, OPS.fingerprint, "eve", {}, seconds=0), Invalid, "1 to 604800 are allowed"),
        (lambda c: enrolment.redeem(c, CAROL.key, bytes(20)), NotAllowed, "the token is unknown"),
    ),
)
def test_change_that_cannot_be_is_refused(
    tmp_path: Path, change: Callable[[Change], object], error: type[KeyServerError], text: str
) -> None:
    realm = new_realm(sqlite_url(tmp_path))
    doing(realm, weather)
    before = realm.revision()
    with pytest.raises(error, match=text):
        doing(realm, change)
    assert realm.revision() == before
    realm.close()


def test_member_that_was_revoked_is_in_no_group_and_does_not_come_back(realm: Realm) -> None:
    doing(realm, weather)
    doing(realm, groups.create, "news", Policy())
    doing(realm, groups.add, "news", "bob", groups.grant_of(["send", "receive"]))
    member, left = doing(realm, members.revoke, BOB.public.__str__(), now=NOW + 5)
    assert (member.revoked, left) == (NOW + 5, ["news", "weather"])
    assert seeing(realm, groups.of_member, member) == []
    assert [group.epoch for group in seeing(realm, groups.every)] == [2, 2]
    assert doing(realm, members.revoke, "bob") == (member, [])
    with pytest.raises(NotAllowed, match="was revoked"):
        seeing(realm, members.active, BOB.key)
    with pytest.raises(Conflict, match="was revoked, and does not come back"):
        doing(realm, members.register, BOB.key, "bob")
    with pytest.raises(Conflict, match="the name 'bob' is taken"):
        doing(realm, members.register, CAROL.key, "bob")
    with pytest.raises(Conflict, match="member 'bob' was revoked"):
        doing(realm, groups.add, "weather", "bob", groups.grant_of(["send"]))


def test_admin_can_be_revoked_where_there_is_another(realm: Realm) -> None:
    doing(realm, members.register, ALICE.key, "alice", admin=True)
    assert doing(realm, members.revoke, "ops")[1] == []
    with pytest.raises(Conflict, match="'alice' is the only admin"):
        doing(realm, members.revoke, "alice")


# -- groups and epochs -------------------------------------------------------------------------------------------------


def test_group_has_its_first_key_at_once(realm: Realm) -> None:
    doing(realm, weather, lifetime=100, reject_after=200)
    (first,) = seeing(realm, epochs.held, 1)
    assert (first.epoch, first.send_from, first.accept_until) == (1, NOW, NOW + 200)
    assert seeing(realm, groups.find, "weather").rekey_at == NOW + 100


def test_epoch_before_is_opened_for_the_overlap(realm: Realm) -> None:
    doing(realm, weather, spread=10, overlap=60)
    assert doing(realm, groups.rekey, "weather", now=NOW + 100) == 2
    first, second = seeing(realm, epochs.held, 1, now=NOW + 100)
    assert (second.send_from, first.accept_until) == (NOW + 111, NOW + 171)
    assert second.secret != first.secret and second.spi != first.spi
    assert [one.epoch for one in seeing(realm, epochs.held, 1, now=NOW + 171)] == [2]


@pytest.mark.parametrize(
    ("leave", "why"),
    (
        (lambda c: groups.remove(c, "weather", "bob"), "leave"),
        (lambda c: members.revoke(c, "bob"), "revocation"),
        (lambda c: groups.add(c, "weather", "alice", groups.grant_of(["receive"])), "roles taken away"),
    ),
)
def test_key_changes_at_once_when_a_member_loses_it(realm: Realm, leave: Callable[[Change], object], why: str) -> None:
    doing(realm, weather)
    doing(realm, groups.rekey, "weather", now=NOW + 100)  # a key that is known to the member, and not yet in use
    doing(realm, leave, now=NOW + 101)
    first, second, third = seeing(realm, epochs.held, 1, now=NOW + 101)
    assert third.send_from == NOW + 104
    assert first.accept_until == second.accept_until == NOW + 109
    with realm.view(NOW) as view:
        assert list(audit.entries(view.connection))[-1].detail["why"] == why


def test_member_that_is_not_in_the_group_is_not_put_out_of_it(realm: Realm) -> None:
    doing(realm, weather)
    doing(realm, members.register, CAROL.key, "carol")
    before = realm.revision()
    assert doing(realm, groups.remove, "weather", "carol") is False
    assert realm.revision() == before


def test_membership_is_not_told_to_others(realm: Realm) -> None:
    doing(realm, weather)
    carol = doing(realm, members.register, CAROL.key, "carol")
    for name in ("weather", "nothing"):
        with pytest.raises(NotAllowed, match=f"member 'carol' is in no group '{name}'"):
            seeing(realm, groups.membership, name, carol)


def test_members_of_a_group_have_their_rights(realm: Realm) -> None:
    doing(realm, weather)
    rows = seeing(realm, groups.members_of, "weather")
    assert [(member.name, grant.roles, held) for member, grant, held in rows] == [
        ("alice", Role.SEND, 0),
        ("bob", Role.RECEIVE, 0),
    ]
    assert rows[0][1].publish == (b"weather.*",) and rows[1][1].read == (b"*",)
    assert groups.grant_from_json(groups.grant_as_json(rows[0][1])) == rows[0][1]
    with realm.store.change() as connection:
        traffic.note_held(connection, [(1, rows[1][0].id, 7)])
    assert [held for _, _, held in seeing(realm, groups.members_of, "weather")] == [0, 7]


def test_rekeying_is_due_on_schedule(realm: Realm) -> None:
    doing(realm, weather, lifetime=100, overlap=5, spread=2, reject_after=200)
    assert not seeing(realm, epochs.anything_due, now=NOW + 99)
    assert seeing(realm, epochs.anything_due, now=NOW + 100)
    assert doing(realm, epochs.due, now=NOW + 100) == ["weather"]
    assert doing(realm, epochs.due, now=NOW + 100) == []
    assert seeing(realm, epochs.anything_due, now=NOW + 108)  # the first epoch is to be deleted
    assert doing(realm, epochs.due, now=NOW + 108) == []
    with realm.store.view() as connection:
        assert connection.execute(sql.text("SELECT epoch FROM epochs")).scalars().all() == [2]


@pytest.mark.parametrize("jump", (-10 * 365 * 86400, -86400, 86400, 10 * 365 * 86400))
def test_clock_that_jumps_makes_a_new_key(realm: Realm, jump: int) -> None:
    doing(realm, weather)
    there = NOW + jump
    assert doing(realm, epochs.due, now=there) == ["weather"]
    newest = seeing(realm, epochs.held, 1, now=there)[-1]
    assert (newest.epoch, newest.send_from) == (2, there + 11)
    assert doing(realm, epochs.due, now=there + 1) == []


def test_policy_changes_with_a_new_epoch(realm: Realm) -> None:
    doing(realm, weather)
    new = Policy.of({"lifetime": 600, "attestation": "required"}, seeing(realm, groups.find, "weather").policy)
    assert doing(realm, groups.set_policy, "weather", new).epoch == 2
    assert doing(realm, groups.set_policy, "weather", new).epoch == 2
    with realm.view(NOW) as view:
        (said,) = (one.detail["changed"] for one in audit.entries(view.connection) if one.operation == "group.policy")
    assert said == {"lifetime": 600, "attestation": "required"}


@pytest.mark.parametrize(
    ("said", "text"),
    (
        ({"lifetime": 1}, "lifetime=1: 10 to 2592000 seconds are allowed"),
        ({"lifetime": "long"}, "lifetime='long'"),
        ({"overlap": True}, "overlap=True"),
        ({"reject_after": 60}, "at least lifetime and spread, 3610, are allowed"),
        ({"suite": "rot13"}, "rot13"),
        ({"attestation": "maybe"}, "'none' or 'required' is allowed"),
        ({"hops_min": 3, "hops_max": 2}, "hops_max=2"),
        ({"colour": 1}, "policy 'colour' is unknown"),
    ),
)
def test_policy_out_of_bounds_is_refused(said: dict[str, object], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        Policy.of(said)


# -- sessions, tokens, answers -----------------------------------------------------------------------------------------


def test_sessions_never_go_back_and_are_forgotten(realm: Realm) -> None:
    doing(realm, weather)
    alice = seeing(realm, members.find, "alice")
    one = traffic.Report(1, alice.id, b"s" * 12, 7, 5, True)
    late = traffic.Report(1, alice.id, b"s" * 12, 7, 3, True)
    stranger = traffic.Report(1, 999, b"t" * 12, 7, 3, True)
    for report in (one, late, stranger):
        with realm.store.change() as connection:
            traffic.report(connection, [report], NOW + report.sequence)
    with realm.store.change() as connection:
        assert traffic.live(connection, 1) == [traffic.Live(b"s" * 12, 7, 5, ALICE.key)]
        assert traffic.forget(connection, NOW + 3) == 0
        assert traffic.forget(connection, NOW + 4) == 1


def test_token_lets_one_member_in_once(realm: Realm) -> None:
    doing(realm, weather)
    grants = {"weather": groups.grant_of(["receive"], read=["weather.*"])}
    token = doing(realm, enrolment.offer, realm.identity.key, "carol", grants)
    random, server = enrolment.read_token(token)
    assert server == realm.identity.key
    carol = doing(realm, enrolment.redeem, CAROL.key, random)
    assert carol.name == "carol"
    assert [group.name for group in seeing(realm, groups.of_member, carol)] == ["weather"]
    number = realm.revision()
    assert doing(realm, enrolment.redeem, CAROL.key, random) == carol  # the answer was lost: nothing more is done
    assert realm.revision() == number
    with pytest.raises(NotAllowed, match="was used already"):
        doing(realm, enrolment.redeem, OPS.key, random)
    with realm.store.view() as connection:
        assert all(random not in bytes(row.hash) for row in connection.execute(sql.text("SELECT * FROM tokens")))


def test_token_expires(realm: Realm) -> None:
    random, _ = enrolment.read_token(doing(realm, enrolment.offer, OPS.fingerprint, "carol", {}, seconds=60))
    with pytest.raises(NotAllowed, match="has expired"):
        doing(realm, enrolment.redeem, CAROL.key, random, now=NOW + 61)
    assert doing(realm, enrolment.expire, now=NOW + 61) == 1


@pytest.mark.parametrize("text", ("", "zst1", "zst1" + "a" * 83, "zst1" + "A" * 84, "zst1" + "0" * 84))
def test_token_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="that is no token"):
        enrolment.read_token(text)


def test_answers_are_kept_for_requests_that_come_again(realm: Realm) -> None:
    doing(realm, keep_answer, ALICE.key, b"r" * 16, {"token": "secret"})
    assert doing(realm, answered, ALICE.key, b"r" * 16) == {"token": "secret"}
    assert doing(realm, answered, BOB.key, b"r" * 16) is None
    doing(realm, keep_answer, BOB.key, b"q" * 16, {}, now=NOW + 601)
    assert doing(realm, answered, ALICE.key, b"r" * 16) is None


# -- the audit log -----------------------------------------------------------------------------------------------------


def test_audit_names_every_change(realm: Realm) -> None:
    doing(realm, weather)
    doing(realm, members.revoke, "bob")
    assert operations(realm) == [
        "realm.init",
        "group.create",
        "group.rekey",
        "member.register",
        "member.register",
        "group.add",
        "group.add",
        "member.revoke",
        "group.rekey",
    ]
    number, last = realm.verify()
    assert number == 9 and len(last) == 32
    with realm.view(NOW) as view:
        assert [one.number for one in audit.entries(view.connection, first=4, most=3)] == [4, 5, 6]


@pytest.mark.parametrize(
    ("statement", "text"),
    (
        ("UPDATE audit SET entry = replace(entry, 'alice', 'mallo') WHERE number = 4", "entry 4 was changed"),
        ("DELETE FROM audit WHERE number = 4", "entry 4 is missing"),
        ("DELETE FROM audit WHERE number = 7", "it ends with entry 6, and the realm knows of 7"),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 2) WHERE number = 3", "entry 3 was changed"),
    ),
)
def test_audit_shows_what_was_changed_behind_its_back(realm: Realm, statement: str, text: str) -> None:
    doing(realm, weather)
    with realm.store.change() as connection:
        connection.execute(sql.text(statement))
    with pytest.raises(StoreError, match=text):
        realm.verify()


def test_audit_that_was_written_anew_lacks_the_root_keys_word(realm: Realm) -> None:
    doing(realm, weather)
    with realm.store.change() as connection:
        before = audit.FIRST
        for row in connection.execute(sql.select(audit_table).order_by(audit_table.c.number)).all():
            entry = row.entry.replace("alice", "mallo")
            before = audit.chain(before, entry)
            here = audit_table.c.number == row.number
            connection.execute(audit_table.update().where(here).values(entry=entry, hash=before))
        connection.execute(sql.text("UPDATE realm SET audit_hash = :last"), {"last": before})
    with pytest.raises(StoreError, match="the root key does not vouch for its end"):
        realm.verify()
