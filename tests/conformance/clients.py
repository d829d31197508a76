"""tritonclient's four clients behind one face, and checks that are made with each of them."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.conformance.registry import check, expect, fail
from tests.conformance.target import Place, Target

HTTP: Final = ("http", "http.aio")
GRPC: Final = ("grpc", "grpc.aio")
ALL: Final = HTTP + GRPC
# What tells the client that a fault is its own; 501 is what the server has no notion of, such as versions.
FAULT: Final = ("400", "404", "413", "415", "422", "501", "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Form:
    """How tensors travel. By gRPC tritonclient's are always raw, and `packed` is for both ways."""

    name: str
    binary_in: bool = True
    binary_out: bool = True
    packed: str | None = None
    answer_packed: str | None = None


@dataclass(frozen=True)
class Reply:
    """An answer: its arrays by name, in order, and its other fields."""

    arrays: Mapping[str, Array]
    model: str
    version: str
    id: str


class Client:
    """One of tritonclient's clients; the asynchronous ones run on an event loop of their own."""

    def __init__(self, kind: str, address: str) -> None:
        """Connect."""
        self.kind = kind
        self.http = kind.startswith("http")
        self._loop = asyncio.new_event_loop() if kind.endswith("aio") else None
        self._tensors = importlib.import_module("tritonclient." + kind.partition(".")[0])
        module = importlib.import_module(f"tritonclient.{kind}")
        self.api: Any = self._wait(self._made(module, address)) if self._loop else module.InferenceServerClient(address)

    def close(self) -> None:
        """End the connection and the loop."""
        self._wait(self.api.close())
        if self._loop:
            self._loop.close()

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client and wait for its result."""
        return self._wait(getattr(self.api, method)(*arguments, **options))

    def metadata(self, method: str, *arguments: str) -> Mapping[str, Any]:
        """Call a method that returns metadata; numbers are numbers, also where they came through protobuf's JSON."""
        options: dict[str, Any] = {} if self.http else {"as_json": True}
        found: dict[str, Any] = self.call(method, *arguments, **options)
        for tensor in (*found.get("inputs", ()), *found.get("outputs", ())):
            tensor["shape"] = [int(size) for size in tensor.get("shape", ())]
        return found

    def infer(
        self,
        place: Place,
        inputs: Mapping[str, Array],
        form: Form | None = None,
        outputs: Sequence[str] | None = None,
        **options: Any,
    ) -> Reply:
        """Ask for inference; other options are tritonclient's."""
        form = form or Form("")
        tensors = [self.tensor(name, array, form) for name, array in inputs.items()]
        wanted = None if outputs is None else [self.wanted(name, form) for name in outputs]
        if self.http:
            options |= {
                "request_compression_algorithm": form.packed,
                "response_compression_algorithm": form.answer_packed,
            }
        else:
            options |= {"compression_algorithm": form.packed}
        return self.reply(self.call("infer", place.model, tensors, outputs=wanted, **options))

    def tensor(self, name: str, array: Array, form: Form) -> Any:
        """Return an input."""
        datatype = np_to_triton_dtype(array.dtype)
        tensor = self._tensors.InferInput(name, list(array.shape), datatype)
        options = {"binary_data": form.binary_in} if self.http else {}
        return tensor.set_data_from_numpy(array, **options)

    def wanted(self, name: str, form: Form) -> Any:
        """Return the request of an output."""
        options = {"binary_data": form.binary_out} if self.http else {}
        return self._tensors.InferRequestedOutput(name, **options)

    def reply(self, result: Any) -> Reply:
        """Read a result."""
        response = result.get_response() if self.http else result.get_response(as_json=True)
        names = [output["name"] for output in response.get("outputs", ())]
        arrays = {name: result.as_numpy(name) for name in names}
        return Reply(arrays, response["model_name"], response.get("model_version", ""), response.get("id", ""))

    def _wait(self, result: Any) -> Any:
        return self._loop.run_until_complete(result) if self._loop and inspect.isawaitable(result) else result

    async def _made(self, module: Any, address: str) -> Any:
        return module.InferenceServerClient(address)


Body = Callable[[Client, Target], None]


def clients(name: str, kinds: Sequence[str] = ALL, *, echo: bool = False) -> Callable[[Body], Body]:
    """Enter a check for each of these clients, connected to the model it is about."""

    def enter(body: Body) -> Body:
        for kind in kinds:
            check(f"tritonclient {kind}", name)(_bound(body, kind, echo=echo))
        return body

    return enter


def _bound(body: Body, kind: str, *, echo: bool) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        place = target.echo if echo else target.table
        with closing(Client(kind, place.http if kind in HTTP else place.grpc)) as client:
            body(client, target)

    return run


def refused(call: Callable[[], Any], statuses: Sequence[str] = FAULT) -> str:
    """Call what must be refused with one of these statuses and a text, which is returned. Raises Failed."""
    try:
        call()
    except InferenceServerException as error:
        if error.status() not in statuses:
            fail(f"expected a refusal, got {error.status()}: {error.message()}")
        if not error.message() or "exception occurred in the client" in error.message():
            fail(f"the refusal has no error object: {error.message()}")
        return str(error.message())
    return fail("was answered as if nothing were wrong")


def same(what: str, found: Array | None, wanted: Array) -> None:
    """Compare arrays by type, shape and every value. Raises Failed."""
    if found is None:
        fail(f"{what} is missing in the answer")
    expect(f"shape of {what}", found.shape, wanted.shape)
    if wanted.dtype.kind == "O":
        expect(what, [_bytes(item) for item in found.ravel()], [_bytes(item) for item in wanted.ravel()])
        return
    expect(f"type of {what}", found.dtype, wanted.dtype)
    if not np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f"):
        fail(f"{what}: expected {wanted.tolist()}, got {found.tolist()}")


def each(items: Mapping[str, Callable[[], None]]) -> None:
    """Make all of several comparisons and name all that fail. Raises Failed."""
    problems = list(_problems(items))
    if problems:
        fail("; ".join(problems))


def _problems(items: Mapping[str, Callable[[], None]]) -> Iterator[str]:
    for name, item in items.items():
        try:
            item()
        except Exception as error:  # noqa: BLE001  whatever a client raises is the verdict on the server
            yield f"{name}: {error}"


def _bytes(item: str | bytes) -> bytes:
    return item.encode() if isinstance(item, str) else item
