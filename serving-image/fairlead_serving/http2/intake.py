"""What a client's frames mean: requests that begin, grow and become whole, and news about the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault, StreamFault
from fairlead_serving.http2.heads import HeadReader
from fairlead_serving.http2.reader import MAX_BLOCK_BYTES, check_priority
from fairlead_serving.http2.session import LAST_WORD, Session
from fairlead_serving.http2.streams import LOW_WINDOW, Stream

if TYPE_CHECKING:
    from fairlead_serving.http2.application import Application

MAX_STREAMS: Final = 128


class Intake(Session):
    """Takes what FrameReader found. All methods may raise ConnectionFault and StreamFault."""

    def __init__(self, app: Application) -> None:
        super().__init__(app)
        self._heads = HeadReader(app.route, MAX_BLOCK_BYTES)

    def on_data(self, number: int, payload: bytes, *, padded: int, last: bool) -> None:
        """Take a piece of a request's body."""
        size = len(payload) + padded
        incoming = self.incoming
        if incoming.window - size > LOW_WINDOW:
            incoming.window -= size
        else:
            self.write(incoming.took(size))
        stream = self.streams.get(number)
        if stream is None or stream.whole:
            self._check_opened(number, "DATA")
            if number not in self.cut:
                raise StreamFault(number, frames.STREAM_CLOSED)
            return
        stream.receive -= size
        if stream.receive < 0:
            raise StreamFault(number, frames.FLOW_CONTROL_ERROR)
        if stream.size:
            stream.add(payload)
        else:
            stream.body, stream.size = payload, size - padded
        stream.touched = self.touched
        if stream.size > self.app.max_body:
            self.app.refuse(stream, 413, f"the message is larger than {self.app.max_body} bytes")
        elif last:
            self._complete(stream)
        else:
            if not payload:
                self.strike()
            if stream.receive <= frames.FIRST_WINDOW // 2:
                self.write(self.incoming.wants(stream))

    def on_block(self, number: int, block: bytes, *, last: bool) -> None:
        """Take a request's head, or what comes behind its body."""
        if number <= self.last:
            self._take_trailers(number, block, last=last)
            return
        if not number & 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "HEADERS on a stream that is no client's")
        self.last = number
        route, length = self._heads.read(number, block)
        if number > self.final:
            self.cut.append(number)
            return
        if len(self.streams) >= MAX_STREAMS or self.outgoing.full:
            self.strike()
            raise StreamFault(number, frames.REFUSED_STREAM)
        stream = Stream(number, self, route, length, self.touched, self.outgoing.first_window)
        self.streams[number] = stream
        if last:
            self._complete(stream)

    def on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take any other frame; those of unknown types mean nothing."""
        if kind == frames.WINDOW_UPDATE:
            self._on_window(number, payload)
        elif kind == frames.RST_STREAM:
            self._on_reset(number, payload)
        elif kind == frames.PRIORITY:
            self.strike()
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
        """End one stream; one that was never opened cannot end alone."""
        self._check_opened(fault.stream, "a fault")
        self.strike()
        stream = self.streams.pop(fault.stream, None)
        if stream is not None:
            self.drop(stream)
        self.cut.append(fault.stream)
        self.write(frames.rst_stream(fault.stream, fault.code))
        self.settle()

    def _take_trailers(self, number: int, block: bytes, *, last: bool) -> None:
        """Take the headers of a stream that is open or has been."""
        stream = self.streams.get(number)
        pseudo = any(name[:1] == b":" for name, _ in self._heads.skip(block))
        if stream is not None and not stream.whole and last and not pseudo:
            self._complete(stream)
        elif stream is not None:
            raise StreamFault(number, frames.STREAM_CLOSED if stream.whole else frames.PROTOCOL_ERROR)
        elif number not in self.cut:
            raise ConnectionFault(frames.STREAM_CLOSED, "HEADERS on a stream that is closed")

    def _complete(self, stream: Stream) -> None:
        if stream.length is not None and stream.length != stream.size:
            raise StreamFault(stream.id, frames.PROTOCOL_ERROR)
        stream.whole = True
        stream.touched = self.touched
        self.app.start(stream)

    def _on_reset(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004  an error code
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        self._check_opened(number, "RST_STREAM")
        self.strike()
        stream = self.streams.pop(number, None)
        if stream is not None:
            self.drop(stream)
            self.settle()

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:  # noqa: PLR2004  as the RFC says
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "PING has 8 bytes")
        if not flags & frames.ACK:
            self.strike()
            self.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == LAST_WORD and self.leaving:
            self.say_last()

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "an acknowledgement has no content")
            return
        self.strike()
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                self.outgoing.resize(value, self.streams.values())
        self.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.flush()

    def _on_window(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004  a number
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        more = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if not number:
            self.outgoing.widen(more)
        else:
            self._check_opened(number, "WINDOW_UPDATE")
            stream = self.streams.get(number)
            if stream is not None:
                stream.widen(more)
        self.flush()

    def _check_opened(self, number: int, what: str) -> None:
        if not number or number > self.last or not number & 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, f"{what} on a stream that was not opened")
