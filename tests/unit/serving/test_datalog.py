"""Access and prediction logs."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

import numpy as np
import pytest

from fairlead_serving.datalog import DataLog, Entry, Rules
from fairlead_serving.datalog.stdout import StandardOutput
from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.tensors import tensor_of

X = tensor_of("x", np.arange(6.0).reshape(2, 3))
Y = tensor_of("y", np.array([0, 1]))


def entry(**changes: Any) -> Entry:
    known = Entry("42", "10.0.0.1", "success", 0.25, 0.125, 300, [X], [Y])
    return known._replace(**changes)


def logged(rules: Rules, *entries: Entry) -> list[dict[str, Any]]:
    """Return the lines that entries come to."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    log = DataLog(rules, Metrics("m", "7", "r"), lambda: StandardOutput(writer))
    for each in entries:
        log.note(each)
    log.finish()
    log.wait(time.monotonic() + 30)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        return [json.loads(line) for line in stream]


def test_an_access_line_says_who_got_what_and_how_long_it_took() -> None:
    lines = logged(Rules(access=1), entry(), entry(id=None, outcome="rejected", waited=None, outputs=None))
    assert [line.pop("time")[-6:] for line in lines] == ["+00:00"] * 2
    same = {"kind": "access", "model": "m", "version": "7", "revision": "r", "client": "10.0.0.1", "seconds": 0.25}
    assert lines == [
        {**same, "id": "42", "outcome": "success", "queue_seconds": 0.125, "request_bytes": 300},
        {**same, "id": None, "outcome": "rejected", "queue_seconds": None, "request_bytes": 300},
    ]


def test_a_prediction_line_has_inputs_and_outputs_but_what_is_redacted() -> None:
    rules = Rules(predictions=1, redacted=frozenset(["x[1]", "secret", "x[9]", "y[z]"]))
    secret = tensor_of("secret", np.array(["name"], dtype=object))
    (line,) = logged(rules, entry(inputs=[X, secret]), entry(outputs=None))
    assert line["kind"] == "prediction"
    assert line["inputs"] == [
        {"name": "x", "datatype": "FP64", "shape": [2, 3], "data": [0.0, None, 2.0, 3.0, None, 5.0]},
        {"name": "secret", "datatype": "BYTES", "shape": [1], "redacted": True},
    ]
    assert line["outputs"] == [{"name": "y", "datatype": "INT64", "shape": [2], "data": [0, 1]}]


@pytest.mark.parametrize("size", [300, 2000])
def test_large_tensors_are_told_by_their_shape_only(size: int) -> None:
    wide = tensor_of("x", np.full((1, size), 1 / 3))
    (line,) = logged(Rules(predictions=1), entry(inputs=[wide]))
    assert line["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [1, size]}]


def test_a_share_is_logged_and_predictions_among_the_accesses() -> None:
    lines = logged(Rules(access=0.5, predictions=0.2), *[entry(id=str(number)) for number in range(500)])
    access = {line["id"] for line in lines if line["kind"] == "access"}
    predictions = {line["id"] for line in lines if line["kind"] == "prediction"}
    assert 180 < len(access) < 320
    assert 50 < len(predictions) < 150
    assert predictions < access


def test_nobody_waits_for_a_reader_that_has_stopped() -> None:
    reader, writer = os.pipe()
    metrics = Metrics("m", "7", "r")
    log = DataLog(Rules(access=1), metrics, lambda: StandardOutput(writer))
    for _ in range(5000):
        log.note(entry())
    dropped = metrics.board.totals()[at.DROPPED_LINES]
    assert 5000 - 1024 - 64 * 1024 // 100 < dropped < 5000
    os.close(reader)
    log.finish()
    log.wait(time.monotonic() + 30)
    assert metrics.board.totals()[at.DROPPED_LINES] > dropped
    os.close(writer)
