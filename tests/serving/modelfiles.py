"""Writing model files for tests."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from onnx import TensorProto, helper, numpy_helper
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


def write_net(path: Path, sizes: tuple[int, ...] = (64, 256, 256, 3), *, loud: float = 1.0) -> None:
    """Write a neural net of float32, whose probabilities come out; `loud` scales what its last layer adds up."""
    chance = np.random.default_rng(3)
    nodes, constants, last = [], [], "x"
    for place, (wide, narrow) in enumerate(pairwise(sizes)):
        weights = chance.standard_normal((wide, narrow)).astype(np.float32) * np.float32(1.5 / wide**0.5)
        final = place == len(sizes) - 2
        constants.append(numpy_helper.from_array(weights * np.float32(loud if final else 1), f"w{place}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{place}"], [f"m{place}"]))
        last = f"m{place}"
        if not final:
            nodes.append(helper.make_node("Relu", [last], [f"r{place}"]))
            last = f"r{place}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, sizes[0]])
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, sizes[-1]])
    graph = helper.make_graph(nodes, "net", [given], [out], constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
