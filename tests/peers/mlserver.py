"""Seldon's MLServer with its runtime for scikit-learn."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests.peers.forms import V2
from tests.peers.models import PROGRAMS, Model
from tests.peers.plan import Peer, Place, Plan


def _plan(python: Path, _model: Model, saved: Path, place: Place, *, workers: int | None) -> Plan:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "http_port": place.http,
        "grpc_port": place.grpc,
        "metrics_port": place.metrics,
    }
    if workers is not None:
        settings["parallel_workers"] = workers
    model = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(saved / "model.joblib"), "version": "1"},
    }
    (place.folder / "settings.json").write_text(json.dumps(settings))
    (place.folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(python.with_name("mlserver")), "start", str(place.folder)]
    return Plan(command, "/v2/models/m/infer", {"PYTHONPATH": str(PROGRAMS)})


_DEFAULT = Peer(
    "mlserver-default",
    "MLServer, default",
    "mlserver",
    "mlserver",
    V2,
    ("joblib",),
    partial(_plan, workers=None),
    grpc=True,
)
PEERS = [
    Peer(
        "mlserver",
        "MLServer, no workers",
        "mlserver",
        "mlserver",
        V2,
        ("joblib",),
        partial(_plan, workers=0),
        grpc=True,
    ),
    _DEFAULT,
]
