"""Smaller numbers in a model: only within what was declared, and only where something is gained."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from fairlead_serving.conversion import serve
from fairlead_serving.conversion.convert import convert
from fairlead_serving.conversion.report import Report
from fairlead_serving.errors import SettingsError
from fairlead_serving.models.converted import ConvertedEngine
from fairlead_serving.models.formats import Choice
from fairlead_serving.models.onnx import OnnxModel
from fairlead_serving.optimisation import Wish, wish
from fairlead_serving.storage import Artifact
from tests.serving.harness import Server
from tests.serving.modelfiles import X, Y, write_net

Start = Callable[..., Server]
NET = Choice("onnx", "model.onnx")
PICKLE = Choice("sklearn", "model.pkl")


def net(folder: Path, how: Wish, **more: Any) -> Report:
    write_net(folder / "model.onnx", **more)
    (folder / "to").mkdir(exist_ok=True)
    return convert(folder, NET, folder / "to", how)


def rows(count: int = 64, width: int = 64) -> Any:
    return np.random.default_rng(9).standard_normal((count, width)).astype(np.float32)


@pytest.mark.parametrize("mode", ["float16", "int8"])
def test_a_net_becomes_smaller_and_stays_within_what_was_declared(tmp_path: Path, mode: str) -> None:
    report = net(tmp_path, Wish(mode, labels=0.9, difference=0.2), loud=0.3)
    found = report.optimised
    assert found is not None, report.not_optimised
    assert found.bytes_after < 0.6 * found.bytes_before
    assert found.bytes_after == (tmp_path / "to" / found.file).stat().st_size
    before, after = OnnxModel(tmp_path / "model.onnx"), OnnxModel(tmp_path / "to" / found.file)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    values = [model.run({"x": rows()}, ["probabilities"])[0].array for model in (before, after)]
    assert values[1].dtype == np.float32
    assert 0 < float(np.abs(values[0] - values[1]).max()) < 0.2
    assert f"{mode}: {found.bytes_after / 1000:,.1f} kB instead of" in str(found)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (Wish("float16", 0.5, 1e-7), "float16: numbers are off by up to .*% of the largest, at most 0.00% may be"),
        (Wish("int8", 1.0, 1.0), "int8: only 9.*% of labels stay the same, at least 100.00% should"),
        (Wish("auto", 0.5, 1e-7), "^int8: .*; float16: numbers are off"),
    ],
)
def test_what_answers_too_differently_does_not_serve(tmp_path: Path, how: Wish, reason: str) -> None:
    report = net(tmp_path, how, loud=3.0)
    assert report.optimised is None
    assert re.search(reason, report.not_optimised), report.not_optimised


def test_golden_requests_have_the_last_word(tmp_path: Path) -> None:
    values = rows(1)
    write_net(tmp_path / "model.onnx")
    answer = OnnxModel(tmp_path / "model.onnx").run({"x": values}, ["probabilities"])[0].array
    request = {"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP32", "data": values.ravel().tolist()}]}
    response = {"outputs": [{"name": "probabilities", "data": answer.ravel().tolist()}]}
    for atol, fits in ((1e-7, False), (1e-2, True)):
        line = {"request": request, "response": response, "atol": atol, "rtol": 0}
        (tmp_path / "golden.jsonl").write_text(json.dumps(line))
        report = net(tmp_path, Wish("float16", 0.5, 1.0))
        assert (report.optimised is not None) == fits
        assert fits or report.not_optimised.startswith("float16: golden.jsonl line 1: output probabilities[0, ")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_converted_models_are_optimised_too_and_trees_have_nothing_to_gain(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    species = np.array(["setosa", "versicolor", "virginica"])[Y]
    learnt = MLPClassifier((150, 150), max_iter=60, random_state=1).fit(X, species)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(learnt))
    report = convert(tmp_path, PICKLE, tmp_path / "to", Wish("float16"))
    assert report.rules is not None
    assert report.optimised is not None, report.not_optimised
    assert report.optimised.bytes_after < 0.4 * report.optimised.bytes_before
    engine = ConvertedEngine(tmp_path / "to" / report.optimised.file, report.rules)
    labels, chances = engine.compute(X, ["predict", "predict_proba"])
    assert labels.tolist() == learnt.predict(X).tolist()
    np.testing.assert_allclose(chances, learnt.predict_proba(X), atol=0.01)
    for estimator in (RandomForestClassifier(5, random_state=1), LogisticRegression(max_iter=500)):
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator.fit(X, Y)))
        report = convert(tmp_path, PICKLE, tmp_path / "to", Wish("int8"))
        assert report.rules is not None
        assert report.not_optimised.startswith("int8: it ")


def test_a_server_tells_what_it_optimised_and_keeps_it(start: Start, tmp_path: Path) -> None:
    write_net(tmp_path / "net/model.onnx")
    flags = ("--optimise", "float16", "--workers", "1")
    cache = {"FAIRLEAD_CACHE_DIR": str(tmp_path / "cache")}
    server = start(tmp_path / "net", *flags, **cache).ready()
    metadata = server.get("/v2/models/m").json
    assert metadata["parameters"]["optimised"].startswith("float16: 166.0 kB instead of 331.0 kB, 32 rows in ")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}]
    request = {"inputs": [{"name": "x", "shape": [2, 64], "datatype": "FP32", "data": rows(2).tolist()}]}
    assert server.infer(request).json["outputs"][0]["shape"] == [2, 3]
    (kept,) = (tmp_path / "cache").glob("converted-*")
    assert sorted(path.name for path in kept.iterdir()) == ["float16.onnx", "report.json"]
    written = (kept / "float16.onnx").stat().st_mtime_ns
    strict = start(tmp_path / "net", *flags, "--optimise-difference", "0", **cache).ready()
    assert "may be" in strict.get("/v2/models/m").json["parameters"]["not_optimised"]
    start(tmp_path / "net", *flags, **cache).ready()
    assert (kept / "float16.onnx").stat().st_mtime_ns == written


def test_without_onnx_the_model_serves_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_net(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    artifact = Artifact(tmp_path, ("model.onnx",), "sha256:0")
    model = serve.load(artifact, NET, tmp_path / "cache", 60, Wish("int8"))
    assert model.parameters["not_optimised"].startswith("that needs onnx, which is not here: serve it with the full")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("", 0.9, 0.1), None),
        (("off", 0.9, 0.1), None),
        (("int8", 0.9, 0.1), Wish("int8", 0.9, 0.1)),
        (("int4", 0.9, 0.1), "should be float16, int8, auto or off, not 'int4'"),
        (("int8", 1.1, 0.1), "should be from 0 to 1, not 1.1"),
    ],
)
def test_what_may_be_asked_for(given: tuple[str, float, float], expected: Wish | str | None) -> None:
    if isinstance(expected, str):
        with pytest.raises(SettingsError, match=expected):
            wish(*given)
    else:
        assert wish(*given) == expected
