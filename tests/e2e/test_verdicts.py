"""Each guard by itself: slowness without errors, other predictions, a schema that the clients do not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.demo import environment, models
from examples.demo.models import Scans
from tests.e2e.field import Field, serves

pytestmark = pytest.mark.timeout(900)

GUARDED = [
    {"name": "error-rate", "promotionMargin": {"ratio": 1.5, "absolute": 0.01}},
    {
        "name": "latency",
        "rollbackMargin": {"ratio": 1.5, "absolute": 0.02},
        "promotionMargin": {"ratio": 1.5, "absolute": 0.05},
    },
    {"name": "client-error-rate"},
    {"name": "prediction-distribution"},
]
MISREAD = {3: 8, 5: 6}
# As right as the others, and slower by far than what a busy machine makes of them.
SLOW = """
import time

import numpy as np


class Model:
    outputs = {"predict": ("INT64", [-1])}
    classes = list(range(10))
    batches = True

    def load(self, folder):
        self.weights = np.load(folder / "weights.npy")

    def predict(self, inputs):
        (scans,) = inputs.values()
        time.sleep(0.03)
        return (scans @ self.weights[:-1] + self.weights[-1]).argmax(axis=1)
"""


@pytest.fixture(scope="module")
def guarded(field: Field) -> Iterator[Field]:
    """Given version 2 under load, and three worse ones in the storage."""
    scans = Scans.load()
    folders = {version: _saved(field.models / version, model) for version, model in _worse(scans).items()}
    folders["slow"] = _slow(field.models / "slow", scans)
    for version, folder in folders.items():
        environment.upload(field.kubectl, field.credentials, folder, f"{environment.MODEL}/{version}")
    field.kubectl.apply(_manifest("2"))
    field.until(environment.MODEL, serves("2"), 120)
    environment.start_load(field.kubectl, scans.requests())
    yield field
    environment.stop_load(field.kubectl)
    field.delete(environment.MODEL)


def test_slowness_alone_is_rolled_back(guarded: Field) -> None:
    status = _rolled_back(guarded, "slow")

    record = _record(guarded, "slow")
    (errors,) = (metric for metric in record["metrics"] if metric["name"] == "error-rate")
    assert status["rejected"][-1]["metric"] == "latency"
    assert errors["canary"]["bad"] == 0


def test_predictions_that_differ_are_held_for_a_person(guarded: Field) -> None:
    guarded.kubectl.apply(_manifest("misread"))

    def held(status: dict[str, Any]) -> bool:
        return status.get("phase") == "Paused" and "predictions differ" in status["message"]

    status = guarded.until(environment.MODEL, held, 240)

    assert status["canary"]["version"] == "misread"
    assert all(item["version"] != "misread" for item in status.get("rejected", []))
    assert _record(guarded, "misread")["decisions"][-1]["reason"] == "PredictionsDiffer"
    guarded.kubectl.apply(_manifest("2"))
    guarded.until(environment.MODEL, serves("2"), 120)


def test_an_input_schema_that_clients_do_not_know_is_rolled_back(guarded: Field) -> None:
    status = _rolled_back(guarded, "narrow")

    assert status["rejected"][-1]["metric"] == "client-error-rate"


def _rolled_back(field: Field, version: str) -> dict[str, Any]:
    """Roll a version out until it is rejected, then ask for version 2 again."""
    field.kubectl.apply(_manifest(version))

    def rejected(status: dict[str, Any]) -> bool:
        return status.get("phase") == "Degraded" and any(
            item["version"] == version for item in status.get("rejected", [])
        )

    status = field.until(environment.MODEL, rejected, 240)
    field.kubectl.apply(_manifest("2"))
    field.until(environment.MODEL, serves("2"), 120)
    return status


def _record(field: Field, version: str) -> dict[str, Any]:
    """The status of a version's ModelRollout."""
    items = field.kubectl.get("modelrollouts")["items"]
    found: dict[str, Any] = next(item["status"] for item in items if item["spec"]["version"] == version)
    return found


def _manifest(version: str) -> dict[str, Any]:
    manifest = environment.model_deployment(version)
    manifest["spec"]["rollout"]["analysis"]["metrics"] = GUARDED
    if version == "slow":
        manifest["spec"]["model"]["modelFormat"] = {"name": "python"}
    return manifest


def _worse(scans: Scans) -> dict[str, Any]:
    labels = np.array([MISREAD.get(int(label), int(label)) for label in scans.train_labels])
    half = scans.train[:, :32]
    return {
        "misread": _linear().fit(scans.train, labels),
        "narrow": _linear().fit(half, scans.train_labels),
    }


def _linear() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _slow(folder: Path, scans: Scans) -> Path:
    scaler, linear = (step for _, step in _linear().fit(scans.train, scans.train_labels).steps)
    weights = linear.coef_.T / scaler.scale_[:, None]
    folder.mkdir(parents=True)
    np.save(folder / "weights.npy", np.vstack([weights, linear.intercept_ - scaler.mean_ @ weights]))
    (folder / "model.py").write_text(SLOW)
    return folder


def _saved(folder: Path, model: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, folder / models.FILE)
    return folder
