"""KServe's Python server, by the Open Inference Protocol."""

from __future__ import annotations

from pathlib import Path

from tests.peers.forms import V2
from tests.peers.models import Model
from tests.peers.plan import Peer, Place, Plan, program


def _plan(python: Path, _model: Model, saved: Path, place: Place) -> Plan:
    command = program(python, "kserve_server.py", place.http, place.grpc)
    return Plan(command, "/v2/models/m/infer", {"MODEL": str(saved)})


PEERS = [Peer("kserve", "KServe", "kserve", "kserve", V2, ("joblib",), _plan, grpc=True)]
