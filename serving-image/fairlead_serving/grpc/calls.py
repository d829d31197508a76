"""gRPC requests: what their headers say, their messages, and inference as a call of the service."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mypy_extensions import mypyc_attr

from fairlead_serving.call import Call
from fairlead_serving.errors import (
    InvalidRequestError,
    OverloadedError,
    RequestError,
    UnknownEncodingError,
    readable,
)
from fairlead_serving.grpc import health, messages, status, wire
from fairlead_serving.grpc.codec import PREFIX_BYTES, check_model, prefixed
from fairlead_serving.grpc.status import Failure
from fairlead_serving.protocol.compression import MOST_INFLATION, WORTHWHILE_BYTES, compress, inflate

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.grpc.codec import InferCodec
    from fairlead_serving.http2.heads import Head
    from fairlead_serving.http2.streams import Stream
    from fairlead_serving.outputs import Part
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tracing.trace import Told

SERVICE: Final = b"/inference.GRPCInferenceService/"
_TIMEOUT: Final = re.compile(rb"^(\d{1,8})([HMSmun])$")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# The parameter `fallback` with the value true.
_FALLBACK: Final = wire.write(4, wire.write_text(1, "fallback") + wire.write(2, wire.write_truth(1, value=True)))
_PLAIN: Final = ("", "identity")

Method = Callable[["Dataplane", bytes], bytes]


class Route(NamedTuple):
    """What a request's headers ask for.

    It is for `method`, or for inference. `gzip` is whether the answer should be compressed, `timeout` is in seconds.
    `status` is an HTTP status other than 200 for what is no gRPC, and `failure` what is wrong with gRPC that cannot be
    served.
    """

    method: Method | None = None
    inference: bool = False
    encoding: str = ""
    gzip: bool = False
    timeout: float | None = None
    trace: tuple[bytes, bytes] = (b"", b"")
    status: int = 200
    failure: Failure | None = None


def route_of(head: Head) -> Route:
    """Return what a request's headers ask for."""
    if head.method != b"POST":
        return Route(status=405)
    kind = head.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in (b"application/grpc", b"application/grpc+proto"):
        return Route(status=415)
    inference = head.path == SERVICE + b"ModelInfer"
    method = METHODS.get(head.path)
    if method is None and not inference:
        name = readable(head.path.decode("latin-1"))
        return Route(failure=Failure(status.UNIMPLEMENTED, f"there is no method {name}"))
    timeout = None
    text = head.fields.get(b"grpc-timeout")
    if text is not None:
        match = _TIMEOUT.match(text)
        if match is None:
            problem = f"grpc-timeout: {readable(text.decode('latin-1'))} is no time"
            return Route(method, inference, failure=Failure(status.INVALID_ARGUMENT, problem))
        timeout = int(match[1]) * _UNITS[match[2]]
    encoding = head.fields.get(b"grpc-encoding", b"").decode("latin-1")
    accepted = head.fields.get(b"grpc-accept-encoding", b"").replace(b" ", b"").split(b",")
    trace = (head.fields.get(b"traceparent", b""), head.fields.get(b"tracestate", b""))
    gzip = encoding not in _PLAIN and b"gzip" in accepted
    return Route(method, inference, encoding, gzip, timeout, trace)


