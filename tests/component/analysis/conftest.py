"""A real Prometheus that scrapes a tiny exporter started here."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, web

from tests.cluster.cache import silent
from tests.cluster.debian import unpacked
from tests.cluster.errors import ClusterError

EDGES = ("0.01", "0.1", "1.0", "+Inf")


@dataclass
class ExporterPod:
    """A pod whose counters grow with the time; rates are in requests a second."""

    revision: str
    rate: float = 200.0
    errors: float = 0.0
    up: bool = True
    began: float = field(default_factory=time.time)

    def page(self) -> str:
        """The metrics page of the serving image, as far as judging reads it."""
        age = time.time() - self.began
        n, bad = int(age * self.rate), int(age * self.errors)
        labels = f'model="m",version="1",revision="{self.revision}"'
        lines = ["# TYPE fairlead_requests_total counter"]
        for outcome, value in (("success", n - bad), ("client_error", 0), ("server_error", bad)):
            lines.append(f'fairlead_requests_total{{{labels},outcome="{outcome}"}} {value}')
        lines.append("# TYPE fairlead_request_duration_seconds histogram")
        lines += [f'fairlead_request_duration_seconds_bucket{{{labels},le="{edge}"}} {n}' for edge in EDGES]
        lines += [f"fairlead_request_duration_seconds_{kind}{{{labels}}} {n}" for kind in ("count", "sum")]
        lines += ["# TYPE fairlead_connections_opened_total counter"]
        return "\n".join([*lines, f"fairlead_connections_opened_total{{{labels}}} {n // 5}", ""])


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
        return web.Response(text=pod.page())


@dataclass
class Prometheus:
    """One Prometheus process that can be stopped and started again with its data."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it answers questions."""
        flags = {
            "config.file": self.folder / "prometheus.yml",
            "storage.tsdb.path": self.folder / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "error",
        }
        command = [str(self.program), *(f"--{name}={value}" for name, value in flags.items())]
        self.process = subprocess.Popen(command)  # noqa: ASYNC220, S603 - it returns at once
        async with ClientSession() as session:
            await until(lambda: self._ready(session))

    def stop(self) -> None:
        """End it and wait for its end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    async def _ready(self, session: ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except ClientError:
            return False


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until the condition (or the coroutine it returns) holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.05)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def program() -> Path:
    """The Prometheus program: the machine's own, or Debian's package unpacked into the cache."""
    if found := shutil.which("prometheus"):
        return Path(found)
    try:
        return unpacked("prometheus", silent) / "usr" / "bin" / "prometheus"
    except (ClusterError, OSError) as error:
        pytest.skip(f"there is no prometheus program and Debian's cannot be fetched: {error}")


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


def configure(server: Prometheus, exporter: Exporter, jobs: int = 1) -> None:
    """Write the scrape configuration: the pods with the labels that Kubernetes discovery gives them."""
    targets = [
        {
            "targets": [f"127.0.0.1:{exporter.port}"],
            "labels": {"namespace": "ns", "pod": pod, "__metrics_path__": f"/{pod}"},
        }
        for pod in exporter.pods
    ]
    scrapes = [{"job_name": f"pods-{i}", "static_configs": targets} for i in range(jobs)]
    settings = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    (server.folder / "prometheus.yml").write_text(json.dumps({"global": settings, "scrape_configs": scrapes}))
