"""Access and prediction logs on standard output, and as CloudEvents."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.harness import Server, read_response, table, until
from tests.serving.receiver import Receiver, running_receiver

Start = Callable[..., Server]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_asked_for_is_logged_and_whole_at_the_end(
    start: Start, models: Path, tmp_path: Path, workers: str
) -> None:
    flags = ("--access-log", "1", "--prediction-log", "1", "--log-redact", "x[0],probabilities")
    with (tmp_path / "stdout").open("wb") as output:
        server = start(models / "onnx", *flags, "--workers", workers, "--drain-seconds", "0", output=output).ready()
        answer = server.infer(table(id="42")).json
        for _ in range(100):
            assert server.infer(table()).status == 200
        assert server.infer(b"{").status == 400
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / "stdout").read_text().splitlines()]
    access = [line for line in lines if line["kind"] == "access"]
    predictions = [line for line in lines if line["kind"] == "prediction"]
    assert (len(access), len(predictions)) == (102, 101)
    assert {line["client"] for line in access} == {"127.0.0.1"}
    assert sorted(line["outcome"] for line in access)[:2] == ["client_error", "success"]
    (mine,) = [line for line in predictions if line["id"] == "42"]
    assert (mine["model"], mine["version"], mine["revision"]) == ("m", "7", "0123456789")
    assert mine["inputs"][0]["data"][::4] == [None, None]
    assert mine["inputs"][0]["data"][1] == pytest.approx(3.5)
    assert mine["outputs"][0] == answer["outputs"][0]
    assert mine["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "redacted": True}


def test_nothing_is_logged_on_standard_output_unless_asked_for(start: Start, models: Path, tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("wb") as output:
        server = start(models / "onnx", output=output).ready()
        assert server.infer(table()).status == 200
        server.stop()
    assert (tmp_path / "stdout").read_bytes() == b""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [event for message in receiver.taken for event in json.loads(message.body)]


def test_batches_of_cloudevents_are_whole_at_the_end(start: Start, models: Path, receiver: Receiver) -> None:
    flags = ("--access-log", "1", "--prediction-log", "1", "--log-redact", "x[0],probabilities", "--drain-seconds", "0")
    server = start(
        models / "onnx", *flags, "--log-sink", f"{receiver.address}/events?a=b", FAIRLEAD_LOG_SINK_TOKEN="secret"
    ).ready()
    answer = server.infer(table(id="42")).json
    for _ in range(150):
        assert server.infer(table()).status == 200
    assert server.infer(b"{").status == 400
    # The rest has three seconds at the end.
    receiver.wait_for(lambda: len(events(receiver)) >= 200)
    server.signal(signal.SIGTERM)
    assert server.ended() == 0
    assert {
        (message.path, message.headers["content-type"], message.headers["authorization"]) for message in receiver.taken
    } == {("/events?a=b", "application/cloudevents-batch+json; charset=utf-8", "Bearer secret")}
    found = events(receiver)
    assert len(receiver.taken) < 100
    assert {event["specversion"] for event in found} == {"1.0"}
    assert {event["datacontenttype"] for event in found} == {"application/json"}
    assert len({(event["source"], event["id"]) for event in found}) == len(found) == 303
    kinds = ["dev.fairlead.serving.access.v1", "dev.fairlead.serving.prediction.v1"]
    assert [sum(event["type"] == kind for event in found) for kind in kinds] == [152, 151]
    access, prediction = [event for event in found if event.get("subject") == "42"]
    assert access["source"].endswith("/models/m/versions/7")
    assert (access["data"]["outcome"], access["data"]["model"], access["data"]["id"]) == ("success", "m", "42")
    assert prediction["data"]["inputs"][0]["data"][::4] == [None, None]
    assert prediction["data"]["outputs"] == [
        answer["outputs"][0],
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "redacted": True},
    ]
    said = b"".join(message.body for message in receiver.taken)
    assert b"5.0999" not in said
    assert b"5.1," not in said


def test_a_sink_that_does_not_answer_delays_nobody_and_what_is_lost_is_counted(
    start: Start, models: Path, receiver: Receiver
) -> None:
    receiver.open.clear()
    flags = ("--access-log", "1", "--drain-seconds", "0", "--log-sink", receiver.address)
    server = start(models / "onnx", *flags).ready()
    assert server.infer(table()).status == 200
    receiver.wait_for(lambda: receiver.tried >= 1)
    body = json.dumps(table()).encode()
    request = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    # Quickly, before the sink gives up on what it is sending.
    with server.connect() as client, client.makefile("rb") as stream:
        for _ in range(22):
            client.sendall(request * 50)
            assert [read_response(stream).status for _ in range(50)] == [200] * 50
    lost = server.metrics()["fairlead_log_lines_dropped_total"]
    assert 1100 - 1024 <= lost <= 1101 - 1024 + 100
    assert receiver.taken == []
    server.signal(signal.SIGTERM)
    assert server.ended() == 0
    assert any("logs are lost" in line["message"] for line in server.lines)


def test_a_sink_that_fails_is_tried_again_and_one_that_refuses_is_not(
    start: Start, models: Path, receiver: Receiver
) -> None:
    receiver.failures = [503, 503]
    server = start(models / "onnx", "--access-log", "1", "--log-sink", receiver.address).ready()
    assert server.infer(table(id="first")).status == 200
    receiver.wait_for(lambda: [event["subject"] for event in events(receiver)] == ["first"])
    assert receiver.tried == 3
    receiver.status = 403
    assert server.infer(table(id="second")).status == 200
    server.wait_for("the log sink does not take events: status 403")
    until(lambda: server.metrics()["fairlead_log_lines_dropped_total"] == 1)
    receiver.status = 200
    assert server.infer(table(id="third")).status == 200
    receiver.wait_for(lambda: [event["subject"] for event in events(receiver)] == ["first", "third"])
