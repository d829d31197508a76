"""Models that users write in Python, and MLflow's folders."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from textwrap import dedent

import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.linear_model import LogisticRegression

from fairlead_serving.errors import InvalidRequestError, LoadError
from fairlead_serving.models.base import Model
from fairlead_serving.models.loader import load_model
from fairlead_serving.tensors import Tensor
from tests.serving.harness import Server, table
from tests.serving.modelfiles import X, Y

Start = Callable[..., Server]
SCALER = """
    import numpy as np

    from helper import NAME

    class Model:
        inputs = {"x": ("FP64", [-1, 2])}
        outputs = {"y": ("FP32", [-1]), "kind": ("BYTES", [-1])}
        classes = ["small", "large"]

        def load(self, folder):
            self.factor = float((folder / "factor.txt").read_text())

        def preprocess(self, inputs):
            if (inputs["x"] < 0).any():
                raise ValueError("x should not be negative")
            return inputs["x"]

        def predict(self, x):
            return x.sum(axis=1) * self.factor

        def postprocess(self, y):
            return {"y": y, "kind": np.where(y > 10, "large", NAME)}
"""
BARE = """
    class Echo:
        def load(self, folder):
            pass

        def predict(self, inputs):
            return inputs["x"] + 1
"""


def program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(dedent(text))
    return folder


def loaded(folder: Path, wanted: str | None = "python", *, allow_unsafe: bool = False) -> Model:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return load_model(folder, files, wanted, allow_unsafe=allow_unsafe)


def test_a_program_serves_with_pre_and_postprocessing(start: Start, tmp_path: Path) -> None:
    folder = program(tmp_path / "scaler", SCALER)
    (folder / "factor.txt").write_text("2")
    (folder / "helper.py").write_text("NAME = 'small'\n")
    files = sorted(path.name for path in folder.iterdir())
    server = start(folder, FAIRLEAD_MODEL_FORMAT="python").ready()
    metadata = server.get("/v2/models/m").json
    assert metadata["platform"] == "python_python"
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}]
    assert metadata["outputs"][0] == {"name": "y", "datatype": "FP32", "shape": [-1]}
    y, kind = server.infer(table([[1.0, 2.0], [4.0, 5.0]], "FP64")).json["outputs"]
    assert (y["data"], y["datatype"], kind["data"]) == ([6.0, 18.0], "FP32", ["small", "large"])
    refused = server.infer(table([[-1.0, 2.0]], "FP64"))
    assert (refused.status, refused.error) == (400, "inputs: x should not be negative")
    assert server.infer(table([[1.0]], "FP64")).error == "inputs[0].shape: the model takes [-1, 2] for x, not [1, 1]"
    assert sorted(path.name for path in folder.iterdir()) == files


def test_nothing_need_be_declared(start: Start, tmp_path: Path) -> None:
    server = start(program(tmp_path / "bare", BARE), FAIRLEAD_MODEL_FORMAT="python").ready()
    (output,) = server.infer(table([[1.0]])).json["outputs"]
    assert (output["name"], output["data"]) == ("output", [2.0])
    failed = server.infer({"inputs": [{"name": "z", "shape": [1], "datatype": "FP32", "data": [1]}]})
    assert (failed.status, failed.error) == (500, "the model failed: KeyError: 'x'")


def test_a_program_runs_only_where_the_format_is_named(tmp_path: Path) -> None:
    folder = program(tmp_path, BARE)
    with pytest.raises(
        LoadError, match=r"model\.py is a program that would run in the server, so the format has to be"
    ):
        loaded(folder, None)
    assert loaded(folder, None, allow_unsafe=True).format == "python"


@pytest.mark.parametrize(
    ("text", "requirements", "reason"),
    [
        ("import no_such_module", "", "model.py needs the Python module no_such_module, which this image does not"),
        ("1 / 0", "", "model.py cannot be imported: ZeroDivisionError: division by zero"),
        ("class Model: pass", "", "model.py should have one class with load and predict, .* it has none"),
        (BARE.replace("pass", "open('/no/such/file')"), "", "model.py: Echo cannot be loaded: FileNotFoundError"),
        (
            BARE.replace("class Echo:", "class Echo:\n        inputs = {'x': ('FLOAT', [1])}"),
            "",
            "inputs should be like",
        ),
        (BARE, "numpy\nno-such-package>=2 # why\n", "needs no-such-package>=2, which this image does not have"),
        (BARE, "numpy<1\nscikit-learn", "needs numpy<1, of which this image has 2"),
        (BARE, "numpy ! 1", "requirements.txt line 1: 'numpy ! 1' is not a requirement"),
    ],
)
def test_what_a_program_lacks_is_said_in_one_sentence(
    tmp_path: Path, text: str, requirements: str, reason: str
) -> None:
    program(tmp_path, text)
    (tmp_path / "requirements.txt").write_text(requirements)
    with pytest.raises(LoadError, match=reason):
        loaded(tmp_path)


def test_an_error_other_than_a_value_error_in_preprocess_is_the_models(tmp_path: Path) -> None:
    text = BARE + "\n        def preprocess(self, inputs):\n            raise {}('what')\n"
    model = loaded(program(tmp_path / "value", text.format("ValueError")))
    with pytest.raises(InvalidRequestError, match="inputs: what"):
        model.bind([Tensor("x", "FP64", X)])
    model = loaded(program(tmp_path / "key", text.format("RuntimeError")))
    with pytest.raises(Exception, match="the model failed in preprocess: RuntimeError: what"):
        model.bind([Tensor("x", "FP64", X)])


def mlmodel(folder: Path, *flavours: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    generic = "  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
    (folder / "MLmodel").write_text("flavors:\n" + generic + "".join(f"  {text}\n" for text in flavours))
    return folder


def test_mlflow_flavours_are_loaded_directly(tmp_path: Path, models: Path) -> None:
    classifier = LogisticRegression(max_iter=500).fit(X, Y)
    folder = mlmodel(tmp_path / "skops", "sklearn: {pickled_model: model.skops, serialization_format: skops}")
    skops.io.dump(classifier, folder / "model.skops")
    assert (loaded(folder, None).format, loaded(folder, "mlflow").platform) == ("sklearn", "sklearn_skops")
    folder = mlmodel(tmp_path / "pickle", "sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}")
    (folder / "model.pkl").write_bytes(pickle.dumps(classifier))
    with pytest.raises(LoadError, match=r"model\.pkl is a pickle"):
        loaded(folder, None)
    assert loaded(folder, None, allow_unsafe=True).platform == "sklearn_pickle"
    folder = mlmodel(tmp_path / "onnx", "onnx: {data: model.onnx}")
    copy(models / "onnx/model.onnx", folder)
    assert loaded(folder, None).format == "onnx"
    folder = mlmodel(tmp_path / "xgboost", "xgboost: {data: model.ubj, model_class: xgboost.sklearn.XGBClassifier}")
    xgboost.XGBClassifier(n_estimators=3).fit(X, Y).save_model(folder / "model.ubj")
    assert loaded(folder, None).classes == ("0", "1", "2")
    folder = mlmodel(
        tmp_path / "wrapped", "lightgbm: {data: model.skops, model_class: lightgbm.sklearn.LGBMClassifier}"
    )
    skops.io.dump(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y), folder / "model.skops")
    assert (loaded(folder, None).platform, loaded(folder, None).classes) == ("sklearn_skops", ("0", "1", "2"))
    folder = mlmodel(tmp_path / "lightgbm", "lightgbm: {data: model.lgb}")
    booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y).booster_
    booster.save_model(folder / "model.lgb")
    model = loaded(folder, None)
    (output,) = model.run(model.bind([Tensor("x", "FP64", X)]), ["predict"])
    np.testing.assert_allclose(output.array, booster.predict(X))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("flavors:\n  python_function: {}\n", "has only the flavour python_function, which needs MLflow itself"),
        ("flavors:\n  pytorch: {}\n  python_function: {}\n", "has the flavour pytorch; served are onnx, xgboost"),
        (
            "flavors:\n  onnx: {data: model.onnx}\n",
            "flavors.onnx.data should name a file of the folder, not",
        ),
        ("flavors:\n  onnx: {data: ../MLmodel}\n", "should name a file of the folder, not '../MLmodel'"),
        ("flavors: [}", "MLmodel is not YAML"),
        ("a: 1", "MLmodel has no flavors"),
        ("just text", "MLmodel has no flavors"),
    ],
)
def test_mlflow_folders_that_cannot_be_served(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(LoadError, match=reason):
        loaded(tmp_path, None)
