"""Engines beside scikit-learn and ONNX Runtime: the same answers as the library gives, and files that are refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from fairlead_serving.errors import InvalidRequestError, LoadError
from fairlead_serving.models.base import Model
from fairlead_serving.models.loader import load_model
from fairlead_serving.tensors import Tensor
from tests.serving.harness import Server, table
from tests.serving.modelfiles import X, Y

Start = Callable[..., Server]
BINARY = (Y > 0).astype(int)
TREES: dict[str, Any] = {"n_estimators": 12, "max_depth": 3}


def loaded(folder: Path, wanted: str | None = None, *, allow_unsafe: bool = False) -> Model:
    return load_model(folder, sorted(path.name for path in folder.iterdir()), wanted, allow_unsafe=allow_unsafe)


def answers(model: Model, rows: Any = X) -> dict[str, Any]:
    feed = model.bind([Tensor("any", "FP64", rows)])
    names = [spec.name for spec in model.outputs]
    outputs = model.run(feed, names)
    for spec, output in zip(model.outputs, outputs, strict=True):
        assert (spec.name, spec.datatype, len(spec.shape)) == (output.name, output.datatype, output.array.ndim)
    return {output.name: output.array for output in outputs}


@pytest.mark.parametrize("labels", [Y, BINARY], ids=["three classes", "two classes"])
@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
def test_xgboost_classifiers_give_labels_and_probabilities(tmp_path: Path, labels: Any, file: str) -> None:
    trained = xgboost.XGBClassifier(**TREES).fit(X, labels)
    trained.save_model(tmp_path / file)
    model = loaded(tmp_path)
    got = answers(model)
    assert (model.format, model.classes) == ("xgboost", tuple(str(label) for label in np.unique(labels)))
    np.testing.assert_array_equal(got["predict"], trained.predict(X))
    np.testing.assert_allclose(got["predict_proba"], trained.predict_proba(X), rtol=0, atol=1e-7)


def test_xgboost_stops_where_early_stopping_did(tmp_path: Path) -> None:
    trained = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, learning_rate=1.0)
    trained.fit(X[::2], Y[::2], eval_set=[(X[1::2], Y[1::2])], verbose=False)
    assert trained.best_iteration < 50
    trained.save_model(tmp_path / "model.ubj")
    np.testing.assert_allclose(answers(loaded(tmp_path))["predict_proba"], trained.predict_proba(X), atol=1e-7)


def test_xgboost_regressors_and_bare_boosters_give_what_predict_gives(tmp_path: Path) -> None:
    regressor = xgboost.XGBRegressor(**TREES).fit(X[:, :3], X[:, 3])
    (tmp_path / "regressor").mkdir()
    regressor.save_model(tmp_path / "regressor/model.json")
    model = loaded(tmp_path / "regressor")
    assert model.classes is None
    np.testing.assert_allclose(answers(model, X[:, :3])["predict"], regressor.predict(X[:, :3]), rtol=1e-6)
    matrix = xgboost.DMatrix(X, Y, feature_names=["a", "b", "c", "d"])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, matrix, 5)
    (tmp_path / "bare").mkdir()
    booster.save_model(tmp_path / "bare/model.ubj")
    model = loaded(tmp_path / "bare")
    assert model.outputs[0].shape == (-1, 3)
    np.testing.assert_allclose(answers(model)["predict"], booster.predict(matrix), rtol=1e-6)
    columns = [Tensor(name, "FP64", X[:, index]) for index, name in enumerate("abcd")]
    np.testing.assert_allclose(model.run(model.bind(columns), ["predict"])[0].array, booster.predict(matrix), rtol=1e-6)


@pytest.mark.parametrize("target", [Y, BINARY, X[:, 0]], ids=["three classes", "two classes", "numbers"])
def test_lightgbm_gives_what_the_booster_gives(tmp_path: Path, target: Any) -> None:
    kind = lightgbm.LGBMRegressor if target.dtype.kind == "f" else lightgbm.LGBMClassifier
    booster = kind(**TREES, verbose=-1).fit(X, target).booster_
    booster.save_model(tmp_path / "model.txt")
    model = loaded(tmp_path)
    assert model.format == "lightgbm"
    np.testing.assert_allclose(answers(model)["predict"], booster.predict(X), rtol=1e-9)


def test_pickles_are_read_where_that_is_allowed(tmp_path: Path) -> None:
    species = np.array(["setosa", "versicolor", "virginica"])[Y]
    trained = {
        "model.pkl": LogisticRegression(max_iter=500).fit(X, species),
        "model.joblib": RandomForestClassifier(5, n_jobs=-1, random_state=1).fit(X, species),
        "extreme.pkl": xgboost.XGBClassifier(**TREES).fit(X, Y),
        "boosted.pickle": lightgbm.LGBMClassifier(**TREES, verbose=-1).fit(X, species),
    }
    for file, estimator in trained.items():
        folder = tmp_path / file.partition(".")[0] / file.partition(".")[2]
        folder.mkdir(parents=True)
        joblib.dump(estimator, folder / file, compress=3) if "joblib" in file else (folder / file).write_bytes(
            pickle.dumps(estimator)
        )
        model = loaded(folder, allow_unsafe=True)
        assert (model.format, model.platform, model.classes) == (
            "sklearn",
            "sklearn_pickle",
            tuple(map(str, estimator.classes_)),
        )
        got = answers(model)
        assert got["predict"].tolist() == estimator.predict(X).tolist()
        np.testing.assert_allclose(got["predict_proba"], estimator.predict_proba(X))


def test_without_leave_a_pickle_is_not_even_opened(start: Start, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    folder = tmp_path / "trap"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap()))
    server = start(folder)
    assert server.ended() == 1
    assert server.termination.read_text().startswith("model.pkl is a pickle, which can run any code")
    assert not (tmp_path / "sprung").exists()
    allowed = start(folder, FAIRLEAD_ALLOW_UNSAFE="true")
    assert allowed.ended() == 1
    assert "which cannot predict" in allowed.termination.read_text()
    assert (tmp_path / "sprung").exists()


def test_a_pickle_says_which_module_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cno_such_library\nModel\n.")
    with pytest.raises(LoadError, match="needs the Python module no_such_library, which this image does not have"):
        loaded(tmp_path, allow_unsafe=True)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04damaged")
    with pytest.raises(LoadError, match=r"model\.pkl cannot be read as a pickle"):
        loaded(tmp_path, allow_unsafe=True)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.json", b'{"learner": 1}', "model.json cannot be read by XGBoost"),
        ("model.ubj", b"\0" * 40, "model.ubj cannot be read by XGBoost"),
        ("model.txt", b"hello", "model.txt is not a LightGBM model: its first line should be 'tree'"),
        ("model.txt", b"tree\nversion=v4\n", "model.txt cannot be read by LightGBM"),
        (
            "model.tflite",
            b"x",
            r"model.tflite (needs LiteRT \(ai-edge-litert\), which this image|cannot be loaded by litert)",
        ),
        ("model.pt2", b"x", "model.pt2 is a PyTorch program, which can run any code when it is read, so it is refused"),
        ("weights.pt", b"x", "weights.pt is a pickled PyTorch file or TorchScript"),
    ],
)
def test_damaged_and_foreign_files_are_refused_in_one_line(
    tmp_path: Path, file: str, content: bytes, reason: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(LoadError, match=reason) as caught:
        loaded(tmp_path)
    assert "\n" not in str(caught.value)


def test_columns_are_checked_for_every_engine(tmp_path: Path) -> None:
    lightgbm.LGBMRegressor(**TREES, verbose=-1).fit(X, Y).booster_.save_model(tmp_path / "model.txt")
    model = loaded(tmp_path)
    with pytest.raises(InvalidRequestError, match=r"inputs\[0\].shape: the model takes \[rows, 4\], not \[150, 3\]"):
        model.bind([Tensor("x", "FP64", X[:, :3])])


def test_a_server_with_an_xgboost_model(start: Start, tmp_path: Path) -> None:
    trained = xgboost.XGBClassifier(**TREES).fit(X, Y)
    (tmp_path / "boosted").mkdir()
    trained.save_model(tmp_path / "boosted/model.ubj")
    server = start(tmp_path / "boosted").ready()
    predict, probabilities = server.infer(table()).json["outputs"]
    assert (predict["data"], probabilities["shape"]) == ([0, 2], [2, 3])
    assert server.get("/v2/models/m").json["platform"] == "xgboost_xgboost"
    assert server.metrics()['fairlead_predictions_total{class="2"}'] == 1
