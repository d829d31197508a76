"""A real Prometheus that scrapes a tiny exporter started here."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from requests import RequestException, Session

from tests.cluster import tools
from tests.cluster.cache import silent
from tests.cluster.debian import unpacked
from tests.cluster.errors import ClusterError
from tests.component.analysis import protobuf
from tests.component.patience import until

HISTOGRAMS = {
    "fairlead_request_duration_seconds": ("0.01", "0.1", "1.0", "+Inf"),
    "fairlead_prediction_score": ("0.5", "0.9", "+Inf"),
}
PROTOBUF = "application/vnd.google.protobuf"
LATENCY_BUCKET = -40
# What does not hang on the release of Prometheus is shown with one.
one_release = pytest.mark.parametrize("program", ["newest"], indirect=True)


@dataclass
class ExporterPod:
    """A pod whose counters grow with the time; rates are in requests a second.

    `native`: its latency is a native histogram; `shift`: by how many buckets it is slower than usual; `dogs`: the share
    of one of the two classes; `wrong`: of the predictions that feedback calls wrong.
    """

    revision: str
    rate: float = 200.0
    errors: float = 0.0
    up: bool = True
    native: bool = False
    shift: int = 0
    dogs: float = 0.5
    wrong: float = 0.1
    began: float = field(default_factory=time.time)

    def counters(self, age: float) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """The counters of the serving image after so many seconds, as far as judging reads them."""
        n, bad = int(age * self.rate), int(age * self.errors)
        dogs, wrong = int(n * self.dogs), int(n * self.wrong)

        def labelled(name: str, values: dict[str, float]) -> dict[tuple[tuple[str, str], ...], float]:
            return {(*self._identity, (name, label)): value for label, value in values.items()}

        return {
            "fairlead_requests_total": labelled(
                "outcome", {"success": n - bad, "client_error": 0, "server_error": bad}
            ),
            "fairlead_connections_opened_total": {self._identity: n // 5},
            "fairlead_predictions_total": labelled("class", {"cat": n - dogs, "dog": dogs}),
            "fairlead_inputs_total": labelled("bin", {"0": n - n // 3, "1": n // 3}),
            "fairlead_feedback_total": labelled("result", {"right": n - wrong, "wrong": wrong}),
            "checkout_failed_total": {self._identity: bad},
            "checkout_total": {self._identity: n},
        }

    def page(self) -> str:
        """The metrics page in the text format."""
        age, lines = time.time() - self.began, []
        for name, series in self.counters(age).items():
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{{{_written(labels)}}} {value:g}" for labels, value in series.items()]
        n = int(age * self.rate)
        for name, edges in HISTOGRAMS.items():
            lines.append(f"# TYPE {name} histogram")
            lines += [f'{name}_bucket{{{_written(self._identity)},le="{edge}"}} {n}' for edge in edges]
            lines += [f"{name}_{kind}{{{_written(self._identity)}}} {n}" for kind in ("count", "sum")]
        return "\n".join([*lines, ""])

    def messages(self) -> bytes:
        """The metrics page in the format that has native histograms."""
        age = time.time() - self.began
        n = int(age * self.rate)
        buckets = {LATENCY_BUCKET + self.shift: n - n // 4, LATENCY_BUCKET + 5 + self.shift: n // 4}
        families = [protobuf.counter(name, series) for name, series in self.counters(age).items()]
        name = "fairlead_request_duration_seconds"
        return b"".join([*families, protobuf.histogram(name, self._identity, 3, buckets)])

    @property
    def _identity(self) -> tuple[tuple[str, str], ...]:
        return ("model", "m"), ("version", "1"), ("revision", self.revision)


def _written(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels)


@dataclass
class Exporter:
    """The pods' metrics pages under /NAME on one loopback port."""

    port: int
    pods: dict[str, ExporterPod]

    async def answer(self, request: web.Request) -> web.Response:
        """One pod's page; an absent pod does not answer."""
        pod = self.pods.get(request.match_info["pod"])
        if pod is None or not pod.up:
            raise web.HTTPServiceUnavailable
        if pod.native and PROTOBUF in request.headers.get("Accept", ""):
            kind = f"{PROTOBUF}; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            return web.Response(body=pod.messages(), headers={"Content-Type": kind})
        return web.Response(text=pod.page())


@dataclass
class Prometheus:
    """One Prometheus process that can be stopped and started again with its data.

    `web` is its own web configuration (TLS, users), `scheme` and `session` how it is reached then.
    """

    program: Path
    folder: Path
    port: int
    scheme: str = "http"
    web: Mapping[str, Any] | None = None
    session: Session = field(default_factory=Session)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def newer(self) -> bool:
        """Whether it is Prometheus 3."""
        told = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True)  # noqa: S603
        return " version 3." in told.stdout

    async def start(self) -> None:
        """Start it and wait until it answers questions."""
        flags = {
            "config.file": self.folder / "prometheus.yml",
            "storage.tsdb.path": self.folder / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "error",
        }
        if self.web is not None:
            flags["web.config.file"] = self.folder / "web.yml"
            (self.folder / "web.yml").write_text(json.dumps(self.web))
        if not self.newer:
            flags["enable-feature"] = "native-histograms"
        command = [str(self.program), *(f"--{name}={value}" for name, value in flags.items())]
        self.process = subprocess.Popen(command)  # noqa: ASYNC220, S603 - it returns at once
        await until(self._ready)

    def stop(self) -> None:
        """End it and wait for its end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    async def _ready(self) -> bool:
        try:
            answer = await asyncio.to_thread(self.session.get, f"{self.url}/-/ready", timeout=10)
        except RequestException:
            return False
        return answer.status_code == HTTPStatus.OK


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", params=["debian", "newest"])
def program(request: pytest.FixtureRequest) -> Path:
    """The Prometheus program: Debian's package unpacked into the cache, and the one that the cluster is built with."""
    try:
        if request.param == "newest":
            return tools.ensure(["prometheus"], silent) / "prometheus"
        return unpacked("prometheus", silent) / "usr" / "bin" / "prometheus"
    except (ClusterError, OSError) as error:
        pytest.skip(f"there is no such prometheus program: {error}")


@pytest.fixture
async def exporter() -> AsyncIterator[Exporter]:
    """Three stable pods and a canary, not failing yet."""
    pods = {f"s{i}": ExporterPod("stable") for i in range(3)} | {"c": ExporterPod("canary")}
    exporter = Exporter(free_port(), pods)
    app = web.Application()
    app.router.add_get("/{pod}", exporter.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", exporter.port).start()
    yield exporter
    await runner.cleanup()


@pytest.fixture
async def prometheus(program: Path, exporter: Exporter, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes the exporter's pods every second."""
    server = Prometheus(program, tmp_path, free_port())
    configure(server, exporter)
    await server.start()
    yield server
    server.stop()


def configure(server: Prometheus, exporter: Exporter, jobs: int = 1, **more: Any) -> None:
    """Write the scrape configuration: the pods with the labels that Kubernetes discovery gives them, and `more`."""
    targets = [
        {
            "targets": [f"127.0.0.1:{exporter.port}"],
            "labels": {"namespace": "ns", "pod": pod, "__metrics_path__": f"/{pod}"},
        }
        for pod in exporter.pods
    ]
    scrapes = [{"job_name": f"pods-{i}", "static_configs": targets} for i in range(jobs)]
    settings: dict[str, Any] = {"scrape_interval": "1s", "scrape_timeout": "1s", **more}
    if server.newer:
        settings["scrape_native_histograms"] = True
    (server.folder / "prometheus.yml").write_text(json.dumps({"global": settings, "scrape_configs": scrapes}))
