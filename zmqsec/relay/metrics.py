"""What a relay counts, for Prometheus (floor 11): read from a snapshot when somebody asks, over a small HTTP server.

Nothing is counted a second time here, and nothing is told of single peers: `zmqsec peers list` names them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ..errors import ConfigError, Reason

_PREFIX = "zmqsec_relay"
_MAX_CLIENTS = 8
_CLIENT_SECONDS = 5
_TICK_SECONDS = 0.25
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


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for each scrape helps nobody."""


class _Server(ThreadingMixIn, WSGIServer):
    """At most so many clients at a time, each for a few seconds: that of prometheus_client has a thread for anybody."""

    daemon_threads, block_on_close, allow_reuse_address = True, False, True

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self.address_family = family
        self._room = threading.BoundedSemaphore(_MAX_CLIENTS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: what clients do to their own connections is no error of the relay's."""

    def server_bind(self) -> None:
        """Without HTTPServer's question to the name service who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class MetricsServer:
    """Answers with metrics at an address (host and port), from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], snapshot: Callable[[], dict[str, Any]]) -> None:
        self._address = address
        registry = CollectorRegistry()
        registry.register(SnapshotCollector(snapshot))
        self._application = make_wsgi_app(registry)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; ConfigError if the address cannot be had."""
        host, port = self._address
        try:
            family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._server = _Server((str(place[0]), int(place[1])), family)
        except OSError as error:
            raise ConfigError(f"metrics: cannot listen at {host}:{port}: {error.strerror}") from error
        self._server.set_app(self._application)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_TICK_SECONDS,), name="zmqsec-metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        if self._server is None:
            return ""
        host, port = self._server.server_name, self._server.server_port
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
