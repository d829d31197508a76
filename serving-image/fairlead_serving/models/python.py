"""Models written in Python: a `model.py` with a class that loads and predicts."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import numpy as np

from fairlead_serving.errors import InvalidRequestError, LoadError, ModelFailureError
from fairlead_serving.models import requirements
from fairlead_serving.models.signature import as_text, match, zeros
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor, TensorSpec, as_element, elements, tensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

_MODULE: Final = "fairlead_user_model"
_CLASS: Final = "Model"
_OUTPUT: Final = "output"
_Feed = dict[str, Array]


class UserModel(Protocol):
    """What a user writes.

    `preprocess`, `postprocess`, `routes`, `inputs`, `outputs`, `classes` and `batches` may be left out.
    """

    def load(self, folder: Path) -> None:
        """Read what the model needs from its folder."""

    def predict(self, inputs: Any) -> Any:
        """Return one array, or arrays by name."""


def load(path: Path) -> PythonModel:
    """Import a program and load its model. Raises LoadError when it lacks something or fails."""
    requirements.check(path.parent)
    module = _imported(path)
    kind = _class_of(module, path.name)
    try:
        model = kind()
        model.load(path.parent)
    except Exception as error:
        message = f"{path.name}: {kind.__name__} cannot be loaded: {type(error).__name__}: {error}"
        raise LoadError(message) from error
    return PythonModel(model, path.name)


class PythonModel:
    """An instance of the user's class."""

    format = "python"
    platform = "python_python"

    def __init__(self, model: UserModel, file: str) -> None:
        """Read what the class declares. Raises LoadError where that cannot be understood."""
        self._model = model
        self.inputs = _declared(model, "inputs", file)
        self.outputs = _declared(model, "outputs", file)
        self._specs = {spec.name: spec for spec in self.inputs}
        self._datatypes = {spec.name: spec.datatype for spec in self.outputs}
        classes = getattr(model, "classes", None)
        self.classes = None if classes is None else tuple(str(as_element(label)) for label in classes)
        self.binds_by_form = False
        self.batches = bool(getattr(model, "batches", False))
        self.parameters: Mapping[str, str] = {"engine": f"{file}:{type(model).__name__}"}
        self._preprocess = getattr(model, "preprocess", None)
        self._postprocess = getattr(model, "postprocess", None)
        # Given what calls the model, returns an ASGI application for the paths that are not the server's own.
        self.routes: Callable[[Any], Any] | None = getattr(model, "routes", None)

    def bind(self, inputs: Sequence[Tensor]) -> Any:
        """Check declared inputs, then preprocess. A ValueError of `preprocess` is the client's fault."""
        if self._specs:
            feed = match(self._specs, inputs)
        else:
            feed = {item.name: as_text(position, item) for position, item in enumerate(inputs)}
        if self._preprocess is None:
            return feed
        try:
            return self._preprocess(feed)
        except ValueError as error:
            raise InvalidRequestError(at="inputs", problem=str(error)) from error
        except Exception as error:
            message = f"the model failed in preprocess: {type(error).__name__}: {error}"
            raise ModelFailureError(message) from error

    def run(self, feed: Any, wanted: Sequence[str]) -> list[Tensor]:
        """Predict and postprocess; all that comes out is given where the outputs are not declared."""
        values = self._model.predict(feed)
        if self._postprocess is not None:
            values = self._postprocess(values)
        if not isinstance(values, dict):
            values = {self.outputs[0].name if self.outputs else _OUTPUT: values}
        names = wanted if self.outputs else list(values)
        missing = [name for name in names if name not in values]
        if missing or not names:
            message = f"predict gave {', '.join(values) or 'nothing'}, not {', '.join(missing) or 'an output'}"
            raise TypeError(message)
        return [self._tensor(name, values[name]) for name in names]

    def sample(self) -> Any | None:
        """Return one row of zeros, preprocessed, where the inputs are declared."""
        if not self.inputs:
            return None
        feed = zeros(self.inputs)
        try:
            return feed if self._preprocess is None else self._preprocess(feed)
        except Exception:  # noqa: BLE001  zeros need not be a legal input
            return None

    def _tensor(self, name: str, values: Any) -> Tensor:
        datatype = self._datatypes.get(name)
        if datatype is None:
            return tensor_of(name, values)
        if datatype == "BYTES":
            return Tensor(name, datatype, elements(values))
        return Tensor(name, datatype, np.asarray(values, dtype=NUMPY_TYPES[datatype]))


def _imported(path: Path) -> ModuleType:
    # Bytecode beside the program would change the digest of a cached model.
    sys.dont_write_bytecode = True
    # Programs may lie beside the model's own and be imported by it.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        message = f"{path.name} is not a Python program"
        raise LoadError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        message = (
            f"{path.name} needs the Python module {error.name}, which this image does not have: "
            "serve it with an image that has it (server.image)"
        )
        raise LoadError(message) from error
    except Exception as error:
        message = f"{path.name} cannot be imported: {type(error).__name__}: {error}"
        raise LoadError(message) from error
    return module


def _class_of(module: ModuleType, file: str) -> type[UserModel]:
    own = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == _MODULE]
    fitting = [
        kind for kind in own if callable(getattr(kind, "load", None)) and callable(getattr(kind, "predict", None))
    ]
    named = [kind for kind in fitting if kind.__name__ == _CLASS] or fitting
    if len(named) != 1:
        found = ", ".join(kind.__name__ for kind in named) or "none"
        message = (
            f"{file} should have one class with load and predict, called {_CLASS} if there are several; it has {found}"
        )
        raise LoadError(message)
    return cast("type[UserModel]", named[0])


def _declared(model: UserModel, attribute: str, file: str) -> tuple[TensorSpec, ...]:
    """Return `{"name": ("FP64", [-1, 4])}` as specs; `bytes` in place of a datatype is BYTES that may hold anything."""
    declared = getattr(model, attribute, None) or {}
    specs = []
    try:
        for name, (datatype, shape) in declared.items():
            known = "BYTES" if datatype is bytes else datatype
            if known not in NUMPY_TYPES:
                message = f"{datatype!r} is not one of {', '.join(NUMPY_TYPES)}, or the type bytes"
                raise ValueError(message)  # noqa: TRY301  one message for all that is wrong
            specs.append(TensorSpec(str(name), known, tuple(int(size) for size in shape), datatype is bytes))
    except (AttributeError, TypeError, ValueError) as error:
        message = f'{file}: {attribute} should be like {{"x": ("FP64", [-1, 4])}}: {error}'
        raise LoadError(message) from error
    return tuple(specs)
