"""MLflow model folders: the `MLmodel` file says which flavours are there, and one of them is loaded directly."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from fairlead_serving.errors import LoadError
from fairlead_serving.models.formats import PICKLES, Choice

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "MLmodel"
# Flavour → the field that names its file, best first: what needs no Python code to be read wins.
_FLAVOURS: Final = {"onnx": "data", "xgboost": "data", "lightgbm": "data", "sklearn": "pickled_model"}
_GENERIC: Final = "python_function"


def flavour(folder: Path) -> Choice:
    """Return the format and the file of the flavour to load. Raises LoadError where none can be served."""
    flavours = _flavours(folder / _FILE)
    for name, field in _FLAVOURS.items():
        if name not in flavours:
            continue
        file = (flavours[name] or {}).get(field)
        if not isinstance(file, str) or not _inside(folder, file):
            message = f"{_FILE}: flavors.{name}.{field} should name a file of the folder, not {file!r}"
            raise LoadError(message)
        # LightGBM's and XGBoost's scikit-learn classes may be kept as those of scikit-learn are.
        wrapped = file.endswith((*PICKLES, ".skops"))
        return Choice("sklearn" if name == "sklearn" or wrapped else name, file)
    others = [name for name in flavours if name != _GENERIC]
    if others:
        message = f"{_FILE} has the flavour {', '.join(others)}; served are {', '.join(_FLAVOURS)}"
    else:
        message = (
            f"{_FILE} has only the flavour {_GENERIC}, which needs MLflow itself: "
            f"log the model with one of {', '.join(_FLAVOURS)}, or write it as modelFormat python"
        )
    raise LoadError(message)


def _flavours(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavours = document["flavors"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{_FILE} is not YAML: {' '.join(str(error).split())}"
        raise LoadError(message) from error
    except (OSError, KeyError, TypeError) as error:
        message = f"{_FILE} has no flavors"
        raise LoadError(message) from error
    if not isinstance(flavours, dict) or not flavours:
        message = f"{_FILE} has no flavors"
        raise LoadError(message)
    return flavours


def _inside(folder: Path, file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and (folder / path).is_file()
