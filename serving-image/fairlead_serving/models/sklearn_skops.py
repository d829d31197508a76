"""scikit-learn models kept as skops files."""

from __future__ import annotations

import importlib
import inspect
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import skops.io

from fairlead_serving.errors import LoadError
from fairlead_serving.models.sklearn_inputs import select_by_position, takes_documents, takes_text
from fairlead_serving.models.tabular import Columns
from fairlead_serving.tensors import Array, Tensor, TensorSpec, datatype_of, tensor_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PREDICT: Final = "predict"
_PROBABILITIES: Final = "predict_proba"


class SklearnModel:
    """A fitted scikit-learn estimator. `predict` is the first output, `predict_proba` the second where there is one."""

    format = "sklearn"
    platform = "sklearn_skops"

    def __init__(self, path: Path) -> None:
        """Read the estimator. Raises LoadError when the file is damaged, not trusted or holds no predictor."""
        self._estimator = _read(path)
        if not hasattr(self._estimator, _PREDICT):
            message = f"{path.name} holds a {type(self._estimator).__name__}, which cannot predict"
            raise LoadError(message)
        # Clients need not know the training columns' names; scikit-learn would warn of that on each request.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        select_by_position(self._estimator)
        self._columns = _columns(self._estimator)
        labels = getattr(self._estimator, "classes_", None)
        single = isinstance(labels, np.ndarray) and labels.ndim == 1
        self.classes = tuple(str(label) for label in labels.tolist()) if labels is not None and single else None
        self.inputs = self._columns.specs
        self.outputs = self._outputs(labels if single else None)

    def bind(self, inputs: Sequence[Tensor]) -> Array:
        """Return the request's rows as one table."""
        return self._columns.table(inputs)

    def run(self, feed: Array, wanted: Sequence[str]) -> list[Tensor]:
        """Call the estimator's methods of the same names as the wanted outputs."""
        return [tensor_of(name, getattr(self._estimator, name)(feed)) for name in wanted]

    def sample(self) -> Array | None:
        """Return one row of zeros."""
        columns = self._columns
        if columns.documents:
            return np.array(["text"], dtype=object)
        return None if columns.count is None else np.zeros((1, columns.count))

    def _outputs(self, labels: Array | None) -> tuple[TensorSpec, ...]:
        targets = int(getattr(self._estimator, "n_outputs_", 1) or 1)
        datatype = "FP64" if labels is None else datatype_of(labels.dtype)
        shape = (-1,) if targets == 1 else (-1, targets)
        predict = TensorSpec(_PREDICT, datatype, shape)
        # With several targets predict_proba gives a list of tables, which no single tensor can carry.
        if labels is None or targets > 1 or not hasattr(self._estimator, _PROBABILITIES):
            return (predict,)
        return predict, TensorSpec(_PROBABILITIES, "FP64", (-1, len(labels)))


def _read(path: Path) -> Any:
    try:
        listed = skops.io.get_untrusted_types(file=path)
        strangers = sorted(name for name in listed if not _belongs_to_sklearn(name))
        if not strangers:
            return skops.io.load(path, trusted=listed)
    except zipfile.BadZipFile as error:
        message = f"{path.name} is not a skops file, or is damaged: {error}"
        raise LoadError(message) from error
    except Exception as error:
        # A damaged archive can fail anywhere in its reader; all of it means the same to the person who waits.
        message = f"{path.name} cannot be read as a skops file: {type(error).__name__}: {error}"
        raise LoadError(message) from error
    message = (
        f"{path.name} holds types that are not trusted: {', '.join(strangers)}; "
        f"only types of scikit-learn, numpy and scipy are loaded"
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


def _belongs_to_sklearn(name: str) -> bool:
    """Trust scikit-learn's own classes that skops does not list yet, but no function: functions can do anything."""
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] != "sklearn":
        return False
    try:
        return inspect.isclass(getattr(importlib.import_module(module), attribute, None))
    except ImportError:
        return False
