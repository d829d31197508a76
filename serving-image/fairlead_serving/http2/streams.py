"""One stream, and the two sides of flow control."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from fairlead_serving.http2 import frames

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.http2.frames import Frame
    from fairlead_serving.http2.session import Session

# What streams may hold beyond their first windows, all of a connection together, if more than one wants it.
_BUDGET: Final = 16 * 1024 * 1024
_GRANT: Final = 1024 * 1024
# Of answers that wait for the peer to read.
_MAX_HELD: Final = 64 * 1024 * 1024
# Of the whole connection. Streams have windows of their own, so this one is never what holds them up.
CONNECTION_WINDOW: Final = 16 * 1024 * 1024
LOW_WINDOW: Final = CONNECTION_WINDOW // 2
# All of a DATA frame but its stream and its payload.
_BEGIN: Final = struct.Struct(">HBBB")


class Stream:
    """One request and its answer.

    `route` is what the application made of its headers, `length` their Content-Length, `touched` when it last moved.
    `send` and `receive` are its windows. `whole` is whether all of the request is here, `body` what has come of it,
    and `state` is for the application's own use.
    """

    __slots__ = (
        "body",
        "connection",
        "granted",
        "id",
        "length",
        "pending",
        "receive",
        "route",
        "send",
        "size",
        "state",
        "touched",
        "whole",
    )

    def __init__(
        self, number: int, connection: Session, route: Any, length: int | None, touched: float, send: int
    ) -> None:
        self.id = number
        self.connection = connection
        self.route = route
        self.length = length
        self.touched = touched
        self.send = send
        self.receive = frames.FIRST_WINDOW
        self.whole = False
        self.size = 0
        self.body: bytes | bytearray = b""
        self.state: Any = None
        self.granted = 0
        self.pending: Pending | None = None

    def add(self, data: bytes) -> None:
        """Take a further piece of the body. Many small ones must not take much more room than they bring."""
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += data
        self.size += len(data)

    def widen(self, more: int) -> None:
        """Let more of the answer be sent. Raises StreamFault."""
        if not more:
            raise frames.StreamFault(self.id, frames.PROTOCOL_ERROR)
        self.send += more
        if self.send > frames.MAX_WINDOW:
            raise frames.StreamFault(self.id, frames.FLOW_CONTROL_ERROR)

    def take_body(self) -> bytes:
        """Return the body and forget it."""
        body, self.body = bytes(self.body), b""
        return body


class Pending:
    """What is left to send of an answer."""

    __slots__ = ("at", "body", "tail")

    def __init__(self, body: bytes, tail: bytes) -> None:
        self.at = 0
        self.body = memoryview(body)
        self.tail = tail


class Incoming:
    """Grants the streams of a connection room for large bodies, so that what they hold together stays bounded.

    A stream holds its room until it has an answer.

    Each stream has a first window anyway. Beyond that they share a budget, but the one that has waited longest always
    gets what it needs: the bound is the budget, the first windows and one largest body. `large` are those that asked.
    """

    def __init__(self) -> None:
        self.window = CONNECTION_WINDOW
        self.large: dict[int, Stream] = {}
        self._held = 0

    def took(self, size: int) -> bytes:
        """Count what came over the connection, and return what to send. Raises ConnectionFault."""
        self.window -= size
        if self.window < 0:
            raise frames.ConnectionFault(frames.FLOW_CONTROL_ERROR, "more was sent than the connection's window allows")
        if self.window > LOW_WINDOW:
            return b""
        more, self.window = CONNECTION_WINDOW - self.window, CONNECTION_WINDOW
        return frames.window_update(0, more)

    def wants(self, stream: Stream) -> bytes:
        """Note that a stream's window is running out, and return what to send."""
        self.large[stream.id] = stream
        return self._grant(stream)

    def waits(self, stream: Stream) -> bool:
        """Whether a stream waits for us rather than we for it."""
        return stream.id in self.large and stream.receive <= frames.FIRST_WINDOW // 2

    def release(self, stream: Stream) -> bytes:
        """Forget a stream, and return what to send to those that waited for its room."""
        if self.large.pop(stream.id, None) is None:
            return b""
        self._held -= stream.granted
        stream.granted = 0
        return b"".join([self._grant(each) for each in self.large.values() if self.waits(each)])

    def _grant(self, stream: Stream) -> bytes:
        first = next(iter(self.large)) == stream.id
        if not first and self._held + _GRANT > _BUDGET:
            return b""
        self._held += _GRANT
        stream.granted += _GRANT
        stream.receive += _GRANT
        return frames.window_update(stream.id, _GRANT)


