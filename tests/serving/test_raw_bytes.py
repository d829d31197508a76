"""BYTES that are no text, such as images: by every protocol, to models in Python that take them and to others."""

from __future__ import annotations

import base64
import gzip
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fairlead_serving import golden
from fairlead_serving.errors import InvalidRequestError, LoadError
from fairlead_serving.models.loader import load_model
from fairlead_serving.protocol.rawdata import decode_raw, encode_raw
from fairlead_serving.tensors import Tensor, objects
from tests.serving.grpcclient import Code, connected, failure
from tests.serving.harness import Answer, Server
from tests.serving.identity import TYPES, write_identity
from tests.serving.modelfiles import write_skops
from tests.serving.oip import messages

Start = Callable[..., Server]
Send = Callable[[Server, Sequence[bytes]], list[bytes]]
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + bytes(3)
MANY = [IMAGE, b"", b"\0", "grün".encode(), b"text\0", b"\xff" * 100]
LARGE = [IMAGE * 40_000, bytes(range(128)) * 80_000, b""]
INFER = "/v2/models/m/infer"
NO_TEXT = "is not UTF-8 text: only a model in Python whose inputs say bytes takes others"
PICTURES = """
    class Model:
        inputs = {"image": (bytes, [-1])}
        outputs = {"same": (bytes, [-1]), "size": ("INT64", [-1])}
        batches = True

        def load(self, folder):
            pass

        def predict(self, inputs):
            images = inputs["image"]
            if not all(type(image) is bytes for image in images):
                raise TypeError("not bytes")
            return {"same": list(images), "size": [len(image) for image in images]}

        def routes(self, infer):
            async def mirror(body):
                answer = await infer({"image": [bytes.fromhex(image) for image in body["images"]]})
                return {"images": [image.hex() for image in answer["same"]], "sizes": answer["size"]}

            return {"POST /mirror": mirror}
"""
TEXTS = """
    class Model:
        inputs = {"image": ("BYTES", [-1])}
        outputs = {"same": ("BYTES", [-1]), "size": ("INT64", [-1])}

        def load(self, folder):
            pass

        def predict(self, inputs):
            texts = inputs["image"]
            if not all(type(text) is str for text in texts):
                raise TypeError("not text")
            return {"same": texts, "size": [len(text) for text in texts]}
"""
BARE = TEXTS.replace('inputs = {"image"', 'unused = {"image"')


def program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(dedent(text))
    return folder


def running(folder: Path, text: str, *flags: str) -> Server:
    return Server.start(folder, program(folder / "model", text), *flags, FAIRLEAD_MODEL_FORMAT="python").ready()


@pytest.fixture(scope="module", params=["own", "grpcio"])
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = running(tmp_path_factory.mktemp("pictures"), PICTURES, "--grpc-server", request.param)
    yield server
    server.stop()


def packed(values: Sequence[bytes]) -> bytes:
    return encode_raw(Tensor("image", "BYTES", objects(values, (len(values),))))


def unpacked(data: bytes, count: int) -> list[bytes]:
    found = decode_raw("same", memoryview(data), "BYTES", (count,))
    assert encode_raw(Tensor("same", "BYTES", found)) == data
    return [item.encode() if isinstance(item, str) else item for item in found]


def posted(server: Server, values: Sequence[bytes], outputs: Any = None, encoding: str | None = None) -> Answer:
    data = packed(values)
    tensor = {"name": "image", "shape": [len(values)], "datatype": "BYTES"}
    message: dict[str, Any] = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}]}
    if outputs is not None:
        message["outputs"] = outputs
    head = json.dumps(message).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    body = head + data
    if encoding is not None:
        headers |= {"Content-Encoding": encoding, "Accept-Encoding": encoding}
        body = gzip.compress(body, 1)
    return server.call("POST", INFER, body, **headers)


def by_binary(server: Server, values: Sequence[bytes], encoding: str | None = None) -> list[bytes]:
    outputs = [{"name": "same", "parameters": {"binary_data": True}}, {"name": "size"}]
    answer = posted(server, values, outputs, encoding)
    body = gzip.decompress(answer.body) if answer.headers.get("content-encoding") else answer.body
    assert answer.status == 200, body
    size = int(answer.headers["inference-header-content-length"])
    assert json.loads(body[:size])["outputs"][1]["data"] == list(map(len, values))
    return unpacked(body[size:], len(values))


def by_gzip(server: Server, values: Sequence[bytes]) -> list[bytes]:
    return by_binary(server, values, "gzip")


def message(values: Sequence[bytes], *, raw: bool) -> Any:
    request = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name="image", datatype="BYTES", shape=[len(values)])
    if raw:
        request.raw_input_contents.append(packed(values))
    else:
        tensor.contents.bytes_contents.extend(values)
    return request


