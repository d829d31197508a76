"""What is noted of requests beside the metrics: logs and traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairlead_serving.datalog import Entry
from fairlead_serving.errors import RequestError

if TYPE_CHECKING:
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.call import Call
    from fairlead_serving.datalog import DataLog
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor
    from fairlead_serving.tracing.tracer import Tracer


class Notes:
    """Notes of requests, as far as they are logged or traced. All methods belong to the event loop."""

    def __init__(self, datalog: DataLog, tracer: Tracer | None) -> None:
        self._datalog = datalog
        self._tracer = tracer

    def begin(self, call: Call) -> None:
        """Take note of a request that has come."""
        if self._tracer is not None:
            context = call.trace_context()
            if context is not None:
                call.trace = self._tracer.begin(context)

    def ran(self, run: BatchRun) -> bool:
        """Take note of a run of the model, and return whether any of its requests will be logged or traced."""
        traced = self._tracer is not None and self._tracer.ran(run)
        return self._datalog.on or traced

    def over(self, call: Call, outcome: str, seconds: float) -> None:
        """Take note of a request that is over."""
        if call.trace is not None and self._tracer is not None:
            self._tracer.end(call.trace, call, outcome, seconds)
        if self._datalog.on:
            self._datalog.note(_entry(call, outcome, seconds))

    def finish(self, deadline: float) -> None:
        """Have all that waits written or sent, by `time.monotonic` no longer than until then."""
        self._datalog.finish()
        if self._tracer is not None:
            self._tracer.finish()
            self._tracer.wait(deadline)
        self._datalog.wait(deadline)


def _entry(call: Call, outcome: str, seconds: float) -> Entry:
    request = call.decoded
    return Entry(
        request.id if request else None,
        str(call.client),
        outcome,
        seconds,
        call.waited,
        call.size,
        _inputs(request),
        call.outputs.tensors if call.outputs else None,
        call.trace,
    )


def _inputs(request: InferRequest | None) -> Sequence[Tensor]:
    """Return what a request brought, as far as it could be read."""
    if request is None:
        return ()
    try:
        return request.inputs if request.rows is None else [request.rows.tensor()]
    except RequestError:
        return ()
