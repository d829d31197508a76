"""gRPC's statuses, and answers as HTTP/2 frames."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

from fairlead_serving.http2 import frames, hpack
from fairlead_serving.http2.frames import Frame

OK: Final = 0
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

_BY_HTTP: Final = {
    400: INVALID_ARGUMENT,
    404: NOT_FOUND,
    408: DEADLINE_EXCEEDED,
    413: RESOURCE_EXHAUSTED,
    415: UNIMPLEMENTED,
    503: UNAVAILABLE,
}
_CLIENT_ERRORS: Final = range(400, 500)
# Clients bound the headers they take at 8 KiB; each byte may become three.
MAX_MESSAGE: Final = 2000
_PLAIN: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_KIND: Final = hpack.literal(b"content-type", b"application/grpc")
_HEAD: Final = hpack.status(200) + _KIND
_GZIP_HEAD: Final = _HEAD + hpack.literal(b"grpc-encoding", b"gzip")
_TAIL: Final = hpack.literal(b"grpc-status", b"0")
_KNOWN_ENCODINGS: Final = hpack.literal(b"grpc-accept-encoding", b"identity,gzip,deflate")
_TEXT: Final = hpack.literal(b"content-type", b"text/plain")
_NO_GRPC: Final = b"This port speaks gRPC.\n"
_WHOLE: Final = frames.END_HEADERS | frames.END_STREAM
# What stands before and behind a message; GZIP_HEAD where it is compressed.
HEAD: Final = frames.prepared(frames.HEADERS, frames.END_HEADERS, _HEAD)
GZIP_HEAD: Final = frames.prepared(frames.HEADERS, frames.END_HEADERS, _GZIP_HEAD)
TAIL: Final = frames.prepared(frames.HEADERS, _WHOLE, _TAIL)


class Failure(NamedTuple):
    """An answer without a message.

    `encodings` is whether to say which encodings are known, `retry_after` the seconds after which to try again.
    """

    code: int
    text: str
    encodings: bool = False
    retry_after: int | None = None


def code_of(status: int) -> int:
    """Return the gRPC status for an HTTP status."""
    return _BY_HTTP.get(status, INVALID_ARGUMENT if status in _CLIENT_ERRORS else INTERNAL)


def failed(failure: Failure) -> Frame:
    """Return an answer that consists of a status only."""
    block = _HEAD + hpack.literal(b"grpc-status", b"%d" % failure.code)
    block += hpack.literal(b"grpc-message", quote(failure.text[:MAX_MESSAGE], safe=_PLAIN).encode())
    if failure.encodings:
        block += _KNOWN_ENCODINGS
    if failure.retry_after is not None:
        block += hpack.literal(b"grpc-retry-pushback-ms", b"%d" % (1000 * failure.retry_after))
    return frames.prepared(frames.HEADERS, _WHOLE, block)


def no_grpc(http: int) -> tuple[Frame, bytes, Frame]:
    """Return the answer to what is no gRPC at all: head, body and tail."""
    head = frames.prepared(frames.HEADERS, frames.END_HEADERS, hpack.status(http) + _TEXT)
    return head, _NO_GRPC, frames.prepared(frames.DATA, frames.END_STREAM)
