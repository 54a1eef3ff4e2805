"""The demonstration's realm (floor 13): a key server, its members, and the operator who changes a key and puts one out.

What the operator does here is what ``zmqsec member`` and ``zmqsec group`` do.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .demo_parts import GROUP
from .demo_stage import Part, Stage
from .errors import BackendError
from .identity import Identity

try:
    from .keyserver.client import dealer
    from .keyserver.config import Config
    from .keyserver.link import Link
    from .keyserver.realm import Realm
    from .keyserver.rootkey import RootKey
except ImportError as error:
    raise BackendError(f"a key server needs zmqsec[keyserver] ({error}); --shared-key does without one") from error

#: A demonstration has no time to spread a change over many members.
POLICY = {"spread": 1, "overlap": 2, "urgent_spread": 1, "urgent_overlap": 1}
_CONFIG = """[keyserver]
root_key = "root.key"
bind = "tcp://127.0.0.1:*"
announce = "tcp://127.0.0.1:*"
"""


class DemoRealm:
    """A realm in a folder with one group, whose key server is a process of the demonstration."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self._operator = Identity.generate("operator")
        self.part = stage.start("key server", "key server")

    def set_up(self, senders: list[Part], receivers: list[Part]) -> None:
        """Make the realm, start its server, and register who may send and who may receive."""
        path = self._folder / "keys.toml"
        path.write_text(_CONFIG)
        config = Config.load(path)
        root_key = RootKey.create(self._folder / "root.key")
        realm = Realm.create(config.open_store(), root_key, self._operator.public, int(time.time()))
        self._pinned = realm.identity.public
        realm.close()
        self.part.order(config=str(path))
        self._stage.until(lambda: "ready" in self.part.told, "the key server was starting")
        self._endpoint = self.part.get("endpoint", "", event="ready")
        door = dealer(self._operator, self._pinned)
        self._link = Link(
            lambda context: door(context, self._endpoint),
            self._pinned.key,
            while_waiting=lambda: self._stage.until(lambda: True, "the key server was asked"),
        )
        self._link.ask("group.create", group=GROUP, policy=POLICY)
        for part, role in [*((one, "send") for one in senders), *((one, "receive") for one in receivers)]:
            identity = Identity.generate(part.name)
            identity.save(self._folder / f"{part.name}.toml")
            self._link.ask("member.register", public=identity.key.hex(), name=_name(part))
            self._link.ask("group.add", group=GROUP, member=_name(part), roles=[role])

    def keys_for(self, part: Part) -> dict[str, Any]:
        """What a process needs to get its keys: no secret but its own identity."""
        identity = str(self._folder / f"{part.name}.toml")
        return {"server": self._endpoint, "pinned": self._pinned.key.hex(), "identity": identity}

    def change_key(self) -> int:
        """A new key for all; the number of its epoch."""
        return int(self._link.ask("group.rekey", group=GROUP)["epoch"])

    def put_out(self, part: Part) -> int:
        """One member fewer, and a new key for the others; the number of its epoch."""
        return int(self._link.ask("group.remove", group=GROUP, member=_name(part))["epoch"])

    def close(self) -> None:
        """End the operator's connection."""
        self._link.close()


def _name(part: Part) -> str:
    return part.name.replace(" ", "-")
