"""Frames, error codes and settings of HTTP/2, by the names of RFC 9113."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Length (its upper 16 bits and its lower 8), type, flags, stream.
HEADER: Final = struct.Struct(">HBBBL")
HEADER_BYTES: Final = 9
MAX_FRAME_BYTES: Final = 16384
MAX_STREAM: Final = (1 << 31) - 1
MAX_WINDOW: Final = (1 << 31) - 1
FIRST_WINDOW: Final = 65535

(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION) = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB

ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
SETTING: Final = struct.Struct(">HL")
_MAX_FRAME_LIMIT: Final = (1 << 24) - 1


class ConnectionFault(Exception):  # noqa: N818  the RFC's "connection error"
    """The peer broke the protocol in a way that ends the connection. `code` is for GOAWAY."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamFault(Exception):  # noqa: N818  the RFC's "stream error"
    """The peer broke the protocol in a way that ends one stream. `code` is for RST_STREAM."""

    def __init__(self, stream: int, code: int) -> None:
        super().__init__()
        self.stream = stream
        self.code = code


class Frame(NamedTuple):
    """A frame that goes out on many streams: what stands before and behind the stream's number."""

    begin: bytes
    payload: bytes

    def on(self, stream: int) -> bytes:
        """Return it as bytes."""
        return self.begin + stream.to_bytes(4, "big") + self.payload


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def prepared(kind: int, flags: int, payload: bytes = b"") -> Frame:
    """Return a frame for any stream."""
    return Frame(frame(kind, flags, 0, payload)[: -4 - len(payload)], payload)


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*item) for item in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return the settings in a frame, in their order. Raises ConnectionFault for values that are not allowed."""
    if len(payload) % SETTING.size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS of a length that is no multiple of 6")
    found = list(SETTING.iter_unpack(payload))
    for name, value in found:
        if name == ENABLE_PUSH and value > 1:
            raise ConnectionFault(PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
        if name == MAX_FRAME_SIZE and not MAX_FRAME_BYTES <= value <= _MAX_FRAME_LIMIT:
            raise ConnectionFault(PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
    return found


def window_update(stream: int, more: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


def rst_stream(stream: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: int, reason: str = "") -> bytes:
    """Return a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode())
