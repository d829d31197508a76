"""One inference request as the service sees it, whatever protocol it came by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from fairlead_serving.batching.queue import Job

if TYPE_CHECKING:
    from fairlead_serving.errors import RequestError
    from fairlead_serving.outputs import Part
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.room import Charge
    from fairlead_serving.tracing.trace import Told, Trace


@mypyc_attr(allow_interpreted_subclasses=True)
class Call(Job, ABC):
    """One inference request of a transport. `decode` and `encode` may be called in another thread than the loop's."""

    decoded: InferRequest | None = None
    outputs: Part | None = None
    waited: float | None = None
    over = False
    left = False
    # Bytes that wait to be decoded where the transport does not count them, and what counts them.
    weight = 0
    charge: Charge | None = None
    # Whether the fallback answers, or is going to.
    fallback = False
    # Where it belongs in a trace, and why it was refused.
    trace: Trace | None = None
    problem: RequestError | None = None

    def __init__(self, arrived: float, size: int, client: Hashable) -> None:
        """Note when the whole request was here (`time.perf_counter`), its bytes, and whose it is, for fairness."""
        self.arrived = arrived
        self.size = size
        self.client = client

    def trace_context(self) -> tuple[bytes, bytes] | None:
        """Return what the client sent as `traceparent` and `tracestate`; None where a call is never traced."""
        return None

    def told(self, *, gone: bool) -> Told:
        """Say for its trace what the request was and, unless the client is `gone`, how it was answered."""
        raise NotImplementedError

    @abstractmethod
    def decode(self) -> InferRequest:
        """Read the request. Raises RequestError."""

    @abstractmethod
    def encode(self, request: InferRequest, outputs: Part) -> Any:
        """Write the answer to a request. Raises RequestError where the protocol cannot carry it."""

    def encode_fallback(self, request: InferRequest, outputs: Part) -> Any:
        """Write an answer that says, where the protocol can, that the fallback gave it. Raises as `encode` does."""
        return self.encode(request, outputs)

    @abstractmethod
    def refuse(self, error: RequestError) -> Any:
        """Write the answer that tells an error."""

    @abstractmethod
    def answer(self, response: Any) -> None:
        """Send what `encode` or `refuse` gave; on the event loop."""

    def abandon(self) -> None:
        """Give up the client of a call that has been forgotten after `Service.leave`."""
