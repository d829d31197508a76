"""XGBoost's and LightGBM's scikit-learn classes, alone and at the end of pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn.base import is_classifier

from fairlead_serving.conversion.boosters import Parts, from_lightgbm, from_xgboost
from fairlead_serving.conversion.container import OPTIONS, Container


def register(estimator: Any) -> None:
    """Tell skl2onnx to convert the last part of an estimator, if it is one of these classes."""
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    if _library(last) in ("xgboost", "lightgbm"):
        kind = type(last)
        options = OPTIONS if is_classifier(last) else None
        update_registered_converter(kind, f"Fairlead{kind.__name__}", _shapes, _convert, options=options)


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]


def _parts(estimator: Any) -> Parts:
    """Take the booster within apart. The libraries are loaded already, by the estimator."""
    if _library(estimator) == "lightgbm":
        from fairlead_serving.models.lightgbm import LightgbmEngine  # noqa: PLC0415

        return from_lightgbm(LightgbmEngine(estimator.booster_))
    from fairlead_serving.models.xgboost import XgboostEngine  # noqa: PLC0415

    engine = XgboostEngine(estimator.get_booster())
    best = getattr(estimator, "best_iteration", None)
    engine.rounds = (0, 0) if best is None else (0, int(best) + 1)
    return from_xgboost(engine)


def _shapes(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    if is_classifier(operator.raw_operator):
        operator.outputs[0].type = Int64TensorType([rows])
        operator.outputs[1].type = DoubleTensorType([rows, len(operator.raw_operator.classes_)])
    else:
        operator.outputs[0].type = DoubleTensorType([rows, 1])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    parts = _parts(estimator)
    graph = Container(scope, container)
    raw = parts.emit(graph, operator.inputs[0].full_name, graph.name("booster"))
    if not is_classifier(estimator):
        graph.node("Cast", [raw], operator.outputs[0].full_name, to=TensorProto.DOUBLE)
        return
    label, scores = (output.full_name for output in operator.outputs)
    if parts.forest.turns > 1:
        graph.node("Cast", [raw], scores, to=TensorProto.DOUBLE)
    else:
        second = graph.node("Cast", [raw], graph.name("second"), to=TensorProto.DOUBLE)
        first = graph.node("Sub", [graph.constant(graph.name("one"), np.array(1.0)), second], graph.name("first"))
        graph.node("Concat", [first, second], scores, axis=1)
    graph.node("ArgMax", [scores], label, axis=1, keepdims=0)
