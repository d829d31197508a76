"""Trees of any library as one ONNX operator, exactly.

ONNX's tree operator sums leaf values as float32, which loses what sklearn computes in float64 and so breaks ties the
other way. Here it only finds the leaves: each tree is an output of its own, and a leaf's value is its row in a table.
The rows are then gathered and summed in the library's own precision and order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.tensors import Array

ML_DOMAIN: Final = "ai.onnx.ml"
OPSETS: Final = {"": 17, ML_DOMAIN: 3}
# A node takes a kilobyte while it is converted. Row numbers travel as float32, exact up to sixteen millions.
_MAX_NODES: Final = 1_000_000


class Graph(Protocol):
    """Where nodes and constants go."""

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""

    def constant(self, name: str, values: Array) -> str:
        """Add a constant and return its name."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The nodes of all trees in one row of arrays; children are numbers within their tree.

    A row goes to `left` where its feature is below (`strict`) or at most at the threshold, and with NaN where
    `missing_left`. `values` has a row a leaf: numbers for all outputs at once, or one number where the trees take turns
    at `turns` outputs. The precision of `thresholds` is the one features are compared in, that of `values` the one
    they are summed in.
    """

    trees: Array
    numbers: Array
    features: Array
    thresholds: Array
    left: Array
    right: Array
    missing_left: Array
    leaves: Array
    values: Array
    strict: bool = False
    turns: int = 0


def joined(parts: list[Forest]) -> Forest:
    """Return one forest of all trees."""
    if not parts:
        message = "there are no trees"
        raise UnconvertibleError(message)
    first = parts[0]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("numbers", "features", "thresholds", "left", "right", "missing_left", "leaves", "values")
    }
    trees = np.repeat(np.arange(len(parts)), [len(part.numbers) for part in parts])
    return Forest(trees=trees, strict=first.strict, turns=first.turns, **arrays)


def emit(graph: Graph, table: str, forest: Forest, prefix: str) -> str:
    """Add a forest to a graph and return the name of the sums over its trees, [rows, outputs]."""
    count = int(forest.trees[-1]) + 1
    if len(forest.numbers) > _MAX_NODES:
        message = f"its trees have {len(forest.numbers):,} nodes, more than {_MAX_NODES:,}"
        raise UnconvertibleError(message)
    narrow = forest.thresholds.dtype == np.float32
    features = graph.node("Cast", [table], f"{prefix}_features", to=TensorProto.FLOAT if narrow else TensorProto.DOUBLE)
    places = graph.node(
        "TreeEnsembleRegressor", [features], f"{prefix}_places", ML_DOMAIN, n_targets=count, **_tree_attributes(forest)
    )
    rows = graph.node("Cast", [places], f"{prefix}_rows", to=TensorProto.INT64)
    values = graph.node("Gather", [graph.constant(f"{prefix}_table", forest.values), rows], f"{prefix}_values", axis=0)
    if forest.values.ndim == 1:
        shape = graph.constant(f"{prefix}_shape", np.array([-1, count // forest.turns, forest.turns], np.int64))
        values = graph.node("Reshape", [values, shape], f"{prefix}_turns")
    axes = graph.constant(f"{prefix}_axes", np.array([1], np.int64))
    return graph.node("ReduceSum", [values, axes], f"{prefix}_sums", keepdims=0)


def _tree_attributes(forest: Forest) -> dict[str, Any]:
    branch = "BRANCH_LT" if forest.strict else "BRANCH_LEQ"
    leaves = forest.leaves
    thresholds = np.where(leaves, 0, forest.thresholds).astype(forest.thresholds.dtype)
    weights = np.arange(int(leaves.sum()), dtype=thresholds.dtype)
    attributes: dict[str, Any] = {
        "nodes_treeids": forest.trees.tolist(),
        "nodes_nodeids": forest.numbers.tolist(),
        "nodes_featureids": np.where(leaves, 0, forest.features).tolist(),
        "nodes_modes": ["LEAF" if leaf else branch for leaf in leaves.tolist()],
        "nodes_truenodeids": np.where(leaves, 0, forest.left).tolist(),
        "nodes_falsenodeids": np.where(leaves, 0, forest.right).tolist(),
        "nodes_missing_value_tracks_true": np.where(leaves, 0, forest.missing_left).tolist(),
        "target_treeids": forest.trees[leaves].tolist(),
        "target_nodeids": forest.numbers[leaves].tolist(),
        "target_ids": forest.trees[leaves].tolist(),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }
    if thresholds.dtype == np.float32:
        return {**attributes, "nodes_values": thresholds.tolist(), "target_weights": weights.tolist()}
    return {
        **attributes,
        "nodes_values_as_tensor": numpy_helper.from_array(thresholds, "nodes_values"),
        "target_weights_as_tensor": numpy_helper.from_array(weights, "target_weights"),
    }


class OnnxGraph:
    """A graph of its own, from a table `X` of float64 to `scores`."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self._nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, name: str, values: Array) -> str:
        """Add a constant and return its name."""
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def model(self, columns: int, dtype: np.dtype[Any], shape: list[int | None]) -> bytes:
        """Return the file of a graph whose last node gives `scores` of a type and shape."""
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        graph = helper.make_graph(
            self._nodes,
            "forest",
            [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, columns])],
            [helper.make_tensor_value_info("scores", kind, shape)],
            self._constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
        return content
