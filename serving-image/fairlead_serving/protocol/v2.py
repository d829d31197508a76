"""The Open Inference Protocol (V2) over REST: strict decoding of inference requests.

A message is JSON, or with the binary tensor extension JSON and behind it the raw bytes of tensors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np

from fairlead_serving.errors import InvalidRequestError, readable
from fairlead_serving.protocol.rawdata import decode_raw
from fairlead_serving.protocol.tensordata import check_shape, decode_data
from fairlead_serving.tensors import NUMPY_TYPES, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fairlead_serving.rows import Rows
    from fairlead_serving.tensors import Array

    _Read = Callable[[str, msgspec.Raw, str, np.dtype[Any], tuple[int, ...]], Array]

_MAX_RANK: Final = 32
_Size = Annotated[int, msgspec.Meta(ge=0)]
_Parameters = dict[str, bool | int | float | str]
_NO_DATA: Final = msgspec.Raw()
_MAX_DIGITS: Final = 18
# Parameters of extensions that are not here. To overlook them would be to answer another question.
_FOREIGN: Final = ("classification", "shared_memory_region")


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: Annotated[list[_Size], msgspec.Meta(max_length=_MAX_RANK)]
    datatype: str
    data: msgspec.Raw = _NO_DATA
    parameters: _Parameters | None = None


class _RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1)]
    id: str | None = None
    outputs: list[_RequestedOutput] | None = None
    parameters: _Parameters | None = None
    # No fields of the protocol, but KServe's client sends them. The path says which model it is.
    model_name: str | None = None
    model_version: str | None = None


class RawOutputs(NamedTuple):
    """Which outputs the client wants as raw bytes: those it named so, and whether the others."""

    by_name: Mapping[str, bool]
    otherwise: bool

    def wants(self, name: str) -> bool:
        """Tell for one output."""
        return self.by_name.get(name, self.otherwise)


class InferRequest(msgspec.Struct):
    """An inference request. `outputs` is None where the client leaves the choice to the model.

    `raw_outputs` is None where all outputs go as typed values. `rows` is set, and `inputs` empty, where the request is
    of a form that the model has taken before.
    """

    inputs: list[Tensor]
    outputs: tuple[str, ...] | None = None
    id: str | None = None
    parameters: Mapping[str, bool | int | float | str] | None = None
    raw_outputs: RawOutputs | None = None
    rows: Rows | None = None


_decoder: Final = msgspec.json.Decoder(_Request)


def decode_request(body: bytes, json_size: bytes | None = None, read: _Read = decode_data) -> InferRequest:
    """Read an inference request; `json_size` is what its header Inference-Header-Content-Length says, if it has one.

    `read` reads the data of tensors, for callers who take more than the protocol has. Raises InvalidRequestError, with
    the path of the field at fault, for everything that is not allowed.
    """
    raw = None
    if json_size is not None:
        size = _json_size(json_size, len(body))
        raw = _RawInputs(memoryview(body)[size:])
        body = body[:size]
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain(error) from error
    inputs = [_tensor(position, item, raw, read) for position, item in enumerate(message.inputs)]
    if raw is not None:
        raw.check_end()
    if len(inputs) > 1:
        refuse_twins("inputs", [item.name for item in inputs])
    request = InferRequest(inputs, None, message.id, message.parameters)
    if message.outputs or message.parameters:
        _read_outputs(request, message.outputs or ())
    return request


def _read_outputs(request: InferRequest, outputs: Sequence[_RequestedOutput]) -> None:
    """Note which outputs are wanted, and in which form."""
    otherwise = _switch("parameters", request.parameters, "binary_data_output")
    by_name = {}
    for position, item in enumerate(outputs):
        if item.parameters:
            at = f"outputs[{position}].parameters"
            refuse_foreign(at, item.parameters)
            if "binary_data" in item.parameters:
                by_name[item.name] = _switch(at, item.parameters, "binary_data")
    if outputs:
        request.outputs = tuple(item.name for item in outputs)
        refuse_twins("outputs", request.outputs)
    if otherwise or any(by_name.values()):
        request.raw_outputs = RawOutputs(by_name, otherwise)


class _RawInputs:
    """The bytes behind the JSON, taken in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, path: str, size: int) -> memoryview:
        data = self._data[self._at : self._at + size]
        if len(data) != size:
            problem = f"is {size}, but only {len(data)} bytes are left behind the JSON"
            raise InvalidRequestError(at=path, problem=problem)
        self._at += size
        return data

    def check_end(self) -> None:
        left = len(self._data) - self._at
        if left:
            problem = f"the body has {left} bytes more than its inputs' binary_data_size say"
            raise InvalidRequestError(at="", problem=problem)


