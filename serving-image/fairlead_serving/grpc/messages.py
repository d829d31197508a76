"""The messages of inference.GRPCInferenceService, between wire format and core types."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.grpc import contents, wire
from fairlead_serving.protocol.rawdata import decode_raw, encode_raw
from fairlead_serving.protocol.tensordata import check_shape
from fairlead_serving.protocol.v2 import InferRequest, RawOutputs, check_datatype, refuse_foreign, refuse_twins
from fairlead_serving.tensors import Tensor

if TYPE_CHECKING:
    from fairlead_serving.grpc.wire import Field

_MAX_RANK: Final = 32
_MAX_KNOWN_BYTES: Final = 1024
# Field numbers of ModelInferRequest, and of the answer too.
_ID: Final = 3
_RAW_CONTENTS: Final = 7
_RAW: Final = RawOutputs({}, otherwise=True)
Parameter = bool | int | float | str


class ModelRequest(NamedTuple):
    """A request that is about a model. An empty version means any."""

    name: str
    version: str


class NamedInferRequest(NamedTuple):
    """An inference request together with the model it is meant for."""

    model: ModelRequest
    request: InferRequest


class _Input(NamedTuple):
    """One input before its values are read; `contents` is where they are, if they are typed: most often one place."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    contents: tuple[tuple[int, int], ...]


class _Frame(NamedTuple):
    """All of a request but its id and its raw contents. Requests of one client often have it in common."""

    model: ModelRequest
    inputs: tuple[_Input, ...]
    outputs: tuple[str, ...] | None
    parameters: Mapping[str, Parameter] | None


def decode_model(data: bytes) -> ModelRequest:
    """Read ModelReadyRequest and ModelMetadataRequest. Raises InvalidRequestError."""
    name = version = ""
    for field in wire.fields(data, 0, len(data)):
        if field[0] == 1:
            name = wire.text(data, field, "name")
        elif field[0] == 2:  # noqa: PLR2004  field numbers are as in the protocol's file
            version = wire.text(data, field, "version")
    return ModelRequest(name, version)


def decode_infer(data: bytes) -> NamedInferRequest:
    """Read ModelInferRequest. Raises InvalidRequestError, with the path of the field at fault."""
    request_id = ""
    raw: list[tuple[int, int]] = []
    rest: list[bytes] = []
    for number, wire_type, start, end in wire.fields(data, 0, len(data)):
        if number == _RAW_CONTENTS:
            raw.append(wire.span((number, wire_type, start, end), f"raw_input_contents[{len(raw)}]"))
        elif number == _ID:
            request_id = wire.text(data, (number, wire_type, start, end), "id")
        elif wire_type == wire.BYTES:
            # Each of these is a string or a message; what is not is not known here.
            rest.append(wire.write(number, data[start:end]))
    framing = b"".join(rest)
    model, inputs, outputs, parameters = (
        _known_frame(framing) if raw and len(framing) <= _MAX_KNOWN_BYTES else _read_frame(framing)
    )
    tensors = _raw_tensors(data, inputs, raw) if raw else _typed_tensors(framing, inputs)
    request = InferRequest(tensors, outputs, request_id or None, parameters, _RAW if raw else None)
    return NamedInferRequest(model, request)


def _read_frame(data: bytes) -> _Frame:
    texts = {1: "", 2: ""}
    inputs: list[_Input] = []
    outputs: list[str] = []
    parameters: dict[str, Parameter] = {}
    for field in wire.fields(data, 0, len(data)):
        match field[0]:
            case 1 | 2:
                texts[field[0]] = wire.text(data, field, ("model_name", "model_version")[field[0] - 1])
            case 4:
                _parameter("parameters", data, field, parameters)
            case 5:
                inputs.append(_input(f"inputs[{len(inputs)}]", data, field))
            case 6:
                outputs.append(_output(f"outputs[{len(outputs)}]", data, field))
            case _:
                pass
    if not inputs:
        raise InvalidRequestError(at="inputs", problem="is missing")
    refuse_twins("inputs", [item.name for item in inputs])
    refuse_twins("outputs", outputs)
    return _Frame(ModelRequest(texts[1], texts[2]), tuple(inputs), tuple(outputs) or None, parameters or None)


_known_frame = functools.lru_cache(maxsize=256)(_read_frame)


def encode_infer(model: str, version: str, request: InferRequest, outputs: Sequence[Tensor]) -> bytes:
    """Write ModelInferResponse: raw if the request was, or if a type has no other way; else with typed values."""
    raw = request.raw_outputs is not None or not all(contents.typed(item.datatype) for item in outputs)
    pieces = [named(model, version), wire.write_text(_ID, request.id or "")]
    for item in outputs:
        tensor = described(item.name, item.datatype, item.array.shape)
        if not raw:
            tensor += wire.write(5, contents.encode(item))
        pieces.append(wire.write(5, tensor))
    if raw:
        pieces += [wire.write(6, encode_raw(item)) for item in outputs]
    return b"".join(pieces)


def encode_truth(*, value: bool) -> bytes:
    """Write ServerLiveResponse, ServerReadyResponse or ModelReadyResponse."""
    return wire.write_truth(1, value=value)


def encode_server(metadata: Mapping[str, Any]) -> bytes:
    """Write ServerMetadataResponse from V2 server metadata."""
    texts = [wire.write_text(1, metadata["name"]), wire.write_text(2, metadata["version"])]
    return b"".join([*texts, *(wire.write_text(3, name) for name in metadata["extensions"])])


