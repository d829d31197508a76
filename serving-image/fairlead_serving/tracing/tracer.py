"""Decides which requests are traced, and sends what became of them by a thread that nobody waits for."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from fairlead_serving.tracing.context import declines, read
from fairlead_serving.tracing.sampling import ID_BITS, sampling
from fairlead_serving.tracing.trace import Finished, Trace

if TYPE_CHECKING:
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.call import Call
    from fairlead_serving.metrics.counters import Metrics

_log = logging.getLogger(__name__)
_TRACE_BITS: Final = 128
_MASK: Final = (1 << ID_BITS) - 1
# The defaults of OpenTelemetry, in spans and seconds.
_QUEUE: Final = 2048.0
_BATCH: Final = 512.0
_DELAY: Final = 5.0
# Clients choose their ids.
_LONGEST_ID: Final = 256
NO_HEADERS: Final = (b"", b"")


class Tracer:
    """Traces requests. All methods belong to the event loop; what does not fit into the queue is dropped and counted.

    A request that is not sampled costs a random number, or a look at its header.
    """

    def __init__(self, environment: Mapping[str, str], metrics: Metrics) -> None:
        """Read the rules and start the thread."""
        self._metrics = metrics
        names = ("fairlead.model", "fairlead.version", "fairlead.revision")
        self._identity = dict(zip(names, metrics.identity, strict=True))
        self._bound, self._by_parent = sampling(environment)
        self._most = round(_number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", _QUEUE))
        self._batch = min(round(_number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _BATCH)), self._most)
        self._delay = _number(environment, "OTEL_BSP_SCHEDULE_DELAY", _DELAY * 1000) / 1000
        self._finished: deque[Finished] = deque()
        # Spans that were ever put into the queue, and that were taken out: each is counted by one thread alone.
        self._put = self._taken = 0
        self._wake = threading.Event()
        self._closing = False
        self._sender: _Sender | None = None
        self._thread = threading.Thread(target=self._work, name="tracer", daemon=True)
        self._thread.start()

    def begin(self, headers: tuple[bytes, bytes]) -> Trace | None:
        """Return a request's place in a trace by its `traceparent` and `tracestate`, None where it is not sampled."""
        if self._by_parent and declines(headers[0]):
            return None
        parent = None if headers == NO_HEADERS else read(*headers)
        if parent is None:
            low = random.getrandbits(ID_BITS)
            if low >= self._bound:
                return None
            return Trace(random.getrandbits(_TRACE_BITS - ID_BITS) << ID_BITS | low or 1, _new_id())
        if parent.sampled if self._by_parent else parent.trace_id & _MASK < self._bound:
            return Trace(parent.trace_id, _new_id(), parent.span_id, parent.state)
        return None

    def ran(self, run: BatchRun) -> bool:
        """Note a run of the model for those of its requests that are traced, and return whether any is."""
        ended = time.perf_counter() if run.seconds is None else run.began + run.seconds
        traced = False
        for call in cast("list[Call]", run.batch):
            trace = call.trace
            if trace is not None:
                traced = True
                trace.queued, trace.began, trace.ended = call.queued, run.began, ended
                trace.rows, trace.batch_rows, trace.batch_requests = call.rows, run.rows, len(run.batch)
        return traced

    def end(self, trace: Trace, call: Call, outcome: str, seconds: float) -> None:
        """Take a request that is over, so many seconds after it arrived."""
        told = call.told(gone=outcome == "cancelled")
        told.attributes.update(self._identity)
        told.attributes["fairlead.outcome"] = outcome
        if call.fallback:
            told.attributes["fairlead.fallback"] = True
        if trace.rows:
            told.attributes["fairlead.rows"] = trace.rows
        if call.decoded is not None and call.decoded.id:
            told.attributes["fairlead.request.id"] = call.decoded.id[:_LONGEST_ID]
        self._queue(Finished(trace, told, call.arrived, call.arrived + seconds, time.time_ns()))

    def _queue(self, finished: Finished) -> None:
        spans = finished.spans
        held = self._put - self._taken
        if held + spans > self._most:
            self._metrics.dropped_spans(spans)
            return
        self._put += spans
        self._finished.append(finished)
        if held + spans >= self._batch and not self._wake.is_set():
            self._wake.set()

    def finish(self) -> None:
        """Begin to send what is left."""
        self._closing = True
        self._wake.set()

    def wait(self, deadline: float) -> None:
        """Wait until all is sent, by `time.monotonic` no longer than until then; the rest is lost and counted."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._sender is not None and self._thread.is_alive():
            self._sender.stop()
        lost = self._put - self._taken
        if lost:
            self._metrics.dropped_spans(lost)
            _log.warning("%d spans of traces are lost: they could not be sent before the end", lost)

    def _work(self) -> None:
        try:
            self._sender = _Sender(self._metrics.identity[0])
        except Exception as error:  # noqa: BLE001  whatever is wrong with the environment, requests are answered
            _log.error("traces are not sent: %s: %s", type(error).__name__, error)
            self._most = 0
            return
        while not self._closing:
            self._wake.wait(self._delay)
            self._wake.clear()
            self._send(self._sender)
        self._send(self._sender)

    def _send(self, sender: _Sender) -> None:
        while self._finished:
            batch, size = [], 0
            while self._finished and size < self._batch:
                batch.append(self._finished.popleft())
                size += batch[-1].spans
            if not sender.sent(batch):
                self._metrics.dropped_spans(size)
            self._taken += size


class _Sender:
    """OpenTelemetry's exporter, which takes its settings from the environment. Made in the thread that uses it."""

    def __init__(self, service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        from fairlead_serving.tracing.spans import SpanMaker  # noqa: PLC0415

        self._exporter = OTLPSpanExporter()
        self._success = SpanExportResult.SUCCESS
        self._maker = SpanMaker(service)

    def sent(self, batch: list[Finished]) -> bool:
        """Send spans, trying again for as long as OTEL_EXPORTER_OTLP_TIMEOUT, and return whether they were taken."""
        try:
            spans = [span for each in batch for span in self._maker.spans(each, (_new_id(), _new_id()))]
            return self._exporter.export(spans) is self._success
        except Exception:  # noqa: BLE001  as above
            _log.exception("spans of traces cannot be sent")
            return False

    def stop(self) -> None:
        """Try no more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _new_id() -> int:
    return random.getrandbits(ID_BITS) or 1


def _number(environment: Mapping[str, str], variable: str, default: float) -> float:
    """Return a positive number from the environment; anything else is logged, and the default holds."""
    text = environment.get(variable, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        _log.warning("%s: %r is no number above 0, %g is used", variable, text, default)
        return default
    return value
