"""KServe's own clients: InferenceRESTClient with V2 and V1, InferenceGRPCClient."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferOutput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.conformance.plain import request
from tests.conformance.registry import NotRun, check, expect, fail
from tests.conformance.samples import FLOWERS, OTHER, SPECIES, VALUES
from tests.conformance.target import Target

_FAULTS: Final = range(400, 500)
_NOT_FOUND: Final = 404

Body = Callable[[Any, Target], Awaitable[None]]


def _rest(name: str, protocol: str = "v2") -> Callable[[Body], Body]:
    def enter(body: Body) -> Body:
        def run(target: Target) -> None:
            async def all_of_it() -> None:
                async with InferenceRESTClient(RESTConfig(protocol=protocol, retries=0)) as client:
                    await body(client, target)

            if protocol == "v1":
                _needs_v1(target)
            asyncio.run(all_of_it())

        check(f"KServe REST client, {protocol.upper()}", name)(run)
        return body

    return enter


def _grpc(name: str) -> Callable[[Body], Body]:
    def enter(body: Body) -> Body:
        def run(target: Target) -> None:
            async def all_of_it() -> None:
                async with InferenceGRPCClient(target.table.grpc, retries=0, timeout=30) as client:
                    await body(client, target)

            asyncio.run(all_of_it())

        check("KServe gRPC client", name)(run)
        return body

    return enter


def _needs_v1(target: Target) -> None:
    if request(target.table, "GET", f"/v1/models/{target.table.model}").status == _NOT_FOUND:
        reason = "V1 is not part of the protocol, and the server does not have it"
        raise NotRun(reason)


def _flowers(target: Target, values: Any = FLOWERS, *, binary: bool, **more: Any) -> Any:
    tensor = InferInput(target.input, list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    wanted = [RequestedOutput(target.outputs[0])]
    return InferRequest(target.table.model, [tensor], request_outputs=wanted, **more)


def _answered(target: Target, response: Any) -> None:
    expect("model_name", response.model_name, target.table.model)
    output: InferOutput = response.outputs[0]
    expect("name", output.name, target.outputs[0])
    expect("data", output.as_numpy().ravel().tolist(), SPECIES)


def _base(target: Target) -> str:
    return f"http://{target.table.http}"


@_rest("live, ready, model ready")
async def rest_health(client: Any, target: Target) -> None:
    base = _base(target)
    expect("live", await client.is_server_live(base), wanted=True)
    expect("ready", await client.is_server_ready(base), wanted=True)
    expect("model ready", await client.is_model_ready(base, target.table.model), wanted=True)
    expect("another model ready", await client.is_model_ready(base, OTHER), wanted=False)


@_rest("infer, JSON")
async def rest_json(client: Any, target: Target) -> None:
    made = _flowers(target, binary=False, request_id="42")
    response = await client.infer(_base(target), made, model_name=target.table.model)
    _answered(target, response)
    expect("id", response.id, "42")


@_rest("infer, binary")
async def rest_binary(client: Any, target: Target) -> None:
    made = _flowers(target, binary=True, parameters={"binary_data_output": True})
    _answered(target, await client.infer(_base(target), made, model_name=target.table.model))


@_rest("wrong width and another model are refused")
async def rest_refused(client: Any, target: Target) -> None:
    for model, width in ((target.table.model, 5), (OTHER, 4)):
        made = _flowers(target, np.zeros((1, width), np.float32), binary=False)
        try:
            await client.infer(_base(target), made, model_name=model)
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _FAULTS:
                fail(f"expected a 4xx: {error}")
        else:
            fail("was answered as if nothing were wrong")


@_rest("live and model ready", "v1")
async def v1_health(client: Any, target: Target) -> None:
    expect("live", await client.is_server_live(_base(target)), wanted=True)
    expect("model ready", await client.is_model_ready(_base(target), target.table.model), wanted=True)


@_rest("predict", "v1")
async def v1_predict(client: Any, target: Target) -> None:
    body = {"instances": FLOWERS.tolist()}
    answer = await client.infer(_base(target), body, model_name=target.table.model)
    expect("predictions", answer["predictions"], SPECIES)


@_rest("uneven instances are refused", "v1")
async def v1_refused(client: Any, target: Target) -> None:
    try:
        await client.infer(_base(target), {"instances": [[1, 2, 3, 4], [1]]}, model_name=target.table.model)
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in _FAULTS:
            fail(f"expected a 4xx: {error}")
    else:
        fail("was answered as if nothing were wrong")


@_grpc("live, ready, model ready")
async def grpc_health(client: Any, target: Target) -> None:
    expect("live", await client.is_server_live(), wanted=True)
    expect("ready", await client.is_server_ready(), wanted=True)
    expect("model ready", await client.is_model_ready(target.table.model), wanted=True)


@_grpc("infer, raw and typed contents")
async def grpc_infer(client: Any, target: Target) -> None:
    for binary in (True, False):
        _answered(target, await client.infer(_flowers(target, binary=binary)))


@_grpc("infer, texts")
async def grpc_texts(_: Any, target: Target) -> None:
    texts = VALUES["BYTES"]
    tensor = InferInput("in_BYTES", list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts, binary_data=True)
    made = InferRequest(target.echo.model, [tensor], request_outputs=[RequestedOutput("out_BYTES")])
    async with InferenceGRPCClient(target.echo.grpc, retries=0, timeout=30) as client:
        output = (await client.infer(made)).outputs[0].as_numpy()
    found = [item if isinstance(item, bytes) else str(item).encode() for item in output.ravel()]
    expect("out_BYTES", found, [text.encode() for text in texts.ravel()])


@_grpc("wrong width and another model are refused")
async def grpc_refused(client: Any, target: Target) -> None:
    wide = _flowers(target, np.zeros((1, 5), np.float32), binary=True)
    foreign = _flowers(target, binary=True)
    foreign.model_name = OTHER
    for made, status in ((wide, grpc.StatusCode.INVALID_ARGUMENT), (foreign, grpc.StatusCode.NOT_FOUND)):
        try:
            await client.infer(made)
        except grpc.RpcError as error:
            expect("status", error.code(), status)
        else:
            fail("was answered as if nothing were wrong")
