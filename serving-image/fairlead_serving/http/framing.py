"""Responses as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from fairlead_serving.http.messages import JSON, Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_TYPES: Final = {JSON: b"Content-Type: application/json\r\n"}


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
