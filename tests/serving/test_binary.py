"""The binary tensor extension and compressed bodies over REST, and the older V1 protocol."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.harness import IRIS, Answer, Server, table
from tests.serving.identity import TYPES, raw, values, write_identity

Start = Callable[..., Server]
INFER = "/v2/models/m/infer"
FLOATS = np.array(IRIS, dtype=np.float32).tobytes()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model with an input and an output of every type."""
    folder = tmp_path_factory.mktemp("identity")
    server = Server.start(folder, write_identity(folder / "model", TYPES))
    yield server.ready()
    server.stop()


def post(server: Server, message: object, behind: bytes = b"", **headers: str) -> Answer:
    body = json.dumps(message).encode()
    headers = {"Inference_Header_Content_Length": str(len(body)), **headers}
    return server.call("POST", INFER, body + behind, **headers)


def binary(**fields: Any) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP32", "parameters": {"binary_data_size": len(FLOATS)}}
    return {"inputs": [{**tensor, **fields}]}


def split(answer: Answer) -> tuple[Any, bytes]:
    """Return the JSON and what is behind it."""
    assert answer.status == 200, answer.body
    size = int(answer.headers["inference-header-content-length"])
    return json.loads(answer.body[:size]), answer.body[size:]


def test_a_binary_input_gives_the_answer_that_json_gives(classifier: Server) -> None:
    answer = post(classifier, binary(), FLOATS)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == classifier.infer(table()).json


@pytest.mark.parametrize("rows", [1, 300])
def test_every_type_there_and_back(identity: Server, rows: int) -> None:
    arrays = {name: values(name, rows) for name in TYPES}
    inputs = [
        {
            "name": f"in_{name}",
            "shape": array.shape,
            "datatype": name,
            "parameters": {"binary_data_size": len(raw(array))},
        }
        for name, array in arrays.items()
    ]
    message = {"id": "1", "parameters": {"binary_data_output": True, "any": 1}, "inputs": inputs}
    head, behind = split(post(identity, message, b"".join(map(raw, arrays.values()))))
    assert head["id"] == "1"
    assert [item["datatype"] for item in head["outputs"]] == list(TYPES)
    for item, array in zip(head["outputs"], arrays.values(), strict=True):
        size = item["parameters"]["binary_data_size"]
        assert (item["shape"], behind[:size], "data" in item) == ([rows, 2], raw(array), False)
        behind = behind[size:]
    assert behind == b""


def test_outputs_choose_their_form_each(classifier: Server) -> None:
    outputs: list[dict[str, Any]] = [
        {"name": "predict_proba", "parameters": {"binary_data": True}},
        {"name": "predict"},
    ]
    head, behind = split(classifier.infer(table(outputs=outputs)))
    assert head["outputs"][1]["data"] == [0, 2]
    assert np.frombuffer(behind, "<f8").reshape(2, 3).sum(axis=1).tolist() == pytest.approx([1, 1])
    outputs[0]["parameters"] = {"binary_data": False}
    message = table(outputs=outputs, parameters={"binary_data_output": True})
    head, behind = split(classifier.infer(message))
    assert len(head["outputs"][0]["data"]) == 6
    assert np.frombuffer(behind, "<i8").tolist() == [0, 2]


