"""One HTTP/2 connection: bytes from a transport to frames, and its life in the eyes of a listener."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault
from fairlead_serving.http2.intake import MAX_STREAMS, Intake
from fairlead_serving.http2.reader import MAX_BLOCK_BYTES, FrameReader
from fairlead_serving.http2.session import WELCOME_SECONDS
from fairlead_serving.http2.streams import CONNECTION_WINDOW
from fairlead_serving.listening.sockets import find_dead_peers

if TYPE_CHECKING:
    from fairlead_serving.http2.application import Application

_GREETING: Final = frames.settings(
    {frames.MAX_CONCURRENT_STREAMS: MAX_STREAMS, frames.MAX_HEADER_LIST_SIZE: MAX_BLOCK_BYTES}
) + frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)


class Connection(Intake):
    """The server's side of an HTTP/2 connection with prior knowledge, an `asyncio.Protocol` in all but name."""

    def __init__(self, app: Application) -> None:
        super().__init__(app)
        self._reader = FrameReader(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        find_dead_peers(transport)
        self._until = self.app.opened(self)
        if self.app.draining:
            self._stays = time.perf_counter() + WELCOME_SECONDS
        self._transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget everything."""
        self.ended = True
        self._transport = None
        self.drop_all()
        self.app.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self.ended:
            return
        self.touched = time.perf_counter()
        try:
            self._reader.feed(data)
        except ConnectionFault as fault:
            self.fail(fault)

    def eof_received(self) -> bool:
        """Keep a half-closed connection for the answers that its client waits for."""
        self._client_done = True
        for stream in [each for each in self.streams.values() if not each.whole]:
            del self.streams[stream.id]
            self.drop(stream)
        return bool(self.streams) and not self.ended

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read its answers."""
        self.outgoing.hold(stuck=True)
        if self._transport is not None and not self.ended:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on when it has read."""
        self.outgoing.hold(stuck=False)
        if self._transport is not None and not self.ended:
            self._transport.resume_reading()
            self.flush()

    def sweep(self, limit: float) -> None:
        """Give up on what has not moved since then, by `time.perf_counter`, and forgive half of what was borne."""
        self.forgive()
        if not self.ended and self._reader.begun < limit:
            self.fail(ConnectionFault(frames.ENHANCE_YOUR_CALM, "what was begun did not come in in time"))
        elif not self.ended and self.leaving and self.touched < limit:
            self.say_last()
        for stream in tuple(self.streams.values()):
            if not stream.whole and stream.touched < limit and not self.incoming.waits(stream):
                self.app.refuse(stream, 408, "the request did not come in in time")

    def rest(self, limit: float) -> None:
        """Retire if nothing has been under way since then, by `time.perf_counter`."""
        if self.touched < limit and not self.streams:
            self.retire()

    def turn_away(self) -> None:
        """End at once for too many connections."""
        if not self.ended:
            self.fail(ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many connections"))

    def finish(self) -> None:
        """Come to the end: at once when nothing is under way and the client knows, else as soon as it does."""
        if self._client_done and not self.streams:
            self.abandon()
        else:
            self.retire()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._transport is None or (self.ended and not self._transport.get_write_buffer_size())
