"""HTTP inference requests as calls of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.call import Call
from fairlead_serving.errors import NotReadyError, OverloadedError, RequestError, UnknownEncodingError
from fairlead_serving.http.messages import JSON, Response, error_response
from fairlead_serving.protocol import v1
from fairlead_serving.protocol.compression import KNOWN, MOST_INFLATION, WORTHWHILE_BYTES, accepted, compress, inflate
from fairlead_serving.protocol.v2 import decode_request
from fairlead_serving.protocol.v2response import encode_raw_response
from fairlead_serving.protocol.v2rows import decode_rows
from fairlead_serving.room import LARGE_BYTES

if TYPE_CHECKING:
    from fairlead_serving.http.connection import Connection
    from fairlead_serving.http.messages import Request
    from fairlead_serving.http.server import HttpServer
    from fairlead_serving.outputs import Part
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tracing.trace import Told

_UNCOMPRESSED: Final = ("", "identity")
# More numbers than that are read into an array sooner, since they take much more room as they are.
_FEW_BYTES: Final = 32 * 1024
_FALLBACK: Final = (("Fairlead-Fallback", "true"),)
_BINARY: Final = "application/octet-stream"


class HttpCall(Call):
    """One inference request over HTTP."""

    def __init__(self, request: Request, connection: Connection, server: HttpServer) -> None:
        size = len(request.body)
        if request.head.encoding:
            size *= MOST_INFLATION
        self.arrived = request.arrived
        self.size = size
        self.client = connection.peer
        self._request = request
        self._connection = connection
        self._server = server

    def decode(self) -> InferRequest:
        """Read the body."""
        body, head, forms = self._request.body, self._request.head, self._server.dataplane.forms
        if forms and len(body) <= _FEW_BYTES and not head.encoding and head.json_size is None:
            known = decode_rows(body, forms)
            if known is not None:
                return known
        decoded = decode_request(self._body(), head.json_size)
        if self.size > LARGE_BYTES:
            self._request.spend()
        return decoded

    def encode(self, request: InferRequest, outputs: Part) -> Response | bytes:
        """Write the answer; bytes are that of a 200 with JSON and nothing else to say."""
        if request.raw_outputs is None:
            body = self._server.writer.write(request.id, outputs)
            return self._compressed(Response(200, body)) if self._request.head.accept_encoding else body
        return self._encode_raw(request, outputs)

    def encode_fallback(self, request: InferRequest, outputs: Part) -> Response:
        """Write an answer of the fallback."""
        return self._encode_raw(request, outputs, _FALLBACK, {"fallback": True})

    def _encode_raw(
        self,
        request: InferRequest,
        outputs: Part,
        headers: tuple[tuple[str, str], ...] = (),
        parameters: dict[str, bool] | None = None,
    ) -> Response:
        name, version, _ = self._server.dataplane.identity
        body, json_size = encode_raw_response(name, version, request, outputs.tensors, parameters)
        if json_size is None:
            return self._compressed(Response(200, body, JSON, headers))
        size = ("Inference-Header-Content-Length", str(json_size))
        return self._compressed(Response(200, body, _BINARY, (*headers, size)))

    def trace_context(self) -> tuple[bytes, bytes]:
        """Return what the client sent."""
        return self._request.trace

    def told(self, *, gone: bool) -> Told:
        """Say what the request was."""
        from fairlead_serving.tracing.told import http  # noqa: PLC0415  only where requests are traced

        path = self._request.head.target.decode("latin-1")
        return http(path, self._server.scheme, self._connection.peer, self.problem, gone=gone)

    def refuse(self, error: RequestError) -> Response:
        """Write the protocol's error object."""
        self.problem = error
        if isinstance(error, OverloadedError):
            return error_response(error.status, str(error), ("Retry-After", str(error.retry_after)))
        if isinstance(error, UnknownEncodingError):
            return error_response(error.status, str(error), ("Accept-Encoding", ", ".join(KNOWN)))
        return error_response(error.status, str(error))

    def answer(self, response: Response | bytes) -> None:
        """Send the answer over the connection."""
        self._connection.answered(self._request, response)

    def abandon(self) -> None:
        """Close the connection."""
        self._connection.abandon()

    def _body(self) -> bytes:
        encoding = self._request.head.encoding
        if encoding in _UNCOMPRESSED:
            return self._request.body
        return inflate(self._request.body, encoding, self._server.max_body)

    def _compressed(self, response: Response) -> Response:
        header = self._request.head.accept_encoding
        if not header or len(response.body) < WORTHWHILE_BYTES:
            return response
        encoding = accepted(header)
        if encoding is None:
            return response
        headers = (*response.headers, ("Content-Encoding", encoding))
        return Response(response.status, compress(response.body, encoding), response.content_type, headers)


class V1Call(HttpCall):
    """One request of the older V1 protocol."""

    def decode(self) -> InferRequest:
        """Read the body. Raises RequestError."""
        dataplane = self._server.dataplane
        loaded = dataplane.loaded
        if loaded is None:
            message = f"model {dataplane.identity.model} is not ready: {dataplane.message}"
            raise NotReadyError(message)
        return v1.decode_request(self._body(), loaded.model.inputs, loaded.model.outputs)

    def encode(self, request: InferRequest, outputs: Part) -> Response:
        """Write the predictions."""
        return self._compressed(Response(200, v1.encode_response(request, outputs.tensors)))

    def encode_fallback(self, request: InferRequest, outputs: Part) -> Response:
        """Write predictions of the fallback, which V1 can say only in a header."""
        return self._compressed(Response(200, v1.encode_response(request, outputs.tensors), JSON, _FALLBACK))
