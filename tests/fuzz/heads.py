"""The short ways for heads that are known, held against the parser that sees every byte."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

from fairlead_serving.http.heads import END, KnownHeads
from fairlead_serving.http.messages import Request
from fairlead_serving.http.reading import MORE, RequestReader
from tests.fuzz.world import World

MAX_BODY: Final = 1000
_FIELDS: Final = ("method", "target", "accept", "accept_encoding", "encoding", "json_size", "keep_alive", "old")
_MOST_CHANGES: Final = 8
_MOST_CUTS: Final = 8


class Forgetful(KnownHeads):
    """Learns nothing, so that everything is parsed."""

    def learn(self, raw: bytes, request: Request) -> None:
        """Learn nothing."""


def parse(pieces: Sequence[bytes], heads: KnownHeads, reader: type[RequestReader] = RequestReader) -> list[Any]:
    """Return what becomes of bytes read as a connection reads them, and how the reader stands in the end."""
    queue: deque[Request] = deque()
    parser = reader(queue, MAX_BODY, heads)
    for piece in pieces:
        # The connection reads no more after these.
        if parser.broken or (queue and not queue[-1].head.keep_alive):
            break
        quick = parser.known(piece, 0.0)
        if quick is None:
            parser.feed(piece, 0.0)
        elif quick is not MORE:
            queue.append(quick)
    told: list[Any] = [
        (*(getattr(each.head, name) for name in _FIELDS), each.body, each.trace, each.problem) for each in queue
    ]
    return [*told, (parser.partial, parser.in_header, parser.expects, parser.broken)]


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return bytes in pieces of such sizes, which come round again."""
    pieces, size = [], cycle(sizes)
    while data:
        at = next(size)
        pieces.append(data[:at])
        data = data[at:]
    return pieces


def ways(data: bytes, sizes: Sequence[int]) -> list[list[bytes]]:
    """Return bytes in one piece, in two between a head and its body, and in pieces of such sizes."""
    end = data.find(END) + len(END)
    return [[data], [each for each in (data[:end], data[end:]) if each], cut(data, sizes)]


def heads(_: World, data: bytes) -> None:
    """Take bytes as requests that are learnt, and then come again with some bytes changed.

    Before them stand how many bytes are changed, for each where and to what, how many sizes there are, and the sizes of
    the pieces.
    """
    given = iter(data)
    changes = [
        (next(given, 0) << 8 | next(given, 0), next(given, 0)) for _ in range(next(given, 0) % (_MOST_CHANGES + 1))
    ]
    sizes = [next(given, 0) or 1 for _ in range(next(given, 0) % _MOST_CUTS + 1)]
    stream = bytes(given)
    changed = bytearray(stream)
    for at, byte in changes:
        if at < len(changed):
            changed[at] = byte
    known = KnownHeads(MAX_BODY)
    for each in (stream, bytes(changed), stream):
        for way in ways(each, sizes):
            short, thorough = parse(way, known), parse(way, Forgetful())
            for result in (short, thorough):
                _forgive(result)
            assert short == thorough, "a known head is read in another way than the parser reads it"


def _forgive(result: list[Any]) -> None:
    """Forget which of several things was wrong with the last request: it hangs on where the pieces end."""
    if len(result) > 1 and result[-2][-1] is not None:
        result[-2] = None
