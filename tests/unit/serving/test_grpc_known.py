"""The short way for gRPC messages that differ in their numbers only says the same as the thorough one."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairlead_serving.dataplane import Dataplane, Identity
from fairlead_serving.errors import NotFoundError
from fairlead_serving.grpc.codec import PREFIX_BYTES, InferCodec, prefixed
from fairlead_serving.grpc.messages import encode_infer
from fairlead_serving.outputs import Outputs, Part, split
from fairlead_serving.protocol.v2 import InferRequest, RawOutputs
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor
from tests.serving.oip import messages as theirs

calm = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
RAW = RawOutputs({}, otherwise=True)
CONTENTS = {"FP32": "fp32_contents", "FP64": "fp64_contents"}


def request(array: Array, datatype: str = "FP32", *, is_raw: bool = True, **fields: Any) -> bytes:
    message = theirs["ModelInferRequest"](**{"model_name": "m", **fields})
    tensor = message.inputs.add(name="x", datatype=datatype, shape=array.shape)
    if is_raw:
        message.raw_input_contents.append(array.tobytes())
    else:
        getattr(tensor.contents, CONTENTS[datatype]).extend(array.ravel().tolist())
    return bytes(message.SerializeToString())


def codec(array: Array, datatype: str = "FP32") -> InferCodec:
    dataplane = Dataplane(Identity("m", "1", "r"))
    dataplane.forms.learn(Tensor("x", datatype, array), ("y",))
    return InferCodec(dataplane)


@calm
@given(st.data(), st.sampled_from(sorted(CONTENTS)), st.booleans())
def test_known_messages_are_read_as_unknown_ones(data: st.DataObject, datatype: str, is_raw: bool) -> None:  # noqa: FBT001  hypothesis gives it
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    first, second = (data.draw(hnp.arrays(NUMPY_TYPES[datatype], shape)) for _ in range(2))
    reader = codec(first, datatype)
    assert reader.recall(prefixed(request(first, datatype, is_raw=is_raw))) is None
    unknown = reader.decode(request(first, datatype, is_raw=is_raw))
    known = reader.recall(prefixed(request(second, datatype, is_raw=is_raw)))
    assert known is not None
    assert known.rows is not None
    assert known.raw_outputs == unknown.raw_outputs
    found = known.rows.tensor()
    assert found[:2] == ("x", datatype)
    np.testing.assert_array_equal(found.array, second)
    np.testing.assert_array_equal(known.rows.first(), second.reshape(len(second), -1)[0])
    assert found.array.flags.writeable


ONES = np.ones((1, 4), np.float32)


@pytest.mark.parametrize(
    "other",
    [
        request(ONES, id="7"),
        request(ONES, model_version="1"),
        request(ONES, is_raw=False),
        request(ONES.reshape(2, 2)),
        request(ONES.reshape(4, 1)),
        request(np.ones((1, 2)), "FP64"),
        request(np.ones((1, 4), np.int32), "INT32"),
    ],
)
def test_other_messages_are_not_taken_for_known_ones(other: bytes) -> None:
    reader = codec(ONES)
    reader.decode(request(ONES))
    known = prefixed(request(ONES))
    assert reader.recall(known) is not None
    assert reader.recall(prefixed(other)) is None
    assert reader.recall(b"\x01" + known[1:]) is None, "compressed"
    assert reader.recall(known + b"\x00") is None
    assert reader.recall(known[:-1]) is None


def test_a_message_for_another_model_is_never_known() -> None:
    reader = codec(ONES)
    reader.decode(request(ONES))
    for _ in range(2):
        assert reader.recall(prefixed(request(ONES, model_name="n"))) is None
        with pytest.raises(NotFoundError):
            reader.decode(request(ONES, model_name="n"))


@st.composite
def outputs(draw: st.DrawFn) -> list[Tensor]:
    found, rows = [], draw(st.integers(3, 12))
    for number in range(draw(st.integers(1, 3))):
        datatype = draw(st.sampled_from([name for name in NUMPY_TYPES if name not in ("BYTES", "BF16")]))
        shape = (rows, *draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)))
        small = st.integers(0, 1) if draw(st.booleans()) else None
        found.append(Tensor(f"y{number}", datatype, draw(hnp.arrays(NUMPY_TYPES[datatype], shape, elements=small))))
    return found


@calm
@given(outputs(), st.booleans(), st.sampled_from([None, "id"]))
def test_answers_are_written_as_the_thorough_way_does(
    tensors: list[Tensor],
    is_raw: bool,  # noqa: FBT001  as above
    request_id: str | None,
) -> None:
    asked = InferRequest([], id=request_id, raw_outputs=RAW if is_raw else None)
    writer = codec(ONES)
    rows = len(tensors[0].array)
    sizes = [[1] * rows, [1, rows - 1], [2] * (rows // 2) + [1] * (rows % 2), [1, 2] * (rows // 3) + [1] * (rows % 3)]
    parts = [Part(Outputs(tensors)), *chain.from_iterable(split(tensors, each) or () for each in sizes)]
    for part in parts:
        wanted = theirs["ModelInferResponse"].FromString(encode_infer("m", "1", asked, part.tensors))
        body = writer.encode(asked, part)
        message = body[PREFIX_BYTES:]
        assert body == prefixed(message)
        written = theirs["ModelInferResponse"].FromString(message)
        assert written.SerializeToString(deterministic=True) == wanted.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("y", "BYTES", np.array(["a", "b"], dtype=object)),
        Tensor("y", "BF16", np.ones(2, np.float32)),
        Tensor("y", "FP32", np.array(1.5, np.float32)),
        Tensor("y", "INT64", np.zeros((0, 2), np.int64)),
        Tensor("y", "INT64", np.array([1, -1])),
        Tensor("y", "FP64", np.array([1.5, 2.5], ">f8")),
    ],
)
@pytest.mark.parametrize("raw_outputs", [None, RAW])
def test_what_has_no_fixed_size_is_written_all_the_same(tensor: Tensor, raw_outputs: RawOutputs | None) -> None:
    asked = InferRequest([], raw_outputs=raw_outputs)
    wanted = encode_infer("m", "1", asked, [tensor])
    written = codec(ONES).encode(asked, Part(Outputs([tensor])))[PREFIX_BYTES:]
    answers = [theirs["ModelInferResponse"].FromString(each) for each in (written, wanted)]
    assert answers[0] == answers[1]
