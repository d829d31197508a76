"""The model as a route calls it: through the same queue, batches and metrics as any inference request."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlead_serving.asgi.exchange import client
from fairlead_serving.call import Call
from fairlead_serving.errors import InvalidRequestError, RequestError
from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.room import held_by
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor, TensorSpec, as_bytes, tensor_of

if TYPE_CHECKING:
    from fairlead_serving.outputs import Part
    from fairlead_serving.service import Service


class InferenceError(RequestError):
    """Inference for a route failed. In a Starlette or FastAPI application it is their HTTPException, too.

    An application that lets it through answers with its status: 400 for inputs that the model does not take, 503 with
    Retry-After when too many requests wait, 500 when the model fails.
    """

    def __init__(self, cause: RequestError) -> None:
        """Take over the status and the text of what went wrong."""
        Exception.__init__(self, str(cause))
        self.status = self.status_code = cause.status
        self.detail = str(cause)
        self.retry_after: int | None = getattr(cause, "retry_after", None)
        self.headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None

    def __str__(self) -> str:
        """Return the reason, without the status that HTTPException would put before it."""
        return self.detail


class InferredOutputs(dict[str, Array]):
    """A model's outputs by name. `fallback` is true where a smaller model gave them, since too many requests waited."""

    fallback = False


class Infer:
    """What a model's `routes` is given to call its model with."""

    def __init__(self, service: Service, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self._service = service
        self._specs = {spec.name: spec for spec in inputs}
        self._binary = {spec.name for spec in outputs if spec.binary}

    async def __call__(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None, *, request_id: str | None = None
    ) -> InferredOutputs:
        """Run the model and return the outputs by name: all of them, or those asked for.

        `inputs` are arrays or lists by name, in the types that the class declares. Feedback may be given on a
        `request_id`. Raises InferenceError.
        """
        arrived = time.perf_counter()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            tensors = [self._tensor(name, values) for name, values in inputs.items()]
        except RequestError as error:
            raise _raised(error) from error
        call = _RouteCall(arrived, InferRequest(tensors, tuple(outputs) if outputs else None, request_id), future)
        answer = self._service.start(call)
        if answer is None:
            try:
                answer = await future
            except asyncio.CancelledError:
                self._service.cancel(call)
                raise
        if isinstance(answer, RequestError):
            raise _raised(answer) from answer
        given = InferredOutputs((name, as_bytes(array) if name in self._binary else array) for name, _, array in answer)
        given.fallback = call.fallback
        return given

    def _tensor(self, name: str, values: Any) -> Tensor:
        spec = self._specs.get(name)
        if spec is None or spec.datatype == "BYTES":
            return tensor_of(name, values)
        try:
            return Tensor(name, spec.datatype, np.asarray(values, NUMPY_TYPES[spec.datatype]))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidRequestError(
                at=f"inputs.{name}", problem=f"is not of type {spec.datatype}: {error}"
            ) from error


class _RouteCall(Call):
    """One inference request of a route, which needs no bytes."""

    def __init__(self, arrived: float, request: InferRequest, future: asyncio.Future[Any]) -> None:
        super().__init__(arrived, held_by(request.inputs), client.get())
        self.weight = self.size
        self._request = request
        self._future = future

    def decode(self) -> InferRequest:
        """Return the request."""
        return self._request

    def encode(self, request: InferRequest, outputs: Part) -> Sequence[Tensor]:  # noqa: ARG002  as the base says
        """Return the outputs."""
        return outputs.tensors

    def refuse(self, error: RequestError) -> RequestError:
        """Return the error."""
        return error

    def answer(self, response: Any) -> None:
        """Wake the route."""
        if not self._future.done():
            self._future.set_result(response)


def _raised(cause: RequestError) -> InferenceError:
    starlette = sys.modules.get("starlette.exceptions")
    kind = InferenceError if starlette is None else _also(starlette.HTTPException)
    return kind(cause)


@functools.cache
def _also(exception: type[Exception]) -> type[InferenceError]:
    return type("InferenceError", (InferenceError, exception), {})
