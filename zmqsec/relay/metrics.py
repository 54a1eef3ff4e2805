"""What a relay counts, for Prometheus (floor 11): read from a snapshot when somebody asks.

Nothing is counted a second time here, and nothing is told of single peers: `zmqsec peers list` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ..errors import Reason
from ..exporter import Exporter

_PREFIX = "zmqsec_relay"
#: Counters of lanes: the name, the key in a lane's counts, what it is.
_LANE_COUNTERS = (
    ("received_messages", "received", "Messages that came from the lane's source."),
    ("received_bytes", "received_bytes", "Bytes of all frames of these."),
    ("forwarded_messages", "forwarded", "Messages that its sink has taken."),
    ("forwarded_bytes", "forwarded_bytes", "Bytes of all frames of these."),
    ("lost_messages", "lost", "Messages that nobody could take: their peer is gone or does not keep up."),
)


class SnapshotCollector(Collector):
    """Makes metrics of what `snapshot` gives, which is that of a service."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        found = self._snapshot()
        yield from _of_relay(found)
        yield from _of_peers(found)
        yield from _of_control(found["control"])
        yield from _of_lanes(found["legs"])

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would otherwise ask for a snapshot before there is one."""
        return ()


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", what, value=value)


def _counters(name: str, what: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", what, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _of_relay(found: dict[str, Any]) -> Iterator[Metric]:
    named = {"name": found["name"], "version": found["version"]}
    yield InfoMetricFamily(_PREFIX, "The relay's name and zmqsec's version.", value=named)
    yield _gauge("start_time_seconds", "When it was started, unix time.", found["began"])
    memory = found["memory"]
    yield _gauge("memory_bytes", "Resident memory.", memory["bytes"])
    yield _gauge("memory_limit_bytes", "Beyond this everybody at the fronts is cut off; 0: no limit.", memory["limit"])
    yield CounterMetricFamily(f"{_PREFIX}_memory_cuts", "How often that was done.", value=memory["cuts"])
    yield _counters("reloads", "Configurations that were followed, or refused.", "result", found["reloads"])


def _of_peers(found: dict[str, Any]) -> Iterator[Metric]:
    peers = GaugeMetricFamily(f"{_PREFIX}_peers", "Peers known, by what is made of them.", labels=["state"])
    for state, count in found["states"].items():
        peers.add_metric([state], count)
    yield peers
    rules = GaugeMetricFamily(f"{_PREFIX}_rules", "Lines of the block list.", labels=["decision", "origin"])
    for decision, origins in found["rules"].items():
        for origin, count in origins.items():
            rules.add_metric([decision, origin], count)
    yield rules
    yield _counters("connections", "Connections that ZAP was asked about.", "answer", found["connections"])


def _of_control(control: dict[str, Any]) -> Iterator[Metric]:
    if control:
        results = {name: control[name] for name in ("obeyed", "failed")}
        yield _counters("control_requests", "Requests of admins.", "result", results)
        refused = {**dict.fromkeys(map(str, Reason), 0), **control["refused"]}
        yield _counters("control_refused", "Messages at the control socket that were refused.", "reason", refused)


def _of_lanes(legs: dict[str, Any]) -> Iterator[Metric]:
    lanes = [(name, way, lane) for name, leg in legs.items() for way, lane in leg["lanes"].items()]
    for name, key, what in _LANE_COUNTERS:
        family = CounterMetricFamily(f"{_PREFIX}_{name}", what, labels=["leg", "way"])
        for leg, way, lane in lanes:
            family.add_metric([leg, way], lane[key])
        yield family
    refused = CounterMetricFamily(f"{_PREFIX}_refused_messages", "Messages refused.", labels=["leg", "way", "reason"])
    for leg, way, lane in lanes:
        for reason in Reason:  # those of which there are none too: a rate needs a beginning
            refused.add_metric([leg, way, str(reason)], lane["refused"].get(str(reason), 0))
    yield refused


class MetricsServer(Exporter):
    """Answers with a relay's metrics at an address (host and port), from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], snapshot: Callable[[], dict[str, Any]]) -> None:
        super().__init__(address, SnapshotCollector(snapshot))
