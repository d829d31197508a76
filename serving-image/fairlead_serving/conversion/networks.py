"""TensorFlow's, Keras' and PyTorch's models at publish time: what they answer, and how they become ONNX.

The libraries are those of whoever publishes: no image has them all.
"""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fairlead_serving.models.base import Model

OPSET: Final = 18
_SHOWN: Final = 300


class Network(NamedTuple):
    """A model in its own library, the library's name, and what writes it as ONNX with the same names."""

    model: Model
    library: str
    export: Callable[[Path], None]


class Kind(NamedTuple):
    """What a source is, and the Python packages that converting it takes, as module and project names."""

    name: str
    needs: tuple[tuple[str, str], ...]


_TENSORFLOW: Final = (("tensorflow", "tensorflow"), ("tf2onnx", "tf2onnx"))
KINDS: Final = {
    "savedmodel": Kind("a TensorFlow SavedModel", _TENSORFLOW),
    "keras": Kind("a Keras model", _TENSORFLOW),
    "pytorch": Kind("a PyTorch program", (("torch", "torch"), ("onnx", "onnx"), ("onnxscript", "onnxscript"))),
}


def opened(kind: str, path: Path, *, allow_unsafe: bool) -> Network:
    """Load a model by its own library. Raises LoadError where that cannot be, or is not there."""
    name, needs = KINDS[kind]
    lacking = [project for module, project in needs if find_spec(module) is None]
    if lacking:
        message = f"converting {name} takes {', '.join(lacking)}, not installed here: pip install {' '.join(lacking)}"
        raise LoadError(message)
    if kind == "pytorch":
        return _pytorch(path)
    from fairlead_serving.conversion import tensorflow  # noqa: PLC0415  seconds

    try:
        model = tensorflow.saved(path) if kind == "savedmodel" else tensorflow.keras(path, allow_unsafe=allow_unsafe)
    except (LoadError, MemoryError):
        raise
    except Exception as error:
        # Whatever reading stumbles over, all of it means the same.
        message = f"{path.name} cannot be read by TensorFlow: {type(error).__name__}: {_short(error)}"
        raise LoadError(message) from error
    return Network(model, model.parameters["engine"], exported(model.export))


def _pytorch(path: Path) -> Network:
    from fairlead_serving.models.pytorch import PytorchModel, read_program  # noqa: PLC0415  seconds

    program = read_program(path)
    model = PytorchModel(program, path.name)

    def export(target: Path) -> None:
        import torch  # noqa: PLC0415  as above

        # It would tell of libraries whose operators the program does not have.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            program,
            f=str(target),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[spec.name for spec in model.inputs],
            output_names=[spec.name for spec in model.outputs],
        )

    return Network(model, model.parameters["engine"], exported(export))


def exported(write: Callable[[Path], None]) -> Callable[[Path], None]:
    """Let an exporter fail in one way only: with UnconvertibleError."""

    def export(target: Path) -> None:
        try:
            write(target)
        except MemoryError:
            raise
        except Exception as error:
            # Exporters raise whatever they stumble over.
            message = f"it cannot be converted: {type(error).__name__}: {_short(error)}"
            raise UnconvertibleError(message) from error

    return export


def plain(name: str, place: int, kind: str) -> str:
    """Return a name that ONNX and clients can both use."""
    return re.sub(r"\W+", "_", name.partition(":")[0]).strip("_") or f"{kind}_{place}"


def _short(error: Any) -> str:
    return " ".join(str(error).split())[:_SHOWN]
