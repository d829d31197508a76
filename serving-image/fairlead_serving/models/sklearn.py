"""scikit-learn models, and what follows its API, kept as skops files or, where that is allowed, as pickles."""

from __future__ import annotations

import logging
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, Final

import joblib
import numpy as np
import skops.io
from sklearn.base import is_regressor
from sklearn.exceptions import InconsistentVersionWarning

from fairlead_serving.errors import LoadError
from fairlead_serving.models.formats import PICKLES
from fairlead_serving.models.sklearn_inputs import (
    select_by_position,
    stay_in_this_thread,
    takes_documents,
    takes_text,
)
from fairlead_serving.models.sklearn_trust import trusted
from fairlead_serving.models.tabular import Columns
from fairlead_serving.models.tabularmodel import PREDICT, PROBABILITIES, TabularModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.tensors import Array

_log = logging.getLogger(__name__)
_LONGEST: Final = 300


def load(path: Path) -> TabularModel:
    """Read an estimator. Raises LoadError when the file is damaged, not trusted or holds no predictor."""
    engine = SklearnEngine(read_estimator(path), path.name)
    return TabularModel("sklearn", "sklearn_pickle" if path.suffix in PICKLES else "sklearn_skops", engine)


def read_estimator(path: Path) -> Any:
    """Return what a skops file or a pickle holds. Raises LoadError."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = _unpickled(path) if path.suffix in PICKLES else _read(path)
    for warning in caught:
        if issubclass(warning.category, InconsistentVersionWarning):
            _log.warning("%s: %s", path.name, " ".join(str(warning.message).split())[:_LONGEST])
            break
    return estimator


class SklearnEngine:
    """A fitted estimator."""

    name = "scikit-learn"

    def __init__(self, estimator: Any, file: str) -> None:
        """Prepare an estimator read from a file. Raises LoadError when it cannot predict."""
        if not hasattr(estimator, PREDICT):
            message = f"{file} holds a {type(estimator).__name__}, which cannot predict"
            raise LoadError(message)
        # A search predicts by the best it has found.
        self.estimator = estimator = getattr(estimator, "best_estimator_", estimator)
        # Clients need not know the training columns' names; scikit-learn would warn of that on each request.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        select_by_position(estimator)
        stay_in_this_thread(estimator)
        self.columns = _columns(estimator)
        labels = getattr(estimator, "classes_", None)
        self.labels: Array | None = labels if isinstance(labels, np.ndarray) and labels.ndim == 1 else None
        self.has_probabilities = hasattr(estimator, PROBABILITIES)
        self.tail: tuple[int, ...] = _tail(estimator)
        self.predicts: np.dtype[Any] | None = None
        self._look()

    def _look(self) -> None:
        """See what one row gives: estimators tell of their outputs in many ways, and some in none."""
        row = self.columns.sample()
        try:
            predicted = None if row is None else np.asarray(self.compute(row, [PREDICT])[0])
        except Exception:  # noqa: BLE001  zeros may be outside what the model knows; then the guess stands
            predicted = None
        if predicted is not None and predicted.shape[:1] == (1,):
            self.tail = predicted.shape[1:]
            self.predicts = predicted.dtype
        if self.tail:
            # With several targets predict_proba gives a list of tables, which no single tensor can carry.
            self.labels = None
        elif self.has_probabilities and self.labels is None and row is not None and predicted is not None:
            # A mixture gives each row its chances to be of each component.
            self.labels = np.arange(self.compute(row, [PROBABILITIES])[0].shape[1])
        self.has_probabilities = self.has_probabilities and self.labels is not None

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Call the estimator's methods of the same names as the wanted outputs."""
        values = [getattr(self.estimator, name)(table) for name in wanted]
        # Labels stay as they were trained, whatever their type.
        return [
            each if self.labels is not None and name == PREDICT else _wide(each)
            for name, each in zip(wanted, values, strict=True)
        ]


def _tail(estimator: Any) -> tuple[int, ...]:
    """Guess how many targets there are; linear models tell it by their coefficients only."""
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    coefficients = getattr(last, "coef_", None)
    if is_regressor(last) and isinstance(coefficients, np.ndarray) and coefficients.ndim == 2:  # noqa: PLR2004  a table
        return (int(coefficients.shape[0]),)
    count = int(getattr(last, "n_outputs_", 1) or 1)
    return (count,) if count > 1 else ()


def _wide(values: Any) -> Any:
    """Return fractions as float64, which metadata promises: some estimators compute in float32."""
    return values.astype(np.float64, copy=False) if getattr(values, "dtype", np.dtype("O")).kind == "f" else values


def _unpickled(path: Path) -> Any:
    try:
        # joblib reads plain pickles as well, and compressed ones.
        return joblib.load(path)
    except ModuleNotFoundError as error:
        message = (
            f"{path.name} needs the Python module {error.name}, which this image does not have: "
            "write the model as ONNX, or serve it with an image that has it (server.image)"
        )
        raise LoadError(message) from error
    except MemoryError:
        raise
    except Exception as error:
        # Reading a pickle runs what is in it, so anything can come out.
        text = " ".join(str(error).split())[:_LONGEST]
        message = f"{path.name} cannot be read as a pickle: {type(error).__name__}: {text}"
        raise LoadError(message) from error


def _read(path: Path) -> Any:
    try:
        listed = skops.io.get_untrusted_types(file=path)
        strangers = sorted(name for name in listed if not trusted(name))
        if not strangers:
            return skops.io.load(path, trusted=listed)
    except zipfile.BadZipFile as error:
        message = f"{path.name} is not a skops file, or is damaged: {error}"
        raise LoadError(message) from error
    except MemoryError:
        raise
    except Exception as error:
        # A damaged archive can fail anywhere in its reader; all of it means the same to the person who waits.
        message = f"{path.name} cannot be read as a skops file: {type(error).__name__}: {error}"
        raise LoadError(message) from error
    message = (
        f"{path.name} holds types that are not trusted: {', '.join(strangers)}; "
        f"only types of scikit-learn, numpy, scipy, XGBoost and LightGBM are loaded"
    )
    raise LoadError(message)


def _columns(estimator: Any) -> Columns:
    names = getattr(estimator, "feature_names_in_", None)
    count = getattr(estimator, "n_features_in_", None)
    return Columns(
        count=None if count is None else int(count),
        names=None if names is None else tuple(map(str, names)),
        text=takes_text(estimator),
        documents=takes_documents(estimator),
    )
