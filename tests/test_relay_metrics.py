"""Metrics of a running relay, the dashboard that shows them, and its unit for systemd."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families
from service_helpers import Governed, free_port, leg, running
from socket_helpers import TIMEOUT, eventually

from zmqsec.errors import ConfigError, Reason
from zmqsec.relay.config import RelayConfig
from zmqsec.relay.metrics import MetricsServer

PACKAGING = Path(__file__).parent.parent / "packaging"
DASHBOARD = PACKAGING / "grafana-dashboard.json"
UNIT = PACKAGING / "zmqsec-relay.service"


def scrape(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and by the values of its labels, in the order of their names."""
    with urllib.request.urlopen(url, timeout=TIMEOUT / 1000) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@pytest.fixture(scope="module")
def ports() -> tuple[int, int, int]:
    return free_port(), free_port(), free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int, int]) -> Iterator[Governed]:
    made = Governed.make(tmp_path_factory.mktemp("site"))
    metrics = f'[metrics]\nendpoint = "127.0.0.1:{ports[2]}"\n'
    with running(made.write(leg("one", *ports[:2]), relay="memory_mib = 4096\n", rest=metrics)):
        yield made


def test_metrics_are_what_the_relay_counts(site: Governed, ports: tuple[int, int, int]) -> None:
    url = f"http://127.0.0.1:{ports[2]}/metrics"
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.connect(f"tcp://127.0.0.1:{ports[0]}")
        pull.connect(f"tcp://127.0.0.1:{ports[1]}")
        for _ in range(50):
            push.send(bytes(100))
        for _ in range(50):
            pull.recv()
    with site.connect() as admin:
        admin.ask("block", kind="address", value="192.0.2.1")
        admin.ask("unblock", kind="address", value="192.0.2.2", allow=1)
        admin.ask("reload")
        found = scrape(url)
        assert admin.ask("status")["metrics"]["endpoint"] == url
    assert found["zmqsec_relay_received_messages_total"] == {("one", "out"): 50}
    assert found["zmqsec_relay_forwarded_messages_total"] == {("one", "out"): 50}
    assert found["zmqsec_relay_forwarded_bytes_total"] == {("one", "out"): 5000}
    assert found["zmqsec_relay_lost_messages_total"] == {("one", "out"): 0}
    refused = found["zmqsec_relay_refused_messages_total"]
    assert refused == {("one", str(reason), "out"): 0 for reason in Reason}
    assert found["zmqsec_relay_rules"] == {
        ("block", "operator"): 1,
        ("allow", "operator"): 1,
        ("block", "relay"): 0,
        ("allow", "relay"): 0,
    }
    assert found["zmqsec_relay_reloads_total"] == {("done",): 1, ("failed",): 0}
    assert found["zmqsec_relay_connections_total"] == {("allowed",): 2, ("denied",): 0}
    assert found["zmqsec_relay_control_requests_total"][("obeyed",)] == 3
    assert set(found["zmqsec_relay_peers"]) == {("fine",), ("warned",), ("throttled",), ("blocked",)}
    assert 1 << 20 < found["zmqsec_relay_memory_bytes"][()] < 4096 << 20
    assert found["zmqsec_relay_memory_limit_bytes"] == {(): 4096 << 20}
    assert abs(found["zmqsec_relay_start_time_seconds"][()] - time.time()) < 60


