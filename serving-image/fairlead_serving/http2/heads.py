"""A request's header fields, checked as RFC 9113 (section 8) asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from fairlead_serving.http2 import frames
from fairlead_serving.http2.frames import ConnectionFault, StreamFault
from fairlead_serving.http2.hpack import Decoder, Header, HeaderListTooLargeError, HpackError

_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED: Final = (b":method", b":scheme", b":path")
_HOP_BY_HOP: Final = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_COLON: Final = ord(":")
_MAX_DIGITS: Final = 18
_MAX_KNOWN: Final = 64
_MAX_KNOWN_BYTES: Final = 512


class Head(NamedTuple):
    """What a request says before its body. `length` is its Content-Length."""

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]
    length: int | None


class MalformedError(ValueError):
    """The header fields are none that a request can have."""


class HeadReader:
    """Decodes the header blocks of one connection.

    Clients send the same block again and again. What it asks for is kept by its bytes, which holds as long as the
    dynamic table stays as it is.
    """

    def __init__(self, route: Callable[[Head], Any], max_bytes: int) -> None:
        """Prepare; `route` makes of a head what the application wants to know of it."""
        self._route = route
        self._decoder = Decoder(max_bytes)
        self._known: dict[bytes, tuple[Any, int | None]] = {}

    def read(self, number: int, block: bytes) -> tuple[Any, int | None]:
        """Return the route of a request and its Content-Length. Raises ConnectionFault and StreamFault."""
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._decoder.changes
        headers = self.skip(block)
        try:
            head = read_head(headers)
        except MalformedError as error:
            raise StreamFault(number, frames.PROTOCOL_ERROR) from error
        found = self._route(head), head.length
        if self._decoder.changes == before and len(block) <= _MAX_KNOWN_BYTES:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[block] = found
        return found

    def skip(self, block: bytes) -> list[Header]:
        """Decode a block, as each one must be, whatever becomes of it. Raises ConnectionFault."""
        before = self._decoder.changes
        try:
            headers = self._decoder.decode(block)
        except HeaderListTooLargeError as excess:  # compiled, a name has one type
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, str(excess)) from excess
        except HpackError as error:
            raise ConnectionFault(frames.COMPRESSION_ERROR, str(error)) from error
        if self._decoder.changes != before:
            self._known.clear()
        return headers


def read_head(headers: Sequence[Header]) -> Head:
    """Return a request's head. Raises MalformedError."""
    pseudo: dict[bytes, bytes] = {}
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name[:1] == b":":
            if name not in _PSEUDO or name in pseudo or fields:
                raise MalformedError
            pseudo[name] = value
        else:
            _check(name, value)
            fields[name] = fields[name] + b", " + value if name in fields else value
    if any(not pseudo.get(name) for name in _NEEDED):
        raise MalformedError
    return Head(pseudo[b":method"], pseudo[b":path"], fields, _length(fields))


def _check(name: bytes, value: bytes) -> None:
    if not name or name != name.lower() or _COLON in name or name in _HOP_BY_HOP:
        raise MalformedError
    if name == b"te" and value != b"trailers":
        raise MalformedError
    if not value.isascii() or b"\n" in value or b"\r" in value or b"\0" in value:
        raise MalformedError


def _length(fields: dict[bytes, bytes]) -> int | None:
    value = fields.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise MalformedError
    return int(value)