def test_json_and_binary_inputs_beside_each_other(tmp_path: Path, start: Start) -> None:
    server = start(
        write_identity(tmp_path / "model", {name: TYPES[name] for name in ("FP32", "INT8", "BYTES")})
    ).ready()
    message = {
        "inputs": [
            {"name": "in_FP32", "shape": [1, 1], "datatype": "FP32", "parameters": {"binary_data_size": 4}},
            {"name": "in_INT8", "shape": [1, 2], "datatype": "INT8", "data": [1, -2]},
            {"name": "in_BYTES", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
        ]
    }
    answer = post(server, message, np.float32(0.5).tobytes() + b"\2\0\0\0hi")
    assert [item["data"] for item in answer.json["outputs"]] == [[0.5], [1, -2], ["hi"]]


def test_half_floats_of_the_other_kind_are_taken_by_tables(classifier: Server) -> None:
    bf16 = (np.array(IRIS, dtype=np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    message = binary(datatype="BF16", parameters={"binary_data_size": len(bf16)})
    assert post(classifier, message, bf16).json["outputs"][0]["data"] == [0, 2]


BAD: list[tuple[dict[str, Any], bytes, dict[str, str], str]] = [
    (binary(), FLOATS, {"Inference_Header_Content_Length": "x"}, "Inference-Header-Content-Length: should be a number"),
    (binary(), FLOATS, {"Inference_Header_Content_Length": "0"}, "Inference-Header-Content-Length: should be a number"),
    (binary(), FLOATS, {"Inference_Header_Content_Length": "9999"}, "Inference-Header-Content-Length: should be"),
    (binary(), FLOATS, {"Inference_Header_Content_Length": "9" * 30}, "Inference-Header-Content-Length: should be"),
    (binary(), FLOATS, {"Inference_Header_Content_Length": "10"}, "the body is not valid JSON"),
    (binary(), FLOATS[:-1], {}, "inputs[0].parameters.binary_data_size: is 32, but only 31 bytes are left"),
    (binary(), FLOATS + b"x", {}, "the body has 1 bytes more than its inputs' binary_data_size say"),
    (binary(shape=[2, 3]), FLOATS, {}, "has 32 bytes where FP32 of shape [2, 3] needs 24"),
    (binary(shape=[2**40, 2**40, 0]), FLOATS, {}, "is of shape"),
    (binary(data=[1]), FLOATS, {}, "inputs[0].parameters.binary_data_size: cannot be together with data"),
    (binary(parameters={"binary_data_size": -1}), b"", {}, "should be a number of bytes, not '-1'"),
    (binary(parameters={"binary_data_size": True}), b"", {}, "should be a number of bytes, not 'True'"),
    (binary(parameters={"binary_data_size": "32"}), FLOATS, {}, "should be a number of bytes, not '32'"),
    (binary(parameters={"binary_data_size": 10**18}), FLOATS, {}, "but only 32 bytes are left"),
    (binary(parameters={}), FLOATS, {}, "inputs[0].data: is missing"),
    (binary(datatype="FLOAT"), FLOATS, {}, "inputs[0].datatype: 'FLOAT' is not one of"),
    (binary(datatype="BYTES"), FLOATS, {}, "inputs[0].parameters.binary_data_size"),
]


@pytest.mark.parametrize(("message", "behind", "headers", "reason"), BAD, ids=[each[3][:45] for each in BAD])
def test_a_clients_fault_names_the_field(
    classifier: Server, message: dict[str, Any], behind: bytes, headers: dict[str, str], reason: str
) -> None:
    answer = post(classifier, message, behind, **headers)
    assert answer.status == 400
    assert reason in answer.error


def test_binary_data_needs_its_header(classifier: Server) -> None:
    answer = classifier.infer(binary())
    assert (answer.status, "needs the header" in answer.error) == (400, True)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("binary_too", [False, True])
def test_compressed_there_and_back(
    classifier: Server, encoding: str, compress: Callable[[bytes], bytes], *, binary_too: bool
) -> None:
    body = json.dumps(table(IRIS * 500, parameters={"binary_data_output": binary_too})).encode()
    plain = classifier.call("POST", INFER, body)
    answer = classifier.call("POST", INFER, compress(body), Content_Encoding=encoding, Accept_Encoding=encoding)
    assert answer.headers["content-encoding"] == encoding
    unpacked = gzip.decompress(answer.body) if encoding == "gzip" else zlib.decompress(answer.body)
    assert (unpacked, len(answer.body) < len(plain.body)) == (plain.body, True)
    # What counts is the size of the JSON before it was compressed.
    size = answer.headers.get("inference-header-content-length")
    assert size == plain.headers.get("inference-header-content-length")
    assert (size is not None) == binary_too


@pytest.mark.parametrize(
    ("accepts", "rows", "encoding"),
    [
        ("br, gzip;q=0.5, deflate;q=0.9", 1000, "deflate"),
        ("GZIP", 1000, "gzip"),
        ("gzip;q=0", 1000, None),
        ("br", 1000, None),
        ("*", 1000, None),
        ("gzip;q=nonsense", 1000, None),
        ("gzip", 1, None),
    ],
)
def test_answers_are_compressed_as_asked_where_it_is_worthwhile(
    classifier: Server, accepts: str, rows: int, encoding: str | None
) -> None:
    body = json.dumps(table(IRIS[:1] * rows)).encode()
    answer = classifier.call("POST", INFER, body, Accept_Encoding=accepts)
    assert (answer.status, answer.headers.get("content-encoding")) == (200, encoding)


GOOD = gzip.compress(json.dumps(table()).encode(), mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "reason"),
    [
        (GOOD, "identity, gzip", 415, "not known here: gzip, deflate are"),
        (GOOD, "br", 415, "the encoding 'br' is not known"),
        (GOOD[:-5], "gzip", 400, "not one whole gzip stream"),
        (GOOD + b"x", "gzip", 400, "not one whole gzip stream"),
        (GOOD * 2, "gzip", 400, "not one whole gzip stream"),
        (GOOD, "deflate", 400, "the body is not deflate"),
        (b"", "gzip", 400, "not one whole gzip stream"),
        (gzip.compress(b"{}", mtime=0), "gzip", 400, "inputs: is missing"),
    ],
)
def test_what_cannot_be_decompressed(classifier: Server, body: bytes, encoding: str, status: int, reason: str) -> None:
    answer = classifier.call("POST", INFER, body, Content_Encoding=encoding)
    assert (answer.status, reason in answer.error) == (status, True)
    assert ("accept-encoding" in answer.headers) == (status == 415)


def test_a_bomb_does_not_go_off(start: Start, models: Path) -> None:
    server = start(models / "onnx", FAIRLEAD_MAX_BODY_BYTES="1000000").ready()
    for encoding, bomb in (
        ("gzip", gzip.compress(bytes(300_000_000), mtime=0)),
        ("deflate", zlib.compress(bytes(300_000_000))),
    ):
        answer = server.call("POST", INFER, bomb, Content_Encoding=encoding)
        assert (answer.status, answer.error) == (413, "the decompressed body is larger than 1000000 bytes")
    resident = int(Path(f"/proc/{server.process.pid}/status").read_text().split("VmHWM:")[1].split()[0])
    assert resident < 250_000
    counted = server.metrics()['fairlead_requests_total{outcome="client_error"}']
    assert counted == 2


def predict(server: Server, message: object) -> Answer:
    return server.infer(message, "/v1/models/m:predict")


def test_v1_tells_whether_the_model_is_ready(classifier: Server) -> None:
    answer = classifier.get("/v1/models/m")
    assert (answer.status, answer.json) == (200, {"name": "m", "ready": True})


def test_v1_predictions_are_the_first_output(classifier: Server) -> None:
    assert predict(classifier, {"instances": IRIS}).json == {"predictions": [0, 2]}
    assert predict(classifier, {"instances": IRIS, "signature_name": "any"}).json == {"predictions": [0, 2]}
    counted = classifier.metrics()['fairlead_requests_total{outcome="success"}']
    assert predict(classifier, {"instances": IRIS}).status == 200
    assert classifier.metrics()['fairlead_requests_total{outcome="success"}'] == counted + 1


def test_v1_instances_with_fields_are_columns(served: Callable[[str], Server]) -> None:
    rows = [dict(zip("abcd", row, strict=True)) for row in IRIS]
    assert predict(served("named"), {"instances": rows}).json == {"predictions": [0, 2]}


def test_v1_texts(served: Callable[[str], Server]) -> None:
    answer = predict(served("documents"), {"instances": ["good day", "bad night"]})
    assert answer.json == {"predictions": ["+", "-"]}


def test_v1_inputs_take_the_models_types(identity: Server) -> None:
    row = {f"in_{name}": values(name, 1)[0].tolist() for name in TYPES}
    assert predict(identity, {"instances": [row, row]}).json == {"predictions": [[True, False]] * 2}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "the body is not valid JSON"),
        ({}, "instances: is missing"),
        ({"instances": []}, "instances: Expected array of length >= 1"),
        ({"instances": {}}, "instances: Expected array"),
        ({"inputs": []}, "inputs: is not a field of the protocol"),
        ({"instances": [[1, 2], [3]]}, "instances[1]: has 1 elements where the shape says 2"),
        ({"instances": [[1, 2, 3, "x"]]}, "instances[0][3]: Expected float, got str"),
        ({"instances": [[1, 2]]}, "inputs[0].shape: the model takes [rows, 4], not [1, 2]"),
        ({"instances": [{"a": 1}, {"b": 1}]}, "instances[1]: should be an object with the fields of the first"),
        ({"instances": [{"a": 1}, 5]}, "instances[1]: should be an object with the fields of the first"),
        ({"instances": [{}]}, "instances[0]: has no fields"),
        ({"instances": [None]}, "instances"),
        ({"instances": [[[]]]}, "inputs[0].shape: the model takes [rows, 4], not [1, 1, 0]"),
        (b'{"instances": ' + b"[" * 50_000, "the body is nested too deeply"),
        (b'{"instances": ' + b"[" * 500 + b"1" + b"]" * 500 + b"}", "instances"),
    ],
)
def test_v1_a_clients_fault(classifier: Server, message: object, reason: str) -> None:
    answer = predict(classifier, message)
    assert (answer.status, answer.error.startswith(reason)) == (400, True), answer.error


def test_v1_of_another_model_or_with_another_method(classifier: Server) -> None:
    answer = classifier.infer({"instances": IRIS}, "/v1/models/other:predict")
    assert (answer.status, answer.error) == (404, "unknown model 'other': this server has m")
    assert classifier.get("/v1/models/m:predict").status == 405
    assert classifier.infer({"instances": IRIS}, "/v1/models/%6d%3apredict?x").status == 200


def test_v1_before_the_model_is_loaded(start: Start) -> None:
    server = start("s3://models/none", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ALLOW_HTTP="true")
    assert predict(server, {"instances": IRIS}).status == 503
    assert server.get("/v1/models/m").status == 503
