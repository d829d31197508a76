"""Finished requests as OpenTelemetry's spans. Imported by the thread that sends them, and only there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from fairlead_serving import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fairlead_serving.tracing.trace import Attributes, Finished

# What is wrong with a client's tracestate is not for our log.
logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
_SCOPE = InstrumentationScope("fairlead_serving", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class SpanMaker:
    """Makes the spans of one server."""

    def __init__(self, service: str) -> None:
        """Take the resource from the environment (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES), else name it so."""
        found = Resource.create()
        named = str(found.attributes.get("service.name", ""))
        unnamed = not named or named.startswith("unknown_service")
        self._resource = found.merge(Resource({"service.name": service})) if unnamed else found

    def spans(self, finished: Finished, new_ids: tuple[int, int]) -> Iterator[ReadableSpan]:
        """Yield the request's span and, where it came to the model, those of its wait and of the run."""
        trace, told = finished.trace, finished.told
        state = TraceState.from_header([trace.state.decode("latin-1")]) if trace.state else TraceState()
        own = SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
        parent = None
        if trace.parent_id is not None:
            parent = SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_flags=_SAMPLED)

        def inner(name: str, span_id: int, since: float, until: float, attributes: Attributes) -> ReadableSpan:
            context = SpanContext(trace.trace_id, span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
            return self._span(name, context, own, attributes, finished.unix(since), finished.unix(until))

        yield self._span(
            told.name,
            own,
            parent,
            told.attributes,
            finished.unix(finished.arrived),
            finished.wall,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if told.failed else StatusCode.UNSET),
        )
        if trace.began:
            yield inner("queue", new_ids[0], trace.queued, trace.began, {})
            batch: Attributes = {
                "fairlead.batch.rows": trace.batch_rows,
                "fairlead.batch.requests": trace.batch_requests,
            }
            yield inner("model", new_ids[1], trace.began, trace.ended, batch)

    def _span(  # noqa: PLR0913, PLR0917  a span has so many parts
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes,
        start: int,
        end: int,
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status | None = None,
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            kind=kind,
            status=status or Status(),
            start_time=start,
            end_time=end,
            instrumentation_scope=_SCOPE,
        )
