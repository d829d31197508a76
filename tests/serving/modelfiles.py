"""Writing model files for tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

X, Y = load_iris(return_X_y=True)


def write_onnx(estimator: Any, path: Path, **options: Any) -> None:
    from skl2onnx import to_onnx  # noqa: PLC0415  three seconds that most tests need not wait for

    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(to_onnx(estimator, X[:1].astype(np.float32), **options).SerializeToString())


def write_skops(estimator: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    skops.io.dump(estimator, path)
    return path.parent


def mixed() -> Any:
    """A pipeline as one gets it from a data frame: columns of text and of numbers, remembered by name."""
    rows = np.array([["red", 1.0], ["blue", 2.0], ["red", 3.0], ["blue", 4.0]], dtype=object)
    transformer = ColumnTransformer([("colour", OneHotEncoder(), [0]), ("size", StandardScaler(), [1])])
    pipeline = make_pipeline(transformer, LinearRegression()).fit(rows, [1.0, 2.0, 3.0, 4.0])
    names = np.array(["colour", "size"], dtype=object)
    transformer.feature_names_in_ = names
    transformer.transformers_ = [(name, part, [names[at[0]]]) for name, part, at in transformer.transformers_]
    return pipeline
