"""The listening side: accepts connections, hands requests on, and drains."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

from fairlead_serving.http.connection import Connection
from fairlead_serving.http.inference import Inference
from fairlead_serving.http.router import Router

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http.messages import Request, Response
    from fairlead_serving.metrics import Metrics

_BACKLOG: Final = 4096
_GRACE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_SWEEPS: Final = 6
_JITTER: Final = 0.2


class HttpServer:
    """Serves one dataplane over HTTP."""

    def __init__(
        self, dataplane: Dataplane, metrics: Metrics, *, max_body: int, max_age: float, patience: float
    ) -> None:
        """Prepare the server. Must be called on the event loop.

        `max_body` is in bytes. `max_age` is in seconds, give or take 20 % for each connection; 0 means unlimited.
        `patience` is how many seconds a request's header may take, and for how many its body may stall.
        """
        self.loop = asyncio.get_running_loop()
        self.max_body = max_body
        self._max_age = max_age
        self._patience = patience
        self._metrics = metrics
        self._router = Router(dataplane, metrics)
        self._inference = Inference(self.loop, dataplane, metrics)
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str | None, port: int) -> int:
        """Start to accept connections and return the port. Raises OSError when the address is taken."""
        self._listener = await self.loop.create_server(lambda: Connection(self), host, port, backlog=_BACKLOG)
        self._sweep()
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the idle connections, give the others a moment to finish, and stop."""
        if self._listener is not None:
            self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        # What the kernel has already accepted or received is still read and answered.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for connection in tuple(self._connections):
            connection.finish()
        patience = self.loop.time() + _GRACE_SECONDS
        # A flushed buffer makes no event, so there is nothing to wait on but time.
        while not all(each.over for each in self._connections) and self.loop.time() < patience:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    @property
    def draining(self) -> bool:
        """Whether each answer should be its connection's last."""
        return self._router.draining

    def opened(self, connection: Connection) -> float:
        """Register a connection and return when it becomes too old."""
        self._connections.add(connection)
        if not self._max_age:
            return float("inf")
        # Jitter is not for secrets.
        return time.perf_counter() + self._max_age * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if connection.carries_inference:
            self._metrics.connections_closed += 1

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """Answer at once, or return None and call `connection.answered` later."""
        if request.problem is None and self._router.is_inference(request):
            if not connection.carries_inference:
                # Probes and scrapes come over connections of their own, which say nothing about the model's callers.
                connection.carries_inference = True
                self._metrics.connections_opened += 1
            return self._inference.start(request, connection.answered)
        response = request.problem or self._router.answer(request)
        if self._router.was_meant_as_inference(request):
            self._inference.refused(request)
        return response

    def _sweep(self) -> None:
        """Refuse requests that come in too slowly: a header as a whole, a body when it stalls."""
        self._sweeper = self.loop.call_later(self._patience / _SWEEPS, self._sweep)
        limit = time.perf_counter() - self._patience
        for connection in tuple(self._connections):
            if connection.stalled(limit):
                connection.time_out()
