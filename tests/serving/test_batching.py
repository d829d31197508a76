"""Requests that wait for the model at the same time, over real connections."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.harness import Answer, Server, in_flight, read_response, table, until

Start = Callable[..., Server]
BODY = json.dumps(table([[1.0, 2.0]])).encode()
REQUEST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def test_requests_that_wait_together_are_one_run_and_each_gets_its_own_rows(
    gated: Callable[..., Server], gate: Path
) -> None:
    server = gated()
    gate.unlink()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(server.infer, table([[0.0, 0.0]]))
        until(lambda: in_flight(server) == 1)
        rest = [pool.submit(server.infer, table([[number, 1.0]] * (1 + number % 3))) for number in range(12)]
        until(lambda: in_flight(server) == 13)
        gate.touch()
        assert first.result().json["outputs"][0]["data"] == [0]
        for number, answer in enumerate(rest):
            assert answer.result().json["outputs"][0]["data"] == [number + 1] * (1 + number % 3)
    samples = server.metrics()
    assert samples["fairlead_batch_rows_sum"] == 25
    # Some may still have been on their way to the queue when the gate was opened.
    assert 2 <= samples["fairlead_batch_rows_count"] <= 4
    assert samples["fairlead_queue_seconds_count"] == 13
    assert samples['fairlead_requests_total{outcome="success"}'] == 13


def test_requests_of_different_forms_are_not_joined(gated: Callable[..., Server], gate: Path) -> None:
    server = gated()
    gate.unlink()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(server.infer, table([[0.0, 0.0]]))
        until(lambda: in_flight(server) == 1)
        plain = pool.submit(server.infer, table([[1.0, 1.0]]))
        named = pool.submit(server.infer, table([[2.0, 1.0]], outputs=[{"name": "y"}]))
        until(lambda: in_flight(server) == 3)
        gate.touch()
        assert [each.result().json["outputs"][0]["data"] for each in (first, plain, named)] == [[0], [2], [3]]
    with ThreadPoolExecutor(4) as pool:
        wide = pool.submit(server.infer, table([[1.0, 1.0, 1.0]]))
        assert wide.result().status == 400


def test_too_many_requests_are_refused_at_once_with_the_time_to_come_back(
    gated: Callable[..., Server], gate: Path
) -> None:
    server = gated("--latency-target-seconds", "0.1", "--max-batch-rows", "1")
    gate.unlink()
    with ThreadPoolExecutor(64) as pool:
        waiting = [pool.submit(server.infer, table([[number, 1.0]])) for number in range(40)]
        # In this order none is counted twice.
        until(lambda: sum(each.done() for each in waiting) + in_flight(server) == 40)
        refused = [each.result() for each in waiting if each.done()]
        # Four may always wait.
        assert 20 < len(refused) <= 36
        for answer in refused:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "overloaded" in answer.error
        gate.touch()
        answers: list[Answer] = [each.result() for each in waiting]
    assert sum(answer.status == 200 for answer in answers) == 40 - len(refused)
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="rejected"}'] == len(refused)
    assert samples['fairlead_requests_total{outcome="server_error"}'] == 0
    assert samples["fairlead_request_duration_seconds_count"] == 40 - len(refused)


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_goes_takes_its_waiting_request_along(
    gated: Callable[..., Server], gate: Path, *, reset: bool
) -> None:
    server = gated()
    gate.unlink()
    with server.connect() as first, first.makefile("rb") as stream:
        first.sendall(REQUEST)
        until(lambda: in_flight(server) == 1)
        second = server.connect()
        second.sendall(REQUEST)
        until(lambda: in_flight(server) == 2)
        if reset:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.close()
        until(lambda: in_flight(server) == 1)
        gate.touch()
        assert read_response(stream).status == 200
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="cancelled"}'] == 1
    assert samples["fairlead_batch_rows_sum"] == 1
    assert samples["fairlead_request_duration_seconds_count"] == 2


def test_a_half_closed_client_whose_request_is_being_run_gets_its_answer(
    gated: Callable[..., Server], gate: Path
) -> None:
    server = gated()
    gate.unlink()
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(REQUEST)
        until(lambda: in_flight(server) == 1)
        client.shutdown(socket.SHUT_WR)
        assert server.get("/v2/health/live").status == 200
        gate.touch()
        assert read_response(stream).status == 200


def test_one_request_of_a_batch_that_the_model_cannot_answer_fails_alone(start: Start, models: Path) -> None:
    server = start(models / "picky").ready()
    with ThreadPoolExecutor(8) as pool:
        bad = [pool.submit(server.infer, table([[9.0]])) for _ in range(40)]
        good = [pool.submit(server.infer, table([[1.0]])) for _ in range(40)]
        assert {each.result().status for each in good} == {200}
        assert {each.result().status for each in bad} == {500}


def test_feedback_counts_what_was_right_and_wrong(start: Start, models: Path) -> None:
    server = start(models / "onnx").ready()
    path = "/v2/models/m/feedback"
    predicted = server.infer(table(id="a")).json["outputs"][0]["data"]
    server.infer(table(id="b"), "/v2/models/m/versions/7/infer")

    def say(**content: object) -> Answer:
        return server.call("POST", path, json.dumps(content).encode())

    assert say(id="a", truth=[predicted[0], 1 + predicted[1]]).json == {"id": "a", "right": 1, "wrong": 1}
    assert say(id="a", truth=predicted).status == 404
    assert say(id="b", truth=predicted[0]).status == 400
    answer = server.call("POST", "/v2/models/m/versions/7/feedback", b'{"id": "b", "reward": 1}')
    assert answer.json == {"id": "b", "right": 1, "wrong": 0}
    assert server.get(path).status == 405
    assert server.call("POST", "/v2/models/other/feedback", b"{}").status == 404
    samples = server.metrics()
    counts = {result: samples[f'fairlead_feedback_total{{result="{result}"}}'] for result in ("right", "wrong")}
    assert counts == {"right": 2, "wrong": 1}
    assert samples["fairlead_feedback_unmatched_total"] == 1
    assert samples['fairlead_requests_total{outcome="success"}'] == 2
