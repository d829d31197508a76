"""FastAPI on uvicorn, by hand."""

from __future__ import annotations

from pathlib import Path

from tests.peers.forms import PLAIN
from tests.peers.models import PROGRAMS, Model
from tests.peers.plan import Peer, Place, Plan


def _plan(python: Path, _model: Model, saved: Path, place: Place) -> Plan:
    # Its log of each request is off: who serves by hand turns that off first.
    options = ["--host", "127.0.0.1", "--port", str(place.http), "--no-access-log"]
    command = [str(python), "-m", "uvicorn", "--app-dir", str(PROGRAMS), *options, "fastapi_app:app"]
    return Plan(command, "/predict", {"MODEL": str(saved), "PYTHONPATH": str(PROGRAMS)})


PEERS = [Peer("fastapi", "FastAPI by hand", "fastapi", "fastapi", PLAIN, ("joblib",), _plan)]