def expressions(panel: Any) -> Iterator[str]:
    """All that a dashboard asks Prometheus for."""
    if isinstance(panel, dict):
        for key, value in panel.items():
            if key in ("expr", "query", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(panel, list):
        for one in panel:
            yield from expressions(one)


def test_dashboard_shows_exactly_the_metrics_that_there_are(site: Governed, ports: tuple[int, int, int]) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    used = {name for one in expressions(dashboard) for name in re.findall(r"zmqsec_relay_\w+", one)}
    assert used == set(scrape(f"http://127.0.0.1:{ports[2]}/metrics"))


def test_dashboard_asks_for_labels_that_there_are(ports: tuple[int, int, int], site: Governed) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/metrics", timeout=TIMEOUT / 1000) as answer:
        samples = [one for family in text_string_to_metric_families(answer.read().decode()) for one in family.samples]
    labels = {name: {*(), "instance"} for name in {one.name for one in samples}}
    for one in samples:
        labels[one.name] |= set(one.labels)
    for expression in expressions(json.loads(DASHBOARD.read_text())):
        names = set(re.findall(r"zmqsec_relay_\w+", expression))
        known = set().union(*(labels[name] for name in names))
        asked = set(re.findall(r"(\w+)(?:=~|=)\"", expression))
        for group in re.findall(r"by \(([\w, ]+)\)", expression):
            asked |= set(group.split(", "))
        assert asked <= known, expression


def test_dashboard_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def snapshot() -> dict[str, Any]:
    return {
        "name": "edge",
        "version": "1",
        "began": 0.0,
        "memory": {"bytes": 1, "limit": 0, "cuts": 0},
        "reloads": {},
        "states": {},
        "rules": {},
        "connections": {},
        "control": {},
        "legs": {},
    }


def test_metrics_server_has_no_more_than_eight_clients_at_a_time() -> None:
    server = MetricsServer(("127.0.0.1", 0), snapshot)
    server.start()
    port = int(server.endpoint.rpartition(":")[2].partition("/")[0])
    idle = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT / 1000) for _ in range(8)]
    eventually(lambda: server._server is not None and server._server._room._value == 0)
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT / 1000) as ninth:
        assert ninth.recv(1) == b"", "closed at once"
    idle.pop().close()

    def answers() -> bool:
        try:
            return "zmqsec_relay_info" in scrape(server.endpoint)
        except OSError:
            return False

    eventually(answers)
    for one in idle:
        one.close()
    server.stop()


def test_metrics_address_that_is_taken_is_told() -> None:
    server = MetricsServer(("127.0.0.1", 0), snapshot)
    server.start()
    port = int(server.endpoint.rpartition(":")[2].partition("/")[0])
    with pytest.raises(ConfigError, match=r"metrics: cannot listen at 127\.0\.0\.1:\d+: Address already in use"):
        MetricsServer(("127.0.0.1", port), snapshot).start()
    server.stop()


def test_metrics_over_ipv6() -> None:
    server = MetricsServer(("::1", 0), snapshot)
    server.start()
    assert server.endpoint.startswith("http://[::1]:") and "zmqsec_relay_info" in scrape(server.endpoint)
    server.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ('endpoint = "127.0.0.1:9464"', ("127.0.0.1", 9464)),
        ('endpoint = "[::1]:9464"', ("::1", 9464)),
        ("", "'endpoint' must be there"),
        ('endpoint = "9464"', "2: metrics.endpoint: '9464': HOST:PORT is allowed"),
        ('endpoint = "::1:9464"', "2: metrics.endpoint: '::1:9464': HOST:PORT is allowed"),
        ('endpoint = "localhost:1"\nport = 1', "3: metrics.port: unknown"),
    ),
)
def test_metrics_address_is_read_from_the_configuration(tmp_path: Path, text: str, expected: Any) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(f"[metrics]\n{text}\n" + leg("one", 1, 2))
    if isinstance(expected, tuple):
        assert RelayConfig.load(path).metrics == expected
        return
    with pytest.raises(ConfigError) as caught:
        RelayConfig.load(path)
    assert expected in str(caught.value)


# -- systemd -----------------------------------------------------------------------------------------------------------


def test_unit_says_how_the_relay_starts_reloads_and_ends() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify" and service["NotifyAccess"] == "main"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID" and service["User"] == "zmqsec"
    assert service["ExecStart"].endswith("/zmqsec relay run /etc/zmqsec/relay.toml")
    assert int(service["TimeoutStopSec"]) > RelayConfig(Path(), "", ()).drain_seconds
    assert service["CapabilityBoundingSet"] == "" and service["ProtectSystem"] == "strict"
    for key in ("NoNewPrivileges", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert service[key] == "yes"
    (user,) = (PACKAGING / "zmqsec-relay.sysusers").read_text().splitlines()
    assert user.split()[:2] == ["u", service["User"]]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """With the program that is here in the place of the one that will be there."""
    path = tmp_path / UNIT.name
    program = Path(sys.executable).parent / "zmqsec"
    path.write_text(UNIT.read_text().replace("/usr/local/bin/zmqsec", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