class Outgoing:
    """Sends answers as far as the peer's windows and its reading allow, those that are `waiting` in turns.

    It is `full` when the peer should read its answers before it asks for more.
    """

    def __init__(self) -> None:
        self.window = frames.FIRST_WINDOW
        self.first_window = frames.FIRST_WINDOW
        self._held = 0
        self._stuck = False
        self.full = False
        self.waiting: dict[int, Stream] = {}

    def hold(self, *, stuck: bool) -> None:
        """Note whether the peer reads too slowly; writing itself may bring that about."""
        self._stuck = stuck

    def widen(self, more: int) -> None:
        """Let more be sent over the connection. Raises ConnectionFault."""
        if not more:
            raise frames.ConnectionFault(frames.PROTOCOL_ERROR, "the connection's window grows by nothing")
        self.window += more
        if self.window > frames.MAX_WINDOW:
            raise frames.ConnectionFault(frames.FLOW_CONTROL_ERROR, "the connection's window is too large")

    def resize(self, first_window: int, streams: Iterable[Stream]) -> None:
        """Take another first window, for the streams that are open too. Raises ConnectionFault."""
        more = first_window - self.first_window
        self.first_window = first_window
        for stream in streams:
            stream.send += more
            if stream.send > frames.MAX_WINDOW:
                raise frames.ConnectionFault(frames.FLOW_CONTROL_ERROR, "a stream's window is too large")

    def send(self, transport: asyncio.Transport, stream: Stream, head: Frame, body: bytes, tail: Frame | None) -> bool:
        """Send an answer, and return whether all of it could be sent now. Without a tail it has no body either."""
        if tail is None:
            transport.write(head.on(stream.id))
            return True
        size = len(body)
        if size <= frames.MAX_FRAME_BYTES and size <= self.window and size <= stream.send and not self.waiting:
            self.window -= size
            stream.send -= size
            number = stream.id.to_bytes(4, "big")
            data = _BEGIN.pack(size >> 8, size & 0xFF, frames.DATA, 0)
            transport.write(
                b"".join((head.begin, number, head.payload, data, number, body, tail.begin, number, tail.payload))
            )
            return True
        transport.write(head.on(stream.id))
        stream.pending = Pending(body, tail.on(stream.id))
        self._hold(size)
        self.waiting[stream.id] = stream
        return False

    def flush(self, transport: asyncio.Transport) -> list[Stream]:
        """Send what can be sent of the waiting answers, and return the streams whose answers are out."""
        done: list[Stream] = []
        moved = True
        while moved and self.waiting:
            moved = False
            for stream in tuple(self.waiting.values()):
                moved = self._send_some(transport, stream) or moved
                if stream.pending is None:
                    done.append(stream)
        return done

    def forget(self, stream: Stream) -> None:
        """Drop what is left of a stream's answer."""
        if stream.pending is not None:
            self._hold(-len(stream.pending.body))
            stream.pending = None
            del self.waiting[stream.id]

    def _hold(self, more: int) -> None:
        self._held += more
        self.full = self._held > _MAX_HELD

    def _send_some(self, transport: asyncio.Transport, stream: Stream) -> bool:
        pending = stream.pending
        if pending is None or self._stuck:
            return False
        left = len(pending.body) - pending.at
        size = max(0, min(left, frames.MAX_FRAME_BYTES, self.window, stream.send))
        if not size and left:
            return False
        if size:
            piece = pending.body[pending.at : pending.at + size]
            transport.write(frames.HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, stream.id))
            transport.write(piece)
            self.window -= size
            stream.send -= size
            pending.at += size
        if size == left:
            transport.write(pending.tail)
            self.forget(stream)
        return True
