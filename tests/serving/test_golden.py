"""Golden requests: answered before the model is ready, and what a difference does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from fairlead_serving import golden
from fairlead_serving.errors import LoadError
from fairlead_serving.models.loader import load_model
from tests.serving.harness import IRIS, Server, table

Start = Callable[..., Server]


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """A copy of the ONNX classifier, for golden requests to be put beside it."""
    return copytree(models / "onnx", tmp_path / "model")


def write(folder: Path, *rows: Any) -> Path:
    path = folder / golden.FILE
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def row(outputs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"request": table(), "response": {"outputs": outputs}, **more}


def label(*data: int, **more: Any) -> dict[str, Any]:
    return {"name": "label", "data": list(data), **more}


def test_a_recorded_answer_is_a_golden_request(start: Start, model: Path) -> None:
    recorded = start(model).ready().infer(table(id="1")).json
    write(model, {"request": table(), "response": recorded}, "", row([label(0, 2)]))
    server = start(model)
    assert server.wait_for("golden requests answered as expected")["requests"] == 2
    server.ready()
    assert server.metrics()['fairlead_requests_total{outcome="success"}'] == 0


def test_a_mismatch_ends_the_load_with_row_expected_and_actual_value(start: Start, model: Path) -> None:
    write(model, row([label(0, 2)]), row([label(0, 1)]))
    server = start(model)
    assert server.ended() == 1
    assert server.termination.read_text() == "golden.jsonl line 2: output label[1]: expected 1, got 2\n"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (row([{"name": "probabilities", "data": [[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]]}]), r"probabilities\[0, 0\]: expec"),
        (row([{"name": "probabilities", "data": [None] * 6}]), r"probabilities\[0, 0\]: expected None, got 0\.9"),
        (row([label(0, 2, shape=[2, 1])]), r"output label: expected shape \[2, 1\], got \[2\]"),
        (row([label(0)]), "output label: expected 1 values, got 2"),
        (row([label(0, 2), {"name": "score", "data": [1]}]), "'score' is not an output of the model"),
        ({**row([label(0)]), "request": table([[1.0]])}, "the model refuses the request: inputs.0..shape: the model"),
        ({**row([label(0)]), "request": {"inputs": []}}, r"golden.jsonl line 1: inputs"),
        ({"request": table()}, "golden.jsonl line 1: Object missing required field `response`"),
        ({**row([label(0, 2)]), "tol": 1}, "unknown field `tol`"),
        ("{", "golden.jsonl line 1: Input data was truncated"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(model: Path, broken: Any, reason: str) -> None:
    loaded = load_model(model, ["model.onnx"], None)
    with pytest.raises(LoadError, match=reason):
        golden.check(loaded, write(model, broken))


@pytest.mark.parametrize(
    ("off", "rtol", "atol", "good"), [(2e-6, 0, 1e-5, True), (1e-3, 0, 1e-5, False), (1e-3, 1e-2, 0, True)]
)
def test_tolerances_are_a_rows_own(model: Path, off: float, rtol: float, atol: float, *, good: bool) -> None:
    loaded = load_model(model, ["model.onnx"], None)
    names = [spec.name for spec in loaded.outputs]
    from fairlead_serving.protocol.v2 import decode_request  # noqa: PLC0415

    request = decode_request(json.dumps(table(IRIS)).encode())
    scores = loaded.run(loaded.bind(request.inputs), names)[1].array.astype(float)
    scores[0, 0] += off
    path = write(model, row([{"name": "probabilities", "data": scores.tolist()}], rtol=rtol, atol=atol))
    if good:
        assert golden.check(loaded, path) == 1
    else:
        with pytest.raises(LoadError, match=r"tolerance 1e-05 \+ 0 × \|expected\|"):
            golden.check(loaded, path)
