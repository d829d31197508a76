"""The Open Inference Protocol over gRPC, as grpcio sees it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.contents import CONTENTS
from tests.serving.grpcclient import (
    Client,
    Code,
    also_raw,
    changed,
    connected,
    failure,
    grpc,
    only_raw,
    table,
    wanting,
)
from tests.serving.harness import IRIS, PATIENCE_SECONDS, Server, in_flight, until
from tests.serving.identity import TYPES, raw, values, write_identity
from tests.serving.oip import messages

Start = Callable[..., Server]


@pytest.fixture(scope="module", params=["own", "grpcio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whose HTTP/2 it is: what holds of the one holds of the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def either(kind: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A classifier."""
    server = Server.start(tmp_path_factory.mktemp(kind), models / "classifier", "--grpc-server", kind)
    yield server.ready()
    server.stop()


@pytest.fixture
def client(either: Server) -> Iterator[Client]:
    with connected(either) as each:
        yield each


@pytest.fixture(scope="module")
def identity(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model with an input and an output of every type."""
    folder = tmp_path_factory.mktemp("identity")
    server = Server.start(folder, write_identity(folder / "model", TYPES), "--grpc-server", kind)
    yield server.ready()
    server.stop()


def test_health_and_metadata(client: Client) -> None:
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="m").ready
    assert client.call("ModelReady", name="m", version="7").ready
    server = client.call("ServerMetadata")
    assert server.name
    assert list(server.extensions) == ["binary_tensor_data"]
    model = client.call("ModelMetadata", name="m")
    assert (model.name, list(model.versions), list(model.inputs[0].shape)) == ("m", ["7"], [-1, 4])
    assert [(item.name, item.datatype) for item in model.outputs] == [("predict", "INT64"), ("predict_proba", "FP64")]


def test_typed_contents_give_typed_contents(client: Client) -> None:
    answer = client.infer(table(id="é", model_version="7"))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "7", "é")
    assert not answer.raw_output_contents
    predict, probabilities = answer.outputs
    assert (predict.name, predict.datatype, list(predict.shape)) == ("predict", "INT64", [2])
    assert list(predict.contents.int64_contents) == [0, 2]
    assert sum(probabilities.contents.fp64_contents[:3]) == pytest.approx(1)


def test_raw_contents_give_raw_contents(client: Client) -> None:
    request = messages["ModelInferRequest"](model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[2, 4])
    request.raw_input_contents.append(np.array(IRIS, dtype="<f4").tobytes())
    answer = client.infer(request)
    assert np.frombuffer(answer.raw_output_contents[0], "<i8").tolist() == [0, 2]
    assert not answer.outputs[0].HasField("contents")


def test_outputs_by_request_and_parameters(client: Client) -> None:
    request = table()
    request.parameters["any"].int64_param = -1
    request.inputs[0].parameters["other"].string_param = "x"
    for name in ("predict_proba", "predict"):
        request.outputs.add(name=name).parameters["more"].bool_param = True
    assert [item.name for item in client.infer(request).outputs] == ["predict_proba", "predict"]


@pytest.mark.parametrize("rows", [1, 500])
def test_every_type_there_and_back(identity: Server, rows: int) -> None:
    request = messages["ModelInferRequest"](model_name="m")
    for name in TYPES:
        array = values(name, rows)
        request.inputs.add(name=f"in_{name}", datatype=name, shape=array.shape)
        request.raw_input_contents.append(raw(array))
    with connected(identity) as client:
        answer = client.infer(request)
    assert [item.datatype for item in answer.outputs] == list(TYPES)
    assert list(answer.raw_output_contents) == list(request.raw_input_contents)


@pytest.mark.parametrize("name", [name for name in TYPES if name in CONTENTS])
def test_typed_contents_of_each_type(tmp_path: Path, start: Start, name: str) -> None:
    server = start(write_identity(tmp_path / "model", {name: TYPES[name]})).ready()
    array = values(name, 300)
    flat = [item.encode() for item in array.ravel()] if name == "BYTES" else array.ravel().tolist()
    request = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name=f"in_{name}", datatype=name, shape=array.shape)
    getattr(tensor.contents, CONTENTS[name]).extend(flat)
    with connected(server) as client:
        (answer,) = client.infer(request).outputs
    assert list(getattr(answer.contents, CONTENTS[name])) == flat


BAD: list[tuple[Any, str]] = [
    (messages["ModelInferRequest"](model_name="m"), "inputs: is missing"),
    (changed(datatype="FLOAT"), "inputs[0].datatype: 'FLOAT' is not one of BOOL"),
    (changed(datatype="FP64"), "inputs[0].contents.fp32_contents: FP64 should be in"),
    (changed(datatype="FP16"), "inputs[0].contents: FP16 can only be in raw_input_contents"),
    (changed(shape=[2, 3]), "fp32_contents: has 8 values where shape [2, 3] needs 6"),
    (changed(shape=[-1, 4]), "inputs[0].shape: [-1, 4] has a negative size"),
    (changed(shape=[1 << 62, 1 << 62, 0]), "inputs[0].shape: is of shape"),
    (changed(shape=[1] * 40), "inputs[0].shape: has more than 32 sizes"),
    (changed(shape=[8]), "inputs[0].shape: the model takes [rows, 4], not [8]"),
    (wanting("what"), "outputs[0].name: 'what' is not an output"),
    (wanting("predict", "predict"), "outputs[1].name: 'predict' is there twice"),
    (also_raw(b"1234"), "inputs[0].contents: cannot be together with raw_input_contents"),
    (also_raw(b"", b""), "raw_input_contents: has 2 entries where there are 1 inputs"),
    (only_raw(b"1" * 15), "raw_input_contents[0]: has 15 bytes where FP32 of shape [1, 4] needs 16"),
    (only_raw(b"\xff\xff\xff\x7f", "BYTES"), "raw_input_contents[0][0]: ends before its length says"),
    (only_raw(b"\x01\0\0\0\xff", "BYTES"), "raw_input_contents[0]: holds 1 values and 0 bytes more where the shape"),
]


@pytest.mark.parametrize(("request_", "reason"), BAD, ids=[reason[:40] for _, reason in BAD])
def test_a_clients_fault_names_the_field(client: Client, request_: Any, reason: str) -> None:
    code, details = failure(lambda: client.infer(request_))
    assert code is Code.INVALID_ARGUMENT
    assert reason in details


def refusal(server: Server, value: float) -> tuple[Any, str]:
    request = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 4])
    tensor.contents.fp64_contents.extend([1.0, 2.0, 3.0, value])
    with connected(server) as client:
        return failure(partial(client.infer, request))


@pytest.mark.parametrize(
    ("model", "value"), [("classifier", float("nan")), ("classifier", float("inf")), ("forest", 1e300)]
)
def test_numbers_that_a_model_refuses_are_the_clients_fault(
    served: Callable[[str], Server], model: str, value: float
) -> None:
    code, details = refusal(served(model), value)
    assert (code, details.startswith("inputs: the model refuses them: ")) == (Code.INVALID_ARGUMENT, True)


def test_numbers_that_the_native_engine_refuses_are_the_clients_fault(start: Start, models: Path) -> None:
    server = start(models / "classifier", FAIRLEAD_CONVERT_SECONDS="0").ready()
    assert refusal(server, float("nan"))[0] is Code.INVALID_ARGUMENT


def test_shared_memory_is_refused_rather_than_overlooked(client: Client) -> None:
    request = table()
    request.inputs[0].parameters["shared_memory_region"].string_param = "x"
    code, details = failure(lambda: client.infer(request))
    assert (code, details.startswith("inputs[0].parameters.shared_memory_region")) == (Code.INVALID_ARGUMENT, True)


@pytest.mark.parametrize(
    ("method", "fields", "code", "details"),
    [
        ("ModelReady", {"name": "other"}, Code.NOT_FOUND, "unknown model 'other': this server has m"),
        ("ModelMetadata", {"name": "m", "version": "8"}, Code.NOT_FOUND, "unknown version '8' of model m"),
        ("ModelInfer", {"model_name": "other"}, Code.INVALID_ARGUMENT, "inputs: is missing"),
    ],
)
def test_what_is_not_here(client: Client, method: str, fields: dict[str, str], code: Any, details: str) -> None:
    found, said = failure(lambda: client.call(method, **fields))
    assert (found, said.startswith(details)) == (code, True)


def test_inference_of_another_model_or_version(client: Client) -> None:
    for request in (table(model_name="other"), table(model_version="8")):
        assert failure(partial(client.infer, request))[0] is Code.NOT_FOUND


def test_a_method_that_is_not_there(either: Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{either.grpc_port}") as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
        assert failure(lambda: method(b"", timeout=PATIENCE_SECONDS))[0] is Code.UNIMPLEMENTED


def test_before_the_model_is_loaded(start: Start, kind: str) -> None:
    # Nobody listens there, so the server tries for ever.
    server = start(
        "s3://models/none", "--grpc-server", kind, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ALLOW_HTTP="true"
    )
    with connected(server) as client:
        assert client.call("ServerLive").live
        assert not client.call("ServerReady").ready
        assert not client.call("ModelReady", name="m").ready
        assert failure(lambda: client.call("ModelMetadata", name="m"))[0] is Code.UNAVAILABLE
        assert failure(lambda: client.infer(table()))[0] is Code.UNAVAILABLE


def test_a_model_that_fails_is_an_internal_error_and_counted(start: Start, models: Path) -> None:
    server = start(models / "picky", FAIRLEAD_CONVERT_SECONDS="0").ready()
    with connected(server) as client:
        code, details = failure(lambda: client.infer(table([[99.0]])))
        assert (code, details.startswith("the model failed")) == (Code.INTERNAL, True)
        client.infer(table([[1.0]]))
        failure(lambda: client.infer(table([[1.0, 2.0]])))
        client.call("ServerLive")
    metrics = server.metrics()
    found = [
        metrics[f'fairlead_requests_total{{outcome="{name}"}}'] for name in ("success", "client_error", "server_error")
    ]
    assert found == [1, 1, 1]
    assert metrics["fairlead_connections_opened_total"] == 1


@pytest.mark.parametrize("how", ["Gzip", "Deflate"])
def test_compressed_messages(client: Client, how: str) -> None:
    answer = client.infer(table(IRIS * 500), compression=getattr(grpc.Compression, how))
    assert len(answer.outputs[0].contents.int64_contents) == 1000


def test_what_is_too_large_is_refused_compressed_or_not(start: Start, models: Path, kind: str) -> None:
    server = start(models / "onnx", "--grpc-server", kind, FAIRLEAD_MAX_BODY_BYTES="100000").ready()
    with connected(server) as client:
        large = table(np.zeros((10_000, 4)))
        for options in (dict[str, Any](), {"compression": grpc.Compression.Gzip}):
            code, details = failure(partial(client.infer, large, **options))
            assert (code, "larger than" in details) == (Code.RESOURCE_EXHAUSTED, True)
        assert client.infer(table()).outputs


def test_many_at_once_get_their_own_answers(identity: Server) -> None:
    def one(client: Client, number: int) -> bool:
        rows = 1 + number % 7 * 500
        request = messages["ModelInferRequest"](model_name="m", id=str(number))
        for name in TYPES:
            array = np.full((rows, 1), number % 100).astype(values(name).dtype)
            array = np.array([[str(number)]] * rows, dtype=object) if name == "BYTES" else array
            request.inputs.add(name=f"in_{name}", datatype=name, shape=array.shape)
            request.raw_input_contents.append(raw(array))
        answer = client.infer(request)
        return bool(answer.id == str(number)) and list(answer.raw_output_contents) == list(request.raw_input_contents)

    with connected(identity) as client, ThreadPoolExecutor(32) as threads:
        assert all(threads.map(partial(one, client), range(400)))


def test_large_tensors_at_once_in_both_directions(tmp_path: Path, start: Start) -> None:
    server = start(write_identity(tmp_path / "model", {"FP32": TYPES["FP32"]})).ready()

    def one(client: Client, number: int) -> bool:
        data = np.full((1000, 5000), number, dtype="<f4").tobytes()
        request = messages["ModelInferRequest"](model_name="m", raw_input_contents=[data])
        request.inputs.add(name="in_FP32", datatype="FP32", shape=[1000, 5000])
        return bool(client.infer(request).raw_output_contents[0] == data)

    with connected(server) as client, ThreadPoolExecutor(6) as threads:
        assert all(threads.map(partial(one, client), range(12)))


def test_a_deadline_is_kept_and_the_request_leaves_the_queue(start: Start, models: Path, kind: str) -> None:
    server = start(models / "forest", "--grpc-server", kind, FAIRLEAD_CONVERT_SECONDS="0").ready()
    with connected(server) as client:
        client.infer(table())
        waiting = [client.methods["ModelInfer"].future(table(IRIS * 2000), timeout=0.001) for _ in range(20)]
        assert {each.code() for each in waiting} == {Code.DEADLINE_EXCEEDED}
        client.infer(table())
    until(lambda: in_flight(server) == 0)


def test_a_cancelled_call_costs_nobody_else_anything(start: Start, models: Path, kind: str) -> None:
    server = start(models / "forest", "--grpc-server", kind, FAIRLEAD_CONVERT_SECONDS="0").ready()
    with connected(server) as client:
        calls = [
            client.methods["ModelInfer"].future(table(id=str(number)), timeout=PATIENCE_SECONDS) for number in range(40)
        ]
        for call in calls[1::2]:
            call.cancel()
        assert [call.result().id for call in calls[::2]] == [str(number) for number in range(0, 40, 2)]
    until(lambda: in_flight(server) == 0)


def test_old_connections_are_left_without_losing_a_request(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0.2").ready()
    with connected(server) as client:
        for _ in range(10_000):
            assert client.infer(table()).outputs
            if server_connections(server) >= 4:
                break
    assert server_connections(server) >= 4


def server_connections(server: Server) -> float:
    return server.metrics()["fairlead_connections_opened_total"]


def test_the_drain_answers_to_the_end(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--drain-seconds", "3").ready()
    failed: list[Any] = []
    answered = 0
    end = float("inf")
    begun = threading.Event()

    def ask() -> None:
        nonlocal answered
        with connected(server) as client:
            while server.process.poll() is None:
                try:
                    client.infer(table())
                except grpc.RpcError as error:
                    # When the drain is over nobody listens any more, so that there is nobody to answer.
                    if time.monotonic() < end:
                        failed.append((error.code(), error.details()))
                    return
                answered += 1
                begun.set()

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        assert begun.wait(PATIENCE_SECONDS)
        before = answered
        end = time.monotonic() + 3
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        for each in asking:
            each.result()
    assert failed == []
    assert answered > before
