"""From bytes to frames, and from HEADERS and CONTINUATION to header blocks."""

from __future__ import annotations

from typing import Final, Protocol

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault, StreamFault

MAX_BLOCK_BYTES: Final = 32 * 1024
# An honest client needs three for the largest block.
_MAX_CONTINUATIONS: Final = 16
_PRIORITY_BYTES: Final = 5
_KIND_AT: Final = 3
_DATA: Final = bytes((frames.DATA,))


class Handler(Protocol):
    """Takes what was read. All may raise ConnectionFault and StreamFault.

    `touched` is when data came last, by the clock of whoever asks for `FrameReader.begun`.
    """

    ended: bool
    touched: float

    def on_data(self, number: int, payload: bytes, *, padded: int, last: bool) -> None:
        """Take the data of a stream; `padded` counts the bytes that were only padding."""

    def on_block(self, number: int, block: bytes, *, last: bool) -> None:
        """Take the whole header block of a stream."""

    def on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take any other frame."""

    def on_fault(self, fault: StreamFault) -> None:
        """Take note that the peer broke the protocol on one stream."""


class FrameReader:
    """Reads what a client sends, from its preface on."""

    __slots__ = (
        "_began",
        "_block",
        "_block_began",
        "_continuations",
        "_handler",
        "_last",
        "_rest",
        "_stream",
        "greeted",
    )

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._rest = b""
        self._block: bytearray | None = None
        self._stream = self._continuations = 0
        self._began = self._block_began = handler.touched
        self._last = False
        self.greeted = False

    @property
    def begun(self) -> float:
        """When that began which has not come in whole; infinity where there is nothing.

        A body may take its time as long as it moves; a greeting, a header block or another frame may not.
        """
        if not self.greeted:
            return self._began
        if self._block is not None:
            return self._block_began
        if not self._rest:
            return float("inf")
        return self._handler.touched if self._rest[_KIND_AT : _KIND_AT + 1] == _DATA else self._began

    def feed(self, data: bytes) -> None:
        """Take what came. Raises ConnectionFault."""
        if self._rest:
            data = self._rest + data
        at = 0
        if not self.greeted:
            at = self._greet(data)
            if not self.greeted:
                self._rest = data
                return
        end = len(data)
        unpack = frames.HEADER.unpack_from
        handler = self._handler
        while end - at >= frames.HEADER_BYTES and not handler.ended:
            high, low, kind, flags, number = unpack(data, at)
            size = high << 8 | low
            if size > frames.MAX_FRAME_BYTES:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, f"a frame has {size} bytes")
            start = at + frames.HEADER_BYTES
            if start + size > end:
                break
            at = start + size
            try:
                self._take(kind, flags, number & frames.MAX_STREAM, data[start:at])
            except StreamFault as fault:
                handler.on_fault(fault)
        if at == end:
            self._rest = b""
            return
        if at or not self._rest:
            self._began = handler.touched
        self._rest = data[at:]

    def _greet(self, data: bytes) -> int:
        preface = frames.PREFACE
        if data[: len(preface)] != preface[: len(data)]:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "this port speaks HTTP/2 only")
        end = len(preface)
        if len(data) < end + frames.HEADER_BYTES:
            return 0
        if data[end + 3] != frames.SETTINGS or data[end + 4] & frames.ACK:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        self.greeted = True
        return end

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None:
            if kind != frames.CONTINUATION or number != self._stream:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a header block is interrupted")
            self._continue(flags, payload)
        elif kind == frames.DATA and not flags & frames.PADDED:
            self._handler.on_data(number, payload, padded=0, last=flags & frames.END_STREAM != 0)
        elif kind == frames.HEADERS and flags == frames.END_HEADERS:
            self._handler.on_block(number, payload, last=False)
        elif kind == frames.DATA:
            body = _unpadded(flags, payload)
            padded = len(payload) - len(body)
            self._handler.on_data(number, body, padded=padded, last=bool(flags & frames.END_STREAM))
        elif kind == frames.HEADERS:
            self._begin(flags, number, payload)
        elif kind == frames.CONTINUATION:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "CONTINUATION of nothing")
        else:
            self._handler.on_control(kind, flags, number, payload)

    def _begin(self, flags: int, number: int, payload: bytes) -> None:
        payload = _unpadded(flags, payload)
        if flags & frames.PRIORITIZED:
            check_priority(number, payload[:_PRIORITY_BYTES])
            payload = payload[_PRIORITY_BYTES:]
        last = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._handler.on_block(number, payload, last=last)
            return
        self._block = bytearray(payload)
        self._block_began = self._handler.touched
        self._stream, self._last, self._continuations = number, last, 0

    def _continue(self, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None:
            raise AssertionError
        block += payload
        self._continuations += 1
        if len(block) > MAX_BLOCK_BYTES or self._continuations > _MAX_CONTINUATIONS:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, f"the headers are larger than {MAX_BLOCK_BYTES} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._handler.on_block(self._stream, bytes(block), last=self._last)


def check_priority(number: int, payload: bytes) -> None:
    """Check what a stream says of its priority, which means nothing here."""
    if len(payload) != _PRIORITY_BYTES:
        raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a priority has 5 bytes")
    if int.from_bytes(payload[:4], "big") & frames.MAX_STREAM == number:
        raise StreamFault(number, frames.PROTOCOL_ERROR)


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame is padded beyond its end")
    return payload[1 : len(payload) - payload[0]]