def encode_model(metadata: Mapping[str, Any]) -> bytes:
    """Write ModelMetadataResponse from V2 model metadata."""
    pieces = [wire.write_text(1, metadata["name"])]
    pieces += [wire.write_text(2, version) for version in metadata["versions"]]
    pieces.append(wire.write_text(3, metadata["platform"]))
    for number, field in ((4, "inputs"), (5, "outputs")):
        for spec in metadata[field]:
            pieces.append(wire.write(number, described(spec["name"], spec["datatype"], tuple(spec["shape"]))))
    return b"".join(pieces)


@functools.lru_cache(maxsize=16)
def named(model: str, version: str) -> bytes:
    """Return the fields that name a model and its version."""
    return wire.write_text(1, model) + wire.write_text(2, version)


@functools.lru_cache(maxsize=256)
def described(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """Return the fields that describe a tensor."""
    sizes = b"".join([wire.number(size & 0xFFFF_FFFF_FFFF_FFFF) for size in shape])
    packed = wire.write(3, sizes) if sizes else b""
    return wire.write_text(1, name) + wire.write_text(2, datatype) + packed


def _input(path: str, data: bytes, field: Field) -> _Input:
    name = datatype = ""
    shape: list[int] = []
    places: tuple[tuple[int, int], ...] = ()
    parameters: dict[str, Parameter] = {}
    for inner in wire.fields(data, *wire.span(field, path)):
        match inner[0]:
            case 1:
                name = wire.text(data, inner, f"{path}.name")
            case 2:
                datatype = wire.text(data, inner, f"{path}.datatype")
            case 3:
                _sizes(f"{path}.shape", data, inner, shape)
            case 4:
                _parameter(f"{path}.parameters", data, inner, parameters)
            case 5:
                places += (wire.span(inner, f"{path}.contents"),)
            case _:
                pass
    refuse_foreign(f"{path}.parameters", parameters)
    check_datatype(path, datatype)
    check_shape(f"{path}.shape", tuple(shape))
    return _Input(name, datatype, tuple(shape), places)


def _sizes(path: str, data: bytes, field: Field, into: list[int]) -> None:
    if field[1] == wire.VARINT:
        into.append(wire.signed(field[2]))
    else:
        at, end = wire.span(field, path)
        while at < end and len(into) <= _MAX_RANK:
            value, at = wire.varint(data, at, end)
            into.append(wire.signed(value))
    if len(into) > _MAX_RANK:
        raise InvalidRequestError(at=path, problem=f"has more than {_MAX_RANK} sizes")
    if into and min(into) < 0:
        raise InvalidRequestError(at=path, problem=f"{into} has a negative size")


def _output(path: str, data: bytes, field: Field) -> str:
    name = ""
    parameters: dict[str, Parameter] = {}
    for inner in wire.fields(data, *wire.span(field, path)):
        if inner[0] == 1:
            name = wire.text(data, inner, f"{path}.name")
        elif inner[0] == 2:  # noqa: PLR2004  as above
            _parameter(f"{path}.parameters", data, inner, parameters)
    refuse_foreign(f"{path}.parameters", parameters)
    return name


def _parameter(path: str, data: bytes, field: Field, into: dict[str, Parameter]) -> None:
    """Read one entry of a map from names to InferParameter."""
    key, value = "", None
    for entry in wire.fields(data, *wire.span(field, path)):
        if entry[0] == 1:
            key = wire.text(data, entry, path)
        elif entry[0] == 2:  # noqa: PLR2004  as above
            for inner in wire.fields(data, *wire.span(entry, path)):
                value = _value(f"{path}.{key}", data, inner)
    if value is not None:
        into[key] = value


def _value(path: str, data: bytes, field: Field) -> Parameter | None:
    number, kind, start, end = field
    match number, kind:
        case 1, wire.VARINT:
            return bool(start)
        case 2, wire.VARINT:
            return wire.signed(start)
        case 3, wire.BYTES:
            return wire.text(data, field, path)
        case 4, wire.FIXED64:
            return float(struct.unpack("<d", data[start:end])[0])
        case 5, wire.VARINT:
            return start
        case _:
            return None


def _raw_tensors(data: bytes, inputs: Sequence[_Input], raw: Sequence[tuple[int, int]]) -> list[Tensor]:
    if len(raw) != len(inputs):
        problem = f"has {len(raw)} entries where there are {len(inputs)} inputs"
        raise InvalidRequestError(at="raw_input_contents", problem=problem)
    view = memoryview(data)
    tensors = []
    for position, (item, (start, end)) in enumerate(zip(inputs, raw, strict=True)):
        if item.contents:
            at = f"inputs[{position}].contents"
            raise InvalidRequestError(at=at, problem="cannot be together with raw_input_contents")
        array = decode_raw(f"raw_input_contents[{position}]", view[start:end], item.datatype, item.shape)
        tensors.append(Tensor(item.name, item.datatype, array))
    return tensors


def _typed_tensors(data: bytes, inputs: Sequence[_Input]) -> list[Tensor]:
    tensors = []
    for position, (name, datatype, shape, places) in enumerate(inputs):
        array = contents.decode(f"inputs[{position}].contents", data, places, datatype, shape)
        tensors.append(Tensor(name, datatype, array))
    return tensors
