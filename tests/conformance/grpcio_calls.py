"""The protocol's own .proto, as KServe publishes it compiled, over grpcio: typed contents, statuses, compression."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.conformance.registry import check, expect, fail
from tests.conformance.samples import FLOWERS, OTHER, SPECIES, VALUES
from tests.conformance.target import Place, Target
from tests.serving.contents import CONTENTS

_GROUP: Final = "gRPC, .proto"
_SECONDS: Final = 30
_HUGE: Final = "a size that no memory holds"
_SERVICE: Final = "/inference.GRPCInferenceService/"
_UNLIMITED: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def connected(place: Place) -> Iterator[Any]:
    """The service's methods on a connection of their own."""
    with grpc.insecure_channel(place.grpc, _UNLIMITED) as channel:
        yield GRPCInferenceServiceStub(channel)


def flowers(target: Target, **fields: Any) -> Any:
    """Return a request about three flowers with typed contents; other fields are those of the tensor."""
    tensor = {"name": target.input, "datatype": "FP32", "shape": [3, 4], **fields}
    tensor.setdefault("contents", {"fp32_contents": FLOWERS.ravel().tolist()})
    wanted = [{"name": target.outputs[0]}]
    return messages.ModelInferRequest(model_name=target.table.model, inputs=[tensor], outputs=wanted)


def answered(target: Target, response: Any) -> None:
    """Compare the answer to `flowers`. Raises Failed."""
    expect("model_name", response.model_name, target.table.model)
    names = [output.name for output in response.outputs]
    if target.outputs[0] not in names:
        fail(f"{target.outputs[0]} is missing among {names}")
    expect("data", values_of(response, names.index(target.outputs[0])), SPECIES)


def values_of(response: Any, place: int) -> list[Any]:
    """Return the values of an output, be they typed or raw."""
    output = response.outputs[place]
    if not response.raw_output_contents:
        return list(getattr(output.contents, CONTENTS[output.datatype]))
    data = response.raw_output_contents[place]
    if output.datatype == "BYTES":
        return _texts(data)
    values: list[Any] = np.frombuffer(data, VALUES[output.datatype].dtype).tolist()
    return values


def _texts(data: bytes) -> list[bytes]:
    texts = []
    while data:
        size = int.from_bytes(data[:4], "little")
        texts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return texts


def status_of(call: Callable[[], Any], *, silent: bool = False) -> Any:
    """Return the status of a call that is to fail. Raises Failed where it does not, or has no text and needs one."""
    try:
        call()
    except grpc.RpcError as error:
        if not error.details() and not silent:
            fail(f"{error.code()} has no text")
        return error.code()
    return fail("was answered as if nothing were wrong")


def _of_types() -> None:
    for datatype, field in CONTENTS.items():
        check(_GROUP, f"{datatype} as {field}")(_echoed(datatype, field))


def _echoed(datatype: str, field: str) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        values = VALUES[datatype].ravel().tolist()
        if datatype == "BYTES":
            values = [text.encode() for text in values]
        tensor = {"name": f"in_{datatype}", "datatype": datatype, "shape": [2, 3], "contents": {field: values}}
        request = messages.ModelInferRequest(
            model_name=target.echo.model, inputs=[tensor], outputs=[{"name": f"out_{datatype}"}]
        )
        with connected(target.echo) as service:
            response = service.ModelInfer(request, timeout=_SECONDS)
        (output,) = response.outputs
        expect("datatype", output.datatype, datatype)
        expect("shape", list(output.shape), [2, 3])
        expect("data", values_of(response, 0), values)

    return run


_of_types()


@check(_GROUP, "health and metadata")
def health(target: Target) -> None:
    model, version = target.table.model, target.table.version
    with connected(target.table) as service:
        expect("live", service.ServerLive(messages.ServerLiveRequest(), timeout=_SECONDS).live, wanted=True)
        expect("ready", service.ServerReady(messages.ServerReadyRequest(), timeout=_SECONDS).ready, wanted=True)
        ready = messages.ModelReadyRequest(name=model, version=version)
        expect("model ready", service.ModelReady(ready, timeout=_SECONDS).ready, wanted=True)
        found = service.ServerMetadata(messages.ServerMetadataRequest(), timeout=_SECONDS)
        if not found.name or not found.version:
            fail(f"server metadata lacks fields: {found}")
        described = service.ModelMetadata(messages.ModelMetadataRequest(name=model), timeout=_SECONDS)
    expect("name", described.name, model)
    expect("inputs", [(item.name, item.datatype) for item in described.inputs], [(target.input, "FP32")])
    expect("outputs", [item.name for item in described.outputs], list(target.outputs))


