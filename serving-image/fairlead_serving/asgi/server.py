"""The HTTP listener of a model that may have routes of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from fairlead_serving.asgi.connection import RoutedConnection, RoutedHead
from fairlead_serving.asgi.exchange import Exchange
from fairlead_serving.asgi.functions import FunctionRoutes
from fairlead_serving.asgi.inference import Infer
from fairlead_serving.asgi.lifespan import Lifespan
from fairlead_serving.errors import LoadError
from fairlead_serving.http.messages import error_response
from fairlead_serving.http.server import HttpServer

if TYPE_CHECKING:
    from fairlead_serving.asgi.exchange import Application
    from fairlead_serving.http.connection import Connection
    from fairlead_serving.http.messages import Request, Response
    from fairlead_serving.models.base import Model


class RoutedServer(HttpServer):
    """Hands requests for paths that are not the server's to the model's application."""

    _application: Application | None = None
    _lifespan: Lifespan | None = None

    async def take_routes(self, model: Model) -> None:
        """Make and start the application of a model, if it has one. Raises LoadError."""
        routes = getattr(model, "routes", None)
        if routes is None:
            return
        try:
            application = routes(Infer(self.service, model.inputs, model.outputs))
            if isinstance(application, Mapping):
                application = FunctionRoutes(application)
        except Exception as error:
            message = f"the model's routes cannot be made: {type(error).__name__}: {error}"
            raise LoadError(message) from error
        if not callable(application):
            message = f"routes should return an ASGI application or functions by path, not {type(application).__name__}"
            raise LoadError(message)
        self._lifespan = Lifespan(application)
        await self._lifespan.start()
        self._application = application
        self._metrics.has_routes = True
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Answer what is under way, then end the application."""
        await super().close()
        if self._lifespan is not None:
            await self._lifespan.stop()

    def accept(self) -> RoutedConnection:
        """Return a new connection's protocol."""
        return RoutedConnection(self)

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """Answer at once, or return None and answer later."""
        head = request.head
        if type(head) is not RoutedHead or head.path is None or request.problem is not None:
            return super().answer(request, connection)
        return self._route(request, cast("RoutedConnection", connection), head, head.path)

    def _route(self, request: Request, connection: RoutedConnection, head: RoutedHead, path: bytes) -> Response | None:
        application, lifespan = self._application, self._lifespan
        if self.dataplane.loaded is None:
            name = self.dataplane.identity.model
            return error_response(503, f"model {name} is not ready: {self.dataplane.message}")
        if application is None or lifespan is None:
            return super().answer(request, connection)
        self.brings_inference(connection)
        scope = connection.scope(head, path)
        scope["state"] = lifespan.state.copy()

        def count(outcome: str) -> None:
            self._metrics.routed(outcome, time.perf_counter() - request.arrived)

        exchange = Exchange(request, connection, self.dataplane.failed, count)
        connection.begin(exchange)
        task = self.loop.create_task(exchange.run(application, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None
