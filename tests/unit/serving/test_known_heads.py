"""A head that has been parsed before is not parsed again, and nobody can tell the difference."""

from __future__ import annotations

import itertools
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_serving.http.messages import Request
from fairlead_serving.http.parsing import KnownHeads, RequestParser

LIMIT = 1000


def request(
    body: bytes = b"", *lines: str, method: str = "POST", version: str = "1.1", size: int | None = None
) -> bytes:
    told = f"Content-Length: {len(body) if size is None else size}"
    head = [f"{method} /v2/models/m/infer HTTP/{version}", "Host: h", *lines, told, "", ""]
    return "\r\n".join(head).encode() + body


CHUNKED = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
KINDS = [
    request(b"one"),
    request(b"two"),
    request(b"longer"),
    request(b"\r\n\r\n"),
    request(b"one", "Accept-Encoding: gzip"),
    request(b"one", "Content-Encoding: gzip"),
    request(b"one", "Connection: close"),
    request(b"one", "Expect: 100-continue"),
    request(b"one", "Inference-Header-Content-Length: 1"),
    request(b"one", "X: " + "y" * 3000),
    request(method="GET"),
    request(method="HEAD"),
    request(b"one", version="1.0"),
    request(b"x", size=LIMIT + 1),
    request(b"one", size=5),
    CHUNKED,
    b"GARBAGE\r\n\r\n",
    b"\r\n" + request(b"one"),
]


def told(requests: deque[Request]) -> list[tuple[object, ...]]:
    names = ("method", "target", "accept_encoding", "encoding", "json_size", "keep_alive", "old")
    return [(*(getattr(each.head, name) for name in names), each.body, each.problem) for each in requests]


def parse(pieces: list[bytes], heads: KnownHeads) -> list[tuple[object, ...]]:
    queue: deque[Request] = deque()
    parser = RequestParser(queue, LIMIT, heads)
    for piece in pieces:
        # The connection reads no more after these.
        if parser.broken or (queue and not queue[-1].head.keep_alive):
            break
        quick = parser.known(piece, 0.0)
        if quick is None:
            parser.feed(piece, 0.0)
        else:
            queue.append(quick)
    return [*told(queue), (parser.partial, parser.in_header, parser.expects, parser.broken)]


class Forgetful(KnownHeads):
    def learn(self, data: bytes, request: Request) -> None:
        """Learn nothing."""


@given(st.lists(st.sampled_from(KINDS), max_size=6), st.lists(st.integers(1, 300), max_size=4))
def test_requests_are_the_same_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    heads = KnownHeads()
    for kind in KINDS:
        parse([kind], heads)
    stream = b"".join(sent)
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(ends)]
    for way in (sent, pieces):
        assert parse(way, heads) == parse(way, Forgetful())


def test_a_head_is_learnt_once_for_all_bodies_of_its_size() -> None:
    heads = KnownHeads()
    parse([request(b"one")], heads)
    assert len(heads) == 1
    parser = RequestParser(deque(), LIMIT, heads)
    quick = parser.known(request(b"two"), 1.0)
    assert quick is not None
    assert (quick.body, quick.arrived) == (b"two", 1.0)
    assert parser.known(request(b"four"), 1.0) is None


@pytest.mark.parametrize("kind", KINDS[6:8] + KINDS[9:10] + KINDS[11:-1])
def test_what_is_out_of_the_ordinary_is_not_learnt(kind: bytes) -> None:
    heads = KnownHeads()
    parse([kind], heads)
    parse([request(b"a") + request(b"b")], heads)
    assert not heads


def test_heads_are_not_kept_without_bound() -> None:
    heads = KnownHeads()
    for number in range(2000):
        parse([request(b"", f"Traceparent: {number}")], heads)
    assert len(heads) <= 512
