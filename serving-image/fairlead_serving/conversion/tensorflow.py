"""TensorFlow SavedModels and Keras models as models of ours, at publish time."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving.conversion.networks import OPSET, plain
from fairlead_serving.errors import LoadError
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.tensors import Array, Tensor, TensorSpec, datatype_of, tensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# It would tell of the processor's features, on every start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

_SIGNATURE: Final = "serving_default"
_Feed = dict[str, Array]


def saved(path: Path) -> TensorflowModel:
    """Read the folder of a SavedModel: its signature `serving_default`, or the only one. Raises LoadError."""
    program = tf.saved_model.load(str(path))
    names = list(program.signatures)
    if _SIGNATURE not in names and len(names) != 1:
        message = f"{path.name} should have the signature {_SIGNATURE}; it has {', '.join(names) or 'none'}"
        raise LoadError(message)
    call = program.signatures[_SIGNATURE if _SIGNATURE in names else names[0]]
    given = call.structured_input_signature[1]

    def function(*values: Any) -> dict[str, Any]:
        return dict(call(**dict(zip(given, values, strict=True))))

    # The program has to live as long as its signature is used.
    return TensorflowModel([(name, given[name]) for name in given], function, program)


def keras(path: Path, *, allow_unsafe: bool) -> TensorflowModel:
    """Read a `.keras` or `.h5` file. Raises LoadError where that could run code, or the inputs are not told."""
    if path.suffix == ".h5" and not allow_unsafe:
        message = (
            f"{path.name} is a file of the older Keras format, which can run any code when it is read: "
            "save the model as .keras, or allow it with --allow-unsafe"
        )
        raise LoadError(message)
    model = tf.keras.models.load_model(path, compile=False, safe_mode=not allow_unsafe)
    if not model.inputs:
        message = f"{path.name} does not tell what it takes: write it with model.export(folder) as a SavedModel"
        raise LoadError(message)
    specs = [(each.name, tf.TensorSpec(each.shape, each.dtype)) for each in model.inputs]
    labels = _labels(model)

    def function(*values: Any) -> dict[str, Any]:
        found = model(values[0] if len(values) == 1 else list(values), training=False)
        if isinstance(found, dict):
            return found
        return dict(zip(labels, found if isinstance(found, list | tuple) else [found], strict=True))

    return TensorflowModel(specs, function, model)


class TensorflowModel:
    """A function of tensors that gives tensors by name."""

    format = "tensorflow"
    platform = "tensorflow"
    classes: tuple[str, ...] | None = None
    binds_by_form = True

    def __init__(
        self, inputs: Sequence[tuple[str, Any]], function: Callable[..., dict[str, Any]], owner: object
    ) -> None:
        """Take the inputs with their specs in the function's order; `owner` is kept alive."""
        self.parameters: Mapping[str, str] = {"engine": f"tensorflow {tf.__version__}"}
        self._owner = owner
        names = [plain(name, place, "input") for place, (name, _) in enumerate(inputs)]
        self._signature = [
            tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, (_, spec) in zip(names, inputs, strict=True)
        ]
        self._function = tf.function(lambda *values: _renamed(function(*values)), input_signature=self._signature)
        self.inputs = tuple(_spec(spec.name, spec) for spec in self._signature)
        concrete = self._function.get_concrete_function().structured_outputs
        self.outputs = tuple(_spec(name, concrete[name]) for name in concrete)
        self._by_name = {spec.name: spec for spec in self.inputs}
        self.batches = all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))

    def bind(self, inputs: Sequence[Tensor]) -> _Feed:
        """Match tensors to inputs: by name, or any name where there is one input only."""
        return match(self._by_name, inputs)

    def run(self, feed: _Feed, wanted: Sequence[str]) -> list[Tensor]:
        """Call the function."""
        found = self._function(*(tf.constant(feed[spec.name], spec.dtype) for spec in self._signature))
        return [tensor_of(name, found[name].numpy()) for name in wanted]

    def sample(self) -> _Feed | None:
        """Return one row of zeros; sizes that a request decides are 1."""
        return zeros(self.inputs)

    def export(self, path: Path) -> None:
        """Write ONNX; raises whatever tf2onnx does."""
        import tf2onnx  # noqa: PLC0415  it is chatty as soon as it is imported

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        tf2onnx.convert.from_function(
            self._function, input_signature=self._signature, opset=OPSET, output_path=str(path)
        )


def _renamed(found: Mapping[str, Any]) -> dict[str, Any]:
    return {plain(name, place, "output"): value for place, (name, value) in enumerate(found.items())}


def _labels(model: Any) -> list[str]:
    """Return the names of the layers that give the outputs, which are what a Keras user has named."""
    found = []
    for place, each in enumerate(model.outputs):
        layer = getattr(getattr(each, "_keras_history", None), "operation", None)
        found.append(getattr(layer, "name", f"output_{place}"))
    return found if len(set(found)) == len(found) else [f"output_{place}" for place in range(len(found))]


def _spec(name: str, spec: Any) -> TensorSpec:
    sizes = tuple(-1 if size is None else int(size) for size in spec.shape.as_list())
    return TensorSpec(name, datatype_of(np.dtype(spec.dtype.as_numpy_dtype)), sizes)
