"""Models that take a table: what they share, whatever computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.models.tabular import Columns
from fairlead_serving.tensors import Array, Tensor, TensorSpec, datatype_of, tensor_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST: Final = float(np.finfo(np.float32).max)
PREDICT: Final = "predict"
PROBABILITIES: Final = "predict_proba"


class Engine(Protocol):
    """What computes.

    `labels` are the classes as they were trained, None for what is no classifier of one target. `targets` is how many
    numbers or labels one row gets.
    """

    name: str
    columns: Columns
    labels: Array | None
    targets: int
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
        self.inputs = engine.columns.specs
        self.outputs = _outputs(engine)
        labels = engine.labels
        self.classes = None if labels is None else tuple(str(label) for label in labels.tolist())

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
        columns = self.engine.columns
        if columns.documents:
            return np.array(["text"], dtype=object)
        return None if columns.count is None else np.zeros((1, columns.count))


def _outputs(engine: Engine) -> tuple[TensorSpec, ...]:
    labels = engine.labels
    datatype = "FP64" if labels is None else datatype_of(labels.dtype)
    predict = TensorSpec(PREDICT, datatype, (-1,) if engine.targets == 1 else (-1, engine.targets))
    if labels is None or not engine.has_probabilities:
        return (predict,)
    return predict, TensorSpec(PROBABILITIES, "FP64", (-1, len(labels)))
