"""XGBoost's and LightGBM's own models as ONNX, without their libraries' converters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.forest import Forest, Graph, OnnxGraph, emit, joined
from fairlead_serving.tensors import Array

if TYPE_CHECKING:
    from fairlead_serving.models.lightgbm import LightgbmEngine
    from fairlead_serving.models.xgboost import XgboostEngine

# Objective → ONNX operator that makes predictions of the sums; None where the sums are the predictions.
_XGBOOST: Final[dict[str, str | None]] = {
    "binary:logistic": "Sigmoid",
    "reg:logistic": "Sigmoid",
    "multi:softprob": "Softmax",
    "reg:squarederror": None,
    "reg:absoluteerror": None,
    "reg:pseudohubererror": None,
    "binary:logitraw": None,
    "count:poisson": "Exp",
    "reg:gamma": "Exp",
    "reg:tweedie": "Exp",
}
_INFINITE: Final = 1e300
_LIGHTGBM: Final[dict[str, str | None]] = {
    "binary": "Sigmoid",
    "multiclass": "Softmax",
    "regression": None,
    "regression_l1": None,
    "huber": None,
    "fair": None,
    "quantile": None,
    "mape": None,
    "poisson": "Exp",
    "gamma": "Exp",
    "tweedie": "Exp",
}


class Parts(NamedTuple):
    """What a booster computes: sums over a forest, plus a margin, through a link."""

    forest: Forest
    margin: Array
    link: str | None

    def emit(self, graph: Graph, table: str, prefix: str) -> str:
        """Add all of it to a graph and return the name of what comes out, [rows, outputs]."""
        sums = emit(graph, table, self.forest, f"{prefix}_forest")
        scores = graph.node("Add", [sums, graph.constant(f"{prefix}_margin", self.margin)], f"{prefix}_margins")
        if self.link is None:
            return scores
        attributes: dict[str, Any] = {"axis": 1} if self.link == "Softmax" else {}
        return graph.node(self.link, [scores], f"{prefix}_linked", **attributes)

    def file(self, columns: int) -> bytes:
        """Return an ONNX file of its own; a single output is given as [rows]."""
        graph = OnnxGraph()
        last = self.emit(graph, "X", "booster")
        if self.forest.turns > 1:
            graph.node("Identity", [last], "scores")
            return graph.model(columns, self.forest.values.dtype, [None, self.forest.turns])
        graph.node("Squeeze", [last, graph.constant("second", np.array([1], np.int64))], "scores")
        return graph.model(columns, self.forest.values.dtype, [None])


def from_xgboost(engine: XgboostEngine) -> Parts:
    """Take a booster apart. Raises UnconvertibleError."""
    link = _link(_XGBOOST, engine.objective)
    learner = json.loads(engine.booster.save_raw("json"))["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        message = f"its booster is {booster['name']}"
        raise UnconvertibleError(message)
    model = booster["model"]
    outputs = max(1, int(learner["learner_model_param"]["num_class"]))
    trees = model["trees"]
    if int(learner["learner_model_param"].get("num_target", 1)) > 1:
        message = "it has several targets"
        raise UnconvertibleError(message)
    if int(model["gbtree_model_param"].get("num_parallel_tree", 1)) > 1 and outputs > 1:
        message = "it has several trees a round and class"
        raise UnconvertibleError(message)
    last = engine.rounds[1] * outputs * int(model["gbtree_model_param"].get("num_parallel_tree", 1))
    forest = joined([_xgboost_tree(tree, outputs) for tree in (trees[:last] if last else trees)])
    base = np.atleast_1d(np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32))
    return Parts(forest, _margin(base, link), link)


def from_lightgbm(engine: LightgbmEngine) -> Parts:
    """Take a booster apart. Raises UnconvertibleError."""
    model = engine.booster.dump_model()
    objective, *options = str(model.get("objective", "")).split()
    link = _link(_LIGHTGBM, objective)
    if any(option not in {"sigmoid:1", f"num_class:{model['num_class']}"} for option in options if ":" in option):
        message = f"its objective has the options {' '.join(options)}"
        raise UnconvertibleError(message)
    if model.get("average_output") or "sqrt" in options:
        message = "its trees are averaged or its target was a square root"
        raise UnconvertibleError(message)
    outputs = int(model["num_tree_per_iteration"])
    forest = joined([_lightgbm_tree(info["tree_structure"], outputs) for info in model["tree_info"]])
    return Parts(forest, np.zeros(1), link)


def _margin(base: Array, link: str | None) -> Array:
    """Return a base score, which is kept as a prediction, as what the sums begin with."""
    if link == "Sigmoid":
        return -np.log(1 / base - 1)
    return np.log(base) if link == "Exp" else base


def _link(known: dict[str, str | None], objective: str) -> str | None:
    if objective not in known:
        message = f"the objective {objective or 'of its own'} has no counterpart in ONNX here"
        raise UnconvertibleError(message)
    return known[objective]


def _xgboost_tree(tree: dict[str, Any], outputs: int) -> Forest:
    if any(tree.get("categories_nodes", ())) or any(tree.get("split_type", ())):
        message = "it splits by category"
        raise UnconvertibleError(message)
    left = np.array(tree["left_children"], np.int64)
    conditions = np.array(tree["split_conditions"], np.float32)
    leaves = left == -1
    return Forest(
        trees=np.zeros(0, np.int64),
        numbers=np.arange(len(left)),
        features=np.array(tree["split_indices"], np.int64),
        thresholds=conditions,
        left=left,
        right=np.array(tree["right_children"], np.int64),
        missing_left=np.array(tree["default_left"], np.int64),
        leaves=leaves,
        values=conditions[leaves],
        strict=True,
        turns=outputs,
    )


def _lightgbm_tree(root: dict[str, Any], outputs: int) -> Forest:
    """Number a nested tree's nodes from the root."""
    features: list[int] = []
    thresholds: list[float] = []
    left: list[int] = []
    right: list[int] = []
    missing: list[int] = []
    values: list[float] = []
    waiting: list[tuple[dict[str, Any], int | None, list[int]]] = [(root, None, [])]
    while waiting:
        node, parent, side = waiting.pop()
        number = len(features)
        if parent is not None:
            side[parent] = number
        leaf = "leaf_value" in node
        values.append(node["leaf_value"] if leaf else np.nan)
        features.append(0 if leaf else node["split_feature"])
        thresholds.append(0.0 if leaf else _lightgbm_threshold(node))
        missing.append(0 if leaf else _lightgbm_missing_left(node))
        left.append(-1)
        right.append(-1)
        if not leaf:
            waiting += [(node["right_child"], number, right), (node["left_child"], number, left)]
    leaves = np.array(left) == -1
    return Forest(
        trees=np.zeros(0, np.int64),
        numbers=np.arange(len(left)),
        features=np.array(features, np.int64),
        thresholds=np.array(thresholds, np.float64),
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        missing_left=np.array(missing, np.int64),
        leaves=leaves,
        values=np.array(values, np.float64)[leaves],
        turns=outputs,
    )


def _lightgbm_threshold(node: dict[str, Any]) -> float:
    if node["decision_type"] != "<=":
        message = "it splits by category"
        raise UnconvertibleError(message)
    threshold = float(node["threshold"])
    # Where only missing values go to the right, LightGBM writes the largest number it knows for an infinity.
    return float("inf") if threshold >= _INFINITE else threshold


def _lightgbm_missing_left(node: dict[str, Any]) -> bool:
    kind = node["missing_type"]
    if kind == "Zero":
        message = "it takes zeros for missing values"
        raise UnconvertibleError(message)
    # Where no value was missing in training, LightGBM takes NaN for 0.
    return bool(node["default_left"]) if kind == "NaN" else float(node["threshold"]) >= 0
