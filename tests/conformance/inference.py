"""Inference with tritonclient: every form of tensors, compression, ids, versions, outputs."""

from __future__ import annotations

import contextlib
import queue
from typing import Any, Final

import numpy as np

from tests.conformance.clients import ALL, GRPC, HTTP, Body, Client, Form, Reply, clients, refused
from tests.conformance.registry import expect, fail, version_of
from tests.conformance.samples import FLOWERS, OTHER, SPECIES, rows
from tests.conformance.target import Target

_PACKINGS: Final = ("gzip", "deflate")
_HTTP_FORMS: Final = tuple(
    Form(f"{'binary' if into else 'JSON'} in, {'binary' if out else 'JSON'} out", into, out)
    for into in (True, False)
    for out in (True, False)
)


def ask(client: Client, target: Target, form: Form | None = None, count: int = 3, **options: Any) -> Reply:
    """Ask for the species of flowers and compare them. Raises Failed."""
    flowers, species = rows(count)
    options.setdefault("outputs", target.outputs[:1])
    reply = client.infer(target.table, {target.input: flowers}, form, **options)
    expect("species", labels(reply, target), species)
    return reply


def labels(reply: Reply, target: Target) -> list[Any]:
    """Return the values of the first output, if it is there. Raises Failed."""
    if target.outputs[0] not in reply.arrays:
        fail(f"{target.outputs[0]} is missing among {list(reply.arrays)}")
    return list(reply.arrays[target.outputs[0]].ravel().tolist())


def _of_forms() -> None:
    for form in _HTTP_FORMS:
        clients(f"infer, {form.name}", HTTP)(_formed(form))
        for packing in _PACKINGS:
            packed = Form("", form.binary_in, form.binary_out, packing, packing)
            clients(f"infer, {form.name}, {packing} both ways", HTTP)(_packed(packed))
    for packing in _PACKINGS:
        clients(f"infer, request in {packing}", HTTP)(_packed(Form("", packed=packing)))
        clients(f"infer, answer in {packing}", HTTP)(_packed(Form("", answer_packed=packing)))
        clients(f"infer, {packing}", GRPC)(_packed(Form("", packed=packing)))


def _formed(form: Form) -> Body:
    def run(client: Client, target: Target) -> None:
        ask(client, target, form)

    return run


def _packed(form: Form) -> Body:
    # One flower, and so many that an answer is worth packing.
    def run(client: Client, target: Target) -> None:
        for count in (1, 1000):
            ask(client, target, form, count)

    return run


_of_forms()


@clients("infer")
def plain(client: Client, target: Target) -> None:
    reply = ask(client, target)
    expect("model_name", reply.model, target.table.model)


@clients("infer, one row")
def one_row(client: Client, target: Target) -> None:
    ask(client, target, count=1)


@clients("infer, 1000 rows")
def many_rows(client: Client, target: Target) -> None:
    ask(client, target, count=1000)


@clients("infer, with the version")
def with_version(client: Client, target: Target) -> None:
    reply = ask(client, target, model_version=version_of(target))
    expect("model_version", reply.version, target.table.version)


@clients("infer, an id comes back")
def with_id(client: Client, target: Target) -> None:
    for request_id in ("42", "grün/ü 日本", "x" * 200):
        expect("id", ask(client, target, request_id=request_id).id, request_id)


@clients("infer, parameters that mean nothing are taken")
def with_parameters(client: Client, target: Target) -> None:
    ask(client, target, parameters={"text": "a", "number": 1, "truth": True})


@clients("infer, all outputs when none is named")
def all_outputs(client: Client, target: Target) -> None:
    reply = client.infer(target.table, {target.input: FLOWERS})
    expect("outputs", list(reply.arrays), list(target.outputs))


@clients("infer, only the output that was asked for")
def chosen_output(client: Client, target: Target) -> None:
    for name in target.outputs:
        reply = client.infer(target.table, {target.input: FLOWERS}, outputs=[name])
        expect("outputs", list(reply.arrays), [name])


@clients("infer, probabilities belong to their labels")
def probabilities(client: Client, target: Target) -> None:
    reply = client.infer(target.table, {target.input: FLOWERS}, outputs=target.outputs)
    found = reply.arrays[target.outputs[1]]
    expect("shape", found.shape, (3, 3))
    expect("species", found.argmax(axis=1).tolist(), SPECIES)
    if not np.allclose(found.sum(axis=1), 1, atol=1e-3):
        fail(f"they do not add up to 1: {found.tolist()}")


@clients("infer, an output that is not there is refused")
def unknown_output(client: Client, target: Target) -> None:
    refused(lambda: client.infer(target.table, {target.input: FLOWERS}, outputs=[OTHER]))


@clients("infer, too many columns are refused")
def wide(client: Client, target: Target) -> None:
    flowers = np.zeros((2, 5), dtype=np.float32)
    refused(lambda: client.infer(target.table, {target.input: flowers}))


@clients("infer, another number of dimensions is refused")
def deep(client: Client, target: Target) -> None:
    flowers = np.zeros((2, 2, 2, 4), dtype=np.float32)
    refused(lambda: client.infer(target.table, {target.input: flowers}))


@clients("infer, texts where numbers belong are refused")
def texts(client: Client, target: Target) -> None:
    flowers = np.array([["a", "b", "c", "d"]], dtype=object)
    refused(lambda: client.infer(target.table, {target.input: flowers}))


@clients("infer, another model is refused")
def unknown_model(client: Client, target: Target) -> None:
    options = {"model_name": OTHER, "inputs": [client.tensor(target.input, FLOWERS, Form(""))]}
    refused(lambda: client.call("infer", **options))


@clients("infer, another version is refused")
def unknown_version(client: Client, target: Target) -> None:
    version_of(target)
    refused(lambda: ask(client, target, model_version="999"))


@clients("infer, after each mistake the next request is answered", ALL)
def after_mistakes(client: Client, target: Target) -> None:
    for mistake in (wide, texts, unknown_model, unknown_output):
        with contextlib.suppress(Exception):  # how it is refused is another check
            mistake(client, target)
        ask(client, target)


@clients("async_infer of the synchronous client", ("http", "grpc"))
def asynchronous(client: Client, target: Target) -> None:
    flowers, species = rows(3)
    tensors = [client.tensor(target.input, flowers, Form(""))]
    if client.http:
        pending = [client.api.async_infer(target.table.model, tensors) for _ in range(8)]
        results = [each.get_result() for each in pending]
    else:
        done: queue.Queue[Any] = queue.Queue()
        for _ in range(8):
            client.api.async_infer(target.table.model, tensors, lambda result, error: done.put(error or result))
        results = [done.get(timeout=30) for _ in range(8)]
    for result in results:
        if isinstance(result, Exception):
            raise result
        expect("species", result.as_numpy(target.outputs[0]).ravel().tolist(), species)
