"""A head that has been parsed before is not parsed again, and nobody can tell the difference."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_serving.asgi.connection import RoutedParser
from fairlead_serving.http.heads import KnownHeads
from fairlead_serving.http.messages import NO_TRACE, Request
from fairlead_serving.http.reading import MORE, RequestReader
from tests.fuzz.heads import MAX_BODY, Forgetful, cut, parse, ways
from tests.fuzz.world import Wire, World

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
TRACE = f"traceparent: {PARENT.decode()}"
ID = "X-Request-ID: 0b4d1e2c-76a3"


def request(
    body: bytes = b"",
    *lines: str,
    method: str = "POST",
    version: str = "1.1",
    path: str = "/v2/models/m/infer",
    size: int | None = None,
) -> bytes:
    told = f"Content-Length: {len(body) if size is None else size}"
    head = [f"{method} {path} HTTP/{version}", "Host: h", *lines, told, "", ""]
    return "\r\n".join(head).encode() + body


CHUNKED = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
ODD = [
    request(b"one", "Connection: close"),
    request(b"one", "Expect: 100-continue"),
    request(b"one", "Connection: Upgrade", "Upgrade: h2c"),
    request(b"one", "X: " + "y" * 3000),
    request(b"one", TRACE, TRACE.upper()),
    request(b"one", "tracestate: a=1", "tracestate: b=2"),
    request(b"one", "traceparent: \x01"),
    request(method="HEAD"),
    request(b"one", method="CONNECT"),
    request(b"one", version="1.0"),
    request(b"x", size=MAX_BODY + 1),
    request(b"one", size=5),
    CHUNKED,
    b"GARBAGE\r\n\r\n",
]
TRACED = request(b"one", TRACE, "tracestate: a=1, b=2", ID)
KINDS = [
    request(b"one"),
    request(b"two"),
    request(b"longer"),
    request(b"\r\n\r\n"),
    request(b"ten " * 10),
    request(b"one", "Accept-Encoding: gzip"),
    request(b"one", "Content-Encoding: gzip"),
    request(b"one", "Inference-Header-Content-Length: 1"),
    request(b"one", TRACE),
    TRACED,
    request(b"one", ID, "x-forwarded-for: 10.0.0.1, 10.0.0.2"),
    request(b"one", "traceparent:"),
    request(method="GET"),
    request(b"", ID, method="GET"),
    b"\r\n" + request(b"one"),
    b"\r\n" + request(b"one", ID),
    *ODD,
]


def learnt(*requests: bytes) -> KnownHeads:
    heads = KnownHeads(MAX_BODY)
    for each in requests:
        parse([each], heads)
    return heads


def knows(heads: KnownHeads, pieces: list[bytes]) -> Request | None:
    """Return the request if it is read without the parser."""
    reader = RequestReader(deque(), MAX_BODY, heads)
    for piece in pieces[:-1]:
        if reader.known(piece, 1.0) is not MORE:
            return None
    return reader.known(pieces[-1], 1.0)


LEARNT = learnt(*KINDS)


@given(
    st.lists(st.sampled_from(KINDS), max_size=6),
    st.lists(st.integers(1, 300), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=2),
)
def test_requests_are_the_same_however_they_are_cut_or_changed(
    sent: list[bytes], sizes: list[int], changes: list[tuple[int, int]]
) -> None:
    stream = bytearray(b"".join(sent))
    for at, byte in changes:
        stream[at : at + 1] = bytes((byte,))
    for way in (sent, *ways(bytes(stream), sizes)):
        assert parse(way, LEARNT) == parse(way, Forgetful())


@pytest.mark.parametrize("kind", [TRACED, request(b"0123456789")])
def test_no_byte_of_a_head_is_overlooked(kind: bytes) -> None:
    end = kind.index(b"\r\n\r\n") + 4
    for at in range(end):
        heads = learnt(kind)
        for byte in b"\x00\t\n\r 0-:A_\x7f\x80\xff":
            other = kind[:at] + bytes((byte,)) + kind[at + 1 :]
            for way in ([other], [other[:end], other[end:]]):
                assert parse(way, heads) == parse(way, Forgetful()), (at, byte)


def test_what_changes_with_each_request_need_not_be_known() -> None:
    heads = learnt(TRACED)
    for way in ([TRACED], [TRACED[:-3], b"one"], [TRACED[:-2], b"n", b"e"]):
        found = knows(heads, way)
        assert found is not None
        assert (found.body, found.arrived, found.trace) == (b"one", 1.0, (PARENT, b"a=1, b=2"))
    other = TRACED.replace(PARENT, OTHER).replace(b"a=1, b=2", b"c=3,d=45").replace(b"76a3", b"88ff")
    found = knows(heads, [other.replace(b"h: 3", b"h: 5") + b"45"])
    assert found is not None
    assert (found.body, found.trace) == (b"one45", (OTHER, b"c=3,d=45"))
    assert not heads  # as they are, they will not come again


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"76a3", b"76a "),
        (b"0b4d", b" b4d"),
        (b"1e2c", b"1  c"),
        (b"1e2c", b"1\x00\x00c"),
        (b"1e2c", b"1\r\nc"),
        (b"1e2c", "éa".encode() + b"c"),
        (b"X-Request-ID", b"X-Request_ID"),
        (b"h: 3", b"h:  "),
        (b"h: 3", b"h: -"),
    ],
)
def test_anything_else_is_parsed(was: bytes, becomes: bytes) -> None:
    heads = learnt(TRACED)
    assert knows(heads, [TRACED.replace(was, becomes)]) is None


@pytest.mark.parametrize("length", [b"+5", b" 5", b"5 ", b"0x", b"1_", b"-1", b"5,", b"\xb25"])
def test_only_digits_are_a_length(length: bytes) -> None:
    kind = request(b"0123456789")
    heads = learnt(kind)
    assert knows(heads, [kind.replace(b"h: 10", b"h: " + length)]) is None
    assert knows(heads, [kind.replace(b"h: 10", b"h: 05")[:-5]]) is not None


def test_a_length_above_the_limit_is_the_parsers_to_refuse() -> None:
    kind = request(b"y" * MAX_BODY)
    heads = learnt(kind)
    assert knows(heads, [kind])
    assert knows(heads, [kind.replace(b"h: 1000", b"h: 1001") + b"y"]) is None


def test_a_head_is_learnt_once_for_all_bodies() -> None:
    heads = learnt(request(b"one"))
    assert len(heads) == 1
    for body in (b"two", b"four", b""):
        found = knows(heads, [request(body)])
        assert found is not None
        assert found.body == body
    # Those with a size that has come before are found sooner.
    assert len(heads) == 2 + 1
    assert knows(heads, [request(b"1" * 10)]) is None


@pytest.mark.parametrize("sizes", [[1000], [64, 500], [64, 1], [40, 1]])
def test_a_head_is_learnt_from_a_request_in_pieces(sizes: list[int]) -> None:
    heads = KnownHeads(MAX_BODY)
    whole = request(b"0123456789", "Accept: */*")
    assert whole.index(b"\r\n\r\n") > 60
    parse(cut(whole, sizes), heads)
    # Only a head that came in one piece.
    head = whole[:-10]
    assert (knows(heads, [whole]) is not None) == (sizes[0] >= len(head))


def test_pieces_of_a_body_and_what_follows_it() -> None:
    heads = learnt(TRACED, request(b"two"))
    queue: deque[Request] = deque()
    reader = RequestReader(queue, MAX_BODY, heads)
    for piece in (TRACED[:-3], b"o", b"n"):
        assert reader.known(piece, 1.0) is MORE
        assert (reader.partial, reader.in_header) == (True, False)
    assert reader.known(b"e" + request(b"two"), 2.0) is None
    reader.feed(b"e" + request(b"two"), 2.0)
    assert [(each.body, each.arrived) for each in queue] == [(b"one", 2.0), (b"two", 2.0)]
    assert [each.trace for each in queue] == [(PARENT, b"a=1, b=2"), NO_TRACE]
    assert not reader.partial


@pytest.mark.parametrize("kind", ODD)
def test_what_is_out_of_the_ordinary_is_not_learnt(kind: bytes) -> None:
    heads = learnt(kind, request(b"a", ID) + request(b"b", ID))
    assert not heads
    assert knows(heads, [kind]) is None
    assert knows(heads, [request(b"a", ID)]) is None


def test_heads_are_not_kept_without_bound() -> None:
    heads = KnownHeads(MAX_BODY)
    for number in range(1000):
        parse([request(b"", f"Name: {number}")], heads)
        parse([request(b"", f"Name: {number}", f"X-Request-ID: {'1' * number}")], heads)
    assert len(heads) <= 512
    assert 0 < len(heads._alike) <= 512
    assert 0 < len(heads._cuts) <= 512
    # A client that comes later need not wait for long.
    kind = request(b"one", "Authorization: a", ID)
    for _ in range(16):
        parse([kind], heads)
    assert knows(heads, [kind])


def test_gaps_at_the_places_of_other_headers_are_not_taken_for_them() -> None:
    def kind(*lines: str) -> bytes:
        return "\r\n".join(("POST /v2/models/m/infer HTTP/1.1", "Host: h", *lines, "", "")).encode()

    one = kind("X: 1234567", "baggage: 22", "content-length: 33", "A: ") + b"y" * 33
    two = kind("X: ", "content-length: 22", "X: 12", "baggage: 33", "A: ") + b"y" * 22
    assert [one.index(b"22"), one.index(b"33")] == [two.index(b"22"), two.index(b"33")]
    assert one.index(b"\r\n\r\n") == two.index(b"\r\n\r\n")
    for heads in (learnt(one, two), learnt(two, one)):
        for each in (one, two):
            found = knows(heads, [each.replace(b"baggage: 22", b"baggage: 44").replace(b"baggage: 33", b"baggage: 44")])
            assert found is not None
            assert found.body == each.partition(b"\r\n\r\n")[2]


def test_a_length_of_too_many_digits_is_the_parsers_to_refuse() -> None:
    one = request(b"one")
    digits = b"3".zfill(40)
    long = one.replace(b"h: 3", b"h: " + digits)
    # Of the same length, and with a gap where that has its digits.
    other = b"POST /v2/models/m/infer23 HTTP/1.1\r\nHost: h\r\nX-Request-ID: %b\r\n\r\n" % digits
    assert (other.index(digits), len(other)) == (long.index(digits), len(long) - len(b"one"))
    heads = learnt(one, other)
    assert knows(heads, [long]) is None
    assert parse([long], heads) == parse([long], Forgetful())


def test_clients_whose_heads_are_of_the_same_length_do_not_push_each_other_out() -> None:
    kinds = [request(b"one", f"Authorization: Bearer {number:040}", ID) for number in range(100)]
    heads = learnt(*kinds)
    assert all(knows(heads, [kind]) for kind in kinds)


def test_routes_of_a_models_own_see_their_whole_head() -> None:
    heads = KnownHeads(MAX_BODY)
    for path, alike in (("/own", False), ("/v2/models/m/infer", True)):
        kind = request(b"one", ID, path=path)
        parse([kind], heads, RoutedParser)
        assert (knows(heads, [kind.replace(b"76a3", b"88ff")]) is not None) == alike


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def half(world: World) -> tuple[Wire, bytes, int]:
    """Send a request that is learnt, and again all but its last byte; tell how long the first one's answer is."""
    kind = request(b"{}", path="/v2/models/m/feedback")
    wire = world.connect(world.http)
    wire.protocol.data_received(kind)
    one = len(wire.written)
    wire.protocol.data_received(kind[:-1])
    return wire, kind, one


def test_a_body_that_stalls_behind_a_known_head_is_given_up(world: World) -> None:
    wire, _, known = half(world)
    wire.protocol.sweep(0.0)
    assert len(wire.written) == known
    wire.protocol.sweep(float("inf"))
    assert wire.written[known:].startswith(b"HTTP/1.1 408 ")
    world.leave(wire)


def test_a_body_behind_a_known_head_may_come_while_the_client_does_not_read(world: World) -> None:
    wire, kind, one = half(world)
    wire.protocol.pause_writing()
    wire.protocol.data_received(kind[-1:] + kind[:-1])
    assert len(wire.written) == one
    wire.protocol.resume_writing()
    assert len(wire.written) == 2 * one
    wire.protocol.data_received(kind[-1:])
    assert len(wire.written) == 3 * one
    world.leave(wire)
