"""Which format a model's files are in, and which file is the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

PICKLES: Final = (".joblib", ".pkl", ".pickle", ".cloudpickle", ".dill")
_MLFLOW: Final = "MLmodel"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class _Format:
    """The names and endings a format's file may have.

    `names` tell the format by themselves, as do the endings in `endings`; those in `named` only once the format is
    named, since other things are called so as well.
    """

    names: tuple[str, ...]
    endings: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


# The order is that of the supported formats in messages. Pickles come after everything that is safe to read.
_FORMATS: Final = {
    "sklearn": _Format(("model.skops",), (".skops",)),
    "onnx": _Format(("model.onnx",), (".onnx",)),
    "xgboost": _Format(("model.ubj", "model.json"), (".ubj",), (".json",)),
    "lightgbm": _Format(("model.txt",), (), (".txt", ".lgb")),
    "mlflow": _Format((_MLFLOW,)),
    "litert": _Format(("model.tflite",), (".tflite",)),
    "pytorch": _Format(("model.pt2",), (".pt2",)),
    "python": _Format(("model.py",), (), (".py",)),
}
_PICKLED: Final = _Format(("model.joblib", "model.pkl"), PICKLES)
SUPPORTED: Final = tuple(_FORMATS)
# The formats of tree and linear models, which may be served as ONNX.
CONVERTIBLE: Final = ("sklearn", "xgboost", "lightgbm")
# What people bring and no image can serve, with what they can do about it.
_CONVERT: Final = "which is served as ONNX: convert it with fairlead-serve convert"
_ELSEWHERE: Final = {
    ".pt": "a pickled PyTorch file or TorchScript: write the model with torch.onnx.export or torch.export.save",
    ".pth": "a pickled PyTorch file or TorchScript: write the model with torch.onnx.export or torch.export.save",
    ".h5": f"a Keras model, {_CONVERT}",
    ".keras": f"a Keras model, {_CONVERT}",
    ".pb": f"a TensorFlow model, {_CONVERT}",
    ".npy": "an array, which is no model",
    ".safetensors": "weights without a model: write the model as ONNX",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The format of a model and its file, relative to the model's folder."""

    format: str
    file: str

    @property
    def pickled(self) -> bool:
        """Whether the file is a pickle."""
        return self.file.endswith(PICKLES)

    @property
    def unsafe(self) -> bool:
        """Whether reading the file may run any code."""
        return self.pickled or self.format == "pytorch"


def choose(files: Sequence[str], wanted: str | None) -> Choice:
    """Return the format and the file to load.

    `wanted` is the format, or None to tell it from the files: an `MLmodel` first, then the names that stand for a
    format (`model.onnx`), then endings. Raises LoadError when nothing or too much is found, or the format is unknown.
    """
    if wanted is not None and wanted not in _FORMATS:
        message = f"the format {wanted!r} is not supported; supported are {', '.join(SUPPORTED)}"
        raise LoadError(message)
    if wanted is None and _MLFLOW in files:
        return Choice("mlflow", _MLFLOW)
    for candidates in _tiers(files, wanted):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(choice.file for choice in candidates)
            message = (
                f"several files could be the model ({names}): "
                "keep one, name one of them model.onnx or model.skops, or set the format"
            )
            raise LoadError(message)
    raise _nothing(files, wanted)


def _tiers(files: Sequence[str], wanted: str | None) -> list[list[Choice]]:
    """Return candidates, the surest first."""
    formats = [(kind, rule) for kind, rule in _FORMATS.items() if wanted in (None, kind)]
    safe = [[Choice(kind, name) for kind, rule in formats for name in rule.names if name in files]]
    safe.append([Choice(kind, name) for kind, rule in formats for name in files if _ends(name, rule.endings)])
    if wanted is not None:
        named = _FORMATS[wanted].named
        safe.append([Choice(wanted, name) for name in files if _ends(name, named) and "requirements" not in name])
    pickled: list[list[Choice]] = []
    if wanted in (None, "sklearn"):
        pickled.append([Choice("sklearn", name) for name in _PICKLED.names if name in files])
        pickled.append([Choice("sklearn", name) for name in files if _ends(name, _PICKLED.endings)])
    return safe + pickled


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return bool(endings) and name.endswith(endings)


def _nothing(files: Sequence[str], wanted: str | None) -> LoadError:
    for name in files:
        reason = _ELSEWHERE.get(PurePosixPath(name).suffix)
        if reason:
            return LoadError(f"{name} is {reason}")
    shown = ", ".join(sorted(files)[:_SHOWN]) + (", …" if len(files) > _SHOWN else "")
    rules = [_FORMATS[wanted]] if wanted else list(_FORMATS.values())
    expected = [name for rule in rules for name in rule.names]
    return LoadError(f"no model found: expected {' or '.join(expected)}, found {shown}")
