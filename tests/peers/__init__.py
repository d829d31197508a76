"""Other model servers and ours, each in an environment of its own: installed once, started, asked, ended.

For the benchmark (tests/bench/serving) and for the table of conformance (tests/conformance):

    with serving(peer("kserve"), model("lr")) as server:
        server.infer([[5.1, 3.5, 1.4, 0.2]])
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers import bentoml, fairlead, fastapi, kserve, litserve, mlserver, ray, triton
from tests.peers.environments import EnvironmentsError, installed
from tests.peers.models import KINDS, Model, model
from tests.peers.plan import Peer
from tests.peers.process import Memory, Running, StartError

__all__ = [
    "KINDS",
    "PEERS",
    "EnvironmentsError",
    "Memory",
    "Model",
    "Peer",
    "Running",
    "StartError",
    "installed",
    "model",
    "peer",
    "serving",
]

PEERS: dict[str, Peer] = {
    one.name: one
    for module in (fairlead, fastapi, mlserver, kserve, bentoml, litserve, triton, ray)
    for one in module.PEERS
}
"""All known, by name; ours first."""


def peer(name: str) -> Peer:
    """One of them. Raises KeyError for a name that is none."""
    return PEERS[name]


@contextmanager
def serving(one: Peer, served: Model, cores: Collection[int] | None = None) -> Iterator[Running]:
    """A server as long as the context lasts, on these cores."""
    with (
        tempfile.TemporaryDirectory(prefix="fairlead-peer-", ignore_cleanup_errors=True) as folder,
        Running.start(one, served, Path(folder), cores) as running,
    ):
        yield running
