"""LitServe, with its batching and without."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.peers.forms import PLAIN
from tests.peers.models import Model
from tests.peers.plan import Peer, Place, Plan, program


def _plan(python: Path, _model: Model, saved: Path, place: Place, *, batched: bool) -> Plan:
    command = program(python, "lit_server.py", place.http)
    return Plan(command, "/predict", {"MODEL": str(saved), "BATCHED": str(int(batched))})


PEERS = [
    Peer("litserve", "LitServe", "litserve", "litserve", PLAIN, ("joblib",), partial(_plan, batched=False)),
    Peer(
        "litserve-batched",
        "LitServe, batched",
        "litserve",
        "litserve",
        PLAIN,
        ("joblib",),
        partial(_plan, batched=True),
    ),
]
