"""Requests and responses as plain objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from fairlead_serving.http.inference import HttpCall
    from fairlead_serving.room import Charge

JSON: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
NO_TRACE: Final = (b"", b"")


class Head:
    """What stands before a request's body. Requests with the same bytes there share one.

    `old` is HTTP/1.0, `json_size` the binary extension's header. `simple` is whether the body's size is told by its
    Content-Length alone, the answer has one too, and the connection goes on as it is. `call` is the kind of inference
    request, None for any other, once it is `routed`. `alike` is whether requests that differ in values which change
    each time, such as a trace's, may share one, too: nobody will read the whole head.
    """

    __slots__ = (
        "accept",
        "accept_encoding",
        "alike",
        "call",
        "encoding",
        "json_size",
        "keep_alive",
        "method",
        "old",
        "routed",
        "simple",
        "target",
    )

    def __init__(self) -> None:
        """Start empty; the parser fills it in."""
        self.method = b""
        self.target = b""
        self.accept = ""
        self.accept_encoding = ""
        self.encoding = ""
        self.json_size: bytes | None = None
        self.keep_alive = False
        self.old = False
        self.simple = True
        self.routed = False
        self.call: type[HttpCall] | None = None
        self.alike = True


class Request(msgspec.Struct, gc=False):
    """One HTTP request. `problem` is set instead of a body when it was refused while it came in.

    `trace` is what came as `traceparent` and `tracestate`. `charge` is there for large ones only, and lives as long as
    they do.
    """

    head: Head
    body: bytes
    arrived: float
    trace: tuple[bytes, bytes] = NO_TRACE
    problem: Response | None = None
    charge: Charge | None = None

    def spend(self) -> None:
        """Forget a body that has been read, and what it was charged."""
        self.body = b""
        self.charge = None


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer before it is framed."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_response(status: int, content: object) -> Response:
    """Return an answer with a JSON body."""
    return Response(status, _encoder.encode(content))


def error_response(status: int, message: str, *headers: tuple[str, str]) -> Response:
    """Return the protocol's error object."""
    return Response(status, _encoder.encode({"error": message}), JSON, headers)
