"""The counters that serving pods would show under a steady load, as one Prometheus target."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.component.operator.kubelet import FakeKubelet, Serving

_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PER_CONNECTION = 5


@dataclass(frozen=True, slots=True)
class Load:
    """What a pod sees: requests a second, shares of errors, and seconds that an answer takes."""

    rate: float = 2000.0
    errors: float = 0.0
    client_errors: float = 0.0
    latency: float = 0.004


class Traffic:
    """Serves /metrics for all pods of the kubelets it knows; a good Load where none is given for a version."""

    def __init__(self) -> None:
        self.kubelets: list[FakeKubelet] = []
        self.loads: dict[tuple[str, str], Load] = {}
        """By namespace and version."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="traffic", daemon=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def render(self) -> str:
        """The exposition at this moment."""
        now = time.time()
        lines: list[str] = []
        for kubelet in list(self.kubelets):
            for pod in list(kubelet.serving.values()):
                load = self.loads.get((pod.namespace, pod.version), Load())
                lines += _series(pod, load, max(0.0, now - pod.since))
        return "\n".join(lines) + "\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        traffic = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = traffic.render().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                # On a busy machine Prometheus may have gone already.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are no news."""

        return Handler


def _series(pod: Serving, load: Load, age: float) -> Iterator[str]:
    labels = ",".join(f'{name}="{getattr(pod, name)}"' for name in ("namespace", "pod", "model", "version", "revision"))
    total = int(load.rate * age)
    failed, refused = int(total * load.errors), int(total * load.client_errors)
    counts = {"success": total - failed - refused, "client_error": refused, "server_error": failed}
    for outcome, count in counts.items():
        yield f'fairlead_requests_total{{{labels},outcome="{outcome}"}} {count}'
    for edge in _EDGES:
        below = total if load.latency <= edge else 0
        yield f'fairlead_request_duration_seconds_bucket{{{labels},le="{edge}"}} {below}'
    yield f'fairlead_request_duration_seconds_bucket{{{labels},le="+Inf"}} {total}'
    yield f"fairlead_request_duration_seconds_count{{{labels}}} {total}"
    yield f"fairlead_request_duration_seconds_sum{{{labels}}} {total * load.latency}"
    yield f"fairlead_connections_opened_total{{{labels}}} {total // _PER_CONNECTION}"
    yield f"fairlead_connections_closed_total{{{labels}}} {total // _PER_CONNECTION}"
