"""Models of every kind, an S3 server, and servers that end with their tests."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from tests.serving.harness import Server
from tests.serving.modelfiles import X, Y, mixed, write_onnx, write_skops
from tests.serving.objects import S3, running_s3

Start = Callable[..., Server]
# It works while the gate is open, and each run takes a hundredth of a second at least.
GATED = """
    import os, time

    class Model:
        inputs = {"x": ("FP32", [-1, 2])}
        outputs = {"y": ("FP32", [-1])}
        batches = True

        def load(self, folder):
            pass

        def predict(self, inputs):
            time.sleep(0.01)
            while not os.path.exists(os.environ["GATE"]):
                time.sleep(0.001)
            return inputs["x"].sum(axis=1)
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model folders, by name."""
    root = tmp_path_factory.mktemp("models")
    classifier = LogisticRegression(max_iter=500).fit(X, Y)
    write_skops(classifier, root / "classifier/model.skops")
    write_skops(LinearRegression().fit(X[:, :2], X[:, 2]), root / "regressor/model.skops")
    write_skops(RandomForestClassifier(50, random_state=1).fit(X, Y), root / "forest/model.skops")
    species = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y]
    write_skops(LogisticRegression(max_iter=500).fit(X, species), root / "texts/model.skops")
    # Legal requests that the model itself cannot answer: categories it has not seen.
    picky = make_pipeline(OrdinalEncoder(), LinearRegression()).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    write_skops(picky, root / "picky/model.skops")
    named = LogisticRegression(max_iter=500).fit(X, Y)
    named.feature_names_in_ = np.array(["a", "b", "c", "d"], dtype=object)
    write_skops(named, root / "named/model.skops")
    write_skops(mixed(), root / "mixed/model.skops")
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression())
    write_skops(
        texts.fit(["good day", "bad night", "good", "bad"], ["+", "-", "+", "-"]), root / "documents/model.skops"
    )
    write_onnx(classifier, root / "onnx/model.onnx", options={"zipmap": False})
    write_onnx(classifier, root / "zipmap/model.onnx")
    (root / "pickle").mkdir()
    (root / "pickle/model.joblib").write_bytes(pickle.dumps(classifier))
    (root / "damaged").mkdir()
    (root / "damaged/model.onnx").write_bytes((root / "onnx/model.onnx").read_bytes()[:200])
    (root / "fake").mkdir()
    (root / "fake/model.skops").write_bytes(b"no archive at all")
    (root / "strange").mkdir()
    (root / "strange/weights.bin").write_bytes(b"x")
    return root


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def begin(uri: str | Path, *flags: str, **environment: Any) -> Server:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        started.append(Server.start(folder, uri, *flags, **environment))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file, while which is missing gated models give no answer."""
    path = tmp_path / "gate"
    path.touch()
    return path


@pytest.fixture
def gated(start: Start, tmp_path: Path, gate: Path) -> Start:
    """Start servers of a gated model, and wait until they serve."""
    folder = tmp_path / "gated"
    folder.mkdir()
    (folder / "model.py").write_text(dedent(GATED))

    def begin(*flags: str, **environment: str) -> Server:
        return start(folder, *flags, FAIRLEAD_MODEL_FORMAT="python", GATE=str(gate), **environment).ready()

    return begin


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Servers that tests share, one a model; for tests that do not change a server's state."""
    running: dict[str, Server] = {}

    def server(model: str) -> Server:
        if model not in running:
            running[model] = Server.start(tmp_path_factory.mktemp(model), models / model)
            running[model].ready()
        return running[model]

    yield server
    for each in running.values():
        each.stop()


@pytest.fixture
def classifier(served: Callable[[str], Server]) -> Server:
    return served("classifier")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 server."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server
