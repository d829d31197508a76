"""Ray Serve."""

from __future__ import annotations

from pathlib import Path

from tests.peers.forms import PLAIN
from tests.peers.models import PROGRAMS, Model
from tests.peers.plan import Peer, Place, Plan, program


def _plan(python: Path, _model: Model, saved: Path, place: Place) -> Plan:
    command = program(python, "ray_app.py", place.http, place.folder)
    variables = {"MODEL": str(saved), "PYTHONPATH": str(PROGRAMS)}
    # It would lay a token down in the home folder, and report its use.
    return Plan(command, "/predict", {**variables, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"})


PEERS = [Peer("ray", "Ray Serve", "ray", "ray", PLAIN, ("joblib",), _plan, models=("lr",))]
