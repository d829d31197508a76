"""The Open Inference Protocol's gRPC messages, as the protobuf runtime understands them: an independent reading.

Laid down from the protocol's published `.proto` by field numbers, so that no compiler is needed.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS: Final = {
    "bool": 8,
    "string": 9,
    "message": 11,
    "bytes": 12,
    "int32": 5,
    "int64": 3,
    "uint32": 13,
    "uint64": 4,
    "float": 2,
    "double": 1,
}
# A name, a number and a type; * for repeated, {} for a map from names to parameters, | for one of several.
_MESSAGES: Final = {
    "Empty": "",
    "ServerLiveResponse": "live 1 bool",
    "ServerReadyResponse": "ready 1 bool",
    "ModelRequest": "name 1 string, version 2 string",
    "ModelReadyResponse": "ready 1 bool",
    "ServerMetadataResponse": "name 1 string, version 2 string, extensions 3 *string",
    "TensorMetadata": "name 1 string, datatype 2 string, shape 3 *int64",
    "ModelMetadataResponse": (
        "name 1 string, versions 2 *string, platform 3 string, inputs 4 *TensorMetadata, outputs 5 *TensorMetadata"
    ),
    "InferParameter": (
        "bool_param 1 |bool, int64_param 2 |int64, string_param 3 |string, double_param 4 |double, "
        "uint64_param 5 |uint64"
    ),
    "InferTensorContents": (
        "bool_contents 1 *bool, int_contents 2 *int32, int64_contents 3 *int64, uint_contents 4 *uint32, "
        "uint64_contents 5 *uint64, fp32_contents 6 *float, fp64_contents 7 *double, bytes_contents 8 *bytes"
    ),
    "InferInputTensor": (
        "name 1 string, datatype 2 string, shape 3 *int64, parameters 4 {}, contents 5 InferTensorContents"
    ),
    "InferRequestedOutputTensor": "name 1 string, parameters 2 {}",
    "InferOutputTensor": (
        "name 1 string, datatype 2 string, shape 3 *int64, parameters 4 {}, contents 5 InferTensorContents"
    ),
    "ModelInferRequest": (
        "model_name 1 string, model_version 2 string, id 3 string, parameters 4 {}, inputs 5 *InferInputTensor, "
        "outputs 6 *InferRequestedOutputTensor, raw_input_contents 7 *bytes"
    ),
    "ModelInferResponse": (
        "model_name 1 string, model_version 2 string, id 3 string, parameters 4 {}, outputs 5 *InferOutputTensor, "
        "raw_output_contents 6 *bytes"
    ),
}
METHODS: Final = {
    "ServerLive": ("Empty", "ServerLiveResponse"),
    "ServerReady": ("Empty", "ServerReadyResponse"),
    "ServerMetadata": ("Empty", "ServerMetadataResponse"),
    "ModelReady": ("ModelRequest", "ModelReadyResponse"),
    "ModelMetadata": ("ModelRequest", "ModelMetadataResponse"),
    "ModelInfer": ("ModelInferRequest", "ModelInferResponse"),
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="oip.proto", package="inference", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in filter(None, fields.split(", ")):
            _add(message, f".inference.{name}", *line.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}")) for name in _MESSAGES
    }


def _add(message: Any, path: str, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number), label=3 if kind[0] in "*{" else 1)
    if kind == "{}":
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=_KINDS["string"])
        entry.field.add(name="value", number=2, label=1, type=_KINDS["message"], type_name=".inference.InferParameter")
        field.type, field.type_name = _KINDS["message"], f"{path}.{entry.name}"
        return
    if kind[0] == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0
    kind = kind.lstrip("*|")
    field.type = _KINDS.get(kind, _KINDS["message"])
    if kind not in _KINDS:
        field.type_name = f".inference.{kind}"


messages: Final = _classes()
