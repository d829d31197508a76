"""Header compression: the examples of RFC 7541, and that nothing but HpackError comes of the rest."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead_serving.http2 import huffman
from fairlead_serving.http2.hpack import Decoder, HeaderListTooLargeError, HpackError, literal, status

calm = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))

# Appendix C.4: requests with Huffman coding, on one connection; C.5 is for responses.
EXAMPLES = [
    (
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    ),
    (
        "828684be5886a8eb10649cbf",
        [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
    ),
    (
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
    ),
]


def test_the_examples_of_the_rfc() -> None:
    decoder = Decoder(4096)
    for block, headers in EXAMPLES:
        assert decoder.decode(bytes.fromhex(block)) == [(name.encode(), value.encode()) for name, value in headers]


@pytest.mark.parametrize(
    ("coded", "text"),
    [("f1e3c2e5f23a6ba0ab90f4ff", b"www.example.com"), ("a8eb10649cbf", b"no-cache"), ("", b""), ("6402", b"302")],
)
def test_huffman(coded: str, text: bytes) -> None:
    assert huffman.decode(bytes.fromhex(coded)) == text


@pytest.mark.parametrize("coded", ["ff", "ffff", "fffffffc", "ffffffff", "f1e3c200", "00"])
def test_huffman_that_is_padded_wrongly(coded: str) -> None:
    with pytest.raises(ValueError, match="padded"):
        huffman.decode(bytes.fromhex(coded))


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"\x80", "a place in the table where none is"),
        (b"\xbe", "a place in the table where none is"),
        (b"\xff", "ends too early"),
        (b"\xff\xff\xff\xff\xff\xff\xff", "number in the header block is too large"),
        (b"\xff" + b"\x80" * 40 + b"\x01", "number in the header block is too large"),
        (b"\x00\x05abc", "longer than the block"),
        (b"\x00\x01a", "ends too early"),
        (b"\x3f\xe2\x1f", "cannot have more than 4096"),
        (b"\x82\x20", "changes behind a header"),
        (b"\x00\x01a\x81\x00", "padded"),
    ],
)
def test_what_cannot_be_decoded(block: bytes, problem: str) -> None:
    with pytest.raises(HpackError, match=problem):
        Decoder(4096).decode(block)


def test_the_headers_are_bounded_however_small_their_block() -> None:
    decoder = Decoder(1000)
    added = b"\x40\x01a\x64" + b"x" * 100
    with pytest.raises(HeaderListTooLargeError):
        decoder.decode(added + b"\xbe" * 100)


def test_the_table_evicts_what_has_no_room() -> None:
    decoder = Decoder(100_000)
    for each in range(200):
        decoder.decode(b"\x40\x01a\x03%03d" % each)
    # 36 bytes each, so that 113 fit into 4,096.
    assert decoder.decode(b"\xbe")[0][1] == b"199"
    assert decoder.decode(bytes((0xFF, 62 + 112 - 127)))[0][1] == b"087"
    with pytest.raises(HpackError):
        decoder.decode(bytes((0xFF, 62 + 113 - 127)))
    decoder.decode(b"\x20")
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


@calm
@given(st.binary(max_size=200))
def test_garbage_is_only_ever_a_hpack_error(block: bytes) -> None:
    try:
        Decoder(500).decode(block)
    except HpackError as error:
        assert str(error)  # noqa: PT017  most examples raise, some do not


@calm
@given(st.binary(min_size=1, max_size=300), st.binary(max_size=300))
def test_what_is_written_is_read(name: bytes, value: bytes) -> None:
    assert Decoder(4096).decode(literal(name, value)) == [(name, value)]


@pytest.mark.parametrize("code", [200, 405, 415])
def test_statuses(code: int) -> None:
    assert Decoder(4096).decode(status(code)) == [(b":status", b"%d" % code)]


def test_changes_of_the_table_are_told() -> None:
    decoder = Decoder(4096)
    decoder.decode(b"\x82\x00\x01a\x01b")
    assert decoder.changes == 0
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.changes == 1
    decoder.decode(b"\x20")
    assert decoder.changes == 2
