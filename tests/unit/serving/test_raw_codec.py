"""Tensors as raw bytes, and compression."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead_serving.errors import InvalidRequestError, TooLargeError, UnknownEncodingError
from fairlead_serving.protocol.compression import accepted, compress, inflate
from fairlead_serving.protocol.rawdata import decode_raw, encode_raw
from fairlead_serving.protocol.v2 import decode_request
from fairlead_serving.tensors import Tensor

calm = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("text", ["", "a", "größer", "\0", "日本"])
def test_texts_there_and_back(text: str) -> None:
    array = np.array([text, "x"], dtype=object)
    data = encode_raw(Tensor("t", "BYTES", array))
    assert decode_raw("t", memoryview(data), "BYTES", (2,)).tolist() == [text, "x"]


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-2.0, 0xC000),
        (float("inf"), 0x7F80),
        (3.1415927, 0x4049),
        (1.00390625, 0x3F80),  # exactly between two: the even one
        (1.01171875, 0x3F82),
        (3.4e38, 0x7F80),
    ],
)
def test_bf16_is_rounded_as_floats_are(value: float, bits: int) -> None:
    data = encode_raw(Tensor("t", "BF16", np.array([value], dtype=np.float32)))
    assert int.from_bytes(data, "little") == bits
    widened = decode_raw("t", memoryview(data), "BF16", (1,))
    assert int(widened.view(np.uint32)[0]) == bits << 16


def test_bf16_keeps_what_is_no_number() -> None:
    nothing = np.array([0x7F800001], dtype=np.uint32).view(np.float32)
    data = encode_raw(Tensor("t", "BF16", nothing))
    assert np.isnan(decode_raw("t", memoryview(data), "BF16", (1,)))[0]


def test_any_byte_but_zero_is_true_and_the_array_can_be_written_to() -> None:
    array = decode_raw("t", memoryview(b"\0\1\2\xff"), "BOOL", (4,))
    assert array.tolist() == [False, True, True, True]
    floats = decode_raw("t", memoryview(b"x" + bytes(8))[1:], "FP32", (2,))
    floats[0] = 1
    assert floats.flags.aligned


@calm
@given(st.binary(max_size=40), st.sampled_from(["BYTES", "FP16", "BF16", "INT64", "BOOL"]), st.integers(0, 5))
def test_garbage_is_only_ever_the_clients_fault(data: bytes, datatype: str, count: int) -> None:
    try:
        decode_raw("t", memoryview(data), datatype, (count,))
    except InvalidRequestError as error:
        assert str(error)  # noqa: PT017  most examples raise, some do not


@calm
@given(st.binary(max_size=200), st.binary(max_size=3))
def test_bodies_with_a_wrong_header_are_only_ever_the_clients_fault(body: bytes, size: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        decode_request(body, size)


@calm
@given(st.binary(max_size=2000), st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_is_decompressed(data: bytes, encoding: str) -> None:
    packed = compress(data, encoding)
    assert inflate(packed, encoding, len(data)) == data
    if data:
        with pytest.raises(TooLargeError):
            inflate(packed, encoding, len(data) - 1)
    with pytest.raises(InvalidRequestError):
        inflate(packed[:-1], encoding, 10_000)


def test_others_read_and_write_the_same() -> None:
    assert gzip.decompress(compress(b"x" * 2000, "gzip")) == zlib.decompress(compress(b"x" * 2000, "deflate"))
    assert inflate(gzip.compress(b"x"), "x-gzip", 1) == b"x"


@calm
@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate"]))
def test_garbage_cannot_be_decompressed(data: bytes, encoding: str) -> None:
    with pytest.raises(InvalidRequestError):
        inflate(data, encoding, 1000)


def test_an_unknown_encoding() -> None:
    with pytest.raises(UnknownEncodingError, match="'br' is not known here: gzip, deflate are"):
        inflate(b"", "br", 1)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("deflate;q=1.0, gzip;q=0.9", "deflate"),
        ("identity", None),
        ("gzip;q=0, deflate;q=0", None),
        ("", None),
        (";;,,=q", None),
    ],
)
def test_which_encoding_is_asked_for(header: str, encoding: str | None) -> None:
    assert accepted(header) == encoding
