"""An ASGI answer as HTTP/1.1: its header, and how the end of its body is told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE: Final = re.compile(rb"[\x00\r\n]")
# These belong to the connection, which is the server's.
_HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUSES: Final = range(200, 1000)
_BODILESS: Final = (204, 304)


class Head:
    """What `http.response.start` says. `length` is the body's by Content-Length, None where that is not said."""

    __slots__ = ("_lines", "close", "length", "status")

    def __init__(self, message: Mapping[str, Any]) -> None:
        """Read the message. Raises ValueError or TypeError for what HTTP cannot carry."""
        self.status = int(message["status"])
        if self.status not in _STATUSES:
            text = f"{self.status} is not the status of an answer"
            raise ValueError(text)
        self.length: int | None = None
        self.close = False
        self._lines = b""
        self._read(message.get("headers", ()))

    def _read(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        dated = False
        for name, value in headers:
            if not _NAME.fullmatch(name) or _UNSAFE.search(value):
                text = f"the header {bytes(name)!r}: {bytes(value)!r} cannot be sent"
                raise ValueError(text)
            lower = bytes(name).lower()
            if lower in _HOP_BY_HOP:
                self.close = self.close or (lower == b"connection" and value.strip().lower() == b"close")
                continue
            if lower == b"content-length":
                self.length = _length(value)
                continue
            dated = dated or lower == b"date"
            self._lines += b"%b: %b\r\n" % (name, value)
        if not dated:
            self._lines += b"Date: %b\r\n" % formatdate(time.time(), usegmt=True).encode()

    @property
    def bodiless(self) -> bool:
        """Whether answers of this status have no body whatever the application sends."""
        return self.status in _BODILESS

    def to_bytes(self, framing: bytes, *, close: bool, old: bool) -> bytes:
        """Return the header with a line that tells where the body ends, if any.

        `old` is for HTTP/1.0 clients, which must be told that a connection stays open.
        """
        phrase = _PHRASES.get(self.status, "").encode()
        kept = b"Connection: close\r\n" if close else b"Connection: keep-alive\r\n" if old else b""
        return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (self.status, phrase, self._lines, framing, kept)


def _length(value: bytes) -> int:
    if not value.isdigit():
        text = f"Content-Length: {bytes(value)!r} is no number of bytes"
        raise ValueError(text)
    return int(value)


class Body:
    """Where a body ends: by its length, in chunks, or (`open_ended`) with the connection."""

    __slots__ = ("_chunked", "_left", "_sent", "framing", "open_ended")

    def __init__(self, head: Head, whole: int | None, *, old: bool, bare: bool) -> None:
        """Choose for a head. `whole` is the body's size where all of it is there, `bare` when none is to be sent."""
        length = head.length if head.length is not None else whole
        self._sent = not bare and not head.bodiless
        self._left: int | None = length
        self._chunked = length is None and not old
        self.open_ended = length is None and old
        if head.bodiless and head.length is None:
            self.framing = b""
        elif length is not None:
            self.framing = b"Content-Length: %d\r\n" % length
        else:
            self.framing = b"Transfer-Encoding: chunked\r\n" if self._chunked else b""

    def part(self, data: bytes, *, last: bool) -> bytes:
        """Return a part of the body as it goes over the wire. Raises ValueError where Content-Length is not kept."""
        if not self._sent:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (last and self._left):
                text = "the body is not as long as its Content-Length"
                raise ValueError(text)
        if not self._chunked:
            return data
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return chunk + b"0\r\n\r\n" if last else chunk
