"""An inference request's way through the server, whatever protocol it came by.

A transport wraps each request into a Call and hands it to `Service.start`. The service decodes, checks, queues, runs,
encodes, counts and logs it, and gives the answer once: as the result of `start`, or later, on the event loop, by
`Call.answer`; never after `Service.cancel`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, cast

from fairlead_serving.batching.engine import Engine
from fairlead_serving.call import Call
from fairlead_serving.errors import ModelFailureError, OverloadedError, RequestError
from fairlead_serving.metrics.counters import HOLD_SECONDS
from fairlead_serving.room import LARGE_BYTES, Charge, NoRoomError, Room, held_by

if TYPE_CHECKING:
    from fairlead_serving.batching.engine import Limits
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.fallback.answering import Fallback
    from fairlead_serving.fallback.declared import Spare
    from fairlead_serving.feedback import Feedback
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.notes import Notes
    from fairlead_serving.outputs import Part
    from fairlead_serving.protocol.v2 import InferRequest

# What takes longer to read or write than a hop to another thread costs, by far.
_SMALL_BYTES: Final = 32 * 1024
_SMALL_VALUES: Final = 4096
_CLIENT_ERRORS: Final = range(400, 500)


class Service:
    """Answers calls. All methods belong to the event loop."""

    def __init__(
        self,
        dataplane: Dataplane,
        metrics: Metrics,
        feedback: Feedback,
        notes: Notes | None,
        limits: Limits,
    ) -> None:
        """Prepare; threads start when they are first needed."""
        self._loop = loop = asyncio.get_running_loop()
        self._dataplane = dataplane
        self._metrics = metrics
        self.feedback = feedback
        self._notes = notes
        # How many requests are in flight is published when one has to wait or the model runs: should that be the end
        # of this worker, they have failed.
        self.engine = Engine(loop, dataplane.run, self._deliver, limits, metrics.publish)
        self._codec = ThreadPoolExecutor(1, "codec")
        self._limits = limits
        self.room = Room(limits.max_bytes)
        self._fallback: Fallback | None = None
        self._settling = False

    def fall_back_on(self, spare: Spare) -> None:
        """Let a smaller model answer what the main one's queue has no room for."""
        from fairlead_serving.fallback.answering import Fallback  # noqa: PLC0415  only where one is declared

        identity = self._dataplane.identity
        self._fallback = Fallback(spare, identity, self._loop, self._limits, self._codec, self._fell_back)
        self._metrics.falls_back = True

    def start(self, call: Call) -> Any | None:
        """Take a call. Returns the answer where it is an error to be seen at once, else None."""
        self._metrics.in_flight += 1
        if self._notes is not None:
            self._notes.begin(call)
        if call.size > _SMALL_BYTES or self._dataplane.slow_to_bind:
            if call.weight > LARGE_BYTES and not self._hold(call, call.weight):
                return self._refuse(call, NoRoomError())
            self._codec.submit(self._decode_beside, call)
            return None
        # As in _decode and _queue, without their calls: most requests come by here.
        try:
            call.decoded = decoded = call.decode()
            call.feed, call.wanted = self._dataplane.bind(decoded)
            self.engine.submit(call)
        except OverloadedError as error:
            return self._overflow(call, error)
        except RequestError as error:
            return self._refuse(call, error)
        except Exception as error:  # noqa: BLE001  a bug of ours must cost one request, not the server
            return self._refuse(call, self._bug(error))
        return None

    def cancel(self, call: Call) -> None:
        """Forget a call whose client has gone. It leaves the queue; what is running already runs on for nobody."""
        if not call.over:
            self._engine_of(call).cancel(call)
            self._over(call, "cancelled")

    def leave(self, call: Call) -> None:
        """Take note that a call's client may have gone: forget the call if it waits for the model, now or later."""
        call.left = True
        if not call.over and self._engine_of(call).cancel(call):
            self._over(call, "cancelled")
            call.abandon()

    def _engine_of(self, call: Call) -> Engine:
        return self._fallback.engine if call.fallback and self._fallback is not None else self.engine

    def refused(self, arrived: float, *, overloaded: bool = False) -> None:
        """Count an inference request that never became a call: too large, malformed, for a model that is not here.

        `overloaded` is whether there was no room for it.
        """
        self._metrics.finished("rejected" if overloaded else "client_error", time.perf_counter() - arrived)

    def _decode(self, call: Call) -> RequestError | None:
        try:
            call.decoded = call.decode()
            call.feed, call.wanted = self._dataplane.bind(call.decoded)
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
            if error is None and call.decoded is not None and call.size > LARGE_BYTES:
                error = None if self._hold(call, held_by(call.decoded.inputs)) else NoRoomError()
            response = self._refuse(call, error) if error is not None else self._queue(call)
            if response is not None:
                call.answer(response)
            elif call.left:
                # Once more, when it has had its chance to start.
                self._loop.call_soon(self.leave, call)

    def _hold(self, call: Call, size: int) -> bool:
        """Count what a large request holds, and return whether there is room for it."""
        call.charge = charge = Charge(self.room)
        return charge.grow(size)

    def _queue(self, call: Call) -> Any | None:
        try:
            self.engine.submit(call)
        except OverloadedError as error:
            return self._overflow(call, error)
        return None

    def _overflow(self, call: Call, error: OverloadedError) -> Any | None:
        """Let the fallback answer what the queue has no room for; where there is none, refuse it."""
        if self._fallback is None or not self._fallback.take(call, error):
            return self._refuse(call, error)
        return None

    def _fell_back(self, call: Call, outputs: Part | RequestError) -> None:
        """Answer with what came of a call that the fallback took. It is not remembered for feedback on the model."""
        if isinstance(outputs, RequestError):
            self._answer(call, call.refuse(outputs), _outcome(outputs))
            return
        call.outputs = outputs
        if outputs.size > _SMALL_VALUES:
            self._codec.submit(self._encode_beside, call, outputs)
        else:
            self._answer(call, *self._encode(call, outputs))

    def _refuse(self, call: Call, error: RequestError) -> Any:
        response = call.refuse(error)
        self._over(call, _outcome(error))
        return response

    def _deliver(self, run: BatchRun) -> None:
        self._metrics.ran(run)
        noted = self._notes is not None and self._notes.ran(run)
        calls = zip(cast("list[Call]", run.batch), run.results, strict=True)
        if run.joint is not None and run.joint.size <= _SMALL_VALUES and not noted:
            self._deliver_small(cast("Iterable[tuple[Call, Part]]", calls))
            return
        self._settle(run.began)
        for call, result in calls:
            if call.over:
                continue
            call.waited = run.began - call.queued
            if isinstance(result, RequestError):
                self._answer(call, call.refuse(result), _outcome(result))
                continue
            call.outputs = result
            decoded = cast("InferRequest", call.decoded)
            if decoded.id is not None:
                self._remember(decoded.id, result)
            if result.size > _SMALL_VALUES:
                self._codec.submit(self._encode_beside, call, result)
            else:
                self._answer(call, *self._encode(call, result))

    def _deliver_small(self, calls: Iterable[tuple[Call, Part]]) -> None:
        """Answer all requests of a run that went well: what is done for most requests, so that it should be little."""
        answered: list[Call] = []
        responses: list[Any] = []
        for call, part in calls:
            if call.over:
                continue
            decoded: InferRequest = call.decoded  # type: ignore[assignment]  # it was queued; a cast costs a call
            if decoded.id is not None:
                self._remember(decoded.id, part)
            try:
                response = call.encode(decoded, part)
            except Exception as error:  # noqa: BLE001  as above
                self._answer(call, *self._unwritable(call, error))
                continue
            call.over = True
            answered.append(call)
            responses.append(response)
        # Before anybody has an answer: a scrape of another worker, or a signal to this one, may come right after it.
        now = time.perf_counter()
        self._metrics.succeeded(answered, now)
        self._settle(now)
        for call, response in zip(answered, responses, strict=True):
            call.answer(response)

    def _settle(self, now: float) -> None:
        """Have counted what has been seen: at once, or a little later where that was done just before."""
        if self._settling:
            return
        if now >= self._metrics.due:
            self._metrics.settle(now)
        else:
            self._settling = True
            self._loop.call_later(HOLD_SECONDS, self._settle_held)

    def _settle_held(self) -> None:
        self._settling = False
        self._metrics.settle(time.perf_counter())

    def _remember(self, request_id: str, part: Part) -> None:
        """Keep what was predicted, for feedback on it."""
        first = part.tensors[0]
        if self._dataplane.first_output in (first.name, ""):
            self.feedback.remember(request_id, first)

    def _encode(self, call: Call, outputs: Part) -> tuple[Any, str]:
        assert call.decoded is not None  # noqa: S101  it was queued
        try:
            encode = call.encode_fallback if call.fallback else call.encode
            return encode(call.decoded, outputs), "success"
        except Exception as error:  # noqa: BLE001  as above
            return self._unwritable(call, error)

    def _unwritable(self, call: Call, error: Exception) -> tuple[Any, str]:
        """Return what to answer where an answer cannot be written, and what became of the request."""
        if not isinstance(error, RequestError):
            error = self._bug(error)
        return call.refuse(error), _outcome(error)

    def _encode_beside(self, call: Call, outputs: Part) -> None:
        response, outcome = self._encode(call, outputs)
        self._loop.call_soon_threadsafe(self._answer, call, response, outcome)

    def _answer(self, call: Call, response: Any, outcome: str) -> None:
        if not call.over:
            self._over(call, outcome)
            call.answer(response)

    def _over(self, call: Call, outcome: str) -> None:
        call.over = True
        seconds = time.perf_counter() - call.arrived
        self._metrics.ended(outcome, seconds)
        if call.fallback and outcome == "success":
            self._metrics.fell_back()
        if self._notes is not None:
            self._notes.over(call, outcome, seconds)

    def _bug(self, error: Exception) -> RequestError:
        self._dataplane.failed(error)
        return ModelFailureError(f"internal error: {type(error).__name__}")


def _outcome(error: RequestError) -> str:
    if isinstance(error, OverloadedError):
        return "rejected"
    return "client_error" if error.status in _CLIENT_ERRORS else "server_error"
