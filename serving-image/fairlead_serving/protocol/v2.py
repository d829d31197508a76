"""The Open Inference Protocol (V2) over JSON: strict decoding and encoding of inference messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from fairlead_serving.errors import InvalidRequestError, readable
from fairlead_serving.protocol.tensordata import decode_data
from fairlead_serving.tensors import NUMPY_TYPES, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_RANK: Final = 32
_Size = Annotated[int, msgspec.Meta(ge=0)]
_Parameters = dict[str, bool | int | float | str]


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: Annotated[list[_Size], msgspec.Meta(max_length=_MAX_RANK)]
    datatype: str
    data: msgspec.Raw
    parameters: _Parameters | None = None


class _RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1)]
    id: str | None = None
    outputs: list[_RequestedOutput] | None = None
    parameters: _Parameters | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[bool | int | float | str]


class _Response(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str | None = None


@dataclass(slots=True)
class InferRequest:
    """An inference request. `outputs` is None where the client leaves the choice to the model."""

    inputs: list[Tensor]
    outputs: tuple[str, ...] | None = None
    id: str | None = None


_decoder: Final = msgspec.json.Decoder(_Request)
_encoder: Final = msgspec.json.Encoder()


def decode_request(body: bytes) -> InferRequest:
    """Read an inference request.

    Raises InvalidRequestError, with the path of the field at fault, for everything the protocol does not allow.
    """
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(error) from error
    inputs = [_tensor(position, item) for position, item in enumerate(message.inputs)]
    if len(inputs) > 1:
        _refuse_twins("inputs", [item.name for item in inputs])
    outputs = None
    if message.outputs:
        outputs = tuple(item.name for item in message.outputs)
        _refuse_twins("outputs", outputs)
    return InferRequest(inputs, outputs, message.id)


def encode_response(model: str, version: str, request_id: str | None, outputs: Sequence[Tensor]) -> bytes:
    """Write an inference response; tensors are flattened in row-major order, NaN and infinities become null."""
    tensors = [
        _Output(item.name, item.datatype, list(item.array.shape), item.array.ravel().tolist()) for item in outputs
    ]
    return _encoder.encode(_Response(model, version, tensors, request_id))


def encode_request(request: InferRequest) -> bytes:
    """Write an inference request, for clients and tests."""
    message: dict[str, object] = {
        "inputs": [
            {
                "name": item.name,
                "shape": item.array.shape,
                "datatype": item.datatype,
                "data": item.array.ravel().tolist(),
            }
            for item in request.inputs
        ]
    }
    if request.id is not None:
        message["id"] = request.id
    if request.outputs is not None:
        message["outputs"] = [{"name": name} for name in request.outputs]
    return _encoder.encode(message)


def _tensor(position: int, item: _Input) -> Tensor:
    dtype = NUMPY_TYPES.get(item.datatype)
    if dtype is None:
        known = ", ".join(NUMPY_TYPES)
        raise InvalidRequestError(
            at=f"inputs[{position}].datatype", problem=f"{readable(item.datatype)} is not one of {known}"
        )
    array = decode_data(f"inputs[{position}].data", item.data, item.datatype, dtype, tuple(item.shape))
    return Tensor(item.name, item.datatype, array)


def _refuse_twins(field: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            raise InvalidRequestError(at=f"{field}[{position}].name", problem=f"{readable(name)} is there twice")
        seen.add(name)


_AT: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`$", re.DOTALL)


def _explain(error: Exception) -> InvalidRequestError:
    """Turn a decoder's complaint into `path: problem`, with the path as the client wrote it."""
    if isinstance(error, RecursionError):
        return InvalidRequestError(at="", problem="the body is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequestError(at="", problem=f"the body is not valid JSON: {error}")
    match = _AT.match(str(error))
    problem, path = (match["problem"], match["path"] or "") if match else (str(error), "")
    path = path.removeprefix("$").removeprefix(".")
    field = _FIELD.match(problem)
    if field:
        path = f"{path}.{field['name']}" if path else field["name"]
        problem = "is missing" if field["what"].startswith("missing") else "is not a field of the protocol"
    return InvalidRequestError(at=path or "body", problem=problem.replace("`", ""))
