"""All data types, several tensors at once, odd shapes and large ones, with the model that gives back what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from tritonclient.utils import InferenceServerException

from tests.conformance.clients import ALL, FAULT, GRPC, HTTP, Body, Client, Form, clients, same
from tests.conformance.registry import NotRun, expect, fail
from tests.conformance.samples import BF16, VALUES
from tests.conformance.target import Target

Array = np.ndarray[Any, Any]
_BINARY: Final = Form("binary")
_JSON: Final = Form("JSON", binary_in=False, binary_out=False)
_LARGE_BYTES: Final = 24 * 1024 * 1024


def echoed(client: Client, target: Target, tensors: Mapping[str, Array], form: Form = _BINARY, **options: Any) -> None:
    """Send tensors and compare what comes back. Raises Failed."""
    inputs = {f"in_{name}": array for name, array in tensors.items()}
    reply = client.infer(target.echo, inputs, form, [f"out_{name}" for name in tensors], **options)
    expect("outputs", sorted(reply.arrays), sorted(f"out_{name}" for name in tensors))
    for name, array in tensors.items():
        same(f"out_{name}", reply.arrays[f"out_{name}"], array)


def _of_types() -> None:
    for datatype in VALUES:
        for form, kinds in ((_BINARY, HTTP), (_JSON, () if datatype == "FP16" else HTTP), (Form("raw"), GRPC)):
            clients(f"{datatype}, {form.name}", kinds, echo=True)(_echoes(datatype, form))


def _echoes(datatype: str, form: Form) -> Body:
    def run(client: Client, target: Target) -> None:
        echoed(client, target, {datatype: VALUES[datatype]}, form)

    return run


_of_types()


@clients("BF16, raw", ALL, echo=True)
def bf16(client: Client, target: Target) -> None:
    echoed(client, target, {"BF16": BF16})


@clients("NaN and infinities, raw", ALL, echo=True)
def special(client: Client, target: Target) -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, 0]])
    echoed(client, target, {"FP32": values.astype(np.float32), "FP64": values})


@clients("all data types in one request, raw", ALL, echo=True)
def all_types(client: Client, target: Target) -> None:
    echoed(client, target, VALUES)


@clients("all data types in one request, JSON", HTTP, echo=True)
def all_types_json(client: Client, target: Target) -> None:
    echoed(client, target, {name: values for name, values in VALUES.items() if name != "FP16"}, _JSON)


@clients("FP16, JSON: is taken, or refused as a mistake", HTTP, echo=True)
def fp16_json(client: Client, target: Target) -> None:
    # JSON has no number for it, and other servers want it binary.
    try:
        echoed(client, target, {"FP16": VALUES["FP16"]}, _JSON)
    except InferenceServerException as error:
        if error.status() not in FAULT:
            raise


@clients("some tensors binary and some JSON in one request", HTTP, echo=True)
def both_forms(client: Client, target: Target) -> None:
    names = ("FP32", "BYTES", "INT64", "BOOL")
    forms = [Form("", place % 2 == 0, place % 2 == 1) for place in range(len(names))]
    tensors = [client.tensor(f"in_{name}", VALUES[name], form) for name, form in zip(names, forms, strict=True)]
    wanted = [client.wanted(f"out_{name}", form) for name, form in zip(names, forms, strict=True)]
    reply = client.reply(client.call("infer", target.echo.model, tensors, outputs=wanted))
    for name in names:
        same(f"out_{name}", reply.arrays[f"out_{name}"], VALUES[name])


@clients("one to six dimensions", ALL, echo=True)
def dimensions(client: Client, target: Target) -> None:
    if not target.any_rank:
        reason = "the server's models declare how many dimensions a tensor has"
        raise NotRun(reason)
    for count in range(1, 7):
        shape = (2, 1, 3, 1, 2, 1)[:count]
        echoed(client, target, {"FP32": np.arange(np.prod(shape), dtype=np.float32).reshape(shape)})


@clients("texts longer than a frame and a buffer", ALL, echo=True)
def long_texts(client: Client, target: Target) -> None:
    for form in (_BINARY, _JSON):
        echoed(client, target, {"BYTES": np.array([["ü" * 200_000, "", "x"]], dtype=object)}, form)


@clients("24 MiB there and back, raw", ALL, echo=True)
def large(client: Client, target: Target) -> None:
    values = np.arange(_LARGE_BYTES // 4, dtype=np.float32).reshape(1, -1)
    reply = client.infer(target.echo, {"in_FP32": values}, outputs=["out_FP32"])
    if not np.array_equal(reply.arrays["out_FP32"], values):
        fail("it came back changed")


@clients("24 MiB there and back, gzip", ALL, echo=True)
def large_packed(client: Client, target: Target) -> None:
    values = np.zeros((1, _LARGE_BYTES // 4), dtype=np.float32)
    form = Form("", packed="gzip", answer_packed="gzip")
    reply = client.infer(target.echo, {"in_FP32": values}, form, ["out_FP32"])
    if not np.array_equal(reply.arrays["out_FP32"], values):
        fail("it came back changed")
