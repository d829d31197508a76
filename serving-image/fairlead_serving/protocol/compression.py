"""gzip and deflate, as HTTP and gRPC name them, with a bound on what comes out."""

from __future__ import annotations

import zlib
from typing import Final

from fairlead_serving.errors import InvalidRequestError, TooLargeError, UnknownEncodingError

KNOWN: Final = ("gzip", "deflate")
# Deflate cannot make data smaller than about a thousandth, so this times the size bounds what comes out.
MOST_INFLATION: Final = 1032
# What is smaller is not worth the time.
WORTHWHILE_BYTES: Final = 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_QUICK: Final = 1


def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """Decompress a request.

    Raises TooLargeError when more than `limit` bytes would come out, UnknownEncodingError for another encoding, and
    InvalidRequestError for damaged data.
    """
    window = _WINDOWS.get(encoding)
    if window is None:
        message = f"the encoding {encoding!r} is not known here: {', '.join(KNOWN)} are"
        raise UnknownEncodingError(message)
    inflater = zlib.decompressobj(window)
    try:
        result = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise InvalidRequestError(at="", problem=f"the body is not {encoding}: {error}") from error
    if len(result) > limit:
        raise TooLargeError(limit, "decompressed body")
    # Of a gzip file one member is taken: nobody sends more, and a body of many tiny ones would take for ever.
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequestError(at="", problem=f"the body is not one whole {encoding} stream")
    return result


def compress(data: bytes, encoding: str) -> bytes:
    """Compress an answer, quickly rather than well."""
    packer = zlib.compressobj(_QUICK, zlib.DEFLATED, _WINDOWS[encoding])
    return packer.compress(data) + packer.flush()


def accepted(header: str) -> str | None:
    """Return which encoding an Accept-Encoding header asks for, None where it asks for none that is known."""
    best, most = None, 0.0
    for item in header.lower().split(","):
        name, _, weight = item.partition(";")
        name = name.strip()
        wanted = _weight(weight)
        if name in KNOWN and wanted > most:
            best, most = name, wanted
    return best


def _weight(text: str) -> float:
    name, _, value = text.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
