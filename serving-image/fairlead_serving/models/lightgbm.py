"""LightGBM models, kept as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from fairlead_serving.errors import LoadError
from fairlead_serving.models.tabular import Columns
from fairlead_serving.models.tabularmodel import TabularModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.tensors import Array

_MARK = b"tree\n"


def load(path: Path) -> TabularModel:
    """Read a model. Raises LoadError when it is damaged."""
    return TabularModel("lightgbm", "lightgbm_lightgbm", LightgbmEngine(read_booster(path)))


def read_booster(path: Path) -> lightgbm.Booster:
    """Return the booster in a file. Raises LoadError."""
    try:
        with path.open("rb") as file:
            # LightGBM ends the process on some files that are not its own.
            if file.read(len(_MARK)).replace(b"\r", b"") != _MARK:
                message = f"{path.name} is not a LightGBM model: its first line should be 'tree'"
                raise LoadError(message)
        return lightgbm.Booster(model_file=path)
    except (lightgbm.basic.LightGBMError, OSError, ValueError) as error:
        message = f"{path.name} cannot be read by LightGBM {lightgbm.__version__}: {error}"
        raise LoadError(message) from error


class LightgbmEngine:
    """A booster. `predict` is what `Booster.predict` gives: for a classifier its probabilities, not labels."""

    name = f"lightgbm {lightgbm.__version__}"

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster = booster
        names = tuple(booster.feature_name())
        made_up = names == tuple(f"Column_{position}" for position in range(len(names)))
        self.columns = Columns(count=booster.num_feature(), names=None if made_up else names)
        self.labels: Array | None = None
        self.has_probabilities = False
        outputs = booster.num_model_per_iteration()
        self.tail: tuple[int, ...] = (outputs,) if outputs > 1 else ()
        self.predicts: np.dtype[Any] | None = None

    def compute(self, table: Array, wanted: Sequence[str]) -> list[Any]:
        """Predict in this thread: LightGBM's own would cost more than they save."""
        scores = self.booster.predict(table, num_threads=1, validate_features=False)
        return [scores for _ in wanted]
