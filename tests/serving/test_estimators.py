"""Estimators of every kind: what metadata say of them is what they answer, natively and as ONNX."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairlead_serving.conversion.convert import convert
from fairlead_serving.conversion.report import MODEL
from fairlead_serving.errors import LoadError
from fairlead_serving.models.converted import ConvertedEngine
from fairlead_serving.models.formats import Choice
from fairlead_serving.models.loader import load_choice, load_model
from fairlead_serving.models.sklearn_inputs import takes_documents, takes_text
from fairlead_serving.models.tabularmodel import TabularModel
from fairlead_serving.tensors import Tensor
from tests.serving.modelfiles import X, Y, mixed

SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]
DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="datetime64[D]")[Y]
BOTH = np.column_stack([Y, Y > 0])
CHOICE = Choice("sklearn", "model.pkl")
# Name → estimator, what it learns, the datatype and shape of its predictions, its classes, and whether ONNX serves it.
KINDS: dict[str, tuple[Any, Any, str, tuple[int, ...], tuple[str, ...] | None, bool]] = {
    "yes or no": (LogisticRegression(max_iter=500), Y > 0, "BOOL", (-1,), ("False", "True"), True),
    "small numbers": (LogisticRegression(max_iter=500), Y.astype(np.int8), "INT8", (-1,), ("0", "1", "2"), True),
    "narrow fractions": (GaussianNB(), Y.astype(np.float32), "FP32", (-1,), ("0.0", "1.0", "2.0"), True),
    "objects": (RandomForestClassifier(5), SPECIES.astype(object), "BYTES", (-1,), tuple(np.unique(SPECIES)), True),
    "dates": (GaussianNB(), DAYS, "BYTES", (-1,), ("2020-01-01", "2020-01-02", "2020-01-03"), False),
    "network": (MLPClassifier((8,), max_iter=900), SPECIES, "BYTES", (-1,), tuple(np.unique(SPECIES)), True),
    "calibrated": (CalibratedClassifierCV(GaussianNB()), Y, "INT64", (-1,), ("0", "1", "2"), True),
    "search": (GridSearchCV(GaussianNB(), {"var_smoothing": [0.1]}), Y, "INT64", (-1,), ("0", "1", "2"), True),
    "outliers": (IsolationForest(n_estimators=5, random_state=1), None, "INT64", (-1,), None, True),
    "novelties": (LocalOutlierFactor(novelty=True), None, "INT64", (-1,), None, True),
    "clusters": (KMeans(3, n_init=1), None, "INT32", (-1,), None, False),
    "mixture": (GaussianMixture(3, random_state=1), None, "INT64", (-1,), ("0", "1", "2"), False),
    "two labels": (MultiOutputClassifier(GaussianNB()), BOTH, "INT64", (-1, 2), None, True),
    "two texts": (KNeighborsClassifier(), np.column_stack([SPECIES, SPECIES]), "BYTES", (-1, 2), None, False),
    "several labels": (OneVsRestClassifier(LinearRegression()), BOTH > 0, "INT64", (-1, 2), None, True),
    "column of numbers": (LinearRegression(), X[:, :1], "FP64", (-1, 1), None, True),
    "whole numbers": (Ridge(), Y, "FP64", (-1,), None, True),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", KINDS)
def test_metadata_say_what_is_answered(tmp_path: Path, name: str) -> None:
    estimator, labels, datatype, shape, classes, as_onnx = KINDS[name]
    estimator.fit(X) if labels is None else estimator.fit(X, labels)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator))
    native = load_choice(tmp_path, CHOICE)
    assert isinstance(native, TabularModel)
    assert (native.outputs[0].datatype, native.outputs[0].shape, native.classes) == (datatype, shape, classes)
    assert (len(native.outputs) == 2) == (classes is not None)
    (tmp_path / "to").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = convert(tmp_path, CHOICE, tmp_path / "to")
    # Which of two is faster may be told wrongly where other work is going on.
    assert (report.rules is not None) == as_onnx or "takes" in report.reason, report.reason
    models = [native]
    if report.rules is not None:
        models.append(TabularModel("sklearn", "", ConvertedEngine(tmp_path / "to" / MODEL, report.rules)))
    expected = estimator.predict(X)
    for model in models:
        assert model.outputs == native.outputs
        answer = model.run(model.bind([Tensor("x", "FP64", X)]), [spec.name for spec in model.outputs])
        for spec, output in zip(model.outputs, answer, strict=True):
            assert (output.datatype, output.array.shape[1:]) == (spec.datatype, spec.shape[1:])
        if expected.dtype.kind == "f" and classes is None:
            np.testing.assert_allclose(answer[0].array, expected, rtol=1e-5, atol=1e-6)
        else:
            assert answer[0].array.astype(str).tolist() == expected.astype(str).tolist()


def test_a_column_count_that_is_not_told(tmp_path: Path) -> None:
    trained = IsotonicRegression(out_of_bounds="clip").fit(X[:, 0], X[:, 2])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(trained))
    model = load_choice(tmp_path, CHOICE)
    answer = model.run(model.bind([Tensor("x", "FP64", X[:, :1])]), ["predict"])[0].array
    np.testing.assert_allclose(answer, trained.predict(X[:, 0]))


TEXTS = ["good day", "bad night", "good", "bad"] * 5
ROWS = np.array([["red", 1.0], ["blue", 2.0]] * 10, dtype=object)
CODED = make_pipeline(make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough"), LinearRegression())
CLOSE = make_pipeline(TfidfVectorizer(), LogisticRegression())


@pytest.mark.parametrize(
    ("estimator", "rows", "labels", "text", "documents"),
    [
        (mixed(), None, None, True, False),
        (CLOSE, TEXTS, ["+", "-"] * 10, True, True),
        (CalibratedClassifierCV(CLOSE, cv=2), TEXTS, ["+", "-"] * 10, True, True),
        (TransformedTargetRegressor(CODED), ROWS, [1.0, 2.0] * 10, True, False),
        (VotingRegressor([("a", CODED), ("b", CODED)]), ROWS, [1.0, 2.0] * 10, True, False),
        (make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)), X, Y, False, False),
        (
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), LinearRegression()),
            ROWS,
            [1.0, 2.0] * 10,
            True,
            False,
        ),
        (
            make_pipeline(
                make_column_transformer((StandardScaler(), [0]), remainder="passthrough"), LinearRegression()
            ),
            X,
            Y,
            False,
            False,
        ),
        (
            make_pipeline(
                make_column_transformer((StandardScaler(), [1]), remainder="passthrough"),
                OneHotEncoder(),
                LinearRegression(),
            ),
            ROWS,
            [1.0, 2.0] * 10,
            True,
            False,
        ),
    ],
)
def test_text_is_taken_where_a_part_knows_it(
    estimator: Any, rows: Any, labels: Any, text: object, documents: object
) -> None:
    if rows is not None:
        estimator.fit(rows, labels)
    assert (takes_text(estimator), takes_documents(estimator)) == (text, documents)


def test_a_missing_library_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {
        "model.skops": "model.skops needs scikit-learn, skops, which this image does not have: serve it with the full",
        "model.ubj": "model.ubj needs XGBoost, which this image does not have: serve it with the full image",
        "model.txt": "model.txt needs LightGBM, which this image does not have",
        "model.tflite": "model.tflite needs LiteRT .* the image variant litert, or pip install",
    }
    for module in ("sklearn", "skops", "xgboost", "lightgbm", "ai_edge_litert"):
        # What cannot be imported, as far as the import system is concerned.
        monkeypatch.setitem(sys.modules, module, None)
    for file, reason in lacking.items():
        with pytest.raises(LoadError, match=reason):
            load_model(tmp_path, [file], None)
