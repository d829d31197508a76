"""The quick way for requests of a known form says the same as the thorough one."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_serving.batching.feeds import join
from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.protocol.v2 import decode_request
from fairlead_serving.protocol.v2rows import decode_rows
from fairlead_serving.rows import Forms
from fairlead_serving.tensors import Array, Tensor

WANTED = ("y",)


def known(*shapes: tuple[int, ...], datatype: str = "FP32") -> Forms:
    forms = Forms()
    for shape in shapes:
        forms.learn(Tensor("x", datatype, np.ones(shape, np.float64)), WANTED)
    return forms


def body(data: Any, shape: tuple[int, ...], datatype: str = "FP32", **more: Any) -> bytes:
    item = {"name": "x", "shape": shape, "datatype": datatype, "data": data, **more.pop("item", {})}
    return json.dumps({"inputs": [item], **more}).encode()


NUMBERS = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(10**6), 10**6))


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.data(), st.sampled_from(["FP16", "FP32", "FP64"]))
def test_rows_are_read_as_tensors_are(count: int, width: int, nested: bool, data: Any, datatype: str) -> None:  # noqa: FBT001  hypothesis gives it
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=count, max_size=count))
    sent = body(rows if nested else list(chain.from_iterable(rows)), (count, width), datatype, id="7")
    read = decode_rows(sent, known((count, width), datatype=datatype))
    assert read is not None
    assert read.rows is not None
    assert read.id == "7"
    found: Array | str
    wanted: Array | str
    try:
        wanted = decode_request(sent).inputs[0].array
    except InvalidRequestError as error:
        wanted = str(error)
    try:
        found = read.rows.tensor().array
    except InvalidRequestError as error:
        found = str(error)
    assert type(found) is type(wanted)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "sent",
    [
        body([1, 2, 3], (1, 2)),
        body([[1, 2, 3]], (1, 2)),
        body([[1], [2]], (1, 2)),
        body([[1, 2], [3, 4]], (1, 2)),
        body([1, "2"], (1, 2)),
        body([1, True], (1, 2)),
        body([1, None], (1, 2)),
        body([1, 2], (2,)),
        body([1, 2], (2, 1)),
        body([1, 2], (1, 2), "FP64"),
        body([1, 2], (1, 2), "INT64"),
        body([1, 2], (1, 2), item={"name": "other"}),
        body([1, 2], (1, 2), item={"parameters": {"a": 1}}),
        body([1, 2], (1, 2), item={"unknown": 1}),
        body([1, 2], (1, 2), outputs=[{"name": "y"}]),
        body([1, 2], (1, 2), parameters={"binary_data_output": True}),
        body([1, 2], (1, 2), id=7),
        body([1, 2], (1, 2))[:-1],
        body([1, 2], (1, 2)) + b"x",
        body("[[", (1, 2)),
        b"",
        b"\xff",
        b'{"inputs":[]}',
        b"[" * 10_000,
        body([1, 2], (1, 2)).replace(b"[1, 2], ", b"[1, NaN], "),
    ],
)
def test_everything_else_goes_the_thorough_way(sent: bytes) -> None:
    forms = known((1, 2))
    assert decode_rows(body([1, 2], (1, 2)), forms) is not None
    assert decode_rows(sent, forms) is None


def test_only_floats_with_rows_are_learnt_and_not_without_bound() -> None:
    forms = Forms()
    forms.learn(Tensor("x", "INT64", np.ones((1, 2), np.int64)), WANTED)
    forms.learn(Tensor("x", "FP32", np.ones((), np.float32)), WANTED)
    forms.learn(Tensor("x", "FP32", np.ones((0, 2), np.float32)), WANTED)
    assert not forms
    for rows in range(1, 2000):
        forms.learn(Tensor("x", "FP32", np.ones((rows, 1), np.float32)), WANTED)
    assert len(forms) < 300


def test_rows_of_several_requests_become_one_tensor() -> None:
    forms = known((1, 2), (2, 2))
    parts = [decode_rows(body(data, shape), forms) for data, shape in (([1, 2], (1, 2)), ([[3, 4], [5, 6]], (2, 2)))]
    joined = join([part.rows for part in parts if part is not None])
    assert joined.tensor().array.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert joined.first().tolist() == [1, 2]


def test_a_number_that_is_too_large_is_named() -> None:
    read = decode_rows(body([1, -1e39], (1, 2)), known((1, 2)))
    assert read is not None
    assert read.rows is not None
    with pytest.raises(InvalidRequestError, match=r"^inputs\[0\].data\[1\]: -1e\+39 does not fit into FP32$"):
        read.rows.tensor()
