"""gRPC requests: what their headers say, their messages, and inference as a call of the service."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.errors import (
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnknownEncodingError,
    readable,
)
from fairlead_serving.grpc import messages, status
from fairlead_serving.grpc.status import Failure
from fairlead_serving.protocol.compression import MOST_INFLATION, WORTHWHILE_BYTES, compress, inflate
from fairlead_serving.service import Call

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.dataplane import Dataplane, Identity
    from fairlead_serving.grpc.messages import ModelRequest
    from fairlead_serving.http2.heads import Head
    from fairlead_serving.http2.streams import Stream
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor

SERVICE: Final = b"/inference.GRPCInferenceService/"
_TIMEOUT: Final = re.compile(rb"^(\d{1,8})([HMSmun])$")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PREFIX_BYTES: Final = 5
_PLAIN: Final = ("", "identity")

Method = Callable[["Dataplane", bytes], bytes]


class Route(NamedTuple):
    """What a request's headers ask for.

    It is for `method`, or for inference. `status` is an HTTP status other than 200 for what is no gRPC, and `failure`
    what is wrong with gRPC that cannot be served. `timeout` is in seconds.
    """

    method: Method | None = None
    inference: bool = False
    encoding: str = ""
    gzip: bool = False
    timeout: float | None = None
    status: int = 200
    failure: Failure | None = None


class Answer(NamedTuple):
    """A message with its prefix, ready for the wire."""

    body: bytes
    gzip: bool


def route_of(head: Head) -> Route:
    """Return what a request's headers ask for."""
    if head.method != b"POST":
        return Route(status=405)
    kind = head.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in (b"application/grpc", b"application/grpc+proto"):
        return Route(status=415)
    inference = head.path == SERVICE + b"ModelInfer"
    method = _METHODS.get(head.path)
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
    return Route(method, inference, encoding, b"gzip" in accepted, timeout)


def message_of(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the one message in a request's body. Raises RequestError."""
    size = int.from_bytes(body[1:_PREFIX_BYTES], "big")
    if len(body) < _PREFIX_BYTES or len(body) != _PREFIX_BYTES + size:
        raise InvalidRequestError(at="", problem="the body is not one whole message")
    if not body[0]:
        return body[_PREFIX_BYTES:]
    if encoding in _PLAIN or body[0] != 1:
        raise InvalidRequestError(at="", problem="the message is compressed, but grpc-encoding does not say how")
    return inflate(body[_PREFIX_BYTES:], encoding, limit)


def framed(message: bytes, *, gzip: bool) -> Answer:
    """Return a message with its prefix, compressed if that is wanted and worthwhile."""
    gzip = gzip and len(message) >= WORTHWHILE_BYTES
    if gzip:
        message = compress(message, "gzip")
    return Answer((b"\x01" if gzip else b"\x00") + len(message).to_bytes(4, "big") + message, gzip)


def failure_of(error: RequestError) -> Failure:
    """Return the status that tells an error."""
    retry_after = error.retry_after if isinstance(error, OverloadedError) else None
    return Failure(status.code_of(error.status), str(error), isinstance(error, UnknownEncodingError), retry_after)


class GrpcCall(Call):
    """One ModelInfer."""

    __slots__ = ("_body", "_identity", "_max_body", "_stream", "timer")

    def __init__(self, stream: Stream, body: bytes, identity: Identity, max_body: int) -> None:
        size = len(body)
        if body[:1] == b"\x01":
            size *= MOST_INFLATION
        super().__init__(stream.touched, size, stream.connection.peer)
        self._stream = stream
        self._body = body
        self._identity = identity
        self._max_body = max_body
        self.timer: asyncio.TimerHandle | None = None

    def decode(self) -> InferRequest:
        """Read the message. Raises RequestError."""
        body, self._body = self._body, b""
        model, request = messages.decode_infer(message_of(body, self._stream.route.encoding, self._max_body))
        check_model(model, self._identity)
        return request

    def encode(self, request: InferRequest, outputs: list[Tensor]) -> Answer:
        """Write the answer; compressed if the request was."""
        name, version, _ = self._identity
        route: Route = self._stream.route
        message = messages.encode_infer(name, version, request, outputs)
        return framed(message, gzip=route.gzip and route.encoding not in _PLAIN)

    def refuse(self, error: RequestError) -> Failure:
        """Return the status that tells the error."""
        return failure_of(error)

    def answer(self, response: Answer | Failure) -> None:
        """Send the answer over the stream."""
        if self.timer is not None:
            self.timer.cancel()
        respond(self._stream, response)


def respond(stream: Stream, response: Answer | Failure) -> None:
    """Send an answer over its stream."""
    if isinstance(response, Failure):
        stream.connection.answer(stream, status.failed(stream.id, response))
    else:
        head = status.head(stream.id, gzip=response.gzip)
        stream.connection.answer(stream, head, response.body, status.tail(stream.id))


def check_model(model: ModelRequest, identity: Identity) -> None:
    """Raise NotFoundError for another model or version than ours."""
    if model.name != identity.model:
        message = f"unknown model {readable(model.name)}: this server has {identity.model}"
        raise NotFoundError(message)
    if model.version not in ("", identity.version):
        message = (
            f"unknown version {readable(model.version)} of model {identity.model}: this server has {identity.version}"
        )
        raise NotFoundError(message)


def _model_ready(dataplane: Dataplane, message: bytes) -> bytes:
    check_model(messages.decode_model(message), dataplane.identity)
    return messages.encode_truth(value=dataplane.ready)


def _model_metadata(dataplane: Dataplane, message: bytes) -> bytes:
    check_model(messages.decode_model(message), dataplane.identity)
    return messages.encode_model(dataplane.model_metadata())


_METHODS: Final[dict[bytes, Method]] = {
    SERVICE + b"ServerLive": lambda _, __: messages.encode_truth(value=True),
    SERVICE + b"ServerReady": lambda dataplane, _: messages.encode_truth(value=dataplane.ready),
    SERVICE + b"ModelReady": _model_ready,
    SERVICE + b"ServerMetadata": lambda dataplane, _: messages.encode_server(dataplane.server_metadata()),
    SERVICE + b"ModelMetadata": _model_metadata,
}
