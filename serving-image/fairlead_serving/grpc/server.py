"""The listening side of gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fairlead_serving.errors import RequestError
from fairlead_serving.grpc import status
from fairlead_serving.grpc.calls import GrpcCall, Route, failure_of, message_of, respond, route_of
from fairlead_serving.grpc.codec import InferCodec, prefixed
from fairlead_serving.grpc.status import Failure
from fairlead_serving.http2.connection import Connection
from fairlead_serving.listening.listener import Listener

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http2.heads import Head
    from fairlead_serving.http2.streams import Stream
    from fairlead_serving.listening.listener import ConnectionLimits
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.service import Service


class GrpcServer(Listener):
    """Serves one dataplane over gRPC."""

    def __init__(self, dataplane: Dataplane, metrics: Metrics, service: Service, limits: ConnectionLimits) -> None:
        """Prepare. Must be called on the event loop."""
        super().__init__(dataplane, metrics, service, limits)
        self._codec = InferCodec(dataplane)

    def accept(self) -> Connection:
        """Return a new connection's protocol."""
        return Connection(self)

    def route(self, head: Head) -> Route:
        """Return what a request's headers ask for."""
        return route_of(head)

    def start(self, stream: Stream) -> None:
        """Take a whole request."""
        route: Route = stream.route
        body = stream.take_body()
        if route.inference and route.failure is None:
            self._infer(stream, body)
        elif route.status != 200:  # noqa: PLR2004  no gRPC
            stream.connection.answer(stream, *status.no_grpc(route.status))
        elif route.failure is not None:
            self._count_refused(stream)
            respond(stream, route.failure)
        elif route.method is not None:
            try:
                message = route.method(self.dataplane, message_of(body, route.encoding, self.max_body))
            except RequestError as error:
                respond(stream, failure_of(error))
            else:
                respond(stream, prefixed(message))

    def refuse(self, stream: Stream, http_status: int, reason: str) -> None:
        """Answer a request that does not come in whole."""
        self._count_refused(stream)
        respond(stream, Failure(status.code_of(http_status), reason))

    def cancel(self, stream: Stream) -> None:
        """Forget a request that nobody waits for any more."""
        call = stream.state
        if call is not None:
            if call.timer is not None:
                call.timer.cancel()
            self.service.cancel(call)

    def _infer(self, stream: Stream, body: bytes) -> None:
        if not stream.connection.carries_inference:
            self.brings_inference(cast("Connection", stream.connection))
        call = stream.state = GrpcCall(stream, body, self._codec, self.max_body)
        response = self.service.start(call)
        if response is not None:
            respond(stream, response)
        elif stream.route.timeout is not None:
            call.timer = self.loop.call_later(stream.route.timeout, self._expire, stream)

    def _expire(self, stream: Stream) -> None:
        """Tell the client what it knows already: that its time is over."""
        self.service.cancel(stream.state)
        respond(stream, Failure(status.DEADLINE_EXCEEDED, "the answer was not there in time"))

    def _count_refused(self, stream: Stream) -> None:
        if stream.route.inference:
            self.service.refused(stream.touched)
