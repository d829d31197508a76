"""The V2 JSON codec: what is written can be read back, and nothing but InvalidRequestError comes of the rest."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.outputs import Outputs, Part, split
from fairlead_serving.protocol.v2 import InferRequest, decode_request
from fairlead_serving.protocol.v2response import ResponseWriter
from fairlead_serving.tensors import NUMPY_TYPES, Tensor, tensor_of

# The limit of 2 s is for the whole test; no single example is worth a deadline on a busy machine.
calm = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


def elements(datatype: str) -> st.SearchStrategy[Any]:
    dtype = NUMPY_TYPES[datatype]
    if dtype.kind == "f":
        width = dtype.itemsize * 8
        return st.floats(allow_nan=False, allow_infinity=False, width=width)  # type: ignore[arg-type]
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return st.integers(int(bounds.min), int(bounds.max))
    return st.booleans() if dtype.kind == "b" else TEXT


@st.composite
def tensors(draw: st.DrawFn, name: str = "x") -> Tensor:
    datatype = draw(st.sampled_from(sorted(NUMPY_TYPES)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = int(np.prod(shape, dtype=int))
    values = draw(st.lists(elements(datatype), min_size=count, max_size=count))
    array = np.empty(count, dtype=NUMPY_TYPES[datatype])
    array[:] = values
    return Tensor(name, datatype, array.reshape(shape))


def encode_request(request: InferRequest) -> bytes:
    inputs = [
        {"name": name, "shape": array.shape, "datatype": datatype, "data": array.ravel().tolist()}
        for name, datatype, array in request.inputs
    ]
    message: dict[str, object] = {"inputs": inputs}
    if request.id is not None:
        message["id"] = request.id
    if request.outputs is not None:
        message["outputs"] = [{"name": name} for name in request.outputs]
    return json.dumps(message).encode()


def written(outputs: list[Tensor]) -> bytes:
    return ResponseWriter("m", "1").write(None, Part(Outputs(outputs)))


@calm
@given(tensors(), st.one_of(st.none(), TEXT), st.one_of(st.none(), st.just(("a", "b"))))
def test_what_is_encoded_is_decoded(tensor: Tensor, request_id: str | None, outputs: tuple[str, ...] | None) -> None:
    again = decode_request(encode_request(InferRequest([tensor], outputs, request_id)))
    assert (again.id, again.outputs) == (request_id, outputs)
    (read,) = again.inputs
    assert (read.name, read.datatype, read.array.shape) == (tensor.name, tensor.datatype, tensor.array.shape)
    assert read.array.dtype == tensor.array.dtype
    np.testing.assert_array_equal(read.array, tensor.array)


@calm
@given(tensors())
def test_nested_data_is_flat_data(tensor: Tensor) -> None:
    item = {"name": "x", "shape": tensor.array.shape, "datatype": tensor.datatype, "data": tensor.array.tolist()}
    if tensor.array.ndim == 0:
        item["data"] = [tensor.array.item()]
    read = decode_request(json.dumps({"inputs": [item]}).encode()).inputs[0].array
    np.testing.assert_array_equal(read, tensor.array)


@calm
@given(tensors())
def test_responses_are_row_major(tensor: Tensor) -> None:
    answer = json.loads(written([tensor]))
    (output,) = answer["outputs"]
    assert output["shape"] == list(tensor.array.shape)
    np.testing.assert_array_equal(np.array(output["data"], dtype=tensor.array.dtype), tensor.array.ravel())


@calm
@given(st.lists(tensors().filter(lambda each: each.array.ndim and len(each.array) == 3), min_size=1), TEXT, TEXT, TEXT)
def test_what_is_written_of_a_part_is_what_is_written_of_its_rows(
    outputs: list[Tensor], model: str, version: str, request_id: str
) -> None:
    writer = ResponseWriter(model, version)
    for part, start, stop in zip(split(outputs, [1, 2]) or (), (0, 1), (1, 3), strict=True):
        answer = json.loads(writer.write(request_id, part))
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (model, version, request_id)
        for output, tensor in zip(answer["outputs"], outputs, strict=True):
            rows = tensor.array[start:stop]
            assert (output["name"], output["datatype"], output["shape"]) == (*tensor[:2], list(rows.shape))
            np.testing.assert_array_equal(np.array(output["data"], dtype=rows.dtype), rows.ravel())


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
FIELDS = ("name", "shape", "datatype", "data", "parameters", "surprise")


@calm
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(sorted(NUMPY_TYPES)))
def test_garbage_is_only_ever_the_clients_fault(fields: dict[str, Any], datatype: str) -> None:
    item = {"name": "x", "shape": [2], "datatype": datatype, "data": [1, 2], **fields}
    try:
        decode_request(json.dumps({"inputs": [item]}).encode())
    except InvalidRequestError as error:
        assert str(error)  # noqa: PT017  most examples raise, some do not


@calm
@given(st.binary(max_size=64))
def test_bytes_are_only_ever_the_clients_fault(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        decode_request(body)


@pytest.mark.parametrize(
    ("values", "datatype", "data"),
    [
        (np.array(["a", "b"]), "BYTES", ["a", "b"]),
        (np.array([b"a", b"b"]), "BYTES", ["a", "b"]),
        (np.array(["a", 1, None], dtype=object), "BYTES", ["a", "1", "None"]),
        (np.array([1, 2], dtype=np.int32), "INT32", [1, 2]),
        (np.array([1.5], dtype=">f8"), "FP64", [1.5]),
        (np.array([True]), "BOOL", [True]),
        (np.array(["2026-11-21"], dtype="datetime64[D]"), "BYTES", ["2026-11-21"]),
        ([1, 2], "INT64", [1, 2]),
    ],
)
def test_what_a_model_answers_becomes_a_tensor(values: Any, datatype: str, data: list[object]) -> None:
    tensor = tensor_of("y", values)
    assert (tensor.datatype, tensor.array.ravel().tolist()) == (datatype, data)
    assert json.loads(written([tensor]))["outputs"][0]["data"] == data


def test_numbers_that_json_lacks_become_null() -> None:
    answer = written([tensor_of("y", np.array([np.nan, np.inf, 1.0]))])
    assert msgspec.json.decode(answer)["outputs"][0]["data"] == [None, None, 1.0]
