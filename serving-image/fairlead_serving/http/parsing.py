"""From bytes to requests: httptools with our limits around it."""

from __future__ import annotations

from collections import deque
from typing import Final

import httptools

from fairlead_serving.http.messages import Request, error_response

MAX_HEADER_BYTES: Final = 32 * 1024
_MAX_DIGITS: Final = 18
_COLON_AND_NEWLINE: Final = 4
_WATCHED: Final = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"content-encoding",
        b"content-length",
        b"expect",
        b"host",
        b"inference-header-content-length",
    )
)


class _Refused(Exception):  # noqa: N818  no error of ours: it stops httptools from within its own callback
    pass


class RequestParser:
    """Puts whole requests into a queue.

    What cannot become a request (malformed, too large, unwelcome) goes into the same queue with `problem` set, so that
    its answer comes after those before it. Nothing is parsed after that: `broken` is true.

    `partial` is true while a request is coming in, `in_header` while that is still its header, `began` is when it
    began. `expects` is true while the client waits for `100 Continue`.
    """

    __slots__ = (
        "_body",
        "_has_host",
        "_header_bytes",
        "_max_body",
        "_more",
        "_now",
        "_parser",
        "_queue",
        "_request",
        "_size",
        "began",
        "broken",
        "expects",
        "in_header",
        "partial",
    )

    def __init__(self, queue: deque[Request], max_body: int) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._queue = queue
        self._max_body = max_body
        self._now = 0.0
        self._request = Request()
        self._body = b""
        self._more: bytearray | None = None
        self._size = 0
        self._header_bytes = 0
        self._has_host = False
        self.began = 0.0
        self.broken = False
        self.expects = False
        self.in_header = False
        self.partial = False

    def feed(self, data: bytes, now: float) -> None:
        """Parse what has come in at a time of the caller's clock."""
        self._now = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # A wish to change the protocol may be ignored. The request is in the queue; HTTP/1.1 goes on behind it.
            self._parser = httptools.HttpRequestParser(self)
            rest = data[upgrade.args[0] :]
            if rest:
                self.feed(rest, now)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
        except httptools.HttpParserError as error:
            self.refuse(400, f"malformed HTTP: {error}")
        else:
            if self.in_header and self.began < now:
                self._limit_header(len(data))

    def refuse(self, status: int, message: str) -> None:
        """Give up on the request that is coming in, and on whatever follows it."""
        request = Request()
        request.target = self._request.target
        if request.target:
            request.method = self._parser.get_method()
        request.arrived = self._now
        request.problem = error_response(status, message)
        self.broken = True
        self.partial = self.in_header = self.expects = False
        self._body, self._more = b"", None
        self._queue.append(request)

    def on_message_begin(self) -> None:
        """Start a request; called by httptools, as all that follow."""
        self._request = Request()
        self._header_bytes = self._size = 0
        self._has_host = False
        self.began = self._now
        self.partial = self.in_header = True

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header line, and look at the few that matter."""
        self._header_bytes += len(name) + len(value) + _COLON_AND_NEWLINE
        lower = name.lower()
        if lower in _WATCHED:
            self._watch(lower, value)

    def on_headers_complete(self) -> None:
        """Decide whether the request is welcome before its body comes."""
        request = self._request
        parser = self._parser
        request.method = parser.get_method()
        request.keep_alive = parser.should_keep_alive()
        request.old = parser.get_http_version() == "1.0"
        self.in_header = False
        if self._header_bytes + len(request.target) > MAX_HEADER_BYTES:
            self._stop(431, f"the header is larger than {MAX_HEADER_BYTES} bytes")
        if request.old:
            self.expects = False
        elif not self._has_host:
            self._stop(400, "an HTTP/1.1 request needs a Host header")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.expects = False
        # Many small pieces must not take much more room than they bring.
        if not self._size:
            self._body = body
        else:
            if self._more is None:
                self._more = bytearray(self._body)
            self._more += body
        self._size += len(body)
        if self._size > self._max_body:
            self._stop(413, self._too_large())

    def on_message_complete(self) -> None:
        """Put the whole request into the queue."""
        request = self._request
        if self._size:
            request.body = self._body if self._more is None else bytes(self._more)
            self._body, self._more = b"", None
        request.arrived = self._now
        self.partial = self.expects = False
        self._queue.append(request)

    def _limit_header(self, size: int) -> None:
        """Bound what httptools keeps of a header that never ends."""
        self._header_bytes += size
        if self._header_bytes > 2 * MAX_HEADER_BYTES:
            self.refuse(431, f"the header is larger than {MAX_HEADER_BYTES} bytes")

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._has_host = True
        elif name == b"content-length":
            # httptools has seen to it that these are digits only.
            if len(value) > _MAX_DIGITS or int(value) > self._max_body:
                self._stop(413, self._too_large())
        elif name == b"accept":
            self._request.accept = value.decode("latin-1")
        elif name == b"accept-encoding":
            self._request.accept_encoding = value.decode("latin-1")
        elif name == b"content-encoding":
            known = self._request.encoding
            self._request.encoding = (known + ", " if known else "") + value.decode("latin-1").lower()
        elif name == b"inference-header-content-length":
            self._request.json_size = value
        elif value.lower() == b"100-continue":
            self.expects = True
        else:
            self._stop(417, "only 100-continue can be expected")

    def _too_large(self) -> str:
        return f"the body is larger than {self._max_body} bytes"

    def _stop(self, status: int, message: str) -> None:
        self.refuse(status, message)
        raise _Refused
