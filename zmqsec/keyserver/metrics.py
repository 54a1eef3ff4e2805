"""What a key server counts, for Prometheus (floor 11): read from a snapshot when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PREFIX = "zmqsec_keyserver"
_GAUGES = (
    ("start_time_seconds", "began", "When it was started, unix time."),
    ("members", "members", "Members of the realm that were not revoked."),
    ("sessions", "sessions", "Sessions of senders that late joiners are told of."),
    ("waiting_requests", "waiting", "Requests that wait for the database."),
)
_COUNTERS = (
    ("announcements", "announced", "New keys that were announced."),
    ("dropped_answers", "dropped", "Answers whose askers had gone."),
    ("changes", "changes", "Entries of the audit log, of all servers of the realm."),
)


class KeyServerCollector(Collector):
    """Makes metrics of what `snapshot` gives, which is that of a service."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        found = self._snapshot()
        for name, key, what in _GAUGES:
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", what, value=found[key])
        for name, key, what in _COUNTERS:
            yield CounterMetricFamily(f"{_PREFIX}_{name}", what, value=found[key])
        up = GaugeMetricFamily(f"{_PREFIX}_database_up", "Whether the database did what it was last asked.")
        up.add_metric([], 0 if found["trouble"] else 1)
        yield up
        for key, what in (("members", "Members of the group."), ("epoch", "The group's newest epoch.")):
            family = GaugeMetricFamily(f"{_PREFIX}_group_{key}", what, labels=["group"])
            for group, said in found["groups"].items():
                family.add_metric([group], said[key])
            yield family
        requests = CounterMetricFamily(f"{_PREFIX}_requests", "Requests, by result.", labels=["operation", "result"])
        for (operation, result), count in found["requests"].items():
            requests.add_metric([operation, result], count)
        yield requests
        refused = CounterMetricFamily(f"{_PREFIX}_refused_messages", "Messages refused.", labels=["reason"])
        for reason, count in found["refused"].items():
            refused.add_metric([reason], count)
        yield refused

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would otherwise ask for a snapshot before there is one."""
        return ()
