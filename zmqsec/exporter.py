"""The HTTP server that gives metrics to Prometheus (floor 10): small, and for few clients at a time."""

from __future__ import annotations

import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from .errors import ConfigError

_MAX_CLIENTS = 8
_CLIENT_SECONDS = 5
_TICK_SECONDS = 0.25


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
        """Nothing: what clients do to their own connections is no error of the server's."""

    def server_bind(self) -> None:
        """Without HTTPServer's question to the name service who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class Exporter:
    """Answers with metrics at an address (host and port), from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], collector: Collector) -> None:
        self._address = address
        registry = CollectorRegistry()
        registry.register(collector)
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
