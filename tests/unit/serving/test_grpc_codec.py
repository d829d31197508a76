"""The gRPC messages against the protobuf runtime, and that nothing but InvalidRequestError comes of the rest."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairlead_serving.errors import (
    InvalidRequestError,
    ModelFailureError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnknownEncodingError,
)
from fairlead_serving.grpc import messages, status, wire
from fairlead_serving.grpc.calls import failure_of
from fairlead_serving.http2.hpack import Decoder
from fairlead_serving.protocol.v2 import InferRequest, RawOutputs
from fairlead_serving.tensors import NUMPY_TYPES, Tensor
from tests.serving.contents import CONTENTS
from tests.serving.identity import raw
from tests.serving.oip import messages as theirs

calm = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
RAW = RawOutputs({}, otherwise=True)


@st.composite
def arrays(draw: st.DrawFn, datatype: str) -> Any:
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    if datatype == "BYTES":
        count = int(np.prod(shape, dtype=int))
        array = np.empty(count, dtype=object)
        array[:] = draw(st.lists(TEXT, min_size=count, max_size=count))
        return array.reshape(shape)
    return draw(hnp.arrays(NUMPY_TYPES[datatype], shape))


def listed(array: Any, datatype: str) -> list[Any]:
    return [text.encode() for text in array.ravel()] if datatype == "BYTES" else array.ravel().tolist()


@calm
@given(st.data(), st.sampled_from(sorted(CONTENTS)), st.booleans())
def test_requests_are_read_as_protobuf_wrote_them(data: st.DataObject, datatype: str, is_raw: bool) -> None:  # noqa: FBT001  hypothesis gives it
    array = data.draw(arrays(datatype))
    request = theirs["ModelInferRequest"](model_name="m", model_version="1", id=data.draw(TEXT))
    request.parameters["a"].int64_param = -5
    request.parameters["b"].string_param = "ü"
    request.parameters["c"].double_param = 0.5
    tensor = request.inputs.add(name="x", datatype=datatype, shape=array.shape)
    tensor.parameters["d"].bool_param = True
    request.outputs.add(name="y")
    if is_raw:
        request.raw_input_contents.append(raw(array))
    else:
        getattr(tensor.contents, CONTENTS[datatype]).extend(listed(array, datatype))
    model, read = messages.decode_infer(request.SerializeToString())
    assert (model, read.id or "", read.outputs) == (("m", "1"), request.id, ("y",))
    assert read.parameters == {"a": -5, "b": "ü", "c": 0.5}
    assert read.raw_outputs == (RAW if is_raw else None)
    (found,) = read.inputs
    assert (found.name, found.datatype, found.array.shape) == ("x", datatype, array.shape)
    assert found.array.dtype == array.dtype
    np.testing.assert_array_equal(found.array, array)


@calm
@given(st.data(), st.sampled_from(sorted(CONTENTS)), st.booleans())
def test_protobuf_reads_answers_as_they_were_meant(data: st.DataObject, datatype: str, is_raw: bool) -> None:  # noqa: FBT001  as above
    array = data.draw(arrays(datatype))
    request = InferRequest([], id="1", raw_outputs=RAW if is_raw else None)
    answer = theirs["ModelInferResponse"].FromString(
        messages.encode_infer("m", "2", request, [Tensor("y", datatype, array)])
    )
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "2", "1")
    (output,) = answer.outputs
    assert (output.name, output.datatype, tuple(output.shape)) == ("y", datatype, array.shape)
    if is_raw:
        assert list(answer.raw_output_contents) == [raw(array)]
    else:
        np.testing.assert_array_equal(list(getattr(output.contents, CONTENTS[datatype])), listed(array, datatype))


def test_half_floats_make_all_outputs_raw() -> None:
    outputs = [Tensor("a", "FP16", np.ones(2, np.float16)), Tensor("b", "INT8", np.ones(2, np.int8))]
    answer = theirs["ModelInferResponse"].FromString(messages.encode_infer("m", "1", InferRequest([]), outputs))
    assert list(answer.raw_output_contents) == [raw(item.array) for item in outputs]


@calm
@given(hnp.arrays(np.uint64, st.integers(0, 60)))
def test_packed_numbers_there_and_back(array: Any) -> None:
    packed = wire.pack_varints(array)
    np.testing.assert_array_equal(wire.varints(packed, 0, len(packed)), array)
    assert packed == b"".join(map(wire.number, array.tolist()))


def test_numbers_may_come_unpacked_and_in_pieces() -> None:
    # Field 2 (int_contents): 1, then packed 2 and 3, then 4.
    contents = b"\x10\x01\x12\x02\x02\x03\x10\x04"
    tensor = b"\x0a\x01x\x12\x04INT8\x18\x02\x18\x02" + wire.write(5, contents)
    assert messages.decode_infer(wire.write(5, tensor)).request.inputs[0].array.tolist() == [[1, 2], [3, 4]]


def test_unknown_fields_mean_nothing() -> None:
    data = b"\xf8\x07\x05" + b"\xfa\x07\x02hi" + b"\xfd\x07abcd" + b"\xf9\x07abcdefgh" + wire.write_text(1, "m")
    assert messages.decode_model(data) == ("m", "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a", "ends within a number"),
        (b"\x0a\x05m", "ends within a field"),
        (b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "is too long"),
        (b"\x0b", "wire type 3"),
        (b"\x0d\x00", "ends within a field"),
        (b"\x08\x01", "name: is of the wire type 0"),
        (b"\x0a\x01\xff", "name: is not valid UTF-8"),
    ],
)
def test_what_is_no_message(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        messages.decode_model(data)


def _valid() -> bytes:
    request = theirs["ModelInferRequest"](model_name="m", id="q")
    tensor = request.inputs.add(name="x", datatype="INT32", shape=[40])
    tensor.contents.int_contents.extend(range(-20, 20))
    tensor.parameters["z"].double_param = 3
    request.outputs.add(name="q")
    return bytes(request.SerializeToString())


VALID = _valid()


@calm
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_only_ever_the_clients_fault(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(VALID)
    for at, value in changes:
        damaged[at] = value
    for data in (bytes(damaged), VALID[: changes[0][0]]):
        try:
            messages.decode_infer(data)
        except InvalidRequestError as error:
            assert str(error)  # noqa: PT017  most examples raise, some do not


@pytest.mark.parametrize(
    ("error", "code", "more"),
    [
        (InvalidRequestError(at="inputs", problem="is 100 % größer"), b"3", {}),
        (NotFoundError("what"), b"5", {}),
        (TooLargeError(5), b"8", {}),
        (UnknownEncodingError("br"), b"12", {b"grpc-accept-encoding": b"identity,gzip,deflate"}),
        (NotReadyError("soon"), b"14", {}),
        (OverloadedError(2.5, 7), b"14", {b"grpc-retry-pushback-ms": b"3000"}),
        (ModelFailureError("oh"), b"13", {}),
    ],
)
def test_errors_become_statuses(error: RequestError, code: bytes, more: dict[bytes, bytes]) -> None:
    answer = status.failed(failure_of(error)).on(1)
    found = dict(Decoder(10_000).decode(answer[9:]))
    assert found.pop(b":status") == b"200"
    assert found.pop(b"content-type") == b"application/grpc"
    assert found.pop(b"grpc-status") == code
    assert unquote(found.pop(b"grpc-message").decode()) == str(error)
    assert found == more
