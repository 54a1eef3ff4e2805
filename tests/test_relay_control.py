"""The control socket: who is obeyed, what a recording of it is good for, and what an admin can do with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from service_helpers import Governed, free_port, leg
from socket_helpers import TIMEOUT, eventually

from zmqsec import Association, Context, Credential, Identity, Keyring, Message, RevocationList
from zmqsec.errors import ConfigError, SocketError
from zmqsec.relay.admin import Admin, AdminConfig
from zmqsec.relay.admins import NamedTrust, attested
from zmqsec.relay.blocks import BlockStore
from zmqsec.relay.commands import Commands
from zmqsec.relay.config import ControlConfig, RelayConfig
from zmqsec.relay.control import Control
from zmqsec.relay.events import Events
from zmqsec.relay.warden import Warden
from zmqsec.rights import Rights, Role

ROGUE = "192.0.2.1"
SOON = 0.4  # seconds in which an answer comes that comes at all


class Governable:
    """What the commands need of a service, and how often it was told to reload."""

    def __init__(self) -> None:
        self.events = Events()
        self.warden = Warden(BlockStore("sqlite://"), watch=self.events.tell)
        self.reloads = 0

    def snapshot(self) -> dict[str, Any]:
        return {"name": "edge", "rules": len(self.warden.rules.entries)}

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def files(tmp_path: Path) -> Governed:
    return Governed.make(tmp_path)


@pytest.fixture
def service() -> Iterator[Governable]:
    made = Governable()
    yield made
    made.warden.store.close()


@contextmanager
def control(files: Governed, service: Governable, **options: Any) -> Iterator[Control]:
    options.setdefault("admins", ((files.admin.fingerprint, "alice"),))
    config = ControlConfig(f"tcp://127.0.0.1:{files.port}", files.folder / "control.toml", **options)
    made = Control(config, files.relay, Commands(service), lambda key: service.warden.is_blocked("", identity=key))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def refused(made: Control, reason: str) -> int:
    return int(eventually(lambda: made.refused.get(reason, 0)))


def unheard(admin: Admin) -> None:
    with admin, pytest.raises(SocketError, match=r"no answer from tcp://127.0.0.1:"):
        admin.ask("status")


def test_control_obeys_an_admin_that_is_named(files: Governed, service: Governable) -> None:
    with control(files, service) as made, files.connect() as admin:
        assert admin.ask("status") == {"name": "edge", "rules": 0, "worst": []}
        found = admin.ask("block", kind="address", value=ROGUE, seconds=60, note="floods")
        assert service.warden.is_blocked(ROGUE)
        (rule,) = found["rules"]
        assert (rule["author"], rule["note"], rule["origin"]) == (f"{files.admin} alice", "floods", "operator")
        assert 0 < rule["until"] - time.time() <= 60
        admin.ask("reload")
        assert service.reloads == 1 and made.counts == {"obeyed": 3, "failed": 0} and made.refused == {}


def test_control_does_not_answer_a_member_who_is_no_admin(files: Governed, service: Governable) -> None:
    Identity.generate("mallory").save(files.folder / "mallory.toml")
    files.write_admin(files.folder / "mallory.admin.toml", "mallory.toml")
    with control(files, service) as made:
        unheard(files.connect("mallory.admin.toml", timeout=SOON))
        assert refused(made, "not-permitted") and made.counts == {"obeyed": 0, "failed": 0}


def member(files: Governed, identity: Identity | None) -> Any:
    """A DEALER of one who holds the association's key."""
    key = Association.load(files.folder / "control.toml")
    context = Context(keyring=Keyring([attested(key) if identity else key]))
    socket = context.socket(zmq.DEALER, association="control", identity=identity)
    socket.linger, socket.rcvtimeo = 0, int(SOON * 1000)
    socket.connect(f"tcp://127.0.0.1:{files.port}")
    return socket


def end(socket: Any) -> None:
    socket.close()
    socket.context.term()


def test_control_refuses_a_member_without_a_signature(files: Governed, service: Governable) -> None:
    request = json.dumps({"do": "status", "challenge": ""}).encode()
    socket = member(files, None)
    with control(files, service) as made:
        socket.send_message(body=[request])
        assert refused(made, "unattested") == 1 and not socket.poll(100)
    end(socket)


def test_control_request_for_another_relay_is_refused(files: Governed, service: Governable) -> None:
    """An admin of two relays that share an association: what goes to one is not obeyed by the other."""
    socket = member(files, files.admin)
    with control(files, service) as made:
        socket.send_message(Message(body=[b"{}"], to=Identity.generate("other").fingerprint))
        assert refused(made, "not-permitted") == 1 and not socket.poll(100)
    end(socket)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 60_000, b'{"do": "reload"}', b'{"challenge": null}'])