def by_typed(server: Server, values: Sequence[bytes]) -> list[bytes]:
    with connected(server) as client:
        answer = client.infer(message(values, raw=False))
    assert list(answer.outputs[1].contents.int64_contents) == list(map(len, values))
    return list(answer.outputs[0].contents.bytes_contents)


def by_raw(server: Server, values: Sequence[bytes]) -> list[bytes]:
    with connected(server) as client:
        answer = client.infer(message(values, raw=True))
    return unpacked(answer.raw_output_contents[0], len(values))


def by_v1(server: Server, values: Sequence[bytes]) -> list[bytes]:
    body = {"instances": [{"b64": base64.b64encode(value).decode()} for value in values]}
    answer = server.infer(body, "/v1/models/m:predict")
    assert answer.status == 200, answer.body
    return [base64.b64decode(item["b64"]) for item in answer.json["predictions"]]


def by_route(server: Server, values: Sequence[bytes]) -> list[bytes]:
    answer = server.infer({"images": [value.hex() for value in values]}, "/mirror")
    assert answer.json["sizes"] == list(map(len, values))
    return [bytes.fromhex(item) for item in answer.json["images"]]


WAYS: list[Send] = [by_binary, by_gzip, by_typed, by_raw, by_v1, by_route]


@pytest.mark.parametrize("values", [[IMAGE], MANY, LARGE], ids=["one", "many", "large"])
@pytest.mark.parametrize("send", WAYS)
def test_bytes_come_back_as_they_were(pictures: Server, send: Send, values: list[bytes]) -> None:
    assert send(pictures, values) == values


def test_metadata_says_bytes_and_json_carries_text(pictures: Server) -> None:
    assert pictures.get("/v2/models/m").json["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": ["grün", "a\0"]}
    same, size = pictures.infer({"inputs": [tensor]}).json["outputs"]
    assert (same["data"], size["data"]) == (["grün", "a\0"], [5, 2])
    answer = pictures.infer({"instances": [{"image": "grün"}, {"image": {"b64": "/w=="}}]}, "/v1/models/m:predict")
    assert answer.json == {"predictions": [{"b64": base64.b64encode("grün".encode()).decode()}, {"b64": "/w=="}]}


def test_an_answer_that_json_cannot_carry_is_refused(pictures: Server) -> None:
    answer = posted(pictures, [IMAGE])
    text = (
        "output same: holds bytes that are not UTF-8, which JSON cannot carry: ask for it with binary_data, or by gRPC"
    )
    assert (answer.status, answer.error) == (400, text)
    binary = [{"name": "size", "parameters": {"binary_data": True}}, {"name": "same"}]
    assert posted(pictures, [IMAGE], binary).error == text
    assert posted(pictures, [IMAGE], [{"name": "size"}]).json["outputs"][0]["data"] == [len(IMAGE)]
    assert posted(pictures, [b"text"]).json["outputs"][0]["data"] == ["text"]


@pytest.mark.parametrize(
    ("instances", "error"),
    [
        ([{"b64": "_w=="}], "instances[0].b64: Invalid base64 encoded string"),
        (["a", {"b65": ""}], "instances[1]: Object contains unknown field b65"),
        ([{"image": {"b64": "x"}}], "instances[].image[0].b64: Invalid base64 encoded string"),
    ],
)
def test_what_is_not_base64_is_refused(pictures: Server, instances: Any, error: str) -> None:
    answer = pictures.infer({"instances": instances}, "/v1/models/m:predict")
    assert (answer.status, answer.error) == (400, error)


def test_requests_that_are_joined_do_not_meet_in_their_answers(pictures: Server) -> None:
    def ask(number: int) -> Answer:
        return posted(pictures, [IMAGE if number % 2 else b"text %d" % number])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(200)))
    assert [answer.status for answer in answers] == [200, 400] * 100
    assert [answer.json["outputs"][0]["data"] for answer in answers[::2]] == [[f"text {n}"] for n in range(0, 200, 2)]


@pytest.mark.parametrize("text", [TEXTS, BARE], ids=["declared", "undeclared"])
@pytest.mark.parametrize("kind", ["own", "grpcio"])
def test_models_of_text_are_not_given_other_bytes(tmp_path: Path, text: str, kind: str) -> None:
    server = running(tmp_path, text, "--grpc-server", kind)
    try:
        said = f"inputs[0].data[1]: {NO_TEXT}"
        answer = posted(server, [b"text", IMAGE])
        assert (answer.status, answer.error) == (400, said)
        with connected(server) as client:
            for raw in (False, True):
                request = message([b"text", IMAGE], raw=raw)
                assert failure(partial(client.infer, request)) == (Code.INVALID_ARGUMENT, said)
        assert by_binary(server, [b"u\0", b""]) == [b"u\0", b""]
        metrics = server.metrics()
        assert metrics['fairlead_requests_total{outcome="client_error"}'] == 3
        assert metrics['fairlead_requests_total{outcome="server_error"}'] == 0
    finally:
        server.stop()


