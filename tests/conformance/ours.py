"""Our own server with the two models of the checks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sklearn.linear_model import LogisticRegression

from tests.conformance.target import OURS, Place, Target
from tests.serving.harness import Server
from tests.serving.modelfiles import X, Y, write_onnx

_ECHO: Final = Path(__file__).parent / "programs" / "fairlead_echo.py"
_VERSION: Final = "7"


@contextmanager
def serving(folder: Path) -> Iterator[Target]:
    """Serve both models, each from a server of its own as ours do."""
    write_onnx(LogisticRegression(max_iter=500).fit(X, Y), folder / "table/model.onnx", options={"zipmap": False})
    (folder / "echo").mkdir()
    shutil.copy(_ECHO, folder / "echo" / "model.py")
    started: list[Server] = []
    try:
        for name, flags in (("table", ()), ("echo", ("--format", "python"))):
            work = folder / f"{name}-server"
            work.mkdir()
            started.append(
                Server.start(work, folder / name, *flags, FAIRLEAD_MODEL_NAME=name, FAIRLEAD_MODEL_VERSION=_VERSION)
            )
        table, echo = [_place(server.ready()) for server in started]
        yield Target(OURS, table, echo, "X", ("label", "probabilities"))
    finally:
        for server in started:
            server.stop()


def _place(server: Server) -> Place:
    return Place(f"127.0.0.1:{server.port}", f"127.0.0.1:{server.grpc_port}", server.name, _VERSION)
