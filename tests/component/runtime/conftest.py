"""Operator processes around a stub reconciler."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fairlead.kube.client import Cluster
from tests.cluster.control_plane import ControlPlane
from tests.component.operator.processes import free_port
from tests.component.patience import PATIENCE

STUB = Path(__file__).parent / "stub_operator.py"


class Stub:
    """One process: what it tells, what it logs, and its HTTP pages."""

    def __init__(self, environment: dict[str, str], namespace: str, port: int) -> None:
        self.told: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._environment = environment
        self._namespace = namespace
        self._port = port
        self._readers: list[asyncio.Task[None]] = []
        self._news = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(STUB),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        self._readers = [
            asyncio.create_task(self._read(process.stdout, lambda line: self.told.append(json.loads(line)))),
            asyncio.create_task(self._read(process.stderr, self.log.append)),
        ]

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        async for line in stream:
            take(line.decode())
            async with self._news:
                self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what it has told or logged, several lines of it at once perhaps: counts pass over numbers."""
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            pytest.fail(f"told {self.told}\n{''.join(self.log)}")

    def passes(self, name: str) -> int:
        """Over a ModelDeployment of the test's namespace; one that sees all namespaces tells of other tests' too."""
        return sum(1 for told in self.told if told["what"] == "pass" and told["key"] == [self._namespace, name])

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.log)

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code."""
        assert self._process
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def page(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}{path}") as answer:
            return answer.status, await answer.text()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self.ended()


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with Cluster(str(plane.kubeconfig), timeout=PATIENCE) as cluster:
        yield cluster


@pytest.fixture
async def operator(plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Callable[..., Stub]]:
    """Makes processes that watch the test's namespace; keywords are further settings."""
    stubs: list[Stub] = []

    def make(kubeconfig: Path | None = None, **settings: str) -> Stub:
        port = free_port()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(tmp_path),
            "POD_NAMESPACE": namespace,
            "FAIRLEAD_KUBECONFIG": str(kubeconfig or plane.kubeconfig),
            "FAIRLEAD_WATCH_NAMESPACES": namespace,
            "FAIRLEAD_HTTP_HOST": "127.0.0.1",
            "FAIRLEAD_HTTP_PORT": str(port),
            # Who cannot renew the Lease in time ends, and a comparison with the lists may wake what it misses: neither
            # is to happen by itself on a busy machine.
            "FAIRLEAD_LEASE_DURATION": "150",
            "FAIRLEAD_LEASE_RENEW_DEADLINE": "120",
            "FAIRLEAD_LEASE_RETRY": "2",
            "FAIRLEAD_WATCH_CHECK_INTERVAL": "3600",
            **{f"FAIRLEAD_{name.upper()}": value for name, value in settings.items()},
        }
        stubs.append(Stub(environment, namespace, port))
        return stubs[-1]

    yield make
    for stub in stubs:
        await stub.close()
