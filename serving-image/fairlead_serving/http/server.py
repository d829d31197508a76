"""The listening side of HTTP/1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fairlead_serving.http.connection import Connection
from fairlead_serving.http.router import Router
from fairlead_serving.listener import Listener

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http.messages import Request, Response
    from fairlead_serving.listener import ConnectionLimits
    from fairlead_serving.metrics import Metrics
    from fairlead_serving.service import Service


class HttpServer(Listener):
    """Serves one dataplane over HTTP."""

    def __init__(self, dataplane: Dataplane, metrics: Metrics, service: Service, limits: ConnectionLimits) -> None:
        """Prepare. Must be called on the event loop."""
        super().__init__(dataplane, metrics, service, limits)
        self._router = Router(dataplane, metrics, service.feedback)

    def accept(self) -> Connection:
        """Return a new connection's protocol."""
        return Connection(self)

    def cancel(self, connection: Connection) -> None:
        """Forget what a connection that has gone was waiting for."""
        if connection.call is not None:
            self.service.cancel(connection.call)

    def half_closed(self, connection: Connection) -> None:
        """Take a client that sends no more for one that has gone if its request still waits for the model.

        It is looked at a little later, when a request that came together with the end has had its chance to start.
        """
        if connection.call is not None:
            self.loop.call_soon(self.service.leave, connection.call)

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """Answer at once, or return None and call `connection.answered` later."""
        if request.problem is None and self._router.is_inference(request):
            self.brings_inference(connection)
            kind = self._router.calls[request.target]
            connection.call = kind(request, connection, self.dataplane, self.max_body)
            return cast("Response | None", self.service.start(connection.call))
        response = request.problem or self._router.answer(request)
        if self._router.was_meant_as_inference(request):
            self.service.refused(request.arrived)
        return response
