"""scikit-learn's histogram gradient boosting, which skl2onnx does not convert at this version."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.forest import Forest, joined

_LEAF: Final = -1


def forest_of(estimator: Any) -> Forest:
    """Return the trees of an estimator. Raises UnconvertibleError where they split by category."""
    return joined([_tree(predictor.nodes, estimator.n_trees_per_iteration_) for predictor in _predictors(estimator)])


def _predictors(estimator: Any) -> list[Any]:
    return [predictor for turn in estimator._predictors for predictor in turn]  # noqa: SLF001  nothing public has them


def _tree(nodes: Any, outputs: int) -> Forest:
    leaves = nodes["is_leaf"].astype(bool)
    if nodes["is_categorical"].any():
        message = "it splits by category"
        raise UnconvertibleError(message)
    return Forest(
        trees=np.zeros(0, np.int64),
        numbers=np.arange(len(nodes)),
        features=nodes["feature_idx"].astype(np.int64),
        thresholds=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaves, _LEAF, nodes["left"].astype(np.int64)),
        right=np.where(leaves, _LEAF, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(np.int64),
        leaves=leaves,
        values=nodes["value"][leaves].astype(np.float64),
        turns=outputs,
    )
