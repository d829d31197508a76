"""scikit-learn estimators as ONNX: skl2onnx, with converters of our own for trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import is_classifier

from fairlead_serving.conversion import sklearn_boosters, sklearn_linear, sklearn_trees
from fairlead_serving.conversion.forest import OPSETS


def from_estimator(estimator: Any, precision: type[np.floating[Any]]) -> bytes:
    """Return an estimator as an ONNX file that takes a table `X` in a precision; raises whatever skl2onnx does."""
    sklearn_trees.register()
    sklearn_linear.register()
    sklearn_boosters.register(estimator)
    kind = DoubleTensorType if precision is np.float64 else FloatTensorType
    # Without the option, probabilities would come as a list of dictionaries.
    options = {"zipmap": False} if is_classifier(estimator) else None
    model = to_onnx(
        estimator,
        initial_types=[("X", kind([None, estimator.n_features_in_]))],
        options=options,
        target_opset=OPSETS,
    )
    content: bytes = model.SerializeToString()
    return content
