"""A key server in this process and its members, over an association that all of them have, each signing what it sends.

What handshakes add stands in test_keyserver_handshakes.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from realm_helpers import ALICE, BOB, OPS

import zmqsec
from zmqsec import Association, Context, Identity, Keyring, Socket
from zmqsec.keyserver.client import KeyClient
from zmqsec.keyserver.config import Config
from zmqsec.keyserver.link import Link
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.rootkey import RootKey
from zmqsec.keyserver.server import MAX_FRAME, Service

SHARED = Association.from_secret(bytes(range(7, 39)), name="shared", late_join=0)


def until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What it gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
    return found


def shared_router(context: Context, realm: Realm) -> Socket:
    return context.socket(zmq.ROUTER, association=SHARED, identity=realm.identity, max_message=MAX_FRAME)


def shared_dealer(identity: Identity) -> Callable[[Context, str], Socket]:
    def open_dealer(context: Context, endpoint: str) -> Socket:
        socket = context.socket(zmq.DEALER, association=SHARED, identity=identity)
        socket.connect(endpoint)
        return socket

    return open_dealer


def configured(folder: Path, more: str = "", name: str = "keys") -> Config:
    """A realm in this folder, made if it is not there, and its configuration on addresses of the folder's own."""
    path = folder / f"{name}.toml"
    path.write_text(
        f'[keyserver]\nroot_key = "root.key"\nbind = "ipc://{folder}/{name}"\nannounce = "ipc://{folder}/{name}-news"\n{more}'
    )
    config = Config.load(path)
    if not (folder / "root.key").exists():
        Realm.create(
            config.open_store(),
            RootKey.create(folder / "root.key"),
            zmqsec.PublicIdentity(OPS.key, "ops"),
            int(time.time()),
        ).close()
    return config


@contextmanager
def serving(
    folder: Path, more: str = "", clock: Callable[[], float] = time.time, name: str = "keys"
) -> Iterator[Service]:
    service = Service(configured(folder, more, name), open_router=shared_router, clock=clock)
    service.start()
    try:
        yield service
    finally:
        service.stop()
        assert service.failure is None


@contextmanager
def linked(service: Service, identity: Identity) -> Iterator[Link]:
    """A way to ask the server as this identity."""
    link = Link(lambda context: shared_dealer(identity)(context, service.endpoint), service.realm.identity.key)
    try:
        yield link
    finally:
        link.close()


@contextmanager
def following(
    service: Service, identity: Identity, *, every: float = 30.0, endpoints: tuple[str, ...] = (), **options: Any
) -> Iterator[Keyring]:
    """A member's keyring that follows the server."""
    keyring = Keyring(identities=[identity])
    keyring.trust.add_authority(service.realm.identity.public)
    keyring.client = KeyClient(
        keyring,
        endpoints or (service.endpoint,),
        service.realm.identity.public,
        open_dealer=shared_dealer(identity),
        every=every,
        **options,
    )
    keyring.client.start(10)
    try:
        yield keyring
    finally:
        keyring.close()


def make_weather(ops: Link, *others: Identity, **policy: Any) -> None:
    """A group in which alice sends, and bob and others receive."""
    ops.ask("group.create", group="weather", policy=policy)
    for identity, name, role in (
        (ALICE, "alice", "send"),
        (BOB, "bob", "receive"),
        *((one, one.name, "receive") for one in others),
    ):
        ops.ask("member.register", public=identity.key.hex(), name=name)
        ops.ask("group.add", group="weather", member=name, roles=[role])
