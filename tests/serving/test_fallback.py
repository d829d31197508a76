"""A smaller model in the place of one that cannot keep up."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from shutil import copy, copytree
from textwrap import dedent

import grpc
import numpy as np
import pytest

from fairlead_serving.fallback.declared import divide
from fairlead_serving.storage import Artifact
from tests.serving.harness import IRIS, Answer, Server, table
from tests.serving.oip import METHODS, messages

Start = Callable[..., Server]
# Gives no answer until it is let go, but to zeros, which it is tried with before it serves.
STUCK = """
    import time

    import numpy as np


    class Model:
        inputs = {"x": ("FP32", [-1, 4])}
        outputs = {"label": ("INT64", [-1]), "probabilities": ("FP32", [-1, 3])}

        def load(self, folder):
            self.go = folder / "go"

        def predict(self, inputs):
            time.sleep(0.01)  # slow enough to run beside the event loop
            while inputs["x"][0, 0] > 1 and not self.go.exists():
                time.sleep(0.01)
            rows = len(inputs["x"])
            return {"label": np.full(rows, 7), "probabilities": np.zeros((rows, 3))}
"""
QUICK = STUCK.replace("and not self.go.exists()", "and False").replace("7", "9")
# Soon over for a stuck model, but not for one that answers, however busy the machine is.
TARGET = "1"


def declared(folder: Path, main: str, fallback: str | Path) -> Path:
    """A model's folder with a fallback in it, which is a program or a folder."""
    (folder / "fallback").mkdir(parents=True)
    (folder / "model.py").write_text(dedent(main))
    if isinstance(fallback, Path):
        copytree(fallback, folder / "fallback", dirs_exist_ok=True)
    else:
        (folder / "fallback/model.py").write_text(dedent(fallback))
    return folder


class Crowd:
    """Requests that wait for a stuck model: as many as it takes until one of them is answered in another way."""

    def __init__(self, server: Server) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self._server = server
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Answer:
        while True:
            self._threads.append(threading.Thread(target=self._ask))
            self._threads[-1].start()
            with contextlib.suppress(queue.Empty):
                return self.answers.get(timeout=0.02)

    def _ask(self) -> None:
        self.answers.put(self._server.infer(table(IRIS, "FP32")))

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()


def test_a_smaller_model_answers_what_the_main_one_has_no_room_for(start: Start, models: Path, tmp_path: Path) -> None:
    folder = declared(tmp_path / "model", STUCK, models / "onnx")
    server = start(folder, "--latency-target-seconds", TARGET, FAIRLEAD_MODEL_FORMAT="python").ready()
    with Crowd(server):
        answer = server.infer({**table(IRIS, "FP32"), "id": "a"})
        assert (answer.status, answer.headers["fairlead-fallback"]) == (200, "true")
        assert (answer.json["parameters"], answer.json["id"]) == ({"fallback": True}, "a")
        label, probabilities = answer.json["outputs"]
        assert (label["name"], label["data"], probabilities["shape"]) == ("label", [0, 2], [2, 3])
        chosen = {**table(IRIS, "FP32"), "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
        raw = server.infer(chosen)
        size = int(raw.headers["inference-header-content-length"])
        assert json.loads(raw.body[:size])["parameters"] == {"fallback": True}
        assert np.frombuffer(raw.body[size:], np.int64).tolist() == [0, 2]
        old = server.call("POST", "/v1/models/m:predict", json.dumps({"instances": IRIS}).encode())
        assert (old.json, old.headers["fairlead-fallback"]) == ({"predictions": [0, 2]}, "true")
        refused = server.call("POST", "/v2/models/m/feedback", b'{"id": "a", "truth": [0, 2]}')
        assert refused.status == 404
        wrong = server.infer(table([[1.0]], "FP32"))
        assert (wrong.status, wrong.error) == (400, "inputs[0].shape: the model takes [-1, 4] for x, not [1, 1]")
        (folder / "go").touch()
    while "fairlead-fallback" in (own := server.infer(table(IRIS, "FP32"))).headers:
        pass
    assert (own.json["outputs"][0]["data"], "parameters" in own.json) == ([7, 7], False)
    metrics = server.metrics()
    assert metrics["fairlead_fallback_total"] >= 3
    assert metrics['fairlead_requests_total{outcome="rejected"}'] == 0
    assert metrics['fairlead_requests_total{outcome="client_error"}'] == 1
    assert metrics['fairlead_requests_total{outcome="success"}'] >= metrics["fairlead_fallback_total"] + 5


def test_grpc_says_so_too(start: Start, tmp_path: Path) -> None:
    folder = declared(tmp_path / "model", STUCK, QUICK)
    server = start(folder, "--latency-target-seconds", TARGET, FAIRLEAD_MODEL_FORMAT="python").ready()
    request = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2, 4])
    tensor.contents.fp32_contents.extend(np.ravel(IRIS).tolist())
    with Crowd(server), grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages[METHODS["ModelInfer"][1]].FromString,
        )
        answer = call(request)
        assert answer.parameters["fallback"].bool_param
        assert list(answer.outputs[0].contents.int64_contents) == [9, 9]
        (folder / "go").touch()


