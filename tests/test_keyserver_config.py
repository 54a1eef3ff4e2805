"""The configuration of a key server: every fault is told with its file, its line and its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from realm_helpers import ROOT

from zmqsec.errors import ConfigError
from zmqsec.keyserver.config import Config, sample
from zmqsec.keyserver.rootkey import RootKey

assert ROOT is not None


def load(folder: Path, text: str) -> Config:
    path = folder / "keys.toml"
    path.write_text(text)
    return Config.load(path)


def test_config_sample_can_be_used(tmp_path: Path) -> None:
    found = load(tmp_path, sample("sqlite:///realm.db"))
    assert found.database == f"sqlite:///{tmp_path}/realm.db"
    assert found.root_key == tmp_path / "root.key"
    assert (found.bind, found.announce, found.metrics) == (("tcp://*:5670",), "tcp://*:5671", None)
    RootKey.create(tmp_path / "root.key")
    found.read_root_key()
    found.open_store().close()
    assert (tmp_path / "realm.db").exists()


def test_config_says_all_that_there_is(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[keyserver]\ndatabase = "postgresql+psycopg://keys@db/realm"\nroot_key_command = ["vault", "read", "root"]\n'
        'bind = ["tcp://*:1", "ipc:///run/keys"]\nannounce = "tcp://*:2"\nannounce_as = "tcp://keys:2"\n'
        'metrics = "[::1]:9670"\nlog = "json"\nmax_connections = 10\n',
    )
    assert found.root_key_command == ("vault", "read", "root")
    assert (found.metrics, found.announce_as, found.max_connections) == (("::1", 9670), "tcp://keys:2", 10)
    assert found.database == "postgresql+psycopg://keys@db/realm"


_KEY = '[keyserver]\nroot_key = "root.key"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    (
        ("", r"keys.toml:1: the file: a table \[keyserver\] must be there"),
        ("[keyserver]\n", "keys.toml:1: keyserver: one of 'root_key', a file, and 'root_key_command'"),
        (_KEY + 'root_key_command = ["x"]\n', "one of 'root_key', a file, and 'root_key_command'"),
        (_KEY + 'bind = "tcp://*"\n', r"keys.toml:3: keyserver.bind: 'tcp://\*': tcp://HOST:PORT and ipc://PATH"),
        (_KEY + "bind = []\n", "keys.toml:3: keyserver.bind: one endpoint or more must be there"),
        (_KEY + 'database = "mysql://x"\n', "keys.toml:3: keyserver.database: 'mysql://x': sqlite:///PATH or"),
        (_KEY + 'metrics = "9670"\n', "keys.toml:3: keyserver.metrics: '9670': HOST:PORT is allowed"),
        (_KEY + 'log = "loud"\n', "keys.toml:3: keyserver.log: 'loud': one of text, json is allowed"),
        (_KEY + "max_connections = 0\n", "keys.toml:3: keyserver.max_connections: 0: 1 to 10000000 is allowed"),
        (_KEY + "colour = 1\n", "keys.toml:3: keyserver.colour: unknown"),
        (_KEY + "[more]\n", "keys.toml:3: more: unknown"),
    ),
)
def test_config_fault_names_its_line_and_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load(tmp_path, text)
