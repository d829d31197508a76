"""From bytes to requests: httptools with our limits around it."""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import Final

import httptools
from mypy_extensions import mypyc_attr

from fairlead_serving.http.heads import MAX_DIGITS
from fairlead_serving.http.messages import NO_TRACE, Head, Request, error_response
from fairlead_serving.room import LARGE_BYTES, NO_ROOM, Charge, Room

MAX_HEADER_BYTES: Final = 32 * 1024
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
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
    )
)
_LATER: Final = ("Retry-After", "1")


class _Refused(Exception):  # noqa: N818  no error of ours: it stops httptools from within its own callback
    pass


@mypyc_attr(allow_interpreted_subclasses=True)
class RequestParser:
    """Puts whole requests into a queue.

    What cannot become a request (malformed, too large, unwelcome) goes into the same queue with `problem` set, so that
    its answer comes after those before it. Nothing is parsed after that: `broken` is true.

    `partial` is true while a request is coming in, `in_header` while that is still its header, `began` is when it
    began. `expects` is true while the client waits for `100 Continue`.
    """

    __slots__ = (
        "_body",
        "_charge",
        "_has_host",
        "_head",
        "_header_bytes",
        "_max_body",
        "_more",
        "_now",
        "_parser",
        "_queue",
        "_room",
        "_size",
        "_trace",
        "began",
        "broken",
        "expects",
        "in_header",
        "partial",
    )

    def __init__(self, queue: deque[Request], max_body: int, room: Room | None = None) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._queue = queue
        self._max_body = max_body
        self._now = 0.0
        self._head = Head()
        self._trace = NO_TRACE
        self._room = room or Room()
        self._charge: Charge | None = None  # of a large body
        self._body = b""
        self._more: BytesIO | None = None
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
        rest: bytes | memoryview = data
        while rest:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                # A wish to change the protocol may be ignored. The request is in the queue; HTTP/1.1 goes on behind it.
                self._parser = httptools.HttpRequestParser(self)
                self._head.simple = False
                rest = memoryview(rest)[upgrade.args[0] :]
                continue
            except httptools.HttpParserCallbackError:
                if not self.broken:
                    raise
            except httptools.HttpParserError as error:
                self.refuse(400, f"malformed HTTP: {error}")
            else:
                if self.in_header and self.began < now:
                    self._limit_header(len(rest))
            return

    def refuse(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        """Give up on the request that is coming in, and on whatever follows it."""
        head = Head()
        head.target = self._head.target
        if head.target:
            head.method = self._head.method or self._parser.get_method()
        self.broken = True
        self.partial = self.in_header = self.expects = False
        self._body, self._more, self._charge = b"", None, None
        self._queue.append(Request(head, b"", self._now, problem=error_response(status, message, *headers)))

    def on_message_begin(self) -> None:
        """Start a request; called by httptools, as all that follow."""
        self._head = Head()
        self._trace = NO_TRACE
        self._header_bytes = self._size = 0
        self._has_host = False
        self.began = self._now
        self.partial = self.in_header = True

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header line, and look at the few that matter."""
        self._header_bytes += len(name) + len(value) + _COLON_AND_NEWLINE
        lower = name.lower()
        if lower in _WATCHED:
            self._watch(lower, value)

    def on_headers_complete(self) -> None:
        """Decide whether the request is welcome before its body comes."""
        head = self._head
        parser = self._parser
        head.method = parser.get_method()
        head.keep_alive = parser.should_keep_alive()
        head.old = parser.get_http_version() == "1.0"
        head.simple = head.simple and head.keep_alive and not head.old and head.method != b"HEAD"
        self.in_header = False
        if self._header_bytes + len(head.target) > MAX_HEADER_BYTES:
            self._stop(431, f"the header is larger than {MAX_HEADER_BYTES} bytes")
        if head.old:
            self.expects = False
        elif not self._has_host:
            self._stop(400, "an HTTP/1.1 request needs a Host header")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.expects = False
        self._add(body)
        if self._size > self._max_body:
            self._stop(413, self._too_large())
        if self._size > LARGE_BYTES:
            self._hold(len(body))

    def on_message_complete(self) -> None:
        """Put the whole request into the queue."""
        self.partial = self.expects = False
        self._queue.append(Request(self._head, self._whole(), self._now, self._trace))
        if self._charge is not None:
            self._queue[-1].charge, self._charge = self._charge, None

    def _add(self, piece: bytes) -> None:
        """Keep a piece of a body. Many small pieces must not take much more room than they bring."""
        if not self._size:
            self._body = piece
        else:
            if self._more is None:
                self._more = BytesIO()
                self._more.write(self._body)
                self._body = b""
            self._more.write(piece)
        self._size += len(piece)

    def _whole(self) -> bytes:
        """Return all pieces as one, and keep them no longer."""
        body = self._body if self._more is None else self._more.getvalue()
        self._body, self._more, self._size = b"", None, 0
        return body

    def _hold(self, size: int) -> None:
        """Count a piece of a large body, which is refused where there is no room for it."""
        if self._charge is None:
            self._charge, size = Charge(self._room), self._size
        if not self._charge.grow(size):
            self._stop(503, NO_ROOM, _LATER)

    def _limit_header(self, size: int) -> None:
        """Bound what httptools keeps of a header that never ends."""
        self._header_bytes += size
        if self._header_bytes > 2 * MAX_HEADER_BYTES:
            self.refuse(431, f"the header is larger than {MAX_HEADER_BYTES} bytes")

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._has_host = True
        elif name == b"content-length":
            self._announced(value)
        elif name == b"accept":
            self._head.accept = value.decode("latin-1")
        elif name == b"accept-encoding":
            self._head.accept_encoding = value.decode("latin-1")
        elif name == b"content-encoding":
            known = self._head.encoding
            self._head.encoding = (known + ", " if known else "") + value.decode("latin-1").lower()
        elif name == b"inference-header-content-length":
            self._head.json_size = value
        elif name == b"transfer-encoding":
            self._head.simple = False
        elif name == b"expect":
            self._expect(value)
        else:
            self._note_trace(name, value)

    def _expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            self._stop(417, "only 100-continue can be expected")
        self.expects = True
        self._head.simple = False

    def _note_trace(self, name: bytes, value: bytes) -> None:
        """Keep where the client says that the request belongs in a trace. Two parents make none that is valid."""
        parent, state = self._trace
        if name == b"traceparent":
            self._trace = (parent + value, state)
        else:
            self._trace = (parent, state + b"," + value if state else value)

    def _announced(self, length: bytes) -> None:
        """Refuse a body that would be too large, or for which there is no room, before it comes."""
        # httptools has seen to it that these are digits only.
        if len(length) > MAX_DIGITS or int(length) > self._max_body:
            self._stop(413, self._too_large())
        if int(length) > LARGE_BYTES and not self._room.fits(int(length)):
            self._stop(503, NO_ROOM, _LATER)

    def _too_large(self) -> str:
        return f"the body is larger than {self._max_body} bytes"

    def _stop(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        self.refuse(status, message, *headers)
        raise _Refused
