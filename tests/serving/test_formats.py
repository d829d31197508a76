"""Model formats: what each takes and gives, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import skops.io
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.compiled import package
from tests.serving.harness import IRIS, Server, read_response, table

Start = Callable[..., Server]
Served = Callable[[str], Server]


def column(name: str, values: list[float], shape: list[int] | None = None) -> dict[str, object]:
    return {"name": name, "datatype": "FP64", "shape": shape or [len(values)], "data": values}


def test_a_regressor_has_one_output(served: Served) -> None:
    server = served("regressor")
    (output,) = server.infer(table([[5.1, 3.5], [6.0, 3.0]])).json["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("predict", "FP64", [2])
    assert server.metrics()["fairlead_prediction_value_sum"] == pytest.approx(sum(output["data"]))


def test_text_labels_come_back_as_trained(served: Served) -> None:
    server = served("texts")
    predict = server.infer(table()).json["outputs"][0]
    assert predict == {"name": "predict", "datatype": "BYTES", "shape": [2], "data": ["setosa", "virginica"]}
    assert server.get("/v2/models/m").json["outputs"][0]["datatype"] == "BYTES"
    counted = server.metrics()
    assert counted['fairlead_predictions_total{class="setosa"}'] >= 1
    assert counted['fairlead_predictions_total{class="versicolor"}'] == 0


def test_one_tensor_a_column(served: Served) -> None:
    server = served("named")
    columns = [column(name, [row[index] for row in IRIS]) for index, name in enumerate("abcd")]
    by_column = server.infer({"inputs": columns[::-1]})
    assert by_column.json["outputs"] == server.infer(table(datatype="FP64")).json["outputs"]
    two_dimensional = [column(name, [row[index] for row in IRIS], [2, 1]) for index, name in enumerate("abcd")]
    assert server.infer({"inputs": two_dimensional}).json["outputs"] == by_column.json["outputs"]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([column("a", [1.0]), column("b", [1.0])], "inputs: is missing the columns c, d"),
        ([column("a", [1.0])], "inputs: is missing the columns b, c, d"),
        ([column("a", [1.0]), column("z", [1.0])], "inputs[1].name: 'z' is not a column"),
        ([column("a", [1.0]), column("b", [1.0, 2.0])], "inputs[1].shape: a column should be [1], not [2]"),
        ([column("a", []), column("b", [])], "inputs[0].shape: a column should be [rows], not [0]"),
        ([column("a", [1.0] * 4, [2, 2]), column("b", [1.0])], "inputs[0].shape: a column should be [rows]"),
    ],
)
def test_wrong_columns_are_named(served: Served, inputs: list[object], reason: str) -> None:
    server = served("named")
    answer = server.infer({"inputs": inputs})
    assert answer.status == 400
    assert answer.error.startswith(reason)


def test_columns_of_text_and_of_numbers(served: Served) -> None:
    server = served("mixed")
    colour = {"name": "colour", "datatype": "BYTES", "shape": [2], "data": ["red", "blue"]}
    answer = server.infer({"inputs": [column("size", [1.0, 4.0]), colour]})
    assert answer.json["outputs"][0]["data"] == [pytest.approx(1.0), pytest.approx(4.0)]


def test_a_list_of_texts(served: Served) -> None:
    server = served("documents")
    assert server.get("/v2/models/m").json["inputs"] == [{"name": "input", "datatype": "BYTES", "shape": [-1]}]
    texts = {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a good one", "a bad one"]}
    assert server.infer({"inputs": [texts]}).json["outputs"][0]["data"] == ["+", "-"]
    assert server.infer({"inputs": [{**texts, "shape": [2, 1]}]}).status == 200
    assert server.infer({"inputs": [{**texts, "shape": [1, 2]}]}).status == 400
    assert server.infer(table()).error == "inputs[0].datatype: the model takes texts as BYTES, not FP32"


def test_a_slow_model_answers_pipelined_requests_in_order(start: Start, models: Path) -> None:
    server = start(models / "forest", FAIRLEAD_CONVERT_SECONDS="0").ready()
    with server.connect() as client, client.makefile("rb") as stream:
        for number in range(40):
            body = json.dumps(table(id=str(number))).encode()
            head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        for number in range(40):
            assert read_response(stream).json["id"] == str(number)
            assert read_response(stream).json == {"live": True}


def test_what_the_model_raises_on_a_legal_request_is_a_500_and_the_server_lives_on(start: Start, models: Path) -> None:
    server = start(models / "picky").ready()
    for _ in range(3):
        answer = server.infer(table([[7.0]]))
        assert answer.status == 500
        assert answer.error.startswith("the model failed: ValueError: Found unknown categories")
    assert server.infer(table([[1.0]])).json["outputs"][0]["data"] == [pytest.approx(1.0)]
    counted = server.metrics()
    assert counted['fairlead_requests_total{outcome="server_error"}'] == 3
    assert counted['fairlead_requests_total{outcome="success"}'] == 1
    server.process.terminate()
    server.process.kill()
    server.ended()
    traces = [line for line in server.lines if "traceback" in line]
    assert len(traces) == 1
    assert "Found unknown categories" in traces[0]["traceback"]


def test_onnx_names_types_and_shapes_are_the_sessions(served: Served) -> None:
    metadata = served("onnx").get("/v2/models/m").json
    assert metadata["platform"] == "onnxruntime_onnx"
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}]
    answer = served("onnx").infer(table()).json["outputs"]
    assert [output["name"] for output in answer] == ["label", "probabilities"]
    assert answer[0]["data"] == [0, 2]
    assert answer[1]["shape"] == [2, 3]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (table(datatype="FP64"), "inputs[0].datatype: the model takes FP32 for X, not FP64"),
        (table([[1.0, 2.0]]), "inputs[0].shape: the model takes [-1, 4] for X, not [1, 2]"),
        (
            {"inputs": [*table()["inputs"], column("y", [1.0])]},  # type: ignore[misc]
            "inputs[0].name: 'x' is not an input (X)",
        ),
    ],
)
def test_onnx_refuses_what_the_session_does_not_take(served: Served, message: object, reason: str) -> None:
    answer = served("onnx").infer(message)
    assert (answer.status, answer.error) == (400, reason)


def test_a_zipmap_is_undone(served: Served) -> None:
    server = served("zipmap")
    label, probability = server.infer(table()).json["outputs"]
    assert (label["data"], probability["shape"], probability["datatype"]) == ([0, 2], [2, 3], "FP32")
    assert sum(probability["data"][3:]) == pytest.approx(1)


def test_onnx_classes_are_counted_from_zero(start: Start, models: Path) -> None:
    server = start(models / "onnx").ready()
    assert [server.metrics()[f'fairlead_predictions_total{{class="{label}"}}'] for label in "012"] == [0, 0, 0]


def test_onnx_needs_no_scikit_learn(models: Path, tmp_path: Path) -> None:
    probe = (
        "import sys; from pathlib import Path; from fairlead_serving.models.loader import load_model;"
        f"load_model(Path({str(models / 'onnx')!r}), ['model.onnx'], None);"
        "sys.exit(any(name.split('.')[0] in ('sklearn', 'scipy', 'skops', 'onnx') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", probe], env={"PYTHONPATH": str(package())}, cwd=tmp_path, check=True)  # noqa: S603  our own program


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("pickle", "model.joblib is a pickle, which can run any code when it is read, so it is refused: "),
        ("damaged", "model.onnx cannot be loaded by ONNX Runtime"),
        ("fake", "model.skops is not a skops file, or is damaged"),
        ("strange", "no model found: expected model.skops or model.onnx or model.ubj"),
    ],
)
def test_files_that_cannot_be_served_end_the_server_with_the_reason(
    start: Start, models: Path, folder: str, reason: str
) -> None:
    server = start(models / folder)
    assert server.ended() == 1
    assert server.termination.read_text().startswith(reason)
    assert server.termination.read_text().count("\n") == 1


def test_a_named_format_decides_and_must_be_known(start: Start, models: Path) -> None:
    assert start(models / "onnx", FAIRLEAD_MODEL_FORMAT="sklearn").ended() == 1
    unknown = start(models / "onnx", FAIRLEAD_MODEL_FORMAT="tensorflow")
    assert unknown.ended() == 1
    assert unknown.termination.read_text() == (
        "the format 'tensorflow' is not supported; supported are sklearn, onnx, xgboost, lightgbm, mlflow, "
        "litert, pytorch, python\n"
    )


def test_skops_files_with_foreign_code_are_refused_by_name(start: Start, tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    (tmp_path / "evil").mkdir()
    evil = make_pipeline(FunctionTransformer(os.system), LinearRegression())
    skops.io.dump(evil, tmp_path / "evil/model.skops")
    server = start(tmp_path / "evil")
    assert server.ended() == 1
    assert "holds types that are not trusted: posix.system" in server.termination.read_text()


def test_what_cannot_predict_is_refused(start: Start, tmp_path: Path) -> None:
    (tmp_path / "scaler").mkdir()
    skops.io.dump(StandardScaler().fit(IRIS), tmp_path / "scaler/model.skops")
    server = start(tmp_path / "scaler")
    assert server.ended() == 1
    assert server.termination.read_text() == "model.skops holds a StandardScaler, which cannot predict\n"
