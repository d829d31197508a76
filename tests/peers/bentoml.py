"""BentoML, with its adaptive batching and without."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.peers.forms import BARE
from tests.peers.models import PROGRAMS, Model
from tests.peers.plan import Peer, Place, Plan


def _plan(python: Path, _model: Model, saved: Path, place: Place, *, batched: bool) -> Plan:
    options = ["--host", "127.0.0.1", "--port", str(place.http), "--working-dir", str(PROGRAMS)]
    command = [str(python), "-m", "bentoml", "serve", "bento_service:Sklearn", *options]
    variables = {"MODEL": str(saved), "BATCHED": str(int(batched)), "PYTHONPATH": str(PROGRAMS)}
    return Plan(command, "/predict", {**variables, "BENTOML_HOME": str(place.folder), "BENTOML_DO_NOT_TRACK": "True"})


PEERS = [
    Peer("bentoml", "BentoML", "bentoml", "bentoml", BARE, ("joblib",), partial(_plan, batched=False)),
    Peer("bentoml-batched", "BentoML, batched", "bentoml", "bentoml", BARE, ("joblib",), partial(_plan, batched=True)),
]
