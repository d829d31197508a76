"""XGBoost models, kept as UBJSON or JSON."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost

from fairlead_serving.errors import LoadError
from fairlead_serving.models.tabular import Columns
from fairlead_serving.models.tabularmodel import PREDICT, TabularModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.tensors import Array

_HALF: Final = 0.5
# Objectives whose prediction is a probability for each class.
_BINARY: Final = "binary:logistic"
_MULTI: Final = "multi:softprob"
_END: Final = 256
_TEXT_VERSION: Final = re.compile(rb'"version":\s*\[(\d+),\s*(\d+),\s*(\d+)\]')
# A list of three small integers in UBJSON.
_BINARY_VERSION: Final = re.compile(rb"version\[#L\x00{7}\x03[iU](.)[iU](.)[iU](.)", re.DOTALL)
_log = logging.getLogger(__name__)


def load(path: Path) -> TabularModel:
    """Read a model. Raises LoadError when it is damaged or from a newer XGBoost."""
    return TabularModel("xgboost", "xgboost_xgboost", XgboostEngine(read_booster(path)))


def read_booster(path: Path) -> xgboost.Booster:
    """Return the booster in a file. Raises LoadError."""
    booster = xgboost.Booster()
    newer = _newer(path)
    try:
        booster.load_model(path)
        booster.set_param({"nthread": 1})
    except Exception as error:
        # XGBoost's own error is a C++ trace; its first line that says something is the second.
        lines = [line for line in str(error).splitlines() if line.strip() and "Stack trace" not in line]
        reason = lines[0].rpartition(": ")[2] if lines else type(error).__name__
        message = f"{path.name} cannot be read by XGBoost {xgboost.__version__}: {newer or reason}"
        raise LoadError(message) from error
    if newer:
        _log.warning("%s may be read wrongly by XGBoost %s: %s", path.name, xgboost.__version__, newer)
    return booster


def _newer(path: Path) -> str:
    """Tell of a file that a newer XGBoost has written; it says so at its end."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END))
            end = file.read()
    except OSError:
        return ""
    text, binary = _TEXT_VERSION.search(end), _BINARY_VERSION.search(end)
    if text:
        written = tuple(int(part) for part in text.groups())
    elif binary:
        written = tuple(part[0] for part in binary.groups())
    else:
        return ""
    known = tuple(int(part) for part in xgboost.__version__.split(".")[:2])
    return f"it was written by XGBoost {'.'.join(map(str, written))}" if written[:2] > known else ""


class XgboostEngine:
    """A booster.

    One that was saved by `XGBClassifier` gives labels and probabilities as that does; any other gives what
    `Booster.predict` gives, which for a classifier is probabilities.
    """

    name = f"xgboost {xgboost.__version__}"

    def __init__(self, booster: xgboost.Booster) -> None:
        self.booster = booster
        learner = json.loads(booster.save_config())["learner"]
        self.objective: str = learner["objective"]["name"]
        classes = int(learner["learner_model_param"]["num_class"])
        targets = int(learner["learner_model_param"].get("num_target", 1))
        self.columns = Columns(
            count=booster.num_features(),
            names=None if booster.feature_names is None else tuple(booster.feature_names),
        )
        attributes = booster.attributes()
        wrapped = json.loads(attributes.get("scikit_learn") or "{}")
        classifies = wrapped.get("_estimator_type") == "classifier" and self.objective in (_BINARY, _MULTI)
        self.labels: Array | None = np.arange(max(classes, 2)) if classifies and targets == 1 else None
        self.has_probabilities = self.labels is not None
        outputs = 1 if classifies else max(classes if self.objective == _MULTI else 1, targets)
        self.tail: tuple[int, ...] = (outputs,) if outputs > 1 else ()
        self.predicts: np.dtype[Any] | None = None
        # XGBoost's scikit-learn classes stop at the round that early stopping found best; a bare booster does not.
        best = attributes.get("best_iteration") if wrapped else None
        self.rounds = (0, 0) if best is None else (0, int(best) + 1)

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Predict once and derive what is wanted."""
        scores = self.booster.inplace_predict(table, iteration_range=self.rounds, validate_features=False)
        if self.labels is None:
            return [scores.astype(np.float64) for _ in wanted]
        if scores.ndim == 1:
            labels = (scores > _HALF).astype(np.int64)
            scores = np.column_stack([1 - scores, scores])
        else:
            labels = scores.argmax(axis=1)
        return [labels if name == PREDICT else scores.astype(np.float64) for name in wanted]
