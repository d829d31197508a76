"""The Open Inference Protocol over REST, as a client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.harness import IRIS, Server, table

Start = Callable[..., Server]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/m/ready", {"name": "m", "ready": True}),
        ("/v2/models/m/versions/7/ready", {"name": "m", "ready": True}),
    ],
)
def test_health(classifier: Server, path: str, expected: object) -> None:
    answer = classifier.get(path)
    assert (answer.status, answer.json) == (200, expected)
    assert answer.headers["content-type"] == "application/json"


def test_metadata(classifier: Server) -> None:
    server = classifier.get("/v2").json
    assert server["name"]
    assert server["version"]
    assert server["extensions"] == ["binary_tensor_data"]
    model = {
        "name": "m",
        "versions": ["7"],
        "platform": "sklearn_skops",
        "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
        ],
    }
    described = classifier.get("/v2/models/m").json
    assert described["parameters"]["converted_from"] == "scikit-learn LogisticRegression"
    model["parameters"] = described["parameters"]
    assert described == model
    assert classifier.get("/v2/models/m/versions/7").json == model


def test_inference_gives_predict_then_probabilities_and_echoes_the_id(classifier: Server) -> None:
    answer = classifier.infer(table(id="request-1"), "/v2/models/m/versions/7/infer").json
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("m", "7", "request-1")
    predict, probabilities = answer["outputs"]
    assert predict == {"name": "predict", "datatype": "INT64", "shape": [2], "data": [0, 2]}
    assert (probabilities["name"], probabilities["shape"], len(probabilities["data"])) == ("predict_proba", [2, 3], 6)
    assert sum(probabilities["data"][:3]) == pytest.approx(1)


def test_without_an_id_there_is_none(classifier: Server) -> None:
    assert "id" not in classifier.infer(table()).json


def test_flat_and_nested_data_mean_the_same(classifier: Server) -> None:
    flat: dict[str, Any] = table()
    flat["inputs"][0]["data"] = [value for row in IRIS for value in row]
    assert classifier.infer(flat).json == classifier.infer(table()).json


def test_requested_outputs_in_the_requested_order(classifier: Server) -> None:
    wanted = [{"name": "predict_proba"}, {"name": "predict"}]
    answer = classifier.infer(table(outputs=wanted)).json
    assert [output["name"] for output in answer["outputs"]] == ["predict_proba", "predict"]
    answer = classifier.infer(table(outputs=[{"name": "predict", "parameters": {"any": 1}}])).json
    assert [output["name"] for output in answer["outputs"]] == ["predict"]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT8", "UINT64", "BOOL"])
def test_every_number_type_is_taken_by_a_table_model(classifier: Server, datatype: str) -> None:
    rows = [[True, False, True, False]] if datatype == "BOOL" else [[5, 3, 1, 0]]
    assert classifier.infer(table(rows, datatype)).status == 200


def without(field: str) -> dict[str, Any]:
    message: dict[str, Any] = table()
    del message["inputs"][0][field]
    return message


def having(**fields: object) -> dict[str, Any]:
    message: dict[str, Any] = table()
    message["inputs"][0].update(fields)
    return message


BAD: list[tuple[object, str]] = [
    (b"", "the body is not valid JSON"),
    (b"{", "the body is not valid JSON"),
    (b"\xff\xfe", "the body is not valid JSON"),
    (b"[]", "body: Expected object, got array"),
    (b"null", "body: Expected object, got null"),
    (b"[" * 100_000, "body"),
    (b'{"inputs": ' + b"[" * 100_000, "inputs"),
    (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}', "the body is not valid JSON"),
    (
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e999]}]}',
        "inputs[0].data[0]: Number out of range",
    ),
    ({}, "inputs: is missing"),
    ({"inputs": []}, "inputs: Expected array of length >= 1"),
    ({"inputs": {}}, "inputs: Expected array, got object"),
    (table(id=5), "id: Expected str"),
    (table(surprise=1), "surprise: is not a field of the protocol"),
    (
        table(outputs=[{"name": "what"}]),
        "outputs[0].name: 'what' is not an output of the model (predict, predict_proba)",
    ),
    (table(outputs=[{"name": "predict"}, {"name": "predict"}]), "outputs[1].name: 'predict' is there twice"),
    (table(outputs=[{}]), "outputs[0].name: is missing"),
    (table(parameters=[]), "parameters: Expected object"),
    (table(parameters={"binary_data_output": 1}), "parameters.binary_data_output: should be true or false, not '1'"),
    (
        table(outputs=[{"name": "predict", "parameters": {"binary_data": 1}}]),
        "outputs[0].parameters.binary_data: should",
    ),
    (
        table(outputs=[{"name": "predict", "parameters": {"classification": 1}}]),
        "outputs[0].parameters.classification: is",
    ),
    (having(parameters={"shared_memory_region": "x"}), "inputs[0].parameters.shared_memory_region: is of an extension"),
    (having(parameters={"nested": {}}), "inputs[0].parameters[...]: Expected"),
    (without("name"), "inputs[0].name: is missing"),
    (without("shape"), "inputs[0].shape: is missing"),
    (without("datatype"), "inputs[0].datatype: is missing"),
    (without("data"), "inputs[0].data: is missing"),
    (having(extra=1), "inputs[0].extra: is not a field of the protocol"),
    (having(name=1), "inputs[0].name: Expected str, got int"),
    (having(shape="4"), "inputs[0].shape: Expected array, got str"),
    (having(shape=[2, -4]), "inputs[0].shape[1]: Expected int >= 0"),
    (having(shape=[2, 4.0]), "inputs[0].shape[1]: Expected int, got float"),
    (having(shape=[2, 3]), "inputs[0].data[0]: has 4 elements where the shape says 3"),
    (having(shape=[3, 4]), "inputs[0].data: has 2 elements where the shape says 3"),
    (having(shape=[8]), "inputs[0].data: should be a list, as the shape is [8]"),
    (having(shape=[1, 2, 4]), "inputs[0].data: should be a flat list or lists nested 3 deep"),
    (having(shape=[8], data=[1.0] * 8), "inputs[0].shape: the model takes [rows, 4], not [8]"),
    (having(shape=[2, 3], data=[1.0] * 6), "inputs[0].shape: the model takes [rows, 4], not [2, 3]"),
    (having(shape=[2, 4], data=[1.0] * 7), "inputs[0].data: has 7 values where shape [2, 4] needs 8"),
    (having(shape=[10**30, 4], data=[1.0] * 4), "inputs[0]"),
    (having(shape=[0, 2**62, 2**62], data=[]), "inputs[0].data: is of shape"),
    (having(shape=[0, 4], data=[]), "inputs[0].shape: [0, 4] holds no value"),
    (having(shape=[], data=[1.0]), "inputs[0].shape: the model takes [rows, 4], not []"),
    (having(datatype="FLOAT"), "inputs[0].datatype: 'FLOAT' is not one of BOOL, "),
    (having(datatype="INT64"), "inputs[0].data[0][0]: Expected int, got float"),
    (having(datatype="BOOL"), "inputs[0].data[0][0]: Expected bool, got float"),
    (having(datatype="BYTES"), "inputs[0].data[0][0]: Expected str, got float"),
    (having(datatype="BYTES", data=["a"] * 8), "inputs[0].datatype: the model takes numbers, not BYTES"),
    (having(data=[[1, 2, 3, 4], [1, 2, 3]]), "inputs[0].data[1]: has 3 elements where the shape says 4"),
    (having(data=[[1, 2, 3, 4], [1, 2, 3, None]]), "inputs[0].data[1][3]: Expected float, got null"),
    (having(data=[[1, 2, 3, 4], [1, 2, 3, "4"]]), "inputs[0].data[1][3]: Expected float, got str"),
    (having(data=[[1, 2, 3, 4], [1, 2, 3, True]]), "inputs[0].data[1][3]: Expected float, got bool"),
    (having(data="abc"), "inputs[0].data: should be"),
    (having(data=[1e39] * 8), "inputs[0].data[0]: 1e+39 does not fit into FP32"),
    (having(datatype="FP16", data=[1.0] * 7 + [70000]), "inputs[0].data[7]: 70000.0 does not fit into FP16"),
    (having(datatype="UINT8", data=[1] * 7 + [256]), "inputs[0].data[7]: 256 does not fit into UINT8"),
    (having(datatype="UINT8", data=[1] * 7 + [-1]), "inputs[0].data[7]: -1 does not fit into UINT8"),
    (having(datatype="INT64", data=[2**63] * 8), "does not fit into INT64"),
    ({"inputs": [*having()["inputs"], *having()["inputs"]]}, "inputs[1].name: 'x' is there twice"),
    ({"inputs": [*having()["inputs"], *having(name="y")["inputs"]]}, "inputs: the model was trained without column"),
]


@pytest.mark.parametrize(("message", "reason"), BAD, ids=[reason[:50] for _, reason in BAD])
def test_a_clients_fault_is_a_400_that_names_the_field(classifier: Server, message: object, reason: str) -> None:
    answer = classifier.infer(message)
    assert answer.status == 400
    assert answer.error.startswith(reason) or reason in answer.error
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v2/models/other", "unknown model 'other'"),
        ("/v2/models/other/ready", "unknown model 'other'"),
        ("/v2/models/m/versions/8", "unknown version '8' of model m"),
        ("/v2/models/m/versions/8/ready", "unknown version '8' of model m"),
        ("/v1/models/other", "unknown model 'other'"),
        ("/v2/models/m/other", "nothing is at"),
        ("/v2/models", "nothing is at"),
        ("/v2/other", "nothing is at"),
        ("/nothing", "nothing is at"),
    ],
)
def test_what_is_not_here_is_a_404(classifier: Server, path: str, reason: str) -> None:
    answer = classifier.get(path)
    assert answer.status == 404
    assert answer.error.startswith(reason)


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/m/versions/8/infer"])
def test_inference_of_another_model_or_version_is_a_404(classifier: Server, path: str) -> None:
    answer = classifier.infer(table(), path)
    assert (answer.status, "unknown" in answer.error) == (404, True)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/m/infer", "POST"),
        ("PUT", "/v2/models/m/versions/7/infer", "POST"),
        ("POST", "/v2", "GET, HEAD"),
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("DELETE", "/v2/models/m", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_405_that_says_which_is_right(
    classifier: Server, method: str, path: str, allowed: str
) -> None:
    answer = classifier.call(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert answer.error


def test_query_strings_and_escapes_do_not_change_the_path(classifier: Server) -> None:
    assert classifier.get("/v2/models/%6d/ready?verbose=1").status == 200
    assert classifier.infer(table(), "/v2/models/%6D/infer?x=1").status == 200


def test_names_that_need_escapes(start: Start, models: Path) -> None:
    server = start(models / "onnx", FAIRLEAD_MODEL_NAME="a b/ü", FAIRLEAD_MODEL_VERSION="1.0+x").ready()
    assert server.get("/v2/models/a%20b%2F%C3%BC/versions/1.0+x/ready").status == 200
    assert server.get("/v2/models/a%20b%2f%c3%bc/versions/1.0%2Bx/ready").status == 200
    answer = server.infer(json.dumps(table()).encode(), "/v2/models/a%20b%2F%C3%BC/infer")
    assert answer.json["model_name"] == "a b/ü"