def test_control_request_that_makes_no_sense_gets_the_challenge_alone(
    files: Governed, service: Governable, body: bytes
) -> None:
    socket = member(files, files.admin)
    socket.context.keyring.trust.pin(files.relay.public)
    with control(files, service):
        sent = socket.send_message(Message(body=[body], to=files.relay.fingerprint))
        answer = socket.recv_message()
        assert answer.reply_to == sent and answer.origin.key == files.relay.key
        said = json.loads(answer.body[0])
        assert (said["ok"], said["error"]) == (False, "challenge") and len(said["challenge"]) == 32
        assert service.reloads == 0
    end(socket)


class Tap:
    """A plain ROUTER/DEALER proxy that keeps a copy of every request."""

    def __init__(self, to: int) -> None:
        self.context = zmq.Context()
        self.port, self.to = free_port(), to
        self.requests: list[list[bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self.context.socket(zmq.ROUTER) as front, self.context.socket(zmq.DEALER) as back:
            front.linger = back.linger = 0
            front.bind(f"tcp://127.0.0.1:{self.port}")
            back.connect(f"tcp://127.0.0.1:{self.to}")
            poller = zmq.Poller()
            poller.register(front, zmq.POLLIN)
            poller.register(back, zmq.POLLIN)
            while not self._stopping.is_set():
                for socket, _ in poller.poll(20):
                    frames = socket.recv_multipart()
                    if socket is front:
                        self.requests.append(frames[1:])
                    (back if socket is front else front).send_multipart(frames)

    def replay(self) -> list[list[bytes]]:
        """Send all requests again to where they went; the answers that come."""
        with self.context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{self.to}")
            for frames in self.requests:
                socket.send_multipart(frames)
            answers = []
            while socket.poll(300):
                answers.append(socket.recv_multipart())
            return answers

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self.context.term()


@pytest.fixture
def tap(files: Governed) -> Iterator[Tap]:
    made = Tap(files.port)
    yield made
    made.close()


def test_control_recorded_request_is_replayed_in_vain(files: Governed, service: Governable, tap: Tap) -> None:
    files.write_admin(files.folder / "admin.toml", endpoint=f"tcp://127.0.0.1:{tap.port}")
    with control(files, service) as made, files.connect() as admin:
        admin.ask("block", kind="address", value=ROGUE)
        service.warden.unblock("address", ROGUE, author="test")
        assert tap.replay() == [] and made.refused == {"replayed": 2}
        assert made.counts["obeyed"] == 1 and not service.warden.is_blocked(ROGUE)


def test_control_recorded_request_does_nothing_after_a_restart(files: Governed, service: Governable, tap: Tap) -> None:
    """The new process cannot know what the one before has seen: the challenge is what keeps it out."""
    files.write_admin(files.folder / "admin.toml", endpoint=f"tcp://127.0.0.1:{tap.port}")
    with control(files, service), files.connect() as admin:
        admin.ask("block", kind="address", value=ROGUE)
    service.warden.unblock("address", ROGUE, author="test")
    with control(files, service) as made:
        assert len(tap.replay()) == 2, "both are answered, with the challenge"
        assert made.refused == {} and made.counts == {"obeyed": 0, "failed": 0}
        assert not service.warden.is_blocked(ROGUE)


def test_control_admin_goes_on_with_a_relay_that_was_started_anew(files: Governed, service: Governable) -> None:
    with control(files, service), files.connect() as admin:
        admin.ask("status")
        before = admin.life
    with admin:
        pass
    with control(files, service), files.connect() as admin:
        admin.life = before
        admin.ask("block", kind="address", value=ROGUE)
        assert service.warden.is_blocked(ROGUE) and admin.life != before


def test_control_answers_of_another_member_are_not_believed(files: Governed) -> None:
    """Somebody who has the association's key, and the relay's place, has not its identity."""
    impostor = Identity.generate("edge")
    key = attested(Association.load(files.folder / "control.toml"))
    context = Context(keyring=Keyring([key], trust=NamedTrust([(files.admin.fingerprint, "")])))
    socket = context.socket(zmq.ROUTER, association="control", identity=files.relay.public)  # takes what is the relay's
    signs = {"identity": impostor, "attest": "message", "routing_id": b""}
    socket._state.channel.use_session(context.implementation.Session(key, clock=time.time, **signs))
    socket.linger, socket.rcvtimeo = 0, TIMEOUT
    socket.bind(f"tcp://127.0.0.1:{files.port}")

    def answer() -> None:
        socket.send_message(socket.recv_message().reply([b'{"ok": true, "result": "fine"}']))

    thread = threading.Thread(target=answer)
    thread.start()
    admin = files.connect(timeout=SOON)
    unheard(admin)
    thread.join()
    assert admin.refused["not-permitted"] == 1
    end(socket)


def issued(files: Governed, authority: Identity, serial: int, roles: Role) -> Path:
    path = files.folder / f"{serial}.cred"
    now = int(time.time())
    credential = Credential.issue(
        authority,
        files.admin.public,
        Rights(roles, names=["Alice"]),
        serial=serial,
        not_before=now - 9,
        not_after=now + 99,
    )
    credential.save(path)
    return path


@pytest.fixture
def authority(files: Governed) -> Identity:
    made = Identity.generate("ops")
    (files.folder / "trusted").mkdir()
    made.public.save(files.folder / "trusted" / "ops.toml", kind="authority")
    return made


def test_control_obeys_a_credential_with_the_role_admin_until_it_is_revoked(
    files: Governed, service: Governable, authority: Identity
) -> None:
    path = issued(files, authority, 7, Role.ADMIN)
    files.write_admin(files.folder / "admin.toml", credential=path.name)
    with control(files, service, admins=(), trust=files.folder / "trusted") as made:
        with files.connect() as admin:
            admin.ask("block", kind="address", value=ROGUE)
            assert service.warden.lines()[0]["author"] == f"{files.admin} Alice"
        now = int(time.time())
        RevocationList.issue(authority, number=1, issued=now, next_update=now + 99, serials=[7]).save(
            files.folder / "trusted" / "ops.revoked"
        )
        made.follow(made.config, made.check(made.config))
        unheard(files.connect(timeout=SOON))
        assert refused(made, "not-permitted")


def test_control_credential_without_the_role_admin_is_not_enough(
    files: Governed, service: Governable, authority: Identity
) -> None:
    path = issued(files, authority, 8, Role.SEND | Role.RECEIVE | Role.RELAY)
    files.write_admin(files.folder / "admin.toml", credential=path.name)
    with control(files, service, admins=(), trust=files.folder / "trusted") as made:
        unheard(files.connect(timeout=SOON))
        assert refused(made, "not-permitted")


def test_control_does_not_obey_an_admin_who_is_blocked(files: Governed, service: Governable) -> None:
    with control(files, service) as made:
        service.warden.block("identity", str(files.admin), author="another admin")
        unheard(files.connect(timeout=SOON))
        assert refused(made, "blocked")


def test_control_opened_anew_obeys_as_before(files: Governed, service: Governable) -> None:
    with control(files, service) as made, files.connect() as admin:
        admin.ask("status")
        made.reopen()
        eventually(lambda: not made._reopening.is_set())
        assert admin.ask("status")["name"] == "edge"


def test_control_garbage_is_refused_and_an_admin_heard_meanwhile(files: Governed, service: Governable) -> None:
    stop = threading.Event()

    def flood() -> None:
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{files.port}")
            while not stop.is_set():
                for message in ([b""], [b"\0" * 60], [b"x" * 60_000], [b""] * 20):
                    if socket.poll(10, zmq.POLLOUT):
                        socket.send_multipart(message)

    with control(files, service) as made:
        thread = threading.Thread(target=flood)
        thread.start()
        refused(made, "malformed")
        with files.connect() as admin:
            for _ in range(5):
                assert admin.ask("status")["name"] == "edge"
        stop.set()
        thread.join()
    assert made.counts["obeyed"] == 5


@pytest.mark.parametrize(
    ("command", "arguments", "fault"),
    (
        ("explode", {}, "no command 'explode'; status, reload, list"),
        ("block", {}, "block: kind=None: at most 4096 printable"),
        ("block", {"kind": "address", "value": "here"}, "address 'here'"),
        ("block", {"kind": "address", "value": ROGUE, "note": "\x1b[2J"}, r"note='\x1b[2J': at most"),
        ("block", {"kind": "address", "value": ROGUE, "note": "\ud800"}, "at most 4096 printable"),
        ("block", {"kind": "address", "value": ROGUE, "seconds": "1h"}, "a number of seconds or null"),
        ("block", {"kind": "address", "value": ROGUE, "seconds": float("nan")}, "seconds=nan: above 0"),
        ("block", {"kind": "address", "value": ROGUE, "colour": 1}, "argument 'colour' is unknown"),
        ("list", {"most": 1001}, "most=1001: a whole number of 0 to 1000"),
        ("list", {"most": True}, "most=True: a whole number"),
        ("events", {"after": -1}, "after=-1: a whole number"),
    ),
)
def test_control_mistakes_are_told(
    files: Governed, service: Governable, command: str, arguments: dict[str, Any], fault: str
) -> None:
    with control(files, service) as made, files.connect() as admin:
        with pytest.raises(ConfigError) as caught:
            admin.ask(command, **arguments)
        assert fault in str(caught.value)
        assert made.counts == {"obeyed": 0, "failed": 1} and service.warden.lines() == []


def test_control_failure_of_the_relay_itself_is_told_without_its_details(
    files: Governed, service: Governable, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("secret path")

    service.reload = fail  # type: ignore[method-assign]
    with control(files, service), files.connect() as admin, pytest.raises(ConfigError, match="its log says how"):
        admin.ask("reload")
    assert "secret path" in caplog.text


def test_control_tells_what_happens_to_peers(files: Governed, service: Governable) -> None:
    with control(files, service), files.connect() as admin:
        admin.ask("block", kind="address", value=ROGUE, note="floods")
        admin.ask("unblock", kind="address", value=ROGUE, allow=1, seconds=9)
        found = admin.ask("events")
        assert [one["event"] for one in found["events"]] == ["blocked", "unblocked", "allowed"]
        assert {one["author"] for one in found["events"]} == {f"{files.admin} alice"}
        assert (found["last"], found["forgotten"]) == (3, 0)
        assert [one["number"] for one in admin.ask("events", after=1, most=1)["events"]] == [2]
        for number in range(1100):
            service.events.tell({"event": "warned", "kind": "address", "value": str(number)})
        found = admin.ask("events", after=3, most=1000)
        assert (found["forgotten"], len(found["events"]), found["events"][-1]["number"]) == (100, 1000, 1103)


CONTROL = '[relay]\nidentity = "edge.toml"\n[control]\nendpoint = "tcp://*:1"\nassociation = "control.toml"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    (
        ("[control]\n", "1: control: 'endpoint' must be there"),
        (CONTROL, "3: control: 'admins' or 'trust' must be there"),
        (CONTROL + 'admins = ["zs1short"]\n', "6: control.admins: 'zs1short': a fingerprint (zs1…)"),
        (CONTROL + 'admins = "none.toml"\n', "6: control.admins: cannot read"),
        (CONTROL + f'admins = "{"0" * 64}"\n', "6: control.admins: public key 0000"),
        (CONTROL.replace("tcp://*:1", "udp://x") + 'trust = "."\n', "4: control.endpoint: 'udp://x'"),
        (CONTROL + 'trust = "none"\n', "6: control.trust: "),
        (CONTROL.replace("control.toml", "none.toml") + 'trust = "keys"\n', "5: control.association: cannot read"),
        (CONTROL + 'trust = "keys"\nport = 1\n', "7: control.port: unknown"),
        (CONTROL.replace('identity = "edge.toml"\n', "") + 'trust = "keys"\n', "1: relay.identity: it must be there"),
    ),
)
def test_control_configuration_fault_is_told_with_line_and_key(files: Governed, text: str, fault: str) -> None:
    path = files.folder / "relay.toml"
    (files.folder / "keys").mkdir()
    path.write_text(text + leg("one", 1, 2))
    with pytest.raises(ConfigError) as caught:
        RelayConfig.load(path)
    assert f"{path}:{fault}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fault"),
    (
        (lambda text: text.replace("endpoint", "address"), "1: the file: 'endpoint' must be there"),
        (lambda text: text.replace("edge.pub.toml", "zs1no"), "4: relay: 'zs1no': a fingerprint"),
        (lambda text: text + "port = 1\n", "5: port: unknown"),
    ),
)
def test_control_file_of_an_admin_with_a_fault_is_told(
    files: Governed, change: Callable[[str], str], fault: str
) -> None:
    path = files.folder / "admin.toml"
    path.write_text(change(path.read_text()))
    with pytest.raises(ConfigError) as caught:
        AdminConfig.load(path)
    assert f"{path}:{fault}" in str(caught.value)


def test_control_address_that_is_taken_is_told(files: Governed, service: Governable) -> None:
    with (
        control(files, service),
        pytest.raises(ConfigError, match=r"control: cannot bind tcp://127.0.0.1:"),
        control(files, service),
    ):
        pass
