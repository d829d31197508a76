"""scikit-learn's linear classifiers whose labels follow from their decision function, not from probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn import linear_model, svm

from fairlead_serving.conversion.container import OPTIONS, Container

_KINDS = (
    linear_model.Perceptron,
    linear_model.RidgeClassifier,
    linear_model.RidgeClassifierCV,
    linear_model.SGDClassifier,
    svm.LinearSVC,
)


def register() -> None:
    """Tell skl2onnx to convert these classifiers, alone and at the end of pipelines, by `_convert`."""
    for kind in _KINDS:
        update_registered_converter(kind, f"Fairlead{kind.__name__}", _shapes, _convert, options=OPTIONS)


def _shapes(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([rows])
    operator.outputs[1].type = DoubleTensorType([rows, len(operator.raw_operator.classes_)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Give the place of the label, and the probabilities where there are some, else the decision function."""
    estimator = operator.raw_operator
    graph = Container(scope, container)
    weights = graph.constant(graph.name("weights"), np.atleast_2d(np.asarray(estimator.coef_, np.float64)).T.copy())
    offset = graph.constant(graph.name("offset"), np.asarray(estimator.intercept_, np.float64).ravel())
    table = graph.node("Cast", [operator.inputs[0].full_name], graph.name("table"), to=TensorProto.DOUBLE)
    product = graph.node("MatMul", [table, weights], graph.name("product"))
    decision = graph.node("Add", [product, offset], graph.name("decision"))
    zero, one = (graph.constant(graph.name("number"), np.array(float(number))) for number in (0, 1))
    label, scores = (output.full_name for output in operator.outputs)
    if len(estimator.classes_) > 2:  # noqa: PLR2004  two classes share one decision function
        graph.node("ArgMax", [decision], label, axis=1, keepdims=0)
        if hasattr(estimator, "predict_proba"):
            # ONNX Runtime's own sigmoid is 0 long before the smallest number, and the shares are of small numbers.
            power = graph.node("Exp", [graph.node("Neg", [decision], graph.name("minus"))], graph.name("power"))
            single = graph.node("Div", [one, graph.node("Add", [power, one], graph.name("odds"))], graph.name("single"))
            axes = graph.constant(graph.name("axes"), np.array([1], np.int64))
            total = graph.node("ReduceSum", [single, axes], graph.name("total"), keepdims=1)
            # Where no class is left, all are as likely as each other.
            lost = graph.node("Equal", [total, zero], graph.name("lost"))
            spare = graph.node("Cast", [lost], graph.name("spare"), to=TensorProto.DOUBLE)
            shares = graph.node("Add", [single, spare], graph.name("shares"))
            sums = graph.node("ReduceSum", [shares, axes], graph.name("sums"), keepdims=1)
            graph.node("Div", [shares, sums], scores)
        else:
            graph.node("Identity", [decision], scores)
        return
    above = graph.node("Greater", [decision, zero], graph.name("above"))
    places = graph.node("Cast", [above], graph.name("places"), to=TensorProto.INT64)
    graph.node("Squeeze", [places, graph.constant(graph.name("axes"), np.array([1], np.int64))], label)
    second = graph.node("Sigmoid", [decision], graph.name("second"))
    first = graph.node("Sub", [one, second], graph.name("first"))
    graph.node("Concat", [first, second], scores, axis=1)
