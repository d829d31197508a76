"""One client connection: answers requests in the order they came, and ends politely."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import mypyc_attr

from fairlead_serving.http.framing import CONTINUE, frame, frame_plain
from fairlead_serving.http.messages import Request, Response
from fairlead_serving.http.reading import MORE, RequestReader
from fairlead_serving.listening.sockets import find_dead_peers

if TYPE_CHECKING:
    from fairlead_serving.http.inference import HttpCall
    from fairlead_serving.http.server import HttpServer

_MAX_WAITING: Final = 16
_LINGER_SECONDS: Final = 2.0


@mypyc_attr(allow_interpreted_subclasses=True)
class Connection:
    """An HTTP/1.1 connection, an `asyncio.Protocol` in all but name.

    It is closed by us only after a response that carried `Connection: close`, or at the end of the drain. That close
    is a half-close first, so that what the client is still sending cannot destroy the response on its way.
    """

    __slots__ = (
        "_busy",
        "_client_done",
        "_ending",
        "_held",
        "_parser",
        "_queue",
        "_server",
        "_stuck",
        "_touched",
        "_transport",
        "_until",
        "call",
        "carries_inference",
        "peer",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self.carries_inference = False
        self.call: HttpCall | None = None  # the inference request that is being answered
        self.peer = ""
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Request] = deque()
        self._parser = RequestReader(self._queue, server.max_body, server.heads, server.service.room)
        self._until = float("inf")
        self._touched = 0.0
        # An answer is being worked on; the client does not read; our last answer has been given; its last byte came.
        # And: we do not read.
        self._busy = self._stuck = self._ending = self._client_done = self._held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the connection's lifetime; dead peers are found by TCP itself."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        find_dead_peers(transport)
        self._touched = time.perf_counter()
        self._until = self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget everything; answers under way have nobody to go to."""
        self._transport = None
        self._queue.clear()
        self._server.cancel(self)
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came, then answer."""
        if self._ending or self._parser.broken:
            return
        self._touched = now = time.perf_counter()
        request = None if self._busy or self._queue or self._stuck else self._parser.known(data, now)
        if request is None:
            self._parser.feed(data, now)
            self._serve()
        elif request is not MORE:
            response = self._server.answer(request, self)
            if response is None:
                self._busy = True
            elif self._transport is not None:
                self._send(self._transport, request, response)

    def eof_received(self) -> bool:
        """Keep a half-closed connection for the answers that its client waits for."""
        self._client_done = True
        if self.call is not None:
            self._server.half_closed(self)
        return self._busy or bool(self._queue)

    def pause_writing(self) -> None:
        """Stop answering a client that does not read."""
        self._stuck = True

    def resume_writing(self) -> None:
        """Go on when it has read."""
        self._stuck = False
        self._serve()

    @property
    def over(self) -> bool:
        """Whether the last answer has been given, to its last byte."""
        return self._ending and (self._transport is None or not self._transport.get_write_buffer_size())

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in either direction."""
        return not (self._busy or self._queue or self._parser.partial)

    def sweep(self, limit: float) -> None:
        """Refuse a request that comes in too slowly: its header began, or its body last moved, before the limit."""
        parser = self._parser
        if not parser.partial or self._busy or self._queue:
            return
        if (parser.began if parser.in_header else self._touched) < limit:
            parser.refuse(408, "the request did not come in in time")
            self._serve()

    def rest(self, limit: float) -> None:
        """Close the connection if it has been idle since then."""
        if self._touched < limit:
            self.finish()

    def turn_away(self) -> None:
        """Refuse whatever the client is going to ask."""
        if self._transport is not None and not self._parser.broken:
            self._parser.refuse(503, "too many connections")
            self._serve()

    def finish(self) -> None:
        """Close the connection if it is idle."""
        if self.idle:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection whatever is under way; what has been written is still sent."""
        self._ending = True
        if self._transport is not None:
            self._transport.close()

    def answered(self, request: Request, response: Response | bytes) -> None:
        """Take an answer that was worked on for a while; bytes are that of a 200 with JSON and nothing else to say."""
        self._busy = False
        self.call = None
        self._touched = now = time.perf_counter()
        transport = self._transport
        if transport is None:
            return
        if type(response) is bytes:
            if request.head.simple and now <= self._until and not self._server.dataplane.draining:
                transport.write(frame_plain(response, now))
            else:
                self._send(transport, request, Response(200, response))
        else:
            self._send(transport, request, cast("Response", response))
        if self._queue or self._held or self._client_done or self._parser.expects:
            self._serve()

    def _serve(self) -> None:
        """Answer what is in the queue as far as that can be done now."""
        queue = self._queue
        transport = self._transport
        if transport is None:
            return
        while queue and not (self._busy or self._stuck or self._ending):
            request = queue.popleft()
            response = self._server.answer(request, self)
            if response is None:
                self._busy = True
            else:
                self.call = None
                self._send(transport, request, response)
        if not self._ending:
            self._regulate(transport)

    def _regulate(self, transport: asyncio.Transport) -> None:
        """Ask for more, or for less."""
        if self._parser.expects and not (self._busy or self._queue):
            self._parser.expects = False
            transport.write(CONTINUE)
        if self._client_done and self.idle:
            transport.close()
        elif self._stuck or len(self._queue) >= _MAX_WAITING:
            self._held = True
            transport.pause_reading()
        elif self._held:
            self._held = False
            transport.resume_reading()

    def _send(self, transport: asyncio.Transport, request: Request, response: Response) -> None:
        head = request.head
        close = request.problem is not None or not head.keep_alive or self._retires()
        transport.write(frame(response, close=close, old=head.old, head=head.method == b"HEAD"))
        if close:
            self._end(transport)

    def _retires(self) -> bool:
        """Whether this answer should be the last: old age or the drain, but not while another request is here."""
        if self._queue or self._parser.partial:
            return False
        return self._touched > self._until or self._server.dataplane.draining

    def _end(self, transport: asyncio.Transport) -> None:
        self._ending = True
        self._queue.clear()
        if self._client_done:
            transport.close()
            return
        # TLS cannot be closed half: there the client closes, or we do in the end.
        if transport.can_write_eof():
            transport.write_eof()
        if self._held:
            self._held = False
            transport.resume_reading()
        self._server.loop.call_later(_LINGER_SECONDS, self.abandon)
