"""All the ways in: the listeners of one worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fairlead_serving.errors import LoadError
from fairlead_serving.grpc.server import GrpcServer
from fairlead_serving.http.server import HttpServer
from fairlead_serving.listening.listener import ConnectionLimits
from fairlead_serving.listening.tls import GRPC, HTTP, server_context
from fairlead_serving.workers.port import refusal

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.listening.listener import Listener
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.models.base import Model
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
        self._http = _http_server(settings)(dataplane, metrics, service, limits)
        self._grpc = GrpcServer(dataplane, metrics, service, limits)
        self._reference = None
        if settings.grpc_server == "grpcio":
            # For those who ask for it: it takes longer to import than all else together.
            from fairlead_serving.grpc.reference import ReferenceServer  # noqa: PLC0415

            self._reference = ReferenceServer(dataplane, service, limits)

    async def take_routes(self, model: Model) -> None:
        """Serve the routes of a model's own, if it has any. Raises LoadError."""
        await self._http.take_routes(model)

    async def listen(self, *, shared: bool) -> tuple[int, int]:
        """Start to accept connections and return the ports, of HTTP and of gRPC.

        `shared` is whether other processes listen on the same ports. Raises LoadError when one is taken, or where TLS
        cannot be set up.
        """
        http = await self._listen(self._http, self._settings.http_port, HTTP, shared=shared)
        if self._reference is not None:
            settings = self._settings
            return http, await self._reference.listen(settings.host, settings.grpc_port, settings.tls, shared=shared)
        return http, await self._listen(self._grpc, self._settings.grpc_port, GRPC, shared=shared)

    async def _listen(self, listener: Listener, port: int, protocol: str, *, shared: bool) -> int:
        files = self._settings.tls
        tls = server_context(files, protocol) if files else None
        try:
            return await listener.listen(self._settings.host, port, shared=shared, tls=tls)
        except OSError as error:
            raise LoadError(refusal(self._settings.host, port, error)) from error

    async def close(self) -> None:
        """Let what is under way come to its end, and stop."""
        await asyncio.gather(self._http.close(), (self._reference or self._grpc).close())


def _http_server(settings: Settings) -> type[HttpServer]:
    if settings.format != "python":
        return HttpServer
    # Only a program can have routes, so that others need not keep whole headers.
    from fairlead_serving.asgi.server import RoutedServer  # noqa: PLC0415

    return RoutedServer
