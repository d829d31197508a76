"""Access and prediction logs on standard output."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.harness import Server, table

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
