"""Heads of requests that have been parsed before: they are recognised by their bytes and not parsed again."""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeVar

from fairlead_serving.http.messages import NO_TRACE
from fairlead_serving.room import LARGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead_serving.http.messages import Head, Request

    Trace = tuple[bytes, bytes]
    Known = tuple[Head, int, Trace]
    _Cut = Callable[[bytes], tuple[bytes, ...]]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

END: Final = b"\r\n\r\n"
LONGEST: Final = 2048
MAX_DIGITS: Final = 18
"""Of a Content-Length."""
_MOST: Final = 512
_MOST_CUTS: Final = 4
# Where heads are another each time, to learn one in so many costs little, and is enough for a client that comes anew.
_EAGER: Final = 2 * _MOST
_SELDOM: Final = 16
# What clients, proxies and service meshes send another value of with each request. We read the first three only.
_CHANGING: Final = re.compile(
    rb"\r\n(content-length|traceparent|tracestate|baggage|b3|x-b3-traceid|x-b3-spanid|x-b3-parentspanid|"
    rb"x-request-id|x-correlation-id|x-amzn-trace-id|x-cloud-trace-context|x-datadog-trace-id|x-datadog-parent-id|"
    rb"uber-trace-id|sentry-trace|x-forwarded-for|x-real-ip)"
    rb":[ \t]*([!-~](?:[ -~]*[!-~])?)(?=\r\n)",
    re.IGNORECASE,
)
_LENGTH: Final = b"content-length"
_NONE: Final[dict[str, _Cut]] = {}
# Makes a digit of each byte that may stand in a value: visible ASCII and blanks; and a blank of any other.
_ALLOWED: Final = b" " * 0x20 + b"0" * (0x7F - 0x20) + b" " * (0x100 - 0x7F)


class _Gapped:
    """A head whose changing values are gaps, from one that was parsed.

    `around` is what is before the first gap, behind it, and so on. Of the fields that `cut` makes of a head, which has
    the gaps at the same places, `length`, `parent` and `state` are those of Content-Length, `traceparent` and
    `tracestate`; 0 if there is none. `sized` is whether Content-Length is the only gap.
    """

    __slots__ = ("around", "cut", "form", "head", "length", "parent", "sized", "state")

    def __init__(self, raw: bytes, head: Head) -> None:
        form, at, gaps = "0s", 0, {}
        for number, gap in enumerate(_CHANGING.finditer(raw), 1):
            start, stop = gap.span(2)
            form += f"{start - at}s{stop - start}s"
            at = stop
            gaps[gap[1].lower()] = 2 * number
        self.form = f"{form}{len(raw) - at}s0s"
        # Into nothing, what is fixed, a gap, what is fixed, and so on, and nothing.
        self.cut = Struct(self.form).unpack_from
        self.around = self.cut(raw)[1::2]
        self.head = head
        self.length = gaps.get(_LENGTH, 0)
        self.parent = gaps.get(b"traceparent", 0)
        self.state = gaps.get(b"tracestate", 0)
        self.sized = list(gaps) == [_LENGTH]


class KnownHeads(dict[bytes, "Known"]):
    """Heads by their bytes, each with the size of the body behind it and its place in a trace.

    A client's requests differ in their bodies, hardly in what stands before. What was valid once is so the next time,
    and with other letters in the middle of a value that we do not look into.
    """

    def __init__(self, max_body: int = LARGE_BYTES) -> None:
        """Know nothing yet. Bodies above the limit, or large enough to be counted, are for the parser."""
        super().__init__()
        self._most = min(max_body, LARGE_BYTES)
        self._offered = 0
        self._alike: dict[tuple[bytes, ...], _Gapped] = {}
        # By the length of a head, at which places there may be gaps.
        self._cuts: dict[int, dict[str, _Cut]] = {}

    def alike(self, data: bytes, end: int) -> Known | None:
        """Return what the head that ends there says if it is, but for values that change, one that is known."""
        for cut in self._cuts.get(end, _NONE).values():
            fields = cut(data)
            # The names of the gaps are in what is around them, so that it does not matter whose cut this is.
            known = self._alike.get(fields[1::2])
            if known is not None:
                return self._read(known, fields)
        return None

    def learn(self, raw: bytes, request: Request) -> None:
        """Remember the head of a request, given as it came, that was parsed and found to be in order."""
        head, size = request.head, len(request.body)
        self._offered += 1
        if size > self._most or (self._offered > _EAGER and self._offered % _SELDOM):
            return
        gapped = _Gapped(raw, head)
        fields = gapped.cut(raw)
        if int(fields[gapped.length] or 0) != size or (fields[gapped.parent], fields[gapped.state]) != request.trace:
            # Written in a way that the parser understands and we do not: twice, or with something else between lines.
            return
        changes = len(gapped.around) > 1
        if gapped.sized or not changes:
            _put(self, raw, (head, size, request.trace))
        if changes and head.alike:
            _put(self._alike, gapped.around, gapped)
            cuts = self._cuts.get(len(raw), {})
            if gapped.form not in cuts:
                _put(cuts, gapped.form, gapped.cut, _MOST_CUTS)
                _put(self._cuts, len(raw), cuts)

    def _read(self, known: _Gapped, fields: tuple[bytes, ...]) -> Known | None:
        """Look at the gaps: None where there may be something that the parser would refuse, or read otherwise."""
        length = fields[known.length]
        if length and (not length.isdigit() or len(length) > MAX_DIGITS):
            return None
        size = int(length or 0)
        if size > self._most:
            return None
        if known.sized:
            found = (known.head, size, NO_TRACE)
            _put(self, b"".join(fields), found)
            return found
        # Two blanks together, of which this puts one before and behind each value, are blanks that are not part of it.
        values = b" ".join(fields[::2])
        if b"  " in values or not values.translate(_ALLOWED).isdigit():
            return None
        return known.head, size, (fields[known.parent], fields[known.state])


def _put(table: dict[_Key, _Value], key: _Key, value: _Value, most: int = _MOST) -> None:
    """Put something into a table, which begins anew when it is full."""
    if len(table) >= most and key not in table:
        table.clear()
    table[key] = value