def _json_size(header: bytes, body: int) -> int:
    if not header.isdigit() or len(header) > _MAX_DIGITS or not 0 < int(header) <= body:
        problem = f"should be a number of bytes from 1 to the body's {body}, not {readable(header.decode('latin-1'))}"
        raise InvalidRequestError(at="Inference-Header-Content-Length", problem=problem)
    return int(header)


def _tensor(position: int, item: _Input, raw: _RawInputs | None, read: _Read) -> Tensor:
    name, datatype = item.name, item.datatype
    dtype = NUMPY_TYPES.get(datatype) or check_datatype(f"inputs[{position}]", datatype)
    shape = tuple(item.shape)
    if item.parameters:
        refuse_foreign(f"inputs[{position}].parameters", item.parameters)
        size = item.parameters.get("binary_data_size")
        if size is not None:
            at = f"inputs[{position}].parameters.binary_data_size"
            return Tensor(name, datatype, decode_raw(at, _behind(at, size, item, raw), datatype, shape))
    at = f"inputs[{position}].data"
    if item.data is _NO_DATA:
        raise InvalidRequestError(at=at, problem="is missing")
    return Tensor(name, datatype, read(at, item.data, datatype, dtype, shape))


def _behind(path: str, size: object, item: _Input, raw: _RawInputs | None) -> memoryview:
    """Return an input's bytes behind the JSON."""
    if type(size) is not int or size < 0:
        raise InvalidRequestError(at=path, problem=f"should be a number of bytes, not {readable(str(size))}")
    if raw is None:
        raise InvalidRequestError(at=path, problem="needs the header Inference-Header-Content-Length")
    if item.data is not _NO_DATA:
        raise InvalidRequestError(at=path, problem="cannot be together with data")
    check_shape(path, tuple(item.shape))
    return raw.take(path, size)


def check_datatype(path: str, datatype: str) -> np.dtype[Any]:
    """Return numpy's name of a datatype. Raises InvalidRequestError for one that the protocol does not have."""
    dtype = NUMPY_TYPES.get(datatype)
    if dtype is None:
        known = ", ".join(NUMPY_TYPES)
        raise InvalidRequestError(at=f"{path}.datatype", problem=f"{readable(datatype)} is not one of {known}")
    return dtype


def refuse_foreign(path: str, parameters: Mapping[str, object]) -> None:
    """Raise InvalidRequestError for parameters of extensions that this server does not have."""
    for name in _FOREIGN:
        if name in parameters:
            raise InvalidRequestError(at=f"{path}.{name}", problem="is of an extension that this server does not have")


def _switch(path: str, parameters: Mapping[str, object] | None, name: str) -> bool:
    value = (parameters or {}).get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequestError(at=f"{path}.{name}", problem=f"should be true or false, not {readable(str(value))}")
    return value


def refuse_twins(field: str, names: Sequence[str]) -> None:
    """Raise InvalidRequestError where a name is there twice."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            raise InvalidRequestError(at=f"{field}[{position}].name", problem=f"{readable(name)} is there twice")
        seen.add(name)


_AT: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`$", re.DOTALL)


def explain(error: Exception) -> InvalidRequestError:
    """Turn a JSON decoder's complaint into `path: problem`, with the path as the client wrote it."""
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
