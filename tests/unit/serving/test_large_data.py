"""Large JSON tensors, read piece by piece: the same arrays and complaints as at once, in a fraction of the memory."""

from __future__ import annotations

import json
import random
import tracemalloc

import msgspec
import numpy as np
import pytest

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.protocol import largedata, tensordata
from fairlead_serving.tensors import NUMPY_TYPES


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few bytes, so that short texts have many."""
    monkeypatch.setattr(largedata, "_PIECE_BYTES", 7)
    monkeypatch.setattr(tensordata, "_LARGE_BYTES", -1)


def decoded(text: str, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    return tensordata.decode_data("data", msgspec.Raw(text.encode()), datatype, NUMPY_TYPES[datatype], shape)


def outcome(text: str, datatype: str, shape: tuple[int, ...]) -> object:
    try:
        return decoded(text, datatype, shape).tolist()
    except InvalidRequestError as error:
        return str(error)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("shape", [(1,), (9,), (40,), (4, 10), (1, 40), (40, 1), (2, 4, 5), (1, 1, 40), (2, 1, 3, 7)])
@pytest.mark.parametrize("datatype", ["FP64", "INT32", "BOOL"])
def test_pieces_make_the_same_array(shape: tuple[int, ...], datatype: str) -> None:
    chance = random.Random(repr(shape))  # noqa: S311  no secret
    values = np.array([chance.randint(0, 999) for _ in range(np.prod(shape))]).reshape(shape)
    array = (values % 2 == 0) if datatype == "BOOL" else values.astype(NUMPY_TYPES[datatype])
    for listed in (array.tolist(), array.ravel().tolist()):
        for text in (json.dumps(listed), json.dumps(listed, separators=(",", ":")), json.dumps(listed, indent=3)):
            assert decoded(text, datatype, shape).tolist() == array.tolist()


WRONG = [
    ("[1, 2, 3, 4, 5, 6, 7, 8.5]", "INT32", (8,), "data[7]: Expected int, got float"),
    ("[1, 2, 3, 4, 5, 6, 7, null]", "FP32", (8,), "data[7]: Expected float, got null"),
    ("[10, 20, 30, 40, 50, 300]", "UINT8", (6,), "data[5]: 300 does not fit into UINT8"),
    ("[[10, 20], [30, 40], [50, 300]]", "UINT8", (3, 2), "data[5]: 300 does not fit into UINT8"),
    ("[1.5, 2.5, 3.5, 1e39, 5.5]", "FP32", (5,), "data[3]: 1e+39 does not fit into FP32"),
    ("[[1, 2], [3, 4], [5, 6], [7, true]]", "FP32", (4, 2), "data[3][1]: Expected float, got bool"),
    ("[[1, 2], [3, 4], [5], [7, 8]]", "FP32", (4, 2), "data[2]: has 1 elements where the shape says 2"),
    ("[[1, 2], [3, 4], [5, 6]]", "FP32", (4, 2), "data: has 3 elements where the shape says 4"),
    ("[1, 2, 3, 4, 5, 6, 7, 8]", "FP32", (9,), "data: has 8 values where shape [9] needs 9"),
    ("[1, 2, 3, 4, 5, 6, 7, 8]", "FP32", (7,), "data: has more values where shape [7] needs 7"),
    ("[1, 2, 3]", "FP32", (1000, 1000), "data: has fewer values where shape [1000, 1000] needs 1000000"),
    ("[[1, 2, 3, 4, 5, 6, 7, 8], 9]", "FP32", (2, 8), "data[1]: Expected array, got int"),
    ('["1, 2, 3, 4", "],[[1,2"]', "FP32", (2,), "data: is not valid JSON"),
    ("[1, 2, 3, 4, , 5, 6]", "FP32", (6,), "data: is not valid JSON"),
    ("[1, 2, 3, 4, 5, 6,      ]", "FP32", (6,), "data: is not valid JSON"),
    ("[[1, 2, 3, 4, 5], 6, 7, 8, 9, 10]]", "FP32", (2, 5), "data[1]: is not valid JSON"),
    ("[[1,2,3,4,5,6,7,8],[1,2],[3,4,5,6,7,8]]", "FP32", (2, 8), "data[1]: has 2 elements where the shape says 8"),
]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(("text", "datatype", "shape", "problem"), WRONG)
def test_what_is_wrong_is_told_from_the_beginning(
    text: str, datatype: str, shape: tuple[int, ...], problem: str
) -> None:
    assert str(outcome(text, datatype, shape)).startswith(problem)


def test_whatever_is_refused_at_once_is_refused_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)  # noqa: S311  no secret
    text = "[[1, 22, 3.5], [4, 555, 6], [7, 8, 99]]"
    broken = []
    for _ in range(2000):
        position, length = chance.randrange(len(text)), chance.randrange(3)
        broken.append(
            text[:position] + chance.choice(["", "[", "]", ",", " ", "1", '"', "-"]) + text[position + length :]
        )
    broken = [each for each in broken if each.startswith("[[")]
    once = [outcome(each, "FP64", (3, 3)) for each in broken]
    monkeypatch.setattr(tensordata, "_LARGE_BYTES", -1)
    for size in (1, 7, 20):
        monkeypatch.setattr(largedata, "_PIECE_BYTES", size)
        for each, expected in zip(broken, once, strict=True):
            found = outcome(each, "FP64", (3, 3))
            assert isinstance(found, str) == isinstance(expected, str), each
            if not isinstance(expected, str):
                assert found == expected


@pytest.mark.parametrize("shape", [(200_000,), (70_000, 3), (2, 100_000)])
def test_a_large_tensor_takes_little_more_than_its_array(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(largedata, "_PIECE_BYTES", 16 * 1024)
    raw = msgspec.Raw(json.dumps(np.full(shape, 1.25).tolist()).encode())
    tracemalloc.start()
    try:
        array = tensordata.decode_data("data", raw, "FP32", NUMPY_TYPES["FP32"], shape)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert array.shape == shape
    assert most < array.nbytes + 2**20
