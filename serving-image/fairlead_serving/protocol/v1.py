"""The older V1 protocol (`:predict`), translated to and from V2.

A list of instances becomes one tensor; instances that are objects become one tensor for each of their fields. The
answer is the model's first output. Bytes that are no text are `{"b64": "…"}`, as TensorFlow Serving has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from fairlead_serving.errors import InvalidRequestError, readable
from fairlead_serving.protocol.tensordata import decode_data
from fairlead_serving.protocol.v2 import InferRequest, RawOutputs, explain
from fairlead_serving.tensors import NUMPY_TYPES, Tensor, as_bytes, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.tensors import TensorSpec

_MAX_RANK: Final = 32
_ENCODED: Final = "b64"
_RAW: Final = RawOutputs({}, otherwise=True)


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    instances: Annotated[list[Any], msgspec.Meta(min_length=1)]
    signature_name: str | None = None


_decoder: Final = msgspec.json.Decoder(_Request)
_encoder: Final = msgspec.json.Encoder()


def decode_request(body: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> InferRequest:
    """Read a V1 request for a model with these inputs and outputs.

    Raises InvalidRequestError, with the path of the field at fault.
    """
    try:
        instances = _decoder.decode(body).instances
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain(error) from error
    alone = len(inputs) == 1 and inputs[0].name != _ENCODED
    if isinstance(instances[0], dict) and not (alone and _is_encoded(instances[0])):
        tensors = _columns(instances, {spec.name: spec for spec in inputs})
    elif len(inputs) == 1:
        tensors = [_tensor("instances", instances, inputs[0].name, inputs[0])]
    else:
        names = ", ".join(spec.name for spec in inputs)
        raise InvalidRequestError(at="instances[0]", problem=f"should be an object, as the model takes {names}")
    if not outputs:
        return InferRequest(tensors)
    return InferRequest(tensors, (outputs[0].name,), raw_outputs=_RAW if outputs[0].binary else None)


def encode_response(request: InferRequest, outputs: Sequence[Tensor]) -> bytes:
    """Write the first output, one prediction for each instance."""
    _, datatype, array = outputs[0]
    if datatype == "BYTES":
        flat = (as_bytes(array) if request.raw_outputs else array).ravel().tolist()
        array = objects([{_ENCODED: item} if type(item) is bytes else item for item in flat], array.shape)
    return _encoder.encode({"predictions": array.tolist()})


def _is_encoded(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {_ENCODED} and isinstance(value[_ENCODED], str)


def _columns(instances: list[Any], specs: dict[str, TensorSpec]) -> list[Tensor]:
    names = instances[0].keys()
    for position, instance in enumerate(instances):
        if not isinstance(instance, dict) or instance.keys() != names:
            problem = f"should be an object with the fields of the first: {readable(', '.join(names))}"
            raise InvalidRequestError(at=f"instances[{position}]", problem=problem)
    if not names:
        raise InvalidRequestError(at="instances[0]", problem="has no fields")
    return [
        _tensor(f"instances[].{name}", [instance[name] for instance in instances], name, specs.get(name))
        for name in names
    ]


def _tensor(path: str, values: list[Any], name: str, spec: TensorSpec | None) -> Tensor:
    shape: list[int] = []
    inner: Any = values
    while isinstance(inner, list) and len(shape) < _MAX_RANK:
        shape.append(len(inner))
        inner = inner[0] if inner else None
    if isinstance(inner, str) or _is_encoded(inner):
        datatype = "BYTES"
    elif spec is not None:
        datatype = spec.datatype
    else:
        datatype = "BOOL" if isinstance(inner, bool) else "FP64"
    raw = msgspec.Raw(_encoder.encode(values))
    dtype = NUMPY_TYPES[datatype]
    return Tensor(name, datatype, decode_data(path, raw, datatype, dtype, tuple(shape), encoded=True))
