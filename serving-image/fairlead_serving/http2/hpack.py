"""Header compression (RFC 7541): a decoder with bounds, and the little that answers need of an encoder."""

from __future__ import annotations

from collections import deque
from typing import Final

from fairlead_serving.http2 import huffman

Header = tuple[bytes, bytes]

_TABLE_BYTES: Final = 4096
_ENTRY_BYTES: Final = 32
_MAX_INTEGER: Final = 1 << 32
_INDEXED: Final = 0x80
_ADDED: Final = 0x40
_RESIZED: Final = 0x20
# Each name with its value, if it has one.
_STATIC: Final = """
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""
_ENTRIES: Final[tuple[Header, ...]] = tuple(
    (name.encode(), value.encode()) for name, _, value in (line.partition(" ") for line in _STATIC.split("\n")[1:-1])
)


class HpackError(ValueError):
    """A header block cannot be decoded, after which no other block of its connection can be either."""


class HeaderListTooLargeError(HpackError):
    """The headers are larger than is allowed."""


class Decoder:
    """Decodes the header blocks of one connection, in their order.

    `changes` counts how often the dynamic table changed. While it stays, the same block means the same headers.
    """

    def __init__(self, max_list_bytes: int) -> None:
        """Start with an empty dynamic table. The limit counts names, values and 32 bytes for each header."""
        self._max_list_bytes = max_list_bytes
        self._table: deque[Header] = deque()
        self._bytes = 0
        self._capacity = _TABLE_BYTES
        self.changes = 0

    def decode(self, block: bytes) -> list[Header]:
        """Return a block's headers. Raises HpackError."""
        try:
            return self._decode(block)
        except IndexError as error:
            message = "the header block ends too early"
            raise HpackError(message) from error

    def _decode(self, block: bytes) -> list[Header]:
        headers: list[Header] = []
        at, total, end = 0, 0, len(block)
        while at < end:
            first = block[at]
            if first & _INDEXED:
                index, at = _integer(block, at, 7)
                header = self._entry(index)
            elif first & _ADDED:
                header, at = self._literal(block, at, 6)
                self._add(header)
            elif first & _RESIZED:
                if headers:
                    message = "the size of the table changes behind a header"
                    raise HpackError(message)
                size, at = _integer(block, at, 5)
                self._resize(size)
                continue
            else:
                header, at = self._literal(block, at, 4)
            total += len(header[0]) + len(header[1]) + _ENTRY_BYTES
            if total > self._max_list_bytes:
                message = f"the headers are larger than {self._max_list_bytes} bytes"
                raise HeaderListTooLargeError(message)
            headers.append(header)
        return headers

    def _literal(self, block: bytes, at: int, bits: int) -> tuple[Header, int]:
        index, at = _integer(block, at, bits)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _entry(self, index: int) -> Header:
        if 0 < index <= len(_ENTRIES):
            return _ENTRIES[index - 1]
        index -= len(_ENTRIES) + 1
        if not 0 <= index < len(self._table):
            message = "a header is taken from a place in the table where none is"
            raise HpackError(message)
        return self._table[index]

    def _add(self, header: Header) -> None:
        self.changes += 1
        self._table.appendleft(header)
        self._bytes += _size(header)
        self._evict()

    def _resize(self, size: int) -> None:
        if size > _TABLE_BYTES:
            message = f"the table cannot have more than {_TABLE_BYTES} bytes"
            raise HpackError(message)
        self.changes += 1
        self._capacity = size
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._capacity:
            self._bytes -= _size(self._table.pop())


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header as a literal that enters no table."""
    return b"\x00" + _prefixed(name) + _prefixed(value)


def status(code: int) -> bytes:
    """Return the pseudo-header `:status`."""
    return b"\x88" if code == 200 else b"\x08\x03%d" % code  # noqa: PLR2004  the table has 200 whole


def _size(header: Header) -> int:
    return len(header[0]) + len(header[1]) + _ENTRY_BYTES


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if value > _MAX_INTEGER or shift > 35:  # noqa: PLR2004  five groups of seven bits hold any allowed number
            message = "a number in the header block is too large"
            raise HpackError(message)
        if byte < 0x80:  # noqa: PLR2004  the top bit says that more follows
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] & _INDEXED
    length, at = _integer(block, at, 7)
    end = at + length
    if end > len(block):
        message = "a string in the header block is longer than the block"
        raise HpackError(message)
    if not coded:
        return block[at:end], end
    try:
        return huffman.decode(block[at:end]), end
    except ValueError as error:
        raise HpackError(str(error)) from error


def _prefixed(data: bytes) -> bytes:
    size = len(data)
    most = 0x7F
    if size < most:
        return bytes((size,)) + data
    out, size = bytearray((most,)), size - most
    while size > most:
        out.append(size & most | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + data