@check(_GROUP, "infer, typed contents")
def typed(target: Target) -> None:
    with connected(target.table) as service:
        answered(target, service.ModelInfer(flowers(target), timeout=_SECONDS))


@check(_GROUP, "infer, gzip and deflate")
def packed(target: Target) -> None:
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        with connected(target.table) as service:
            answered(target, service.ModelInfer(flowers(target), timeout=_SECONDS, compression=compression))


_MISTAKES: Final[dict[str, Callable[[Target], Any]]] = {
    "too few values": lambda target: flowers(target, contents={"fp32_contents": [1.0]}),
    "too many values": lambda target: flowers(target, contents={"fp32_contents": [1.0] * 13}),
    "no values": lambda target: flowers(target, contents={}),
    "a negative size": lambda target: flowers(target, shape=[-3, 4]),
    _HUGE: lambda target: flowers(target, shape=[2**62, 4]),
    "a datatype that is none": lambda target: flowers(target, datatype="FP31"),
    "another datatype's contents": lambda target: flowers(target, contents={"int_contents": [1] * 12}),
    "too many columns": lambda target: flowers(target, shape=[2, 6]),
    "no inputs": lambda target: messages.ModelInferRequest(model_name=target.table.model),
}


def _of_mistakes() -> None:
    for name, make in _MISTAKES.items():
        check(_GROUP, f"INVALID_ARGUMENT: {name}", last=name == _HUGE)(_mistaken(make))


def _mistaken(make: Callable[[Target], Any]) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        with connected(target.table) as service:
            status = status_of(lambda: service.ModelInfer(make(target), timeout=_SECONDS))
            expect("status", status, grpc.StatusCode.INVALID_ARGUMENT)
            answered(target, service.ModelInfer(flowers(target), timeout=_SECONDS))

    return run


_of_mistakes()


@check(_GROUP, "INVALID_ARGUMENT: raw contents of the wrong size, or beside typed ones")
def raw_mistakes(target: Target) -> None:
    short = flowers(target, contents={})
    short.raw_input_contents.append(b"\0" * 4)
    both = flowers(target)
    both.raw_input_contents.append(FLOWERS.tobytes())
    two = flowers(target, contents={})
    two.raw_input_contents.extend([FLOWERS.tobytes()] * 2)
    with connected(target.table) as service:
        for request in (short, both, two):
            status = status_of(functools.partial(service.ModelInfer, request, timeout=_SECONDS))
            expect("status", status, grpc.StatusCode.INVALID_ARGUMENT)


@check(_GROUP, "NOT_FOUND: another model or version, in every call")
def not_found(target: Target) -> None:
    other = messages.ModelInferRequest(model_name=OTHER, inputs=flowers(target).inputs)
    version = flowers(target)
    version.model_version = "999"
    with connected(target.table) as service:
        calls: dict[str, Callable[[], Any]] = {
            "infer": lambda: service.ModelInfer(other, timeout=_SECONDS),
            "metadata": lambda: service.ModelMetadata(messages.ModelMetadataRequest(name=OTHER), timeout=_SECONDS),
        }
        if target.table.version:
            calls["version"] = lambda: service.ModelInfer(version, timeout=_SECONDS)
        for name, call in calls.items():
            expect(f"status of {name}", status_of(call), grpc.StatusCode.NOT_FOUND)


@check(_GROUP, "UNIMPLEMENTED: another method and another service")
def unknown_method(target: Target) -> None:
    with grpc.insecure_channel(target.table.grpc) as channel:
        for path in (f"{_SERVICE}ModelExplain", "/other.Service/Call"):
            call = channel.unary_unary(path)
            expect(
                path,
                status_of(functools.partial(call, b"", timeout=_SECONDS), silent=True),
                grpc.StatusCode.UNIMPLEMENTED,
            )


@check(_GROUP, "a message that is none is refused as the client's fault")
def garbage(target: Target) -> None:
    with grpc.insecure_channel(target.table.grpc) as channel:
        call = channel.unary_unary(f"{_SERVICE}ModelInfer")
        status = status_of(lambda: call(b"\xff\xff\xff", timeout=_SECONDS))
        # grpcio's own servers say INTERNAL where the message cannot be read, before a program sees it.
        if status not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL):
            fail(f"got {status}")
