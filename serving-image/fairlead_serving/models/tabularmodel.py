"""Models that take a table: what they share, whatever computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.models.tabular import Columns
from fairlead_serving.tensors import Array, Tensor, TensorSpec, as_element, datatype_of, tensor_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST: Final = float(np.finfo(np.float32).max)
PREDICT: Final = "predict"
PROBABILITIES: Final = "predict_proba"


class Engine(Protocol):
    """What computes.

    `labels` are the classes as they were trained, None for what is no classifier of one target. `tail` is the shape of
    what `predict` gives for one row, `()` for a single number or label; `predicts` its numpy type where that follows
    neither from the labels nor is float64.
    """

    name: str
    columns: Columns
    labels: Array | None
    tail: tuple[int, ...]
    predicts: np.dtype[Any] | None
    has_probabilities: bool

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Return `predict` and `predict_proba` of a table, as wanted."""


class TabularModel:
    """A model of one table. `predict` is the first output, `predict_proba` the second where there is one."""

    def __init__(self, kind: str, platform: str, engine: Engine, parameters: Mapping[str, str] | None = None) -> None:
        """Describe an engine as a model of a format; `parameters` are told in the model's metadata."""
        self.format = kind
        self.platform = platform
        self.engine = engine
        self.parameters: Mapping[str, str] = {"engine": engine.name, **(parameters or {})}
        self.batches = True
        self.binds_by_form = True
        self.inputs = engine.columns.specs
        self.outputs = _outputs(engine)
        labels = engine.labels
        self.classes = None if labels is None else tuple(str(as_element(label)) for label in labels.tolist())

    def bind(self, inputs: Sequence[Tensor]) -> Array:
        """Return the request's rows as one table."""
        return self.engine.columns.table(inputs)

    def run(self, feed: Array, wanted: Sequence[str]) -> list[Tensor]:
        """Compute the wanted outputs.

        Raises InvalidRequestError where the engine refuses NaN, infinities or what is too large for its floats: only it
        knows what it takes of them.
        """
        try:
            found = self.engine.compute(feed, wanted)
        except ValueError as error:
            if feed.dtype.kind != "f" or bool((np.abs(feed) <= _LARGEST).all()):
                raise
            raise InvalidRequestError(at="inputs", problem=f"the model refuses them: {error}") from error
        return [tensor_of(name, values) for name, values in zip(wanted, found, strict=True)]

    def sample(self) -> Array | None:
        """Return one row of zeros."""
        return self.engine.columns.sample()


def _outputs(engine: Engine) -> tuple[TensorSpec, ...]:
    labels = engine.labels
    dtype = labels.dtype if labels is not None else engine.predicts or np.dtype(np.float64)
    predict = TensorSpec(PREDICT, datatype_of(dtype), (-1, *engine.tail))
    if labels is None or not engine.has_probabilities:
        return (predict,)
    return predict, TensorSpec(PROBABILITIES, "FP64", (-1, len(labels)))
