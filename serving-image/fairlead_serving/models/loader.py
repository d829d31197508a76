"""From a folder of files to a loaded model: tell the format, refuse what is unsafe, warm up."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Final, cast

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.models.base import Model

# Format → the file it is kept in, and where its class lives. Classes are imported on demand, so that an ONNX model
# does not wait for scikit-learn.
_SUFFIXES: Final = {"sklearn": ".skops", "onnx": ".onnx"}
_CLASSES: Final = {"sklearn": ("sklearn_skops", "SklearnModel"), "onnx": ("onnx", "OnnxModel")}
_PICKLES: Final = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pt", ".pth")
_WARM_UPS: Final = 5


def load_model(folder: Path, files: Sequence[str], wanted: str | None) -> Model:
    """Load the model in a folder.

    `files` are the relative paths the model consists of, `wanted` is the format, or None to infer it from the files.
    Raises LoadError with a sentence that says what is wrong.
    """
    kind, name = choose(files, wanted)
    module, attribute = _CLASSES[kind]
    loader = getattr(importlib.import_module(f"fairlead_serving.models.{module}"), attribute)
    return cast("Model", loader(folder / name))


def choose(files: Sequence[str], wanted: str | None) -> tuple[str, str]:
    """Return the format and the file to load. `model.onnx` and `model.skops` win over other names."""
    if wanted is not None and wanted not in _SUFFIXES:
        message = f"the format {wanted!r} is not supported; supported are {', '.join(_SUFFIXES)}"
        raise LoadError(message)
    found = [
        (kind, name)
        for kind, suffix in _SUFFIXES.items()
        for name in files
        if name.endswith(suffix) and wanted in (None, kind)
    ]
    named = [pair for pair in found if pair[1] == f"model{_SUFFIXES[pair[0]]}"]
    candidates = named or found
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(name for _, name in candidates)
        message = f"several files could be the model ({names}): name one model.onnx or model.skops, or set the format"
        raise LoadError(message)
    raise _nothing(files, wanted)


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


def _nothing(files: Sequence[str], wanted: str | None) -> LoadError:
    pickles = [name for name in files if name.endswith(_PICKLES)]
    if pickles:
        return LoadError(
            f"{pickles[0]} is a pickle, which can run any code when it is read, so it is refused: "
            f"write the model with skops instead, skops.io.dump(model, 'model.skops'), or as ONNX"
        )
    shown = ", ".join(sorted(files)[:5]) + (", …" if len(files) > 5 else "")  # noqa: PLR2004
    suffix = f"{_SUFFIXES[wanted]} file" if wanted else "model.onnx or model.skops"
    return LoadError(f"no model found: expected a {suffix}, found {shown}")