def message_of(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the one message in a request's body. Raises RequestError."""
    size = int.from_bytes(body[1:PREFIX_BYTES], "big")
    if len(body) < PREFIX_BYTES or len(body) != PREFIX_BYTES + size:
        raise InvalidRequestError(at="", problem="the body is not one whole message")
    if not body[0]:
        return body[PREFIX_BYTES:]
    if encoding in _PLAIN or body[0] != 1:
        raise InvalidRequestError(at="", problem="the message is compressed, but grpc-encoding does not say how")
    return inflate(body[PREFIX_BYTES:], encoding, limit)


def compressed(body: bytes) -> bytes:
    """Return a body that has not been compressed as one that is, if that is worthwhile."""
    if len(body) < WORTHWHILE_BYTES:
        return body
    return prefixed(compress(body[PREFIX_BYTES:], "gzip"), gzip=True)


def failure_of(error: RequestError) -> Failure:
    """Return the status that tells an error."""
    retry_after = error.retry_after if isinstance(error, OverloadedError) else None
    return Failure(status.code_of(error.status), str(error), isinstance(error, UnknownEncodingError), retry_after)


@mypyc_attr(allow_interpreted_subclasses=True)
class InferCall(Call):
    """One ModelInfer, whoever speaks HTTP/2 for it."""

    def __init__(self, arrived: float, size: int, client: str, body: bytes, codec: InferCodec) -> None:
        super().__init__(arrived, size, client)
        self.weight = len(body)
        self._body = body
        self._codec = codec

    def decode(self) -> InferRequest:
        """Read the message. Raises RequestError."""
        body, self._body = self._body, b""
        return self._codec.decode(self._taken(body))

    def encode(self, request: InferRequest, outputs: Part) -> Any:
        """Write the answer."""
        return self._sent(self._codec.encode(request, outputs))

    def encode_fallback(self, request: InferRequest, outputs: Part) -> Any:
        """Write an answer of the fallback: another field of the message, in which order does not matter."""
        return self._sent(prefixed(self._codec.encode(request, outputs)[PREFIX_BYTES:] + _FALLBACK))

    def told(self, *, gone: bool) -> Told:
        """Say what the request was."""
        from fairlead_serving.tracing.told import grpc  # noqa: PLC0415  only where requests are traced

        return grpc(str(self.client), self.problem, gone=gone)

    def refuse(self, error: RequestError) -> Failure:
        """Return the status that tells the error."""
        self.problem = error
        return failure_of(error)

    @abstractmethod
    def _taken(self, body: bytes) -> bytes:
        """Return the message in what was received. Raises RequestError."""

    @abstractmethod
    def _sent(self, body: bytes) -> bytes:
        """Return an answer's body, one message with its prefix, as it is sent."""


class GrpcCall(InferCall):
    """One ModelInfer over a stream of ours."""

    timer: asyncio.TimerHandle | None = None

    def __init__(self, stream: Stream, body: bytes, codec: InferCodec, max_body: int) -> None:
        # As the bases do, without their calls.
        size = len(body)
        self.arrived = stream.touched
        self.size = size * MOST_INFLATION if body[:1] == b"\x01" else size
        self.client = stream.connection.peer
        self._body = body
        self._codec = codec
        self._stream = stream
        self._max_body = max_body

    def trace_context(self) -> tuple[bytes, bytes]:
        """Return what the client sent."""
        route: Route = self._stream.route
        return route.trace

    def decode(self) -> InferRequest:
        """Read the message, most often one of a known form. Raises RequestError."""
        request = self._codec.recall(self._body)
        if request is None:
            return super().decode()
        self._body = b""
        return request

    def _taken(self, body: bytes) -> bytes:
        return message_of(body, self._stream.route.encoding, self._max_body)

    def _sent(self, body: bytes) -> bytes:
        return compressed(body) if self._stream.route.gzip else body

    def answer(self, response: bytes | Failure) -> None:
        """Send the answer over the stream."""
        if self.timer is not None:
            self.timer.cancel()
        respond(self._stream, response)


def respond(stream: Stream, response: bytes | Failure) -> None:
    """Send an answer over its stream: a message with its prefix, or a status that tells a failure."""
    if isinstance(response, bytes):
        head = status.GZIP_HEAD if response[0] else status.HEAD
        stream.connection.answer(stream, head, response, status.TAIL)
    else:
        stream.connection.answer(stream, status.failed(response))


def _model_ready(dataplane: Dataplane, message: bytes) -> bytes:
    check_model(messages.decode_model(message), dataplane.identity)
    return messages.encode_truth(value=dataplane.ready)


def _model_metadata(dataplane: Dataplane, message: bytes) -> bytes:
    check_model(messages.decode_model(message), dataplane.identity)
    return messages.encode_model(dataplane.model_metadata())


METHODS: Final[dict[bytes, Method]] = {
    SERVICE + b"ServerLive": lambda _, __: messages.encode_truth(value=True),
    SERVICE + b"ServerReady": lambda dataplane, _: messages.encode_truth(value=dataplane.ready),
    SERVICE + b"ModelReady": _model_ready,
    SERVICE + b"ServerMetadata": lambda dataplane, _: messages.encode_server(dataplane.server_metadata()),
    SERVICE + b"ModelMetadata": _model_metadata,
    health.CHECK: health.check,
}
"""All but inference, by their paths."""
