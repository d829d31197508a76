"""gRPC's messages, held against what the protobuf runtime reads."""

from __future__ import annotations

import contextlib
from typing import Any

from google.protobuf.message import DecodeError

from fairlead_serving.errors import InvalidRequestError, RequestError, TooLargeError, UnknownEncodingError
from fairlead_serving.grpc import calls
from fairlead_serving.grpc import messages as own
from fairlead_serving.grpc.codec import PREFIX_BYTES, prefixed
from fairlead_serving.outputs import Outputs, Part
from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.tensors import element_of
from tests.fuzz.world import World
from tests.serving.contents import CONTENTS
from tests.serving.oip import messages

_LIMIT = 1 << 20


def grpc(world: World, data: bytes) -> None:
    """Take bytes as ModelInferRequest."""
    expected: Any = messages["ModelInferRequest"]()
    try:
        expected.ParseFromString(data)
    except DecodeError:
        expected = None
    try:
        model, request = own.decode_infer(data)
    except InvalidRequestError:
        return
    assert expected is not None, "the protobuf runtime does not take it"
    assert model == (expected.model_name, expected.model_version)
    assert (request.id or "") == expected.id
    assert [item.name for item in request.inputs] == [item.name for item in expected.inputs]
    for ours, theirs in zip(request.inputs, expected.inputs, strict=True):
        assert (ours.datatype, ours.array.shape) == (theirs.datatype, tuple(theirs.shape))
        if not expected.raw_input_contents:
            _compare(ours, theirs)
    answer = own.encode_infer("m", "7", request, request.inputs)
    messages["ModelInferResponse"].FromString(answer)
    if model == ("m", ""):
        _check_short_way(world, data, request)


def _check_short_way(world: World, data: bytes, request: InferRequest) -> None:
    """Hold what is read by the memory of a message like this against what is read without."""
    try:
        world.dataplane.bind(request)
    except RequestError:
        return
    # The first time it may not be known yet.
    for _ in range(2):
        again = world.codec.recall(prefixed(data)) or world.codec.decode(data)
        assert (again.id, again.outputs, again.raw_outputs) == (request.id, request.outputs, request.raw_outputs)
        inputs = [again.rows.tensor()] if again.rows is not None else again.inputs
        for one, other in zip(inputs, request.inputs, strict=True):
            assert (one.name, one.datatype, one.array.shape) == (other.name, other.datatype, other.array.shape)
            assert one.array.tolist() == other.array.tolist() or one.array.tobytes() == other.array.tobytes()
    part = Part(Outputs(request.inputs))
    short, long = world.codec.encode(request, part)[PREFIX_BYTES:], own.encode_infer("m", "7", request, request.inputs)
    assert messages["ModelInferResponse"].FromString(short) == messages["ModelInferResponse"].FromString(long)


def _compare(ours: Any, theirs: Any) -> None:
    values = list(getattr(theirs.contents, CONTENTS[ours.datatype]))
    if ours.datatype == "BYTES":
        values = [element_of(value) for value in values]
    found = ours.array.ravel().tolist()
    assert len(found) == len(values)
    # NaN is not itself.
    assert all(one == other or one != one for one, other in zip(found, values, strict=True))  # noqa: PLR0124


def message(_: World, data: bytes) -> None:
    """Take bytes as a body of gRPC; the first byte names the encoding."""
    encoding = ("", "identity", "gzip", "deflate", "br")[data[0] % 5] if data else ""
    with contextlib.suppress(InvalidRequestError, TooLargeError, UnknownEncodingError):
        assert len(calls.message_of(data[1:], encoding, _LIMIT)) <= _LIMIT
