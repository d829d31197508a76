"""A tree or linear model that has been converted to ONNX: the same inputs and outputs as its native engine has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import onnxruntime as ort

from fairlead_serving.errors import LoadError
from fairlead_serving.models.onnx import PUBLISHED, open_session, runner
from fairlead_serving.models.tabular import Columns
from fairlead_serving.models.tabularmodel import PREDICT, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.tensors import Array

_HALF: Final = 0.5
# Numbers whose squares can be summed up.
_MIDDLING: Final = 1e150


class Rules(msgspec.Struct, forbid_unknown_fields=True):
    """How a native engine's answers follow from what the graph gives.

    `label` is where labels come from: `argmax` of the scores, `half` (second class where its score is above 0.5),
    `place` (the output `graph` tells the label's place), `graph` (it tells the label), or `none` for what gives the
    scores themselves, as the numpy type `predicts` or float64; `tail` is the shape of one row of them. Inputs of more
    than `limit` are refused, and NaN unless `nan`.
    """

    label: str
    scores: str | None
    graph: str | None
    tail: list[int]
    labels: list[Any] | None
    labels_type: str
    count: int
    names: list[str] | None
    has_probabilities: bool
    limit: float | None = None
    nan: bool = False
    predicts: str | None = None


class Published(NamedTuple):
    """What an ONNX file that was converted to be published says of itself: rules, if it needs any, and what to tell."""

    rules: Rules | None
    told: dict[str, str]

    def properties(self) -> dict[str, str]:
        """Return it as an ONNX file's metadata keep it."""
        return {PUBLISHED: msgspec.json.encode(self).decode()}

    @staticmethod
    def read(text: str) -> Published:
        """Read it again. Raises LoadError where it is damaged."""
        try:
            return msgspec.json.decode(text, type=Published)
        except msgspec.MsgspecError as error:
            message = f"its metadata {PUBLISHED} are damaged: {error}"
            raise LoadError(message) from error


class ConvertedEngine:
    """A session with the rules that make its outputs those of the native engine."""

    name = f"onnxruntime {ort.__version__}"

    def __init__(self, path: Path, rules: Rules) -> None:
        """Open a converted model. Raises LoadError when the file is damaged."""
        session = open_session(path)
        self._session_run = runner(session)
        node = session.get_inputs()[0]
        self._input = node.name
        self._dtype = np.float32 if node.type == "tensor(float)" else np.float64
        self._rules = rules
        self._outputs: dict[str, str | None] = {
            PREDICT: rules.graph if rules.label in ("graph", "place") else rules.scores,
            PROBABILITIES: rules.scores,
        }
        self.columns = Columns(count=rules.count, names=None if rules.names is None else tuple(rules.names))
        self.labels: Array | None = None
        if rules.labels is not None:
            self.labels = np.array(rules.labels, dtype=np.dtype(rules.labels_type))
        self.tail = tuple(rules.tail)
        self.has_probabilities = rules.has_probabilities
        self.predicts = None if rules.predicts is None else np.dtype(rules.predicts)
        # A sum of squares up to this says in one step that no value is NaN or too large: most tables pass by that.
        self._calm = min(_MIDDLING if rules.limit is None else rules.limit, _MIDDLING) ** 2
        self._takes_all = rules.limit is None and rules.nan

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Run the session once for what is wanted."""
        if not self._takes_all and not np.vdot(table, table) <= self._calm:
            self._check(table)
        feed = {self._input: table.astype(self._dtype, copy=False)}
        names = [self._outputs[want] for want in wanted]
        if len(names) == 2 and names[0] == names[1]:  # noqa: PLR2004  labels and probabilities of the same scores
            scores = self._session_run(names[:1], feed, None)[0]
            values = [scores, scores]
        else:
            values = self._session_run(names, feed, None)
        return [
            self._labels(value) if want == PREDICT else self._probabilities(value)
            for want, value in zip(wanted, values, strict=True)
        ]

    def _labels(self, value: Any) -> Any:
        rules = self._rules
        labels = self.labels
        if rules.label == "none" or labels is None:
            return self._numbers(value)
        if rules.label == "argmax":
            return labels[value.argmax(1)]
        if rules.label == "half":
            return labels[(value > _HALF).astype(np.int64)]
        return labels[value] if rules.label == "place" else value

    def _numbers(self, value: Any) -> Array:
        return np.asarray(value, self.predicts or np.float64).reshape(-1, *self.tail)

    def _probabilities(self, scores: Any) -> Array:
        if self._rules.label == "half":
            return np.column_stack([1 - scores, scores]).astype(np.float64)
        return np.asarray(scores, np.float64)

    def _check(self, table: Array) -> None:
        """Refuse what the native engine would refuse; a runtime would just compute something."""
        limit = self._rules.limit
        sizes = np.abs(table)
        fine = sizes <= (np.inf if limit is None else limit)
        if self._rules.nan:
            fine |= np.isnan(table)
        if not fine.all():
            message = "the input holds NaN, an infinity or a value that is too large"
            raise ValueError(message)
