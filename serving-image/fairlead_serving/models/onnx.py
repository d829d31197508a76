"""ONNX models on ONNX Runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import onnxruntime as ort

from fairlead_serving.errors import LoadError
from fairlead_serving.models.onnxerrors import explained
from fairlead_serving.models.onnxlabels import class_labels
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fairlead_serving.models.base import Model

_TYPES: Final = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_TENSOR: Final = re.compile(r"^tensor\((\w+)\)$")
_ZIPMAP: Final = re.compile(r"^seq\(map\((?:int64|string),tensor\((\w+)\)\)\)$")
_ERRORS_ONLY: Final = 3
# Where a file that was converted before it was published keeps what is to be known beside its graph.
PUBLISHED: Final = "fairlead"
_Feed = dict[str, Array]


class OnnxModel:
    """One ONNX Runtime session. Names, types and shapes are the session's own."""

    format = "onnx"
    platform = "onnxruntime_onnx"

    def __init__(self, path: Path, session: ort.InferenceSession | None = None) -> None:
        """Open the model. Raises LoadError when the file is damaged or needs what ONNX Runtime does not have."""
        self.parameters = {"engine": f"onnxruntime {ort.__version__}"}
        session = session or open_session(path)
        self._compute = runner(session)
        self.inputs: tuple[TensorSpec, ...] = tuple(_input(path, node) for node in session.get_inputs())
        self._zipped: set[str] = set()
        self.outputs: tuple[TensorSpec, ...] = tuple(self._output(path, node) for node in session.get_outputs())
        self._datatypes = {spec.name: spec.datatype for spec in self.outputs}
        self._by_name = {spec.name: spec for spec in self.inputs}
        self.classes = class_labels(path) if _classifies(self.outputs) else None
        self._plain = all(spec.shape for spec in self.outputs) and not self._zipped
        # The sizes of one row of the only input, where that is of numbers and only the number of rows is free.
        first = self.inputs[0].shape
        fixed = first[0:1] == (-1,) and -1 not in first[1:] and self.inputs[0].datatype != "BYTES"
        self._row = first[1:] if len(self.inputs) == 1 and fixed else ()
        # Rows of several requests can be joined where each tensor begins with a size that the request decides.
        self.binds_by_form = True
        self.batches = all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))

    def bind(self, inputs: Sequence[Tensor]) -> _Feed:
        """Match tensors to inputs: by name, or any name where there is one input only."""
        if self._row and len(inputs) == 1:
            # What nearly all requests are, told in half the time.
            _, datatype, array = inputs[0]
            if datatype == self.inputs[0].datatype and array.shape[1:] == self._row and len(array):
                return {self.inputs[0].name: array}
        return match(self._by_name, inputs)

    def run(self, feed: _Feed, wanted: Sequence[str]) -> list[Tensor]:
        """Run the session for the wanted outputs."""
        values = self._compute(wanted, feed, None)
        if self._plain:
            datatypes = self._datatypes
            return [Tensor(name, datatypes[name], value) for name, value in zip(wanted, values, strict=True)]
        return [self._tensor(name, value) for name, value in zip(wanted, values, strict=True)]

    def sample(self) -> _Feed | None:
        """Return one row of zeros; sizes that a request decides are 1."""
        return zeros(self.inputs)

    def _output(self, path: Path, node: ort.NodeArg) -> TensorSpec:
        tensor = _TENSOR.match(node.type)
        if tensor and tensor[1] in _TYPES:
            return TensorSpec(node.name, _TYPES[tensor[1]], _shape(node.shape))
        zipped = _ZIPMAP.match(node.type)
        if zipped and zipped[1] in _TYPES:
            self._zipped.add(node.name)
            return TensorSpec(node.name, _TYPES[zipped[1]], (-1, -1))
        message = f"{path.name}: output {node.name} is a {node.type}, which the Open Inference Protocol cannot carry"
        raise LoadError(message)

    def _tensor(self, name: str, value: Any) -> Tensor:
        datatype = self._datatypes[name]
        if name in self._zipped:
            # A ZipMap gives one dictionary a row: undo it, in the order of the classes.
            value = np.array([list(row.values()) for row in value], dtype=NUMPY_TYPES[datatype])
        elif not isinstance(value, np.ndarray):
            value = np.array(value, dtype=NUMPY_TYPES[datatype])
        return Tensor(name, datatype, value)


def load(path: Path) -> Model:
    """Open a model file, as a table's model where that was converted before it was published. Raises LoadError."""
    session = open_session(path)
    published = session.get_modelmeta().custom_metadata_map.get(PUBLISHED)
    if published is None:
        return OnnxModel(path, session)
    from fairlead_serving.models.converted import ConvertedEngine, Published  # noqa: PLC0415  few models need them
    from fairlead_serving.models.tabularmodel import TabularModel  # noqa: PLC0415  as above

    rules, told = Published.read(published)
    if rules is not None:
        return TabularModel(OnnxModel.format, OnnxModel.platform, ConvertedEngine(path, rules), told)
    model = OnnxModel(path, session)
    model.parameters = {**model.parameters, **told}
    return model


def open_session(path: Path) -> ort.InferenceSession:
    """Open a file for one thread of ours. Raises LoadError when it is damaged or needs what the runtime lacks."""
    ort.disable_telemetry_events()  # it would look for a place to keep a device id, on a read-only disk
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no base of their own below Exception.
        message = f"{path.name} cannot be loaded by ONNX Runtime {ort.__version__}: {explained(error)}"
        raise LoadError(message) from error


def runner(session: ort.InferenceSession) -> Callable[[Any, Any, None], list[Any]]:
    """Return what runs a session: names of outputs, arrays by name of the input, and no options.

    The public method looks again at what `bind` has looked at, which takes a quarter of a small model's time.
    """
    inner = getattr(session, "_sess", None)
    return cast("Callable[[Any, Any, None], list[Any]]", session.run if inner is None else inner.run)


def _shape(sizes: Sequence[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in sizes)


def _input(path: Path, node: ort.NodeArg) -> TensorSpec:
    match = _TENSOR.match(node.type)
    if not match or match[1] not in _TYPES:
        message = f"{path.name}: input {node.name} is a {node.type}, which the Open Inference Protocol cannot carry"
        raise LoadError(message)
    return TensorSpec(node.name, _TYPES[match[1]], _shape(node.shape))


def _classifies(outputs: Sequence[TensorSpec]) -> bool:
    """Tell a classifier: labels first, scores beside them."""
    return (
        len(outputs) > 1
        and outputs[0].datatype in ("INT64", "BYTES")
        and any(spec.datatype in ("FP32", "FP64") for spec in outputs[1:])
    )
