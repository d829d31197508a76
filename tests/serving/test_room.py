"""What all large requests of a server may hold together."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import grpc
import numpy as np
import pytest

from fairlead_serving.room import Charge, Room
from tests.serving.harness import PATIENCE_SECONDS, Answer, Server, read_response, until
from tests.serving.oip import METHODS, messages

Start = Callable[..., Server]
MEBI = 1024 * 1024
# Waits until it is let go, but for what it is tried with before it serves.
HELD = """
    import time


    class Model:
        inputs = {"x": ("FP32", [-1, 1024])}
        outputs = {"y": ("FP32", [-1])}

        def load(self, folder):
            self.go = folder / "go"

        def predict(self, inputs):
            time.sleep(0.01)
            while inputs["x"][0, 0] and not self.go.exists():
                time.sleep(0.01)
            return inputs["x"][:, 0]
"""


def test_charges_end_with_what_they_are_for() -> None:
    room = Room(100)
    first, second = Charge(room), Charge(room)
    assert first.grow(60)
    assert not second.grow(50)
    assert second.grow(40)
    assert (room.held, room.fits(1)) == (100, False)
    del first
    assert (room.held, room.fits(60), second.grow(60)) == (40, True, True)
    del second
    assert (room.held, room.fits(101)) == (0, True)
    assert Charge(room).grow(1000)


@pytest.fixture
def held(start: Start, tmp_path: Path) -> Server:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.py").write_text(dedent(HELD))
    flags = ("--max-queued-bytes", str(64 * MEBI), "--latency-target-seconds", "1000")
    return start(folder, *flags, FAIRLEAD_MODEL_FORMAT="python").ready()


def let_go(folder: Path) -> None:
    (folder / "model/go").touch()


def resident(server: Server) -> int:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def large(rows: int) -> tuple[bytes, dict[str, Any]]:
    """A request with a raw tensor of 4 KiB a row, all ones."""
    size = rows * 4096
    parameters = {"binary_data_size": size}
    tensor = {"name": "x", "shape": [rows, 1024], "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + np.ones(rows * 1024, np.float32).tobytes()
    return body, {"Inference_Header_Content_Length": str(len(head))}


def test_many_clients_with_large_requests_are_refused_and_memory_stays_bounded(held: Server, tmp_path: Path) -> None:
    body, headers = large(2048)
    before = resident(held)
    answers: list[Answer] = []

    def ask() -> None:
        try:
            answers.append(held.call("POST", "/v2/models/m/infer", body, **headers))
        except (ConnectionResetError, BrokenPipeError):
            # Refused while it was still sending.
            answers.append(Answer(503, {"retry-after": "1"}, b""))

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    while len(answers) < 40:
        threads[0].join(0.01)
    assert held.get("/v2/health/ready").status == 200
    let_go(tmp_path)
    for thread in threads:
        thread.join()
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
    # 480 MiB were sent.
    assert resident(held) - before < 180 * MEBI
    assert held.metrics()['fairlead_requests_total{outcome="rejected"}'] >= 1
    # All of it has been given back.
    body, headers = large(15000)
    until(lambda: held.call("POST", "/v2/models/m/infer", body, **headers).status == 200)


def test_a_large_request_is_refused_before_it_is_sent(held: Server, tmp_path: Path) -> None:
    sent = [held.connect() for _ in range(8)]
    for client in sent:
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * MEBI + 1}\r\n\r\n"
        client.sendall(head.encode() + bytes(8 * MEBI))
    with held.connect() as client, client.makefile("rb") as stream:
        announced = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {MEBI}\r\n"
        while True:
            client.sendall(f"{announced}Expect: 100-continue\r\n\r\n".encode())
            answer = read_response(stream)
            if answer.status != 100:
                break
            client.sendall(bytes(MEBI))
            assert read_response(stream).status == 400
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.error == "overloaded: too many large requests are here already"
    small = json.dumps({"inputs": [{"name": "x", "shape": [1, 1024], "datatype": "FP32", "data": [0] * 1024}]})
    assert held.infer(small.encode()).status == 200
    for client in sent:
        client.shutdown(socket.SHUT_RDWR)
        client.close()
    let_go(tmp_path)
    body, headers = large(8192)
    until(lambda: held.call("POST", "/v2/models/m/infer", body, **headers).status == 200)


def test_grpc_is_bounded_too(held: Server, tmp_path: Path) -> None:
    request = messages["ModelInferRequest"](model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[2048, 1024])
    request.raw_input_contents.append(np.ones(2048 * 1024, np.float32).tobytes())
    done: queue.Queue[object] = queue.Queue()
    with contextlib.ExitStack() as stack:
        futures = []
        for _ in range(12):
            own = [("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{held.grpc_port}", own))
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=messages[METHODS["ModelInfer"][1]].FromString,
            )
            futures.append(call.future(request))
            futures[-1].add_done_callback(done.put)
        done.get(timeout=PATIENCE_SECONDS)
        let_go(tmp_path)
        codes = [future.code() for future in futures]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
