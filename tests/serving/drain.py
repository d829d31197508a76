"""Servers that end under load, one after the other, while another one stays."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.serving.harness import Server
from tests.serving.load import Load

ANSWERS = 150


def drain(start: Callable[[], Server], load: Load, *, times: int, workers: int = 1, drain_seconds: float = 1.0) -> None:
    """Start servers that take a part of the load and end them by SIGTERM. The load notices what is lost."""
    for _ in range(times):
        server = start()
        for _ in range(workers):
            server.ready()
        load.join(load.port_of(server))
        load.wait_for(load.answered + ANSWERS)
        load.drains(load.port_of(server), drain_seconds)
        server.signal(signal.SIGTERM)
        server.wait_for("^draining")
        # As in a cluster, the address goes away some time after the signal.
        load.wait_for(load.answered + ANSWERS)
        load.forget(load.port_of(server))
        status = server.ended()
        server.stop()
        assert status == 0, status
        assert not load.failures, load
