"""The streams of one connection from their start to their end, and the connection's own end."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault, Frame
from fairlead_serving.http2.streams import Incoming, Outgoing, Stream

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.http2.application import Application

LAST_WORD: Final = b"goodbye?"
_LINGER_SECONDS: Final = 2.0
# While the server drains, a client that was sent away comes anew, and must not be sent away again at once: gRPC's own
# clients try a request that meets the end of its connection on one more connection only.
WELCOME_SECONDS: Final = 1.0
# Frames that cost us something and bring nothing: so many more than useful ones are borne.
_MAX_STRIKES: Final = 1000
_WORTH: Final = 2
_REMEMBERED: Final = 256


class Session:
    """What is under way on a connection, and how it ends.

    A connection ends in two steps. First the client is asked to take new requests elsewhere (`retire`). When it has
    heard of that it is told which request was its last (`say_last`), and the connection closes with the last answer.
    """

    def __init__(self, app: Application) -> None:
        self.app = app
        self.carries_inference = False
        self.peer = ""
        self.ended = False
        self.leaving = False
        self.outgoing = Outgoing()
        self.incoming = Incoming()
        self.streams: dict[int, Stream] = {}
        # Streams that we ended before the client did, which may not know yet.
        self.cut: deque[int] = deque(maxlen=_REMEMBERED)
        self.last = 0
        self.final = frames.MAX_STREAM
        self.touched = time.perf_counter()
        self._transport: asyncio.Transport | None = None
        self._strikes = 0
        self._until = float("inf")
        self._stays = 0.0
        self._client_done = False

    def answer(self, stream: Stream, head: Frame, body: bytes = b"", tail: Frame | None = None) -> None:
        """Send an answer: one frame, or one before and one behind the body.

        If the request is not whole yet, the rest of it is not wanted any more.
        """
        transport = self._transport
        if transport is None or self.ended or self.streams.get(stream.id) is not stream or stream.pending:
            return
        if self.incoming.large:
            self.write(self.incoming.release(stream))
        if self.outgoing.send(transport, stream, head, body, tail):
            self._answered(stream)
            if not self.streams and (self.leaving or self._client_done):
                self.settle()
        else:
            self.flush()

    def write(self, data: bytes) -> None:
        """Send whole frames, if there are any and the connection still has its say."""
        if data and self._transport is not None and not self.ended:
            self._transport.write(data)

    def flush(self) -> None:
        """Send what the windows now have room for."""
        if self.outgoing.waiting and self._transport is not None:
            for stream in self.outgoing.flush(self._transport):
                self._answered(stream)
            self.settle()

    def strike(self) -> None:
        """Count a frame that asks for nothing. Raises ConnectionFault when there have been too many."""
        self._strikes += 1
        if self._strikes > _MAX_STRIKES:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def forgive(self) -> None:
        """Forget half of what was borne."""
        self._strikes //= 2

    def drop(self, stream: Stream) -> None:
        """Forget a stream that has left the table before its answer was out."""
        self.outgoing.forget(stream)
        self.write(self.incoming.release(stream))
        self.app.cancel(stream)

    def drop_all(self) -> None:
        """Forget everything that is under way."""
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            self.outgoing.forget(stream)
            self.app.cancel(stream)

    def settle(self) -> None:
        """Close the connection when its last stream has gone and no other can come."""
        if self.streams or self._transport is None or self.ended:
            return
        if self._client_done:
            self.ended = True
            self._transport.close()
        elif self.leaving and self.final != frames.MAX_STREAM:
            self._end()

    def retire(self) -> None:
        """Ask the client to take new requests elsewhere; what it sends until it knows is still answered."""
        if not self.leaving and not self.ended:
            self.leaving = True
            self.write(frames.goaway(frames.MAX_STREAM, frames.NO_ERROR) + frames.frame(frames.PING, 0, 0, LAST_WORD))

    def say_last(self) -> None:
        """Name the last request that is answered: the client knows that there must be no more, or never will."""
        if self.final == frames.MAX_STREAM:
            self.final = self.last
            self.write(frames.goaway(self.last, frames.NO_ERROR))
            self.settle()

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection with a reason."""
        self.write(frames.goaway(self.last, fault.code, str(fault)))
        self.drop_all()
        self._end()

    def abandon(self) -> None:
        """Close the connection whatever is under way; what has been written is still sent."""
        self.ended = True
        self.drop_all()
        if self._transport is not None:
            self._transport.close()

    def _answered(self, stream: Stream) -> None:
        """Forget a stream whose answer is out."""
        self.streams.pop(stream.id, None)
        # It and what the application keeps there know each other: apart, they go without the garbage collector.
        stream.state = None
        if self._strikes:
            self._strikes = max(0, self._strikes - _WORTH)
        if not stream.whole:
            self.cut.append(stream.id)
            self.write(frames.rst_stream(stream.id, frames.NO_ERROR))
        now = self.touched
        if not self.leaving and (now > self._until or (self.app.draining and now > self._stays)):
            self.retire()

    def _end(self) -> None:
        """Say no more and close a little later: at once, what the client still sends would undo what it was sent."""
        self.ended = True
        transport = self._transport
        if transport is not None:
            if transport.can_write_eof():
                transport.write_eof()
            if not transport.is_reading():
                transport.resume_reading()
            self.app.loop.call_later(_LINGER_SECONDS, self.abandon)