def test_where_both_are_full_a_request_is_refused(start: Start, tmp_path: Path) -> None:
    folder = declared(tmp_path / "model", STUCK, STUCK)
    server = start(folder, "--latency-target-seconds", TARGET, FAIRLEAD_MODEL_FORMAT="python").ready()
    with Crowd(server) as refused:
        assert (refused.status, "retry-after" in refused.headers) == (503, True)
        (folder / "go").touch()
        (folder / "fallback/go").touch()
    assert server.metrics()['fairlead_requests_total{outcome="rejected"}'] > 0


@pytest.mark.parametrize(
    ("fallback", "reason"),
    [
        ("regressor", "fallback: it gives predict where the model gives label, probabilities"),
        (
            "wide",
            "fallback: it does not take what the model takes: inputs[0].shape: the model takes [-1, 5]",
        ),
        ("damaged", "fallback: model.onnx cannot be"),
        ("pickle", "fallback: model.joblib is a pickle"),
        ("strange", "fallback: no model found"),
    ],
)
def test_a_fallback_that_cannot_stand_in_ends_the_load(
    start: Start, models: Path, tmp_path: Path, fallback: str, reason: str
) -> None:
    wide = QUICK.replace("[-1, 4]", "[-1, 5]")
    folder = declared(tmp_path / "model", QUICK, wide if fallback == "wide" else models / fallback)
    server = start(folder, FAIRLEAD_MODEL_FORMAT="python")
    assert server.ended() == 1
    assert server.termination.read_text().startswith(reason)


def test_a_converted_fallback_is_one_of_its_own(start: Start, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "fallback").mkdir(parents=True)
    copy(models / "classifier/model.skops", folder)
    copy(models / "texts/model.skops", folder / "fallback")
    server = start(folder).ready()
    assert "converted_from" in server.get("/v2/models/m").json["parameters"]
    assert server.infer(table(IRIS, "FP64")).json["outputs"][0]["data"] == [0, 2]
    assert server.metrics()["fairlead_fallback_total"] == 0
    converted = [line for line in server.lines if line["message"] == "converted to ONNX"]
    assert len(converted) == 2


def test_without_the_folder_there_is_no_fallback(tmp_path: Path) -> None:
    plain = Artifact(tmp_path, ["model.onnx", "fallback.txt"], "sha256:1")
    assert divide(plain) == (plain, None)
    alone = Artifact(tmp_path, ["fallback/model.onnx"], "sha256:1")
    assert divide(alone) == (alone, None)
    both = Artifact(tmp_path, ["fallback/model.onnx", "model.skops"], "sha256:1")
    own, spare = divide(both)
    assert (own.files, own.digest) == (["model.skops"], "sha256:1")
    assert spare == Artifact(tmp_path / "fallback", ["model.onnx"], "sha256:1/fallback")
