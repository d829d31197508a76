"""What the listening sides of all protocols share: accepting connections, their age, slow clients, and the end."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.service import Service

_BACKLOG: Final = 4096
_GRACE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_SWEEPS: Final = 6
_JITTER: Final = 0.2


class ConnectionLimits(NamedTuple):
    """What a client may do. Times are in seconds; of `max_age`, `connections` and `idle`, 0 means unlimited.

    `max_body` is in bytes. `max_age` is give or take 20 % for each connection. `patience` is how long a request's
    header may take, and for how long its body may stall. `connections` is how many there may be at once, and `idle` how
    long one may do nothing.
    """

    max_body: int
    max_age: float
    patience: float
    connections: int
    idle: float


class ClientConnection(Protocol):
    """What a listener asks of its connections."""

    carries_inference: bool

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""

    def finish(self) -> None:
        """Come to the end as soon as nothing is under way."""

    def sweep(self, limit: float) -> None:
        """Give up on what has not moved since then, by `time.perf_counter`."""

    def rest(self, limit: float) -> None:
        """Come to the end if nothing has been under way since then."""

    def turn_away(self) -> None:
        """Come to the end at once, saying that there are too many connections."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Listener(ABC):
    """Accepts the connections of one protocol."""

    def __init__(self, dataplane: Dataplane, metrics: Metrics, service: Service, limits: ConnectionLimits) -> None:
        """Prepare the server. Must be called on the event loop."""
        self.loop = asyncio.get_running_loop()
        self.max_body = limits.max_body
        self.scheme = "http"
        self.dataplane = dataplane
        self.service = service
        self._metrics = metrics
        self._max_age = limits.max_age
        self._patience = limits.patience
        self._max_connections = limits.connections
        self._idle = limits.idle
        self._connections: set[ClientConnection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @abstractmethod
    def accept(self) -> ClientConnection:
        """Return a new connection's protocol."""

    async def listen(
        self, host: str | None, port: int, *, shared: bool = False, tls: ssl.SSLContext | None = None
    ) -> int:
        """Start to accept connections and return the port. Raises OSError when the address is taken.

        Where the port is shared with other processes, the kernel spreads the connections over them.
        """
        self.scheme = "https" if tls else "http"
        # uvloop's has a list of sockets where asyncio's own has a tuple.
        listener: Any = await self.loop.create_server(
            # It has all that a protocol has; compiled, a class has no base that is not.
            cast("Callable[[], asyncio.Protocol]", self.accept),
            host,
            port,
            backlog=_BACKLOG,
            reuse_port=shared or None,
            ssl=tls,
            ssl_handshake_timeout=self._patience if tls else None,
        )
        self._listener = listener
        self._sweep()
        return int(listener.sockets[0].getsockname()[1])

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
        """Whether each connection should come to its end with its next answer."""
        return self.dataplane.draining

    def opened(self, connection: ClientConnection) -> float:
        """Register a connection and return when it becomes too old."""
        self._connections.add(connection)
        if 0 < self._max_connections < len(self._connections):
            self.loop.call_soon(connection.turn_away)
        if not self._max_age:
            return float("inf")
        # Jitter is not for secrets.
        return time.perf_counter() + self._max_age * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if connection.carries_inference:
            self._metrics.connection_closed()

    def brings_inference(self, connection: ClientConnection) -> None:
        """Count a connection with its first inference request.

        Probes and scrapes come over connections of their own, which say nothing about the model's callers.
        """
        if not connection.carries_inference:
            connection.carries_inference = True
            self._metrics.connection_opened()

    def _sweep(self) -> None:
        """Look for what comes in too slowly, and for what does not come at all."""
        often = min(self._patience, self._idle or self._patience) / _SWEEPS
        self._sweeper = self.loop.call_later(often, self._sweep)
        now = time.perf_counter()
        for connection in tuple(self._connections):
            connection.sweep(now - self._patience)
            if self._idle:
                connection.rest(now - self._idle)
