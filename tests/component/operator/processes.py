"""The programs under test and beside it, as real processes that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Self

import yaml

from tests.cluster.cache import say
from tests.cluster.debian import unpacked
from tests.component.patience import PATIENCE

ROOT = Path(__file__).parents[3]
# Who cannot renew the Lease in time ends, and here nobody starts it again: a busy machine is to be no reason.
_LEASE = {
    "FAIRLEAD_LEASE_DURATION": "150",
    "FAIRLEAD_LEASE_RENEW_DEADLINE": "120",
    "FAIRLEAD_LEASE_RETRY": "5",
}


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Tell whether a URL on loopback answers 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError):
        return False


class Process:
    """A program with a log file and a URL that answers 200 once it is ready."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path, ready_url: str) -> None:
        self.log = log
        self._command = command
        self.environment = environment
        self._ready_url = ready_url
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, wait: bool = True) -> None:
        """Start it, by default until it is ready."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603  # our own command line
                self._command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it answers; a program that ends instead is an error with its last words."""
        deadline = time.monotonic() + PATIENCE
        while not answers(self._ready_url):
            if self.ended or time.monotonic() > deadline:
                message = f"{self._command} {'ended' if self.ended else 'is not ready'}:\n{self.words()[-3000:]}"
                raise AssertionError(message)
            time.sleep(0.05)

    @property
    def ended(self) -> bool:
        """Whether it ended by itself; one that was killed or stopped, or not started yet, did not."""
        return self._running is not None and self._running.poll() is not None

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        return self._end(signal.SIGTERM)

    def words(self) -> str:
        """Everything it has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        if self._running is None:
            return 0
        self._running.send_signal(number)
        status = self._running.wait(PATIENCE)
        self._running = None
        return status


def operator(kubeconfig: Path, namespace: str, folder: Path, prometheus_url: str = "", **settings: str) -> Process:
    """The operator, for one namespace; `settings` are further FAIRLEAD_ variables."""
    port = free_port()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "operator"),
        "PYTHONUNBUFFERED": "1",
        "POD_NAME": "operator-0",
        "POD_NAMESPACE": namespace,
        "FAIRLEAD_KUBECONFIG": str(kubeconfig),
        "FAIRLEAD_WATCH_NAMESPACES": namespace,
        "FAIRLEAD_PROMETHEUS_URL": prometheus_url,
        "FAIRLEAD_SERVING_IMAGE": "fairlead.local/serving:dev",
        "FAIRLEAD_HTTP_PORT": str(port),
        **_LEASE,
        **{f"FAIRLEAD_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "fairlead.cli.main", "run"]
    return Process(command, environment, folder / "operator.log", f"http://127.0.0.1:{port}/readyz")


def prometheus(target: str, folder: Path) -> tuple[Process, str]:
    """A Prometheus that scrapes one target every second, and its URL. Its data outlives a stop."""
    port = free_port()
    scrape = {
        "job_name": "pods",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "honor_labels": True,
        "static_configs": [{"targets": [target]}],
    }
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    command = [
        str(unpacked("prometheus", say) / "usr" / "bin" / "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "GOMAXPROCS": "1"}
    url = f"http://127.0.0.1:{port}"
    return Process(command, environment, folder / "prometheus.log", f"{url}/-/ready"), url
