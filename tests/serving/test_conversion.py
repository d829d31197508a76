"""Tree and linear models as ONNX: the same answers as the native engine gives, or the native engine."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from fairlead_serving.conversion import gate
from fairlead_serving.conversion.convert import convert
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.report import MODEL, Report
from fairlead_serving.models.converted import ConvertedEngine
from fairlead_serving.models.formats import Choice
from fairlead_serving.models.loader import load_choice
from fairlead_serving.models.tabularmodel import PREDICT, PROBABILITIES, Engine, TabularModel
from tests.serving.harness import Server, table
from tests.serving.modelfiles import X, Y

Start = Callable[..., Server]
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def write(folder: Path, estimator: Any) -> Choice:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(estimator))
    return Choice("sklearn", "model.pkl")


def converted(folder: Path, choice: Choice) -> tuple[Engine, Engine | None, Report]:
    """Return the native engine, the converted one where there is one, and the report."""
    (folder / "converted").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = convert(folder, choice, folder / "converted")
    model = load_choice(folder, choice)
    assert isinstance(model, TabularModel)
    if report.rules is None:
        return model.engine, None, report
    return model.engine, ConvertedEngine(folder / "converted" / MODEL, report.rules), report


def fresh(data: Any, count: int = 3000) -> Any:
    """Rows that the gate has not seen: the training data, and others from its range."""
    spread = np.random.default_rng(5).uniform(data.min(0) - 0.5, data.max(0) + 0.5, (count, data.shape[1]))
    return np.concatenate([data, spread, np.round(spread, 1)])


CLASSIFIERS = {
    "forest": (RandomForestClassifier(30, random_state=2), X, SPECIES),
    # An even number of small trees: many rows end in a tie, which only the same sums break the same way.
    "ties": (RandomForestClassifier(6, max_depth=2, random_state=3, n_jobs=-1), X, Y),
    "tree": (DecisionTreeClassifier(random_state=1), *CANCER),
    "boosted": (GradientBoostingClassifier(n_estimators=12), X, SPECIES),
    "boosted, exponential": (GradientBoostingClassifier(loss="exponential", n_estimators=12), *CANCER),
    "histograms": (HistGradientBoostingClassifier(max_iter=12), X, SPECIES),
    "histograms, two classes": (HistGradientBoostingClassifier(max_iter=12), *CANCER),
    "logistic": (LogisticRegression(max_iter=500), X, SPECIES),
    "logistic, yes or no": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER[0], CANCER[1] > 0),
    "scaled forest": (make_pipeline(MinMaxScaler(), RandomForestClassifier(20, random_state=1)), X, Y + 5),
    "gradient descent": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")), *CANCER),
    # One against the rest: where several are certain, its probabilities do not tell its labels.
    "gradient descent, three classes": (SGDClassifier(loss="log_loss", random_state=1), X, SPECIES),
    "ridge": (RidgeClassifier(), X, SPECIES),
    "ridge, two classes": (make_pipeline(StandardScaler(), RidgeClassifier()), *CANCER),
    "support vectors, linear": (LinearSVC(), X, Y),
    "xgboost": (xgboost.XGBClassifier(n_estimators=12), X, Y),
    "xgboost, two classes": (xgboost.XGBClassifier(n_estimators=12), *CANCER),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=12, verbose=-1), X, SPECIES),
    "scaled xgboost": (make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=12)), *CANCER),
    "scaled lightgbm": (
        make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=12, verbose=-1)),
        CANCER[0],
        np.array(["no", "yes"])[CANCER[1]],
    ),
    "lightgbm, two classes": (lightgbm.LGBMClassifier(n_estimators=12, verbose=-1), *CANCER),
}
REGRESSORS = {
    "linear": LinearRegression(),
    "scaled": make_pipeline(StandardScaler(), LinearRegression()),
    "tree": DecisionTreeRegressor(random_state=1),
    "forest": ExtraTreesRegressor(20, random_state=1),
    "boosted": GradientBoostingRegressor(n_estimators=12),
    "histograms": HistGradientBoostingRegressor(max_iter=12),
    "histograms, counts": HistGradientBoostingRegressor(max_iter=12, loss="poisson"),
    "xgboost": xgboost.XGBRegressor(n_estimators=12),
    "xgboost, counts": xgboost.XGBRegressor(n_estimators=12, objective="count:poisson"),
    "lightgbm": lightgbm.LGBMRegressor(n_estimators=12, verbose=-1),
    "lightgbm, counts": lightgbm.LGBMRegressor(n_estimators=12, objective="poisson", verbose=-1),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_the_same_labels_and_probabilities(tmp_path: Path, name: str) -> None:
    estimator, data, labels = CLASSIFIERS[name]
    native, onnx, report = converted(tmp_path, write(tmp_path, estimator.fit(data, labels)))
    assert onnx is not None, report.reason
    assert (onnx.has_probabilities, onnx.columns.count) == (native.has_probabilities, data.shape[1])
    wanted = [PREDICT, PROBABILITIES] if native.has_probabilities else [PREDICT]
    rows = fresh(data)
    expected, actual = native.compute(rows, wanted), onnx.compute(rows, wanted)
    np.testing.assert_array_equal(actual[0], expected[0])
    assert actual[0].dtype == expected[0].dtype
    if native.has_probabilities:
        np.testing.assert_allclose(actual[1], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_give_the_same_numbers(tmp_path: Path, name: str) -> None:
    native, onnx, report = converted(tmp_path, write(tmp_path, REGRESSORS[name].fit(*DIABETES)))
    assert onnx is not None, report.reason
    rows = fresh(DIABETES[0])
    np.testing.assert_allclose(
        onnx.compute(rows, [PREDICT])[0], native.compute(rows, [PREDICT])[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:A column-vector")
@pytest.mark.parametrize("targets", [1, 2])
def test_several_targets(tmp_path: Path, targets: int) -> None:
    for name, estimator in (("linear", LinearRegression()), ("trees", ExtraTreesRegressor(5, random_state=1))):
        native, onnx, report = converted(
            tmp_path / name, write(tmp_path / name, estimator.fit(X[:, :2], X[:, 2 : 2 + targets]))
        )
        assert onnx is not None, report.reason
        assert native.tail == onnx.tail == native.compute(X[:1, :2], [PREDICT])[0].shape[1:]
        expected = native.compute(X[:, :2], [PREDICT])[0]
        np.testing.assert_allclose(onnx.compute(X[:, :2], [PREDICT])[0], expected, rtol=1e-5, atol=1e-6, strict=True)


def test_boosters_own_files_with_missing_values(tmp_path: Path) -> None:
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    xgboost.XGBClassifier(n_estimators=8).fit(holes, Y).save_model(tmp_path / "model.ubj")
    lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(holes, Y).booster_.save_model(tmp_path / "model.txt")
    for kind, file in (("xgboost", "model.ubj"), ("lightgbm", "model.txt")):
        native, onnx, report = converted(tmp_path, Choice(kind, file))
        assert onnx is not None, report.reason
        np.testing.assert_allclose(
            onnx.compute(holes, [PREDICT])[0], native.compute(holes, [PREDICT])[0], rtol=1e-5, atol=1e-6
        )
        (tmp_path / "converted" / MODEL).unlink()
        (tmp_path / "converted").rmdir()


@pytest.mark.parametrize(
    ("estimator", "labels", "reason"),
    [
        (make_pipeline(OrdinalEncoder(), LinearRegression()), Y, "it takes text"),
        (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=500)), Y, "it takes text"),
        (KNeighborsClassifier(3), Y, "ONNX Runtime"),
    ],
)
def test_what_stays_with_the_native_engine_says_why(tmp_path: Path, estimator: Any, labels: Any, reason: str) -> None:
    _, onnx, report = converted(tmp_path, write(tmp_path, estimator.fit(np.round(X), labels)))
    assert onnx is None
    assert report.parity is None
    assert report.reason.startswith(reason)


def test_the_gate_notices_one_wrong_label_and_one_wrong_number(tmp_path: Path) -> None:
    trained = DecisionTreeClassifier(random_state=1).fit(X, Y)
    native, onnx, report = converted(tmp_path, write(tmp_path, trained))
    assert onnx is not None
    assert report.rules is not None
    inner = native.estimator.tree_  # type: ignore[attr-defined]
    leaf = int(np.argmin(inner.children_left))
    inner.value[leaf] = inner.value[leaf][:, ::-1] + [[1e-4, 0, 0]]
    reached = X[trained.apply(X) == leaf]
    with pytest.raises(UnconvertibleError, match=r"ONNX Runtime differs in \d+ of \d+ values of predict"):
        gate.judge(native, tmp_path / "converted" / MODEL, report.rules, reached)


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_the_native_engine_refuses_is_refused(tmp_path: Path) -> None:
    linear, onnx, _ = converted(tmp_path / "a", write(tmp_path / "a", LinearRegression().fit(*DIABETES)))
    forest, trees, _ = converted(tmp_path / "b", write(tmp_path / "b", RandomForestClassifier(3).fit(X, Y)))
    for native, engine, width, bad in (
        (linear, onnx, 10, (np.nan, np.inf)),
        (forest, trees, 4, (np.inf, -np.inf, 1e39)),
    ):
        assert engine is not None
        for value in bad:
            rows = np.zeros((2, width))
            rows[1, 2] = value
            for each in (native, engine):
                with pytest.raises(ValueError, match=r"NaN|infinity|too large"):
                    each.compute(rows, [PREDICT])


def test_a_converted_model_serves_without_its_library(start: Start, models: Path) -> None:
    server = start(models / "forest", FAIRLEAD_WORKERS="1")
    line = server.wait_for("^converted to ONNX$")
    assert (line["native"], line["difference"]) == ("scikit-learn RandomForestClassifier", 0)
    server.ready()
    metadata = server.get("/v2/models/m").json
    assert metadata["platform"] == "sklearn_skops"
    assert metadata["parameters"]["converted_from"] == "scikit-learn RandomForestClassifier"
    assert metadata["parameters"]["engine"].startswith("onnxruntime")
    assert metadata["parameters"]["parity"] == "3000 rows, largest difference 0"
    predict, probabilities = server.infer(table()).json["outputs"]
    assert (predict["data"], probabilities["shape"]) == ([0, 2], [2, 3])
    assert "sklearn" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_conversion_is_kept_and_a_slow_one_is_given_up(start: Start, models: Path, tmp_path: Path) -> None:
    cache = {"FAIRLEAD_CACHE_DIR": str(tmp_path / "cache")}
    slow = start(models / "classifier", **cache, FAIRLEAD_CONVERT_SECONDS="0.01").ready()
    reason = slow.get("/v2/models/m").json["parameters"]["not_converted"]
    assert reason == "it took longer than 0.01 s"
    assert slow.infer(table()).json["outputs"][0]["data"] == [0, 2]
    start(models / "classifier", **cache).ready()
    (kept,) = (tmp_path / "cache").glob("converted-*")
    written = (kept / MODEL).stat().st_mtime_ns
    start(models / "classifier", **cache).ready()
    assert (kept / MODEL).stat().st_mtime_ns == written
    assert not list((tmp_path / "cache").glob(".partial-*"))
    off = start(models / "classifier", **cache, FAIRLEAD_CONVERT_SECONDS="0").ready()
    assert set(off.get("/v2/models/m").json["parameters"]) == {"engine"}


def test_a_model_of_another_version_of_its_library_is_told_of(start: Start, tmp_path: Path) -> None:
    class Older(LogisticRegression):  # type: ignore[misc]  # scikit-learn is untyped
        def __getstate__(self) -> Any:
            return {**super().__getstate__(), "_sklearn_version": "1.0"}

        def __reduce__(self) -> Any:
            return LogisticRegression, (), self.__getstate__()

    write(tmp_path / "older", Older(max_iter=500).fit(X, Y))
    server = start(tmp_path / "older", FAIRLEAD_ALLOW_UNSAFE="true", FAIRLEAD_WORKERS="1")
    line = server.wait_for("model.pkl: Trying to unpickle estimator LogisticRegression from version 1.0")
    assert line["level"] == "warning"
    server.wait_for("^converted to ONNX$")


def test_golden_requests_are_samples_for_the_gate_too(tmp_path: Path) -> None:
    choice = write(tmp_path, LogisticRegression(max_iter=500).fit(X, Y))
    row = {"request": table(), "response": {"outputs": [{"name": "predict", "data": [0, 2]}]}}
    (tmp_path / "golden.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "input_example.json").write_text(json.dumps({"columns": list("abcd"), "data": X[:5].tolist()}))
    _, _, report = converted(tmp_path, choice)
    assert report.parity is not None
    assert report.parity.rows == 3000 + 2 + 5