def test_models_of_other_formats_take_text_only(tmp_path: Path) -> None:
    write_identity(tmp_path / "onnx", {"BYTES": TYPES["BYTES"]})
    vectoriser = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good day", "bad day"], [0, 1])
    write_skops(vectoriser, tmp_path / "sklearn/model.skops")
    for kind, name, shape in (("onnx", "in_BYTES", (1, 1)), ("sklearn", "input", (1,))):
        model = load_model(tmp_path / kind, [path.name for path in (tmp_path / kind).iterdir()], None)
        assert model.run(model.bind([Tensor(name, "BYTES", objects(["day"], shape))]), [model.outputs[0].name])
        with pytest.raises(InvalidRequestError, match="is not UTF-8 text"):
            model.bind([Tensor(name, "BYTES", objects([b"\xff"], shape))])


def test_golden_requests_and_logs_have_bytes_in_base64(start: Start, tmp_path: Path) -> None:
    folder = program(tmp_path / "model", PICTURES)
    encoded = {"b64": base64.b64encode(IMAGE).decode()}
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": [encoded, "text"]}
    outputs = [{"name": "same", "data": [encoded, {"b64": "dGV4dA=="}]}, {"name": "size", "data": [len(IMAGE), 4]}]
    row = {"request": {"inputs": [tensor]}, "response": {"outputs": outputs}}
    (folder / "golden.jsonl").write_text(json.dumps(row) + "\n")
    with (tmp_path / "stdout").open("wb") as output:
        server = start(
            folder, "--prediction-log", "1", "--drain-seconds", "0", FAIRLEAD_MODEL_FORMAT="python", output=output
        )
        assert server.wait_for("golden requests answered as expected")["requests"] == 1
        server.ready()
        for values in ([IMAGE, b"text"], LARGE, [b"x"]):
            assert by_binary(server, values) == values
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    first, second, third = (json.loads(line) for line in (tmp_path / "stdout").read_text().splitlines())
    assert (first["inputs"][0]["data"], first["outputs"][0]["data"]) == ([encoded, "text"], [encoded, "text"])
    assert second["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [3]}]
    assert second["outputs"][1]["data"] == list(map(len, LARGE))
    assert third["inputs"][0]["data"] == ["x"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([{"b64": "/g=="}], r"output same\[0\]: expected b'\\xfe', got b'\\xff'"),
        (["x"], r"output same\[0\]: expected 'x', got b'\\xff'"),
        ([{"b64": "x"}], "Invalid base64"),
        ([{"a": "x"}], "Object contains unknown field `a`"),
    ],
)
def test_golden_bytes_that_differ_are_told(tmp_path: Path, data: Any, problem: str) -> None:
    model = load_model(program(tmp_path, PICTURES), ["model.py"], "python")
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [{"b64": "/w=="}]}
    row = {"request": {"inputs": [tensor]}, "response": {"outputs": [{"name": "same", "data": data}]}}
    (tmp_path / "golden.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(LoadError, match=r"golden\.jsonl line 1: .*" + problem):
        golden.check(model, tmp_path / "golden.jsonl")


def test_a_fallback_must_take_bytes_where_the_model_does(start: Start, tmp_path: Path) -> None:
    folder = program(tmp_path / "good", PICTURES)
    program(folder / "fallback", PICTURES)
    assert by_binary(start(folder, FAIRLEAD_MODEL_FORMAT="python").ready(), MANY) == MANY
    folder = program(tmp_path / "other", PICTURES)
    program(folder / "fallback", TEXTS)
    server = start(folder, FAIRLEAD_MODEL_FORMAT="python")
    assert server.ended() == 1
    said = server.termination.read_text()
    assert "fallback: it does not take what the model takes: inputs[0].data[0]: is not UTF-8 text" in said


def test_what_a_model_answers_keeps_its_bytes(tmp_path: Path) -> None:
    text = """
        class Model:
            outputs = {"a": ("BYTES", [-1]), "b": (bytes, [-1])}
            classes = [b"cat", "dog"]

            def load(self, folder):
                pass

            def predict(self, inputs):
                return {"a": [b"\\xff\\0", "text\\0", b"\\0", 5], "b": b"\\0"}
    """
    model = load_model(program(tmp_path, text), ["model.py"], "python")
    assert model.classes == ("cat", "dog")
    first, second = model.run({}, ["a", "b"])
    assert first.array.tolist() == [b"\xff\0", "text\0", "\0", "5"]
    assert (second.array.shape, second.array.item()) == ((), "\0")
    assert [(item.datatype, item.array.dtype) for item in (first, second)] == [("BYTES", np.dtype(object))] * 2
