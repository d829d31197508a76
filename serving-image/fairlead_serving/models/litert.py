"""LiteRT models (TensorFlow Lite), which are flatbuffers, on LiteRT's interpreter."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from fairlead_serving.errors import LoadError
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.tensors import Array, Tensor, TensorSpec, datatype_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SIGNATURE: Final = "serving_default"
_Details = dict[str, Any]
_Feed = dict[str, Array]


def load(path: Path) -> LitertModel:
    """Open a model file. Raises LoadError when it is damaged or needs operators that the library lacks."""
    return LitertModel(path)


class LitertModel:
    """One interpreter, for one thread at a time.

    Names are those of the signature `serving_default` or the only one, where the file has one, else the tensors'.
    Quantised inputs and outputs are whole numbers, as the file has them.
    """

    format = "litert"
    platform = "litert_tflite"
    classes: tuple[str, ...] | None = None

    def __init__(self, path: Path) -> None:
        """Open the file and make room for one row. Raises LoadError."""
        self.parameters: Mapping[str, str] = {"engine": f"litert {version('ai-edge-litert')}"}
        try:
            self._interpreter = Interpreter(str(path), num_threads=1)
            self._interpreter.allocate_tensors()
            inputs, outputs = self._signature()
        except (ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())
            message = f"{path.name} cannot be loaded by {self.parameters['engine']}: {text}"
            raise LoadError(message) from error
        self.inputs = tuple(_spec(path, name, details) for name, details in inputs.items())
        self.outputs = tuple(_spec(path, name, details) for name, details in outputs.items())
        self._by_name = {spec.name: spec for spec in self.inputs}
        self._inputs = {name: int(details["index"]) for name, details in inputs.items()}
        self._outputs = {name: int(details["index"]) for name, details in outputs.items()}
        self._datatypes = {spec.name: spec.datatype for spec in self.outputs}
        self._shapes = {name: tuple(details["shape"].tolist()) for name, details in inputs.items()}
        self.batches = all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))
        self.binds_by_form = True

    def bind(self, inputs: Sequence[Tensor]) -> _Feed:
        """Match tensors to inputs: by name, or any name where there is one input only."""
        return match(self._by_name, inputs)

    def run(self, feed: _Feed, wanted: Sequence[str]) -> list[Tensor]:
        """Invoke the interpreter, resized where the sizes are others than the last time."""
        interpreter = self._interpreter
        shapes = {name: array.shape for name, array in feed.items()}
        if shapes != self._shapes:
            # What fails half way must not be taken for done the next time.
            self._shapes = {}
            for name, shape in shapes.items():
                interpreter.resize_tensor_input(self._inputs[name], shape, strict=True)
            interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in feed.items():
            interpreter.set_tensor(self._inputs[name], array)
        interpreter.invoke()
        return [Tensor(name, self._datatypes[name], interpreter.get_tensor(self._outputs[name])) for name in wanted]

    def sample(self) -> _Feed | None:
        """Return one row of zeros; sizes that a request decides are 1."""
        return zeros(self.inputs)

    def _signature(self) -> tuple[dict[str, _Details], dict[str, _Details]]:
        """Return the inputs and outputs by name."""
        known = self._interpreter.get_signature_list()
        name = _SIGNATURE if _SIGNATURE in known else next(iter(known), None)
        if name is None or (len(known) > 1 and name != _SIGNATURE):
            details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
            inputs, outputs = ({str(item["name"]): item for item in items} for items in details)
            return inputs, outputs
        runner = self._interpreter.get_signature_runner(name)
        return dict(runner.get_input_details()), dict(runner.get_output_details())


def _spec(path: Path, name: str, details: _Details) -> TensorSpec:
    dtype = np.dtype(details["dtype"])
    datatype = datatype_of(dtype)
    if datatype == "BYTES":
        message = f"{path.name}: {name} is of the type {dtype}, which is not served here"
        raise LoadError(message)
    signature = details.get("shape_signature")
    sizes = details["shape"] if signature is None or not len(signature) else signature
    return TensorSpec(name, datatype, tuple(max(int(size), -1) for size in sizes))
