"""Ends servers by SIGTERM under load and counts lost requests."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.serving.drain import drain
from tests.serving.grpcload import GrpcLoad
from tests.serving.harness import IRIS, Server, table
from tests.serving.load import Load
from tests.serving.modelfiles import write_onnx
from tests.serving.oip import messages


def end(times: int, workers: int, *, grpc: bool) -> int:
    """End so many servers, and print what became of the requests; 1 when one was lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "onnx"
        estimator = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        write_onnx(estimator, model / "model.onnx", options={"zipmap": False})
        numbers = iter(range(times + 1))

        def start(*flags: str) -> Server:
            own = folder / str(next(numbers))
            own.mkdir()
            return Server.start(own, model, "--drain-seconds", "1", *flags)

        steady = start().ready()
        try:
            with load_of(steady, grpc=grpc) as load:
                drain(lambda: start("--workers", str(workers)), load, times=times, workers=workers)
        finally:
            steady.stop()
    sys.stdout.write(f"{times} servers ended; {load}\n")
    return 1 if load.failures else 0


def load_of(steady: Server, *, grpc: bool) -> Load:
    """A load on the server that stays."""
    if not grpc:
        return Load(json.dumps(table(IRIS[:1])).encode(), [steady.port])
    request = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, len(IRIS[0])])
    tensor.contents.fp32_contents.extend(IRIS[0])
    return GrpcLoad(request.SerializeToString(), [steady.grpc_port])
