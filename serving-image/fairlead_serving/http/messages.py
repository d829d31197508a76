"""Requests and responses as plain objects, and responses as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

JSON: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request:
    """One HTTP request. `problem` is set instead of a body when it was refused while it came in."""

    __slots__ = (
        "accept",
        "accept_encoding",
        "arrived",
        "body",
        "encoding",
        "json_size",
        "keep_alive",
        "method",
        "old",
        "problem",
        "target",
    )

    def __init__(self) -> None:
        """Start empty; the connection fills it in."""
        self.method = b""
        self.target = b""
        self.accept = ""
        self.accept_encoding = ""
        self.encoding = ""
        self.json_size: bytes | None = None
        self.body = b""
        self.keep_alive = False
        self.old = False
        self.arrived = 0.0
        self.problem: Response | None = None


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
    """The Date header, made at most once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._line = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_clock: Final = _Clock()
_TYPES: Final = {JSON: b"Content-Type: application/json\r\n"}


def frame(response: Response, *, close: bool, old: bool, head: bool) -> bytes:
    """Return a response as bytes. `old` is for HTTP/1.0 clients, which must be told that a connection stays open."""
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
        _clock.line(),
        kind,
        extra,
        len(response.body),
        b"" if head else response.body,
    )
