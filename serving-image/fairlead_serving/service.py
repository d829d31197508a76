"""An inference request's way through the server, whatever protocol it came by.

A transport wraps each request into a Call and hands it to `Service.start`. The service decodes, checks, queues, runs,
encodes, counts and logs it, and gives the answer once: as the result of `start`, or later, on the event loop, by
`Call.answer`; never after `Service.cancel`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from fairlead_serving.batching.engine import Engine
from fairlead_serving.datalog import Entry
from fairlead_serving.errors import ModelFailureError, OverloadedError, RequestError

if TYPE_CHECKING:
    from fairlead_serving.batching.engine import Limits
    from fairlead_serving.batching.queue import Job
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.datalog import DataLog
    from fairlead_serving.dataplane import Bound, Dataplane
    from fairlead_serving.feedback import Feedback
    from fairlead_serving.metrics import Metrics
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor

# What takes longer to read or write than a hop to another thread costs, by far.
_SMALL_BYTES: Final = 32 * 1024
_SMALL_VALUES: Final = 4096
_CLIENT_ERRORS: Final = range(400, 500)


class Call(ABC):
    """One inference request of a transport. `decode` and `encode` may be called in another thread than the loop's."""

    __slots__ = ("arrived", "bound", "client", "decoded", "job", "left", "outputs", "over", "size", "waited")

    def __init__(self, arrived: float, size: int, client: Hashable) -> None:
        """Note when the whole request was here (`time.perf_counter`), its bytes, and whose it is, for fairness."""
        self.arrived = arrived
        self.size = size
        self.client = client
        self.decoded: InferRequest | None = None
        self.bound: Bound | None = None
        self.job: Job | None = None
        self.outputs: list[Tensor] | None = None
        self.waited: float | None = None
        self.over = False
        self.left = False

    @abstractmethod
    def decode(self) -> InferRequest:
        """Read the request. Raises RequestError."""

    @abstractmethod
    def encode(self, request: InferRequest, outputs: list[Tensor]) -> Any:
        """Write the answer to a request. Raises RequestError where the protocol cannot carry it."""

    @abstractmethod
    def refuse(self, error: RequestError) -> Any:
        """Write the answer that tells an error."""

    @abstractmethod
    def answer(self, response: Any) -> None:
        """Send what `encode` or `refuse` gave; on the event loop."""

    def abandon(self) -> None:  # noqa: B027  not every transport is told that its client may have gone
        """Give up the client of a call that has been forgotten after `Service.leave`."""


class Service:
    """Answers calls. All methods belong to the event loop."""

    def __init__(
        self,
        dataplane: Dataplane,
        metrics: Metrics,
        feedback: Feedback,
        datalog: DataLog,
        limits: Limits,
    ) -> None:
        """Prepare; threads start when they are first needed."""
        self._loop = loop = asyncio.get_running_loop()
        self._dataplane = dataplane
        self._metrics = metrics
        self.feedback = feedback
        self._datalog = datalog
        self.engine = Engine(loop, dataplane.run, self._deliver, limits)
        self._codec = ThreadPoolExecutor(1, "codec")

    def start(self, call: Call) -> Any | None:
        """Take a call. Returns the answer where it is an error to be seen at once, else None."""
        self._metrics.started()
        if call.size > _SMALL_BYTES or self._dataplane.binds_slowly:
            self._codec.submit(self._decode_beside, call)
            return None
        return self._queue(call, self._decode(call))

    def cancel(self, call: Call) -> None:
        """Forget a call whose client has gone. It leaves the queue; what is running already runs on for nobody."""
        if not call.over:
            if call.job is not None:
                self.engine.cancel(call.job)
            self._over(call, "cancelled")

    def leave(self, call: Call) -> None:
        """Take note that a call's client may have gone: forget the call if it waits for the model, now or later."""
        call.left = True
        if not call.over and call.job is not None and self.engine.cancel(call.job):
            self._over(call, "cancelled")
            call.abandon()

    def refused(self, arrived: float) -> None:
        """Count an inference request that never became a call: too large, malformed, for a model that is not here."""
        self._metrics.finished("client_error", time.perf_counter() - arrived)

    def _decode(self, call: Call) -> RequestError | None:
        try:
            call.decoded = call.decode()
            call.bound = self._dataplane.bind(call.decoded)
        except RequestError as error:
            return error
        except Exception as error:  # noqa: BLE001  a bug of ours must cost one request, not the server
            return self._bug(error)
        return None

    def _decode_beside(self, call: Call) -> None:
        if not call.over:
            self._loop.call_soon_threadsafe(self._queue_later, call, self._decode(call))

    def _queue_later(self, call: Call, error: RequestError | None) -> None:
        if not call.over:
            response = self._queue(call, error)
            if response is not None:
                call.answer(response)
            elif call.left:
                # Once more, when it has had its chance to start.
                self._loop.call_soon(self.leave, call)

    def _queue(self, call: Call, error: RequestError | None) -> Any | None:
        if error is None and call.bound is not None:
            feed, wanted = call.bound
            call.bound = None
            try:
                call.job = self.engine.submit(feed, wanted, call.client, call)
            except OverloadedError as overloaded:
                error = overloaded
        if error is None:
            return None
        self._over(call, _outcome(error))
        return call.refuse(error)

    def _deliver(self, run: BatchRun) -> None:
        self._metrics.ran(run)
        for job, result in zip(run.batch, run.results, strict=True):
            call = job.owner
            if call.over:
                continue
            call.waited = run.began - job.queued
            if isinstance(result, RequestError):
                self._answer(call, call.refuse(result), _outcome(result))
                continue
            call.outputs = result
            if call.decoded.id is not None and self._dataplane.first_output in (result[0].name, ""):
                self.feedback.remember(call.decoded.id, result[0])
            if sum([output.array.size for output in result]) > _SMALL_VALUES:
                self._codec.submit(self._encode_beside, call, result)
            else:
                self._answer(call, *self._encode(call, result))

    def _encode(self, call: Call, outputs: list[Tensor]) -> tuple[Any, str]:
        assert call.decoded is not None  # noqa: S101  it was queued
        try:
            return call.encode(call.decoded, outputs), "success"
        except RequestError as error:
            return call.refuse(error), _outcome(error)
        except Exception as error:  # noqa: BLE001  as above
            return call.refuse(self._bug(error)), "server_error"

    def _encode_beside(self, call: Call, outputs: list[Tensor]) -> None:
        response, outcome = self._encode(call, outputs)
        self._loop.call_soon_threadsafe(self._answer, call, response, outcome)

    def _answer(self, call: Call, response: Any, outcome: str) -> None:
        if not call.over:
            self._over(call, outcome)
            call.answer(response)

    def _over(self, call: Call, outcome: str) -> None:
        call.over = True
        call.job = None
        seconds = time.perf_counter() - call.arrived
        self._metrics.ended(outcome, seconds)
        if self._datalog.on:
            self._note(call, outcome, seconds)

    def _note(self, call: Call, outcome: str, seconds: float) -> None:
        request = call.decoded
        self._datalog.note(
            Entry(
                request.id if request else None,
                str(call.client),
                outcome,
                seconds,
                call.waited,
                call.size,
                request.inputs if request else (),
                call.outputs,
            )
        )

    def _bug(self, error: Exception) -> RequestError:
        self._dataplane.failed(error)
        return ModelFailureError(f"internal error: {type(error).__name__}")


def _outcome(error: RequestError) -> str:
    if isinstance(error, OverloadedError):
        return "rejected"
    return "client_error" if error.status in _CLIENT_ERRORS else "server_error"
