"""scikit-learn's trees, forests and gradient boosting, in place of skl2onnx's converters for them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn import ensemble, tree
from sklearn.base import is_classifier

from fairlead_serving.conversion import sklearn_hist
from fairlead_serving.conversion.container import OPTIONS, Container
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.forest import Forest, emit, joined
from fairlead_serving.tensors import Array

_SINGLE: Final = ("DecisionTree", "ExtraTree")
_AVERAGED: Final = ("RandomForest", "ExtraTrees")
_BOOSTED: Final = ("GradientBoosting", "HistGradientBoosting")
_KINDS: Final = ("Classifier", "Regressor")


def register() -> None:
    """Tell skl2onnx to convert these estimators, alone and inside of pipelines, by `emit`."""
    for module, names in ((tree, _SINGLE), (ensemble, (*_AVERAGED, *_BOOSTED))):
        for name in names:
            for kind in _KINDS:
                update_registered_converter(
                    getattr(module, name + kind),
                    f"Fairlead{name}{kind}",
                    _shapes,
                    _convert_boosted if name in _BOOSTED else _convert_averaged,
                    options=OPTIONS if kind == "Classifier" else None,
                )


def trees_of(estimator: Any) -> list[Any]:
    """Return the fitted trees of an estimator, in the order in which it sums them; empty for other estimators."""
    if isinstance(estimator, tree.BaseDecisionTree):
        return [estimator.tree_]
    members = getattr(estimator, "estimators_", ())
    members = members.ravel() if isinstance(members, np.ndarray) else members
    return [member.tree_ for member in members if isinstance(member, tree.BaseDecisionTree)]


def _forest(trees: list[Any], values: list[Array], turns: int = 0) -> Forest:
    parts = []
    for fitted, value in zip(trees, values, strict=True):
        leaves = fitted.children_left == -1
        parts.append(
            Forest(
                trees=np.zeros(0, np.int64),
                numbers=np.arange(fitted.node_count),
                features=fitted.feature,
                thresholds=_rounded_down(fitted.threshold),
                left=fitted.children_left,
                right=fitted.children_right,
                missing_left=fitted.missing_go_to_left,
                leaves=leaves,
                values=value[leaves],
                turns=turns,
            )
        )
    return joined(parts)


def _rounded_down(thresholds: Array) -> Array:
    """Return float32 thresholds that part float32 features just as the float64 ones do."""
    narrow = thresholds.astype(np.float32)
    return np.where(narrow > thresholds, np.nextafter(narrow, np.float32(-np.inf)), narrow)


def _shapes(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    estimator = operator.raw_operator
    if is_classifier(estimator):
        operator.outputs[0].type = Int64TensorType([rows])
        operator.outputs[1].type = DoubleTensorType([rows, len(estimator.classes_)])
    else:
        operator.outputs[0].type = DoubleTensorType([rows, int(getattr(estimator, "n_outputs_", 1))])


def _convert_averaged(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    if is_classifier(estimator) and estimator.n_outputs_ > 1:
        message = "it has several targets"
        raise UnconvertibleError(message)
    graph = Container(scope, container)
    trees = trees_of(estimator)
    # A leaf's value: the share of each class, or a number for each target.
    values = [fitted.value[:, 0, :] if is_classifier(estimator) else fitted.value[:, :, 0] for fitted in trees]
    sums = emit(graph, operator.inputs[0].full_name, _forest(trees, values), graph.name("forest"))
    count = graph.constant(graph.name("count"), np.array(float(len(trees))))
    if is_classifier(estimator):
        graph.node("Div", [sums, count], operator.outputs[1].full_name)
        _label(graph, operator)
    else:
        graph.node("Div", [sums, count], operator.outputs[0].full_name)


def _convert_boosted(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    graph = Container(scope, container)
    forest, start, link = _boosted(estimator)
    sums = emit(graph, operator.inputs[0].full_name, forest, graph.name("forest"))
    raw = graph.node("Add", [sums, graph.constant(graph.name("start"), start)], graph.name("raw"))
    if not is_classifier(estimator):
        graph.node(link, [raw], operator.outputs[0].full_name)
        return
    scores = operator.outputs[1].full_name
    if forest.turns > 1:
        graph.node("Softmax", [raw], scores, axis=1)
    else:
        if link == "exponential":
            raw = graph.node("Mul", [raw, graph.constant(graph.name("two"), np.array(2.0))], graph.name("doubled"))
        second = graph.node("Sigmoid", [raw], graph.name("second"))
        first = graph.node("Sub", [graph.constant(graph.name("one"), np.array(1.0)), second], graph.name("first"))
        graph.node("Concat", [first, second], scores, axis=1)
    _label(graph, operator)


def _boosted(estimator: Any) -> tuple[Forest, Array, str]:
    """Return the trees, what their sums begin with, and how predictions follow from the sums."""
    if hasattr(estimator, "_predictors"):
        link = "Identity"
        if not is_classifier(estimator) and estimator.loss in ("poisson", "gamma"):
            link = "Exp"
        start = np.asarray(estimator._baseline_prediction, np.float64).ravel()  # noqa: SLF001  nothing public has it
        return sklearn_hist.forest_of(estimator), start, link
    trees = trees_of(estimator)
    values = [fitted.value[:, 0, 0] * estimator.learning_rate for fitted in trees]
    forest = _forest(trees, values, turns=estimator.estimators_.shape[1])
    return forest, _start(estimator), "exponential" if estimator.loss == "exponential" else "Identity"


def _start(estimator: Any) -> Array:
    """Return what the sums of a boosted model begin with, for each output."""
    rows = np.zeros((2, estimator.n_features_in_), np.float32)
    rows[1] = 1
    start = estimator._raw_predict_init(rows)  # noqa: SLF001  nothing public tells it
    if not np.array_equal(start[0], start[1]):
        message = "it starts from another estimator"
        raise UnconvertibleError(message)
    return np.asarray(start[0], np.float64)


def _label(graph: Container, operator: Any) -> None:
    """Give the place of the most probable class; the server turns it into a label by itself."""
    graph.node("ArgMax", [operator.outputs[1].full_name], operator.outputs[0].full_name, axis=1, keepdims=0)
