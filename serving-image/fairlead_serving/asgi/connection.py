"""HTTP connections whose requests may be for a model's own routes: these need all of their header."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import httptools

from fairlead_serving.http.connection import Connection
from fairlead_serving.http.messages import Head
from fairlead_serving.http.reading import RequestReader

if TYPE_CHECKING:
    from fairlead_serving.asgi.exchange import Exchange, Scope
    from fairlead_serving.http.messages import Request
    from fairlead_serving.http.server import HttpServer


# The paths below these, and these themselves, are the server's.
_OWN: Final = (b"/v2", b"/v1/models", b"/fairlead", b"/metrics")


class RoutedHead(Head):
    """A head with all its lines, names in lower case, and where its target leads if that is not the server's own.

    `path` is still escaped, and None for the server's own paths.
    """

    __slots__ = ("lines", "path", "query")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[bytes, bytes]] = []
        self.path: bytes | None = None
        self.query = b""


class RoutedParser(RequestReader):
    """Keeps the whole header of each request."""

    __slots__ = ()

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._head = RoutedHead()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line."""
        super().on_header(name, value)
        if isinstance(self._head, RoutedHead):
            self._head.lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the end of the header, and see whose the path is."""
        super().on_headers_complete()
        head = self._head
        if isinstance(head, RoutedHead):
            path, head.query = _split(head.target)
            head.path = None if _owns(path) else path
            head.alike = head.path is None


class RoutedConnection(Connection):
    """A connection on which an application's answers go in parts."""

    __slots__ = ("_exchange",)

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server)
        self._parser = RoutedParser(self._queue, server.max_body, server.heads, server.service.room)
        self._exchange: Exchange | None = None

    def begin(self, exchange: Exchange) -> None:
        """Let an exchange have the connection until `complete`, `forget` or `abandon`."""
        self._exchange = exchange

    def ends_with(self, request: Request) -> bool:
        """Whether the answer that starts now is the connection's last."""
        return not request.head.keep_alive or self._retires()

    def write(self, data: bytes) -> None:
        """Send a part of an answer."""
        self._touched = time.perf_counter()
        if self._transport is not None and data:
            self._transport.write(data)

    def complete(self, *, close: bool) -> None:
        """Go on to the next request, or come to the end."""
        self._exchange = None
        self._busy = False
        if self._transport is None:
            return
        if close:
            self._end(self._transport)
        self._serve()

    def forget(self) -> None:
        """Take the connection back from an exchange that has written nothing."""
        self._exchange = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that its client has gone."""
        super().connection_lost(exc)
        if self._exchange is not None:
            self._exchange.lost()
            self._exchange = None

    def eof_received(self) -> bool:
        """Tell the application that its client sends no more."""
        if self._exchange is not None:
            self._exchange.silent()
        return super().eof_received()

    def pause_writing(self) -> None:
        """Let the application wait for a client that does not read."""
        super().pause_writing()
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """Go on when it has read."""
        super().resume_writing()
        if self._exchange is not None:
            self._exchange.resume()

    def scope(self, head: RoutedHead, path: bytes) -> Scope:
        """Return what ASGI tells of a request, but for its state."""
        transport = self._transport
        tls, client, server = (
            transport and transport.get_extra_info(name) for name in ("sslcontext", "peername", "sockname")
        )
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.0" if head.old else "1.1",
            "method": head.method.decode("ascii").upper(),
            "scheme": "https" if tls else "http",
            "path": unquote_to_bytes(path).decode(errors="replace"),
            "raw_path": path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.lines.copy(),
            "client": _address(client),
            "server": _address(server),
        }


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Return a request target's path and query, still escaped."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target, b""
    return url.path or b"/", url.query or b""


def _owns(path: bytes) -> bool:
    plain = unquote_to_bytes(path)
    return any(plain == own or plain.startswith(own + b"/") for own in _OWN)


def _address(address: object) -> tuple[str, int] | None:
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
