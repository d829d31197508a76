"""Whether the operator lives, whether it can work, and its metrics, over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from fairlead.kube.client import Cluster
from fairlead.kube.errors import ApiError
from fairlead.runtime.metrics import CONTENT_TYPE, Metrics

Complaint = Callable[[], str | None]
"""Says in one sentence why the process should be restarted; None while it need not be."""

_CACHE_SECONDS = 2.0
_ASK_SECONDS = 3.0

_log = logging.getLogger(__name__)


class Health:
    """Answers /healthz, /readyz and /metrics.

    /healthz fails only for what a restart mends: work that does not go on, a watch that died. /readyz fails while
    the API server does not answer. An operator that waits for leadership is alive and ready.
    """

    def __init__(self, cluster: Cluster, metrics: Metrics) -> None:
        self.complaints: list[Complaint] = []
        self._cluster = cluster
        self._metrics = metrics
        self._asked: tuple[float, str | None] | None = None
        self._asking = asyncio.Lock()

    def app(self) -> web.Application:
        """The web application."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer([text for complaint in self.complaints if (text := complaint())])

    async def _readyz(self, _request: web.Request) -> web.Response:
        problem = await self._api_problem()
        return _answer([problem] if problem else [])

    async def _metrics_page(self, _request: web.Request) -> web.Response:
        return _alone(web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE}))

    async def _api_problem(self) -> str | None:
        """Why the API server cannot be used, asked at most every two seconds however many probes come."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked is None or now - self._asked[0] >= _CACHE_SECONDS:
                self._asked = (now, await self._ask())
            return self._asked[1]

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await self._cluster.version()
        except (ApiError, TimeoutError) as exc:
            return f"the API server does not answer: {str(exc) or 'timeout'}"
        return None


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve the application; yields the port. Raises OSError where the port is taken."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, port).start()
        taken = int(runner.addresses[0][1])
        _log.info("health and metrics at port %d", taken)
        yield taken
    finally:
        await runner.cleanup()


def _answer(problems: list[str]) -> web.Response:
    return _alone(web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200))


def _alone(response: web.Response) -> web.Response:
    """One request a connection: an open one is a task that the end of the process would have to wait for."""
    response.force_close()
    return response
