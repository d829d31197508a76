"""Many requests at once, deadlines, and clients that go: with tritonclient."""

from __future__ import annotations

import asyncio
import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import numpy as np

from tests.conformance.clients import ALL, GRPC, HTTP, Client, Form, clients, refused
from tests.conformance.inference import ask, labels
from tests.conformance.registry import expect, fail
from tests.conformance.samples import rows
from tests.conformance.target import Target

_AT_ONCE: Final = 64
_EACH: Final = 15
_SIZES: Final = (1, 2, 3, 7, 16, 64)
_WAIT: Final = 1.0


@clients("64 requests at once, of 1 to 64 rows each, every answer its own", ("http", "grpc"))
def many_threads(client: Client, target: Target) -> None:
    def work(worker: int) -> None:
        place = target.table
        with closing(Client(client.kind, place.http if client.http else place.grpc)) as own:
            for turn in range(_EACH):
                _one(own, target, worker, turn)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(work, range(_AT_ONCE)))


def _one(client: Client, target: Target, worker: int, turn: int) -> None:
    count = _SIZES[(worker + turn) % len(_SIZES)]
    flowers, species = rows(count, start=worker)
    form = Form("", binary_in=turn % 2 == 0, binary_out=turn % 3 == 0)
    request_id = f"{worker}-{turn}"
    reply = client.infer(target.table, {target.input: flowers}, form, target.outputs[:1], request_id=request_id)
    expect("id", reply.id, request_id)
    expect("species", labels(reply, target), species)


@clients("64 requests at once, of 1 to 64 rows each, every answer its own", ("http.aio", "grpc.aio"))
def many_tasks(client: Client, target: Target) -> None:
    module = importlib.import_module(f"tritonclient.{client.kind}")
    address = target.table.http if client.http else target.table.grpc

    async def work(api: Any, worker: int) -> None:
        for turn in range(_EACH):
            flowers, species = rows(_SIZES[(worker + turn) % len(_SIZES)], start=worker)
            tensors = [client.tensor(target.input, flowers, Form(""))]
            wanted = [client.wanted(target.outputs[0], Form(""))]
            result = await api.infer(target.table.model, tensors, outputs=wanted, request_id=f"{worker}-{turn}")
            reply = client.reply(result)
            expect("id", reply.id, f"{worker}-{turn}")
            expect("species", labels(reply, target), species)

    async def all_of_them() -> None:
        api = module.InferenceServerClient(address)
        try:
            await asyncio.gather(*[work(api, worker) for worker in range(_AT_ONCE)])
        finally:
            await api.close()

    asyncio.run(all_of_them())


@clients("a deadline ends the call with DEADLINE_EXCEEDED, and the next one is answered", GRPC, echo=True)
def deadline(client: Client, target: Target) -> None:
    began = time.monotonic()
    wait = {"in_FP32": np.zeros((1, 1), np.float32), "seconds": np.array([_WAIT])}
    refused(
        lambda: client.infer(target.echo, wait, outputs=["out_FP32"], client_timeout=_WAIT / 4),
        ("StatusCode.DEADLINE_EXCEEDED",),
    )
    if time.monotonic() - began > _WAIT:
        fail("the call did not end at its deadline")
    _echo_answers(client, target)


@clients("a client that goes leaves the server answering", HTTP, echo=True)
def gone(client: Client, target: Target) -> None:
    wait = {"in_FP32": np.zeros((1, 1), np.float32), "seconds": np.array([_WAIT / 4])}
    with closing(Client("http", target.echo.http)) as other:
        tensors = [other.tensor(name, array, Form("")) for name, array in wait.items()]
        other.api.async_infer(target.echo.model, tensors, outputs=[other.wanted("out_FP32", Form(""))])
    _echo_answers(client, target)


def _echo_answers(client: Client, target: Target) -> None:
    values = np.ones((1, 1), np.float32)
    reply = client.infer(target.echo, {"in_FP32": values}, outputs=["out_FP32"])
    expect("out_FP32", reply.arrays["out_FP32"].tolist(), values.tolist())


@clients("200 requests one after the other", ALL)
def in_a_row(client: Client, target: Target) -> None:
    for turn in range(200):
        ask(client, target, count=1 + turn % 5)
