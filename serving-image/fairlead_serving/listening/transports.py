"""All the ways in: the listeners of one worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fairlead_serving.errors import LoadError
from fairlead_serving.grpc.server import GrpcServer
from fairlead_serving.http.server import HttpServer
from fairlead_serving.listener import ConnectionLimits
from fairlead_serving.tls import GRPC, HTTP, server_context

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.listener import Listener
    from fairlead_serving.metrics import Metrics
    from fairlead_serving.service import Service
    from fairlead_serving.settings import Settings


class Transports:
    """Serves one dataplane over HTTP and gRPC."""

    def __init__(self, settings: Settings, dataplane: Dataplane, metrics: Metrics, service: Service) -> None:
        """Prepare; must be called on the event loop."""
        self._settings = settings
        limits = ConnectionLimits(
            max_body=settings.max_body_bytes,
            max_age=settings.max_connection_age_seconds,
            patience=settings.request_timeout_seconds,
            connections=settings.max_connections,
            idle=settings.idle_timeout_seconds,
        )
        self._http = HttpServer(dataplane, metrics, service, limits)
        self._grpc = GrpcServer(dataplane, metrics, service, limits)

    async def listen(self, *, shared: bool) -> tuple[int, int]:
        """Start to accept connections and return the ports, of HTTP and of gRPC.

        `shared` is whether other processes listen on the same ports. Raises LoadError when one is taken, or where TLS
        cannot be set up.
        """
        http = await self._listen(self._http, self._settings.http_port, HTTP, shared=shared)
        return http, await self._listen(self._grpc, self._settings.grpc_port, GRPC, shared=shared)

    async def _listen(self, listener: Listener, port: int, protocol: str, *, shared: bool) -> int:
        files = self._settings.tls
        tls = server_context(files, protocol) if files else None
        try:
            return await listener.listen(self._settings.host, port, shared=shared, tls=tls)
        except OSError as error:
            message = f"cannot listen on port {port}: {error.strerror or error}"
            raise LoadError(message) from error

    async def close(self) -> None:
        """Let what is under way come to its end, and stop."""
        await asyncio.gather(self._http.close(), self._grpc.close())
