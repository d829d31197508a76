"""Requests and responses as plain objects, and responses as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from fairlead_serving.http.inference import HttpCall
    from fairlead_serving.room import Charge

JSON: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
NO_TRACE: Final = (b"", b"")
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


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


class _Clock:
    """The Date header, and all that stands before the size of a plain answer: made at most once a second."""

    def __init__(self) -> None:
        self.until = 0.0  # by time.perf_counter
        self.date = self.plain = b""

    def turn(self) -> None:
        """Make them for the second that has begun."""
        now = time.time()
        self.until = time.perf_counter() + 1.0 - now % 1.0
        self.date = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        self.plain = b"%b%b%bContent-Length: " % (_STATUS_LINES[200], self.date, _TYPES[JSON])


_clock: Final = _Clock()
_TYPES: Final = {JSON: b"Content-Type: application/json\r\n"}


def frame(response: Response, *, close: bool, old: bool, head: bool) -> bytes:
    """Return a response as bytes. `old` is for HTTP/1.0 clients, which must be told that a connection stays open."""
    if time.perf_counter() >= _clock.until:
        _clock.turn()
    kind = _TYPES.get(response.content_type) or f"Content-Type: {response.content_type}\r\n".encode()
    extra = b""
    if response.headers:
        extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers).encode()
    if close:
        extra += b"Connection: close\r\n"
    elif old:
        extra += b"Connection: keep-alive\r\n"
    return b"%b%b%b%bContent-Length: %d\r\n\r\n%b" % (
        _STATUS_LINES[response.status],
        _clock.date,
        kind,
        extra,
        len(response.body),
        b"" if head else response.body,
    )


def frame_plain(body: bytes, now: float) -> bytes:
    """Return what `frame` does for a JSON answer with the status 200 on a connection that goes on: most are.

    `now` is the time by `time.perf_counter`.
    """
    if now >= _clock.until:
        _clock.turn()
    return b"%b%d\r\n\r\n%b" % (_clock.plain, len(body), body)
