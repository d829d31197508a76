"""The listening side of HTTP/1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from fairlead_serving.errors import LoadError
from fairlead_serving.http.connection import Connection
from fairlead_serving.http.heads import KnownHeads
from fairlead_serving.http.router import Router
from fairlead_serving.listening.listener import Listener
from fairlead_serving.protocol.v2response import ResponseWriter

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http.messages import Request, Response
    from fairlead_serving.listening.listener import ConnectionLimits
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.models.base import Model
    from fairlead_serving.service import Service

_OVERLOADED: Final = 503


@mypyc_attr(allow_interpreted_subclasses=True)
class HttpServer(Listener):
    """Serves one dataplane over HTTP."""

    def __init__(self, dataplane: Dataplane, metrics: Metrics, service: Service, limits: ConnectionLimits) -> None:
        """Prepare. Must be called on the event loop."""
        super().__init__(dataplane, metrics, service, limits)
        self._router = Router(dataplane, metrics, service.feedback)
        self.heads = KnownHeads(limits.max_body)
        self.writer = ResponseWriter(dataplane.identity.model, dataplane.identity.version)

    async def take_routes(self, model: Model) -> None:
        """Take note of a loaded model; only RoutedServer serves routes. Raises LoadError where there are some."""
        if getattr(model, "routes", None) is not None:
            message = "the model has routes of its own, for which its format has to be named: set modelFormat to python"
            raise LoadError(message)

    def accept(self) -> Connection:
        """Return a new connection's protocol."""
        return Connection(self)

    def cancel(self, connection: Connection) -> None:
        """Forget what a connection that has gone was waiting for."""
        if connection.call is not None:
            self.service.cancel(connection.call)
            connection.call = None

    def half_closed(self, connection: Connection) -> None:
        """Take a client that sends no more for one that has gone if its request still waits for the model.

        It is looked at a little later, when a request that came together with the end has had its chance to start.
        """
        if connection.call is not None:
            self.loop.call_soon(self.service.leave, connection.call)

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """Answer at once, or return None and call `connection.answered` later."""
        head = request.head
        if request.problem is None:
            if not head.routed:
                self._router.route(head)
            if head.call is not None:
                if not connection.carries_inference:
                    self.brings_inference(connection)
                connection.call = call = head.call(request, connection, self)
                return self.service.start(call)
        response = request.problem or self._router.answer(request)
        if self._router.was_meant_as_inference(head):
            self.service.refused(request.arrived, overloaded=response.status == _OVERLOADED)
        return response
