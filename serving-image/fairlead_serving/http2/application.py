"""What an application offers to the HTTP/2 connections it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.http2.connection import Connection
    from fairlead_serving.http2.heads import Head
    from fairlead_serving.http2.streams import Stream


class Application(Protocol):
    """What answers the requests of HTTP/2 connections. A stream is answered with `Connection.answer`, once."""

    loop: asyncio.AbstractEventLoop
    max_body: int

    @property
    def draining(self) -> bool:
        """Whether connections should come to their end."""

    def opened(self, connection: Connection) -> float:
        """Register a connection and return when it becomes too old, by `time.perf_counter`."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def route(self, head: Head) -> Any:
        """Return what a head asks for, which may be kept for other requests with the same head."""

    def start(self, stream: Stream) -> None:
        """Take a whole request."""

    def refuse(self, stream: Stream, status: int, reason: str) -> None:
        """Answer a request that does not come in whole: 413 or 408, as HTTP calls it."""

    def cancel(self, stream: Stream) -> None:
        """Forget a request: nobody waits for its answer any more."""
