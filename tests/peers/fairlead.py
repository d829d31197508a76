"""Fairlead as shipped, the full image's requirements and the lean one's. All settings are the defaults."""

from __future__ import annotations

from pathlib import Path

from tests.peers import environments
from tests.peers.forms import V2
from tests.peers.models import Model
from tests.peers.plan import Peer, Place, Plan


def plan(python: Path, _model: Model, saved: Path, place: Place, *, workers: int | None = None) -> Plan:
    """How it is started; without a number of workers there is one a core."""
    options = ["--host", "127.0.0.1", "--http-port", str(place.http), "--grpc-port", str(place.grpc)]
    options += ["--name", "m", "--cache-dir", str(place.folder / "cache")]
    if workers is not None:
        options += ["--workers", str(workers)]
    if saved.name == "python":
        options += ["--format", "python"]
    command = [str(python), "-m", "fairlead_serving", str(saved), *options]
    return Plan(command, "/v2/models/m/infer", {"PYTHONPATH": str(environments.source())})


_KINDS = ("skops", "onnx", "python")
PEERS = [
    Peer("fairlead", "Fairlead", "fairlead", "fairlead", V2, _KINDS, plan, grpc=True),
    Peer(
        "fairlead-onnx", "Fairlead, from ONNX", "fairlead", "fairlead", V2, ("onnx",), plan, grpc=True, models=("lr",)
    ),
    Peer(
        "fairlead-lean", "Fairlead, lean", "fairlead-lean", "fairlead", V2, ("onnx",), plan, grpc=True, models=("lr",)
    ),
]
