"""HTTP inference requests as calls of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import NotReadyError, OverloadedError, RequestError, UnknownEncodingError
from fairlead_serving.http.messages import JSON, Response, error_response
from fairlead_serving.protocol import v1
from fairlead_serving.protocol.compression import KNOWN, MOST_INFLATION, WORTHWHILE_BYTES, accepted, compress, inflate
from fairlead_serving.protocol.v2 import decode_request, encode_raw_response, encode_response
from fairlead_serving.service import Call

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http.connection import Connection
    from fairlead_serving.http.messages import Request
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor

_UNCOMPRESSED: Final = ("", "identity")
_BINARY: Final = "application/octet-stream"


class HttpCall(Call):
    """One inference request over HTTP."""

    __slots__ = ("_connection", "_dataplane", "_max_body", "_request")

    def __init__(self, request: Request, connection: Connection, dataplane: Dataplane, max_body: int) -> None:
        size = len(request.body)
        if request.encoding:
            size *= MOST_INFLATION
        super().__init__(request.arrived, size, connection.peer)
        self._request = request
        self._connection = connection
        self._dataplane = dataplane
        self._max_body = max_body

    def decode(self) -> InferRequest:
        """Read the body."""
        return decode_request(self._body(), self._request.json_size)

    def encode(self, request: InferRequest, outputs: list[Tensor]) -> Response:
        """Write the answer."""
        name, version, _ = self._dataplane.identity
        if request.raw_outputs is None:
            return self._compressed(Response(200, encode_response(name, version, request.id, outputs)))
        body, json_size = encode_raw_response(name, version, request, outputs)
        if json_size is None:
            return self._compressed(Response(200, body))
        size = ("Inference-Header-Content-Length", str(json_size))
        return self._compressed(Response(200, body, _BINARY, (size,)))

    def refuse(self, error: RequestError) -> Response:
        """Write the protocol's error object."""
        if isinstance(error, OverloadedError):
            return error_response(error.status, str(error), ("Retry-After", str(error.retry_after)))
        if isinstance(error, UnknownEncodingError):
            return error_response(error.status, str(error), ("Accept-Encoding", ", ".join(KNOWN)))
        return error_response(error.status, str(error))

    def answer(self, response: Response) -> None:
        """Send the answer over the connection."""
        self._connection.answered(self._request, response)

    def abandon(self) -> None:
        """Close the connection."""
        self._connection.abandon()

    def _body(self) -> bytes:
        encoding = self._request.encoding
        if encoding in _UNCOMPRESSED:
            return self._request.body
        return inflate(self._request.body, encoding, self._max_body)

    def _compressed(self, response: Response) -> Response:
        header = self._request.accept_encoding
        if not header or len(response.body) < WORTHWHILE_BYTES:
            return response
        encoding = accepted(header)
        if encoding is None:
            return response
        headers = (*response.headers, ("Content-Encoding", encoding))
        return Response(response.status, compress(response.body, encoding), response.content_type, headers)


class V1Call(HttpCall):
    """One request of the older V1 protocol."""

    __slots__ = ()

    def decode(self) -> InferRequest:
        """Read the body. Raises RequestError."""
        loaded = self._dataplane.loaded
        if loaded is None:
            message = f"model {self._dataplane.identity.model} is not ready: {self._dataplane.message}"
            raise NotReadyError(message)
        return v1.decode_request(self._body(), loaded.model.inputs, loaded.model.outputs)

    def encode(self, request: InferRequest, outputs: list[Tensor]) -> Response:  # noqa: ARG002  as the base says
        """Write the predictions."""
        return self._compressed(Response(200, v1.encode_response(outputs), JSON))
