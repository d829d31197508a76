"""A tree or linear model that has been converted to ONNX: the same inputs and outputs as its native engine has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import onnxruntime as ort

from fairlead_serving.models.onnx import open_session
from fairlead_serving.models.tabular import Columns
from fairlead_serving.models.tabularmodel import PREDICT, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.tensors import Array

_HALF: Final = 0.5


class Rules(msgspec.Struct, forbid_unknown_fields=True):
    """How a native engine's answers follow from what the graph gives.

    `label` is where labels come from: `argmax` of the scores, `half` (second class where its score is above 0.5),
    `place` (the output `graph` tells the label's place), `graph` (it tells the label), or `none` for what gives the
    scores themselves; `tail` is then the shape of one row of `predict`. Inputs of more than `limit` are refused, and
    NaN unless `nan`.
    """

    label: str
    scores: str | None
    graph: str | None
    tail: list[int]
    labels: list[Any] | None
    labels_type: str
    count: int
    names: list[str] | None
    targets: int
    has_probabilities: bool
    limit: float | None = None
    nan: bool = False


class ConvertedEngine:
    """A session with the rules that make its outputs those of the native engine."""

    name = f"onnxruntime {ort.__version__}"

    def __init__(self, path: Path, rules: Rules) -> None:
        """Open a converted model. Raises LoadError when the file is damaged."""
        self._session = open_session(path)
        node = self._session.get_inputs()[0]
        self._input = node.name
        self._dtype = np.float32 if node.type == "tensor(float)" else np.float64
        self._rules = rules
        self._outputs = {
            PREDICT: [rules.graph if rules.label in ("graph", "place") else rules.scores],
            PROBABILITIES: [rules.scores],
        }
        self.columns = Columns(count=rules.count, names=None if rules.names is None else tuple(rules.names))
        self.labels: Array | None = None
        if rules.labels is not None:
            self.labels = np.array(rules.labels, dtype=np.dtype(rules.labels_type))
        self.targets = rules.targets
        self.has_probabilities = rules.has_probabilities

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Run the session once for what is wanted."""
        self._check(table)
        rules = self._rules
        names = list(dict.fromkeys(name for want in wanted for name in self._outputs[want]))
        values = self._session.run(names, {self._input: table.astype(self._dtype, copy=False)})
        given = dict(zip(names, values, strict=True))
        scores = given.get(rules.scores)
        return [self._labels(given, scores) if want == PREDICT else self._probabilities(scores) for want in wanted]

    def _labels(self, given: dict[str | None, Any], scores: Any) -> Any:
        rules = self._rules
        labels: Array = self.labels if self.labels is not None else np.zeros(0)
        if rules.label == "none":
            return np.asarray(scores, np.float64).reshape(-1, *rules.tail)
        if rules.label == "graph":
            return np.asarray(given[rules.graph])
        if rules.label == "place":
            return labels[given[rules.graph]]
        return labels[(scores > _HALF).astype(np.int64) if rules.label == "half" else scores.argmax(axis=1)]

    def _probabilities(self, scores: Any) -> Array:
        if self._rules.label == "half":
            return np.column_stack([1 - scores, scores]).astype(np.float64)
        return np.asarray(scores, np.float64)

    def _check(self, table: Array) -> None:
        """Refuse what the native engine would refuse; a runtime would just compute something."""
        limit = self._rules.limit
        if limit is None and self._rules.nan:
            return
        sizes = np.abs(table)
        fine = sizes <= (np.inf if limit is None else limit)
        if self._rules.nan:
            fine |= np.isnan(table)
        if not fine.all():
            message = "the input holds NaN, an infinity or a value that is too large"
            raise ValueError(message)
