"""One HTTP/2 connection: frames to streams, and streams to an application that answers each as a whole."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault, StreamFault
from fairlead_serving.http2.heads import HeadReader
from fairlead_serving.http2.reader import MAX_BLOCK_BYTES, FrameReader, check_priority
from fairlead_serving.http2.streams import CONNECTION_WINDOW, Incoming, Outgoing, Stream
from fairlead_serving.sockets import find_dead_peers

if TYPE_CHECKING:
    from fairlead_serving.http2.application import Application

MAX_STREAMS: Final = 128
_LINGER_SECONDS: Final = 2.0
# Frames that cost us something and bring nothing: so many more than useful ones are borne.
_MAX_STRIKES: Final = 1000
_WORTH: Final = 2
_REMEMBERED: Final = 256
_LAST_WORD: Final = b"goodbye?"
_GREETING: Final = frames.settings(
    {frames.MAX_CONCURRENT_STREAMS: MAX_STREAMS, frames.MAX_HEADER_LIST_SIZE: MAX_BLOCK_BYTES}
) + frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)


class Connection(asyncio.Protocol):
    """The server's side of an HTTP/2 connection with prior knowledge."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.carries_inference = False
        self.peer = ""
        self.ended = False
        self.outgoing = Outgoing()
        self._incoming = Incoming()
        self._reader = FrameReader(self)
        self._heads = HeadReader(app.route, MAX_BLOCK_BYTES)
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        # Streams that we ended before the client did, which may not know yet.
        self._cut: deque[int] = deque(maxlen=_REMEMBERED)
        self._last = self._strikes = 0
        self._final = frames.MAX_STREAM
        self._until = float("inf")
        self._touched = time.perf_counter()
        self._leaving = self._client_done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        find_dead_peers(transport)
        self._until = self._app.opened(self)
        self._transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget everything."""
        self.ended = True
        self._transport = None
        self._drop_all()
        self._app.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self.ended:
            return
        self._touched = time.perf_counter()
        try:
            self._reader.feed(data)
        except ConnectionFault as fault:
            self._fail(fault)

    def eof_received(self) -> bool:
        """Keep a half-closed connection for the answers that its client waits for."""
        self._client_done = True
        for stream in [each for each in self._streams.values() if not each.whole]:
            del self._streams[stream.id]
            self._drop(stream)
        return bool(self._streams) and not self.ended

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
            self._flush()

    def answer(self, stream: Stream, head: bytes, body: bytes = b"", tail: bytes = b"") -> None:
        """Send an answer: whole frames before and behind, and the body between them, which may be none.

        If the request is not whole yet, the rest of it is not wanted any more.
        """
        transport = self._transport
        if transport is None or self.ended or self._streams.get(stream.id) is not stream or stream.pending:
            return
        self._write(self._incoming.release(stream))
        if self.outgoing.send(transport, stream, head, body, tail):
            self._answered(stream)
            self._settle()
        else:
            self._flush()

    def sweep(self, limit: float) -> None:
        """Give up on what has not moved since then, by `time.perf_counter`, and forgive half of what was borne."""
        self._strikes //= 2
        quiet = self._touched < limit and not self.ended
        if quiet and self._reader.partial:
            self._fail(ConnectionFault(frames.ENHANCE_YOUR_CALM, "what was begun did not come in in time"))
        elif quiet and self._leaving:
            self._say_last()
        for stream in tuple(self._streams.values()):
            if not stream.whole and stream.touched < limit and not self._incoming.waits(stream):
                self._app.refuse(stream, 408, "the request did not come in in time")

    def rest(self, limit: float) -> None:
        """Retire if nothing has been under way since then, by `time.perf_counter`."""
        if self._touched < limit and not self._streams:
            self.retire()

    def turn_away(self) -> None:
        """End at once for too many connections."""
        if not self.ended:
            self._fail(ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many connections"))

    def retire(self) -> None:
        """Ask the client to take new requests elsewhere; what it sends until it knows is still answered."""
        if not self._leaving and not self.ended:
            self._leaving = True
            self._write(frames.goaway(frames.MAX_STREAM, frames.NO_ERROR) + frames.frame(frames.PING, 0, 0, _LAST_WORD))

    def finish(self) -> None:
        """Come to the end: at once when nothing is under way and the client knows, else as soon as it does."""
        if self._client_done and not self._streams:
            self.abandon()
        else:
            self.retire()

    def abandon(self) -> None:
        """Close the connection whatever is under way; what has been written is still sent."""
        self.ended = True
        self._drop_all()
        if self._transport is not None:
            self._transport.close()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._transport is None or (self.ended and not self._transport.get_write_buffer_size())

    # What FrameReader found.

    def on_data(self, number: int, payload: bytes, *, padded: int, last: bool) -> None:
        """Take a piece of a request's body."""
        size = len(payload) + padded
        self._write(self._incoming.took(size))
        stream = self._streams.get(number)
        if stream is None or stream.whole:
            self._check_opened(number, "DATA")
            if number not in self._cut:
                raise StreamFault(number, frames.STREAM_CLOSED)
            return
        stream.receive -= size
        if stream.receive < 0:
            raise StreamFault(number, frames.FLOW_CONTROL_ERROR)
        stream.add(payload)
        stream.touched = self._touched
        if stream.size > self._app.max_body:
            self._app.refuse(stream, 413, f"the message is larger than {self._app.max_body} bytes")
        elif last:
            self._complete(stream)
        else:
            if not payload:
                self._strike()
            if stream.receive <= frames.FIRST_WINDOW // 2:
                self._write(self._incoming.wants(stream))

    def on_block(self, number: int, block: bytes, *, last: bool) -> None:
        """Take a request's head, or what comes behind its body."""
        stream = self._streams.get(number)
        if stream is not None or number <= self._last:
            pseudo = any(name[:1] == b":" for name, _ in self._heads.skip(block))
            if stream is not None and not stream.whole and last and not pseudo:
                self._complete(stream)
            elif stream is not None:
                raise StreamFault(number, frames.STREAM_CLOSED if stream.whole else frames.PROTOCOL_ERROR)
            elif number not in self._cut:
                raise ConnectionFault(frames.STREAM_CLOSED, "HEADERS on a stream that is closed")
            return
        if not number & 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "HEADERS on a stream that is no client's")
        self._last = number
        route, length = self._heads.read(number, block)
        if number > self._final:
            self._cut.append(number)
            return
        if len(self._streams) >= MAX_STREAMS or self.outgoing.full:
            self._strike()
            raise StreamFault(number, frames.REFUSED_STREAM)
        stream = Stream(number, self, route, length, self._touched)
        self._streams[number] = stream
        if last:
            self._complete(stream)

    def on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take any other frame; those of unknown types mean nothing."""
        if kind == frames.WINDOW_UPDATE:
            self._on_window(number, payload)
        elif kind == frames.RST_STREAM:
            self._on_reset(number, payload)
        elif kind == frames.PRIORITY:
            self._strike()
            if not number:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "PRIORITY of no stream")
            check_priority(number, payload)
        elif kind == frames.PUSH_PROMISE:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a client cannot push")
        elif kind in (frames.SETTINGS, frames.PING, frames.GOAWAY):
            if number:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame about the connection names a stream")
            if kind == frames.PING:
                self._on_ping(flags, payload)
            elif kind == frames.SETTINGS:
                self._on_settings(flags, payload)

    def on_fault(self, fault: StreamFault) -> None:
        """End one stream."""
        self._strike()
        stream = self._streams.pop(fault.stream, None)
        if stream is not None:
            self._drop(stream)
        self._cut.append(fault.stream)
        self._write(frames.rst_stream(fault.stream, fault.code))
        self._settle()

    def _on_reset(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004  an error code
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        self._check_opened(number, "RST_STREAM")
        self._strike()
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._drop(stream)
            self._settle()

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:  # noqa: PLR2004  as the RFC says
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PING has 8 bytes")
        if not flags & frames.ACK:
            self._strike()
            self._write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _LAST_WORD and self._leaving:
            self._say_last()

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "an acknowledgement has no content")
            return
        self._strike()
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                self.outgoing.resize(value, self._streams.values())
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._flush()

    def _on_window(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004  a number
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        more = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if not number:
            self.outgoing.widen(more)
        else:
            self._check_opened(number, "WINDOW_UPDATE")
            stream = self._streams.get(number)
            if stream is not None:
                stream.widen(more)
        self._flush()

    # The course of things.

    def _check_opened(self, number: int, what: str) -> None:
        if not number or number > self._last or not number & 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, f"{what} on a stream that was not opened")

    def _complete(self, stream: Stream) -> None:
        if stream.length is not None and stream.length != stream.size:
            raise StreamFault(stream.id, frames.PROTOCOL_ERROR)
        stream.whole = True
        stream.touched = self._touched
        self._app.start(stream)

    def _answered(self, stream: Stream) -> None:
        """Forget a stream whose answer is out."""
        self._streams.pop(stream.id, None)
        self._strikes = max(0, self._strikes - _WORTH)
        if not stream.whole:
            self._cut.append(stream.id)
            self._write(frames.rst_stream(stream.id, frames.NO_ERROR))
        if not self._leaving and (self._app.draining or self._touched > self._until):
            self.retire()

    def _settle(self) -> None:
        """Close the connection when its last stream has gone and no other can come."""
        if self._streams or self._transport is None or self.ended:
            return
        if self._client_done:
            self.ended = True
            self._transport.close()
        elif self._leaving and self._final != frames.MAX_STREAM:
            self._end()

    def _flush(self) -> None:
        if self._transport is not None:
            for stream in self.outgoing.flush(self._transport):
                self._answered(stream)
            self._settle()

    def _drop(self, stream: Stream) -> None:
        self.outgoing.forget(stream)
        self._write(self._incoming.release(stream))
        self._app.cancel(stream)

    def _drop_all(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self.outgoing.forget(stream)
            self._app.cancel(stream)

    def _strike(self) -> None:
        self._strikes += 1
        if self._strikes > _MAX_STRIKES:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def _say_last(self) -> None:
        """Name the last request that is answered: the client knows that there must be no more, or never will."""
        if self._final == frames.MAX_STREAM:
            self._final = self._last
            self._write(frames.goaway(self._last, frames.NO_ERROR))
            self._settle()

    def _fail(self, fault: ConnectionFault) -> None:
        """End the connection with a reason."""
        self._write(frames.goaway(self._last, fault.code, str(fault)))
        self._drop_all()
        self._end()

    def _end(self) -> None:
        """Say no more and close a little later: at once, what the client still sends would undo what it was sent."""
        self.ended = True
        transport = self._transport
        if transport is not None:
            if transport.can_write_eof():
                transport.write_eof()
            if not transport.is_reading():
                transport.resume_reading()
            self._app.loop.call_later(_LINGER_SECONDS, self.abandon)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self.ended:
            self._transport.write(data)
