"""Several key servers on one realm in PostgreSQL: one epoch at a time, and nothing is lost when one is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import postgres
from realm_helpers import NOW, ROOT, doing, new_realm, seeing, weather

from zmqsec.keyserver import audit, epochs, groups, members
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.store import Store

#: Registers members and changes keys for as long as it lives, and says what it was told to be done.
_SERVER = """
import sys
sys.path.insert(0, sys.argv[3])
from realm_helpers import NOW, ROOT, doing
from zmqsec import Identity
from zmqsec.keyserver import groups, members
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.store import Store
realm = Realm(Store(sys.argv[1]), ROOT)
for number in range(100_000):
    name = f"{sys.argv[2]} {number}"
    with realm.change(sys.argv[2], NOW) as change:
        members.register(change, Identity.generate().key, name)
        groups.add(change, "weather", name, groups.grant_of(["receive"]))
        epoch = groups.rekey(change, "weather")
    print(f"{name},{epoch}", flush=True)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as found:
        realm = new_realm(found)
        doing(realm, weather, lifetime=100, overlap=5, spread=2, reject_after=200)
        realm.close()
        yield found


def test_several_servers_make_one_epoch_on_schedule(url: str) -> None:
    realms = [Realm(Store(url), ROOT) for _ in range(2)]
    made: list[str] = []
    for step in range(1, 6):
        before = seeing(realms[0], groups.find, "weather")
        together = threading.Barrier(len(realms))

        def serve(realm: Realm, now: int, together: threading.Barrier = together) -> None:
            together.wait()
            with realm.change("server", now) as change:
                made.extend(epochs.due(change))

        threads = [threading.Thread(target=serve, args=(realm, before.rekey_at)) for realm in realms]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seeing(realms[1], groups.find, "weather").epoch == before.epoch + 1
        assert made == ["weather"] * step
    assert realms[0].verify() == realms[1].verify()
    for realm in realms:
        realm.close()


def test_several_servers_lose_nothing_when_one_is_killed_under_load(url: str) -> None:
    command = [sys.executable, "-c", _SERVER, url]
    here = str(Path(__file__).parent)
    left, right = (
        subprocess.Popen([*command, name, here], stdout=subprocess.PIPE, text=True) for name in ("left", "right")
    )
    assert left.stdout is not None and right.stdout is not None
    said = [left.stdout.readline() for _ in range(20)]
    left.kill()
    said += left.stdout.readlines()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        said.append(right.stdout.readline())
    right.terminate()
    said += right.stdout.readlines()
    for process in (left, right):
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    done = [line.strip().split(",") for line in said if line.endswith("\n")]

    realm = Realm(Store(url), ROOT)
    there = {one.name for one in seeing(realm, members.every)}
    assert {name for name, _ in done} <= there
    assert len([name for name, _ in done if name.startswith("right")]) > 20  # which went on
    assert len({epoch for _, epoch in done}) == len(done)  # no epoch was made twice
    assert realm.verify()[0] == realm.revision()
    with realm.view(NOW) as view:
        numbers = [one.detail["epoch"] for one in audit.entries(view.connection) if one.operation == "group.rekey"]
    assert numbers == list(range(1, len(numbers) + 1))
    realm.close()
