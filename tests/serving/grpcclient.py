"""gRPC as grpcio's client sees it: the service's methods, and requests good and bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.serving.harness import IRIS, PATIENCE_SECONDS, Server
from tests.serving.oip import METHODS, messages

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
Code = grpc.StatusCode


class Client:
    """The service's methods by name, each taking its request's fields."""

    def __init__(self, channel: Any) -> None:
        self.methods = {
            name: channel.unary_unary(
                f"/inference.GRPCInferenceService/{name}",
                request_serializer=messages[takes].SerializeToString,
                response_deserializer=messages[gives].FromString,
            )
            for name, (takes, gives) in METHODS.items()
        }

    def call(self, method: str, **fields: Any) -> Any:
        return self.methods[method](messages[METHODS[method][0]](**fields), timeout=PATIENCE_SECONDS)

    def infer(self, request: Any, **options: Any) -> Any:
        return self.methods["ModelInfer"](request, **{"timeout": PATIENCE_SECONDS, **options})


@contextmanager
def connected(server: Server, **options: Any) -> Iterator[Client]:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", unlimited, **options) as channel:
        yield Client(channel)


def table(rows: Any = None, **fields: Any) -> Any:
    """Return a request with one table of FP32 as typed contents."""
    array = np.array(IRIS if rows is None else rows, dtype=np.float32)
    request = messages["ModelInferRequest"](**{"model_name": "m", **fields})
    tensor = request.inputs.add(name="x", datatype="FP32", shape=array.shape)
    tensor.contents.fp32_contents.extend(array.ravel().tolist())
    return request


def failure(function: Callable[[], Any]) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        function()
    return caught.value.code(), caught.value.details()


def changed(**fields: Any) -> Any:
    request = table()
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(request.inputs[0], name)[:]
            getattr(request.inputs[0], name).extend(value)
        else:
            setattr(request.inputs[0], name, value)
    return request


def also_raw(*pieces: bytes) -> Any:
    request = table()
    request.raw_input_contents.extend(pieces)
    return request


def wanting(*names: str) -> Any:
    request = table()
    request.outputs.extend(messages["InferRequestedOutputTensor"](name=name) for name in names)
    return request


def only_raw(data: bytes, datatype: str = "FP32") -> Any:
    request = messages["ModelInferRequest"](model_name="m", raw_input_contents=[data])
    request.inputs.add(name="x", datatype=datatype, shape=[1, 4])
    return request
