"""From a folder of files to a loaded model: tell the format, refuse what is unsafe, warm up."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Final, cast

from fairlead_serving.errors import LoadError
from fairlead_serving.models import libraries
from fairlead_serving.models.formats import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fairlead_serving.models.base import Model
    from fairlead_serving.models.formats import Choice

# Format → the module whose `load` reads it. Modules are imported on demand, so that an ONNX model does not wait for
# scikit-learn.
_MODULES: Final = {
    "sklearn": "sklearn",
    "onnx": "onnx",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "litert": "litert",
    "pytorch": "pytorch",
    "python": "python",
}
_WARM_UPS: Final = 5


def load_model(folder: Path, files: Sequence[str], wanted: str | None, *, allow_unsafe: bool = False) -> Model:
    """Load the model in a folder.

    `files` are the relative paths the model consists of, `wanted` is the format, or None to infer it from the files.
    `allow_unsafe` lets files be read that can run any code. Raises LoadError with a sentence that says what is wrong.
    """
    return load_choice(folder, resolve(folder, files, wanted, allow_unsafe=allow_unsafe))


def resolve(folder: Path, files: Sequence[str], wanted: str | None, *, allow_unsafe: bool) -> Choice:
    """Return the format and the file to load, an MLflow folder's own choice included.

    Raises LoadError, also where this image does not have the libraries for it.
    """
    choice = permitted(folder, files, wanted, allow_unsafe=allow_unsafe)
    libraries.check(choice)
    return choice


def permitted(folder: Path, files: Sequence[str], wanted: str | None, *, allow_unsafe: bool) -> Choice:
    """Return what is to be loaded, whether or not that can be here. Raises LoadError where it may not be."""
    choice = choose(files, wanted)
    if choice.format == "mlflow":
        from fairlead_serving.models.mlflow import flavour  # noqa: PLC0415  YAML is read for these folders only

        choice = flavour(folder)
    if choice.unsafe and not allow_unsafe:
        raise LoadError(_refusal(choice))
    if choice.format == "python" and wanted != "python" and not allow_unsafe:
        message = (
            f"{choice.file} is a program that would run in the server, so the format has to be named: "
            "set modelFormat to python"
        )
        raise LoadError(message)
    return choice


def _refusal(choice: Choice) -> str:
    if choice.pickled:
        what, instead = "a pickle", "with skops instead, skops.io.dump(model, 'model.skops'), or as ONNX"
    else:
        what, instead = "a PyTorch program", "as ONNX instead, by fairlead-serve convert"
    return (
        f"{choice.file} is {what}, which can run any code when it is read, so it is refused: write the model "
        f"{instead}; allowUnsafe (--allow-unsafe) lets it in all the same"
    )


def load_choice(folder: Path, choice: Choice) -> Model:
    """Load a model whose format and file are known. Raises LoadError."""
    module = importlib.import_module(f"fairlead_serving.models.{_MODULES[choice.format]}")
    load = cast("Callable[[Path], Model]", module.load)
    return load(folder / choice.file)


def seconds_a_row(model: Model) -> float | None:
    """Warm the model up and return the seconds one row takes, or None where no row can be made up for it."""
    feed = model.sample()
    if feed is None:
        return None
    wanted = [spec.name for spec in model.outputs]
    best = float("inf")
    try:
        for _ in range(_WARM_UPS):
            began = time.perf_counter()
            model.run(feed, wanted)
            best = min(best, time.perf_counter() - began)
    except Exception:  # noqa: BLE001  zeroes may be outside what the model knows; real requests decide
        return None
    return best
