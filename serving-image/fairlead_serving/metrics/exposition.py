"""The metrics of all workers as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fairlead_serving.metrics import board as at
from fairlead_serving.metrics import protobuf
from fairlead_serving.metrics.predictions import OTHER, PROBABILITY_EDGES, VALUE_EDGES
from fairlead_serving.metrics.processes import families
from fairlead_serving.metrics.protobuf import Native

if TYPE_CHECKING:
    from fairlead_serving.metrics.counters import Metrics

_IDENTITY: Final = ("model", "version", "revision")


class Exposition(Collector):
    """Adds up what all workers have counted, whichever of them is asked."""

    def __init__(self, metrics: Metrics) -> None:
        """Expose a worker's metrics and those of its siblings on the same board."""
        self._metrics = metrics
        self._board = metrics.board
        self._identity = list(metrics.identity)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics, with their content type, in the format a scraper's Accept header asks for."""
        if protobuf.accepted(accept):
            return protobuf.encode(self.collect(), [self._native()]), protobuf.CONTENT_TYPE
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _native(self) -> Native:
        """Return the durations as a native histogram.

        Its name is its own: Prometheus would take it instead of a classic one of the same name, which is what rollouts
        are judged by.
        """
        totals = self._totals()
        return Native(
            "fairlead_request_latency_seconds",
            "Seconds from a whole inference request to its answer, as a native histogram.",
            dict(zip(_IDENTITY, self._identity, strict=True)),
            at.NATIVE_SCHEMA,
            at.NATIVE_FIRST,
            [int(count) for count in totals[at.NATIVE : at.NATIVE + at.NATIVE_BUCKETS]],
            totals[at.DURATION + at.SECONDS_SUM],
        )

    def _totals(self) -> list[float]:
        """Return the numbers of all workers, this one's up to this moment."""
        self._metrics.settle(time.perf_counter())
        self._metrics.publish()
        return self._board.totals()

    def collect(self) -> Iterable[Metric]:
        """Yield all families; called by prometheus_client."""
        totals = self._totals()
        yield from self._request_families(totals)
        yield from self._connection_families(totals)
        yield from self._prediction_families(totals)
        yield from self._route_families(totals)
        yield from self._model_families()
        yield from families([int(pid) for pid in self._board.column(at.PROCESS) if pid])

    def _request_families(self, totals: list[float]) -> Iterator[Metric]:
        outcomes = dict(zip(at.OUTCOMES, totals[at.REQUESTS :], strict=False))
        yield self._counters("fairlead_requests", "Inference requests by outcome.", "outcome", outcomes)
        yield self._histogram(
            "fairlead_request_duration_seconds",
            "Seconds from a whole inference request to its answer.",
            totals[at.DURATION :],
            at.SECONDS_EDGES,
        )
        yield self._gauge("fairlead_requests_in_flight", "Inference requests being answered.", totals[at.IN_FLIGHT])
        text = "Seconds that a request waited for the model."
        yield self._histogram("fairlead_queue_seconds", text, totals[at.QUEUE :], at.SECONDS_EDGES)
        text = "Rows in a run of the model, of one request or of several joined."
        yield self._histogram("fairlead_batch_rows", text, totals[at.ROWS :], at.ROWS_EDGES)

    def _connection_families(self, totals: list[float]) -> Iterator[Metric]:
        text = "Connections that brought an inference request."
        yield self._counter("fairlead_connections_opened", text, totals[at.OPENED])
        yield self._counter("fairlead_connections_closed", "Of these, the ones that ended.", totals[at.CLOSED])
        text = "Access and prediction log lines dropped because they were not taken in time."
        yield self._counter("fairlead_log_lines_dropped", text, totals[at.DROPPED_LINES])
        text = "Spans of traces dropped because they could not be sent, or not in time."
        yield self._counter("fairlead_trace_spans_dropped", text, totals[at.DROPPED_SPANS])

    def _prediction_families(self, totals: list[float]) -> Iterator[Metric]:
        values = SummaryMetricFamily(
            "fairlead_prediction_value", "Values of the first output, where it is a number.", labels=_IDENTITY
        )
        values.add_metric(self._identity, count_value=int(totals[at.VALUE_COUNT]), sum_value=totals[at.VALUE_SUM])
        yield values
        classifies = self._metrics.classifies
        if classifies:
            classes = {label: totals[index] for label, index in self._board.labels().items() if label != OTHER}
            own = self._board.labels().get(OTHER)
            classes[OTHER] = totals[at.OTHER_CLASS] + (0 if own is None else totals[own])
            yield self._counters("fairlead_predictions", "Predictions by class.", "class", classes)
        if self._metrics.info is not None:
            text = "Scores: a classifier's probability (of the second class of two, else the largest), or the value."
            edges = PROBABILITY_EDGES if classifies else VALUE_EDGES
            yield self._histogram("fairlead_prediction_score", text, totals[at.SCORE :], edges)
        bins = {str(number): totals[at.INPUTS + number] for number in range(at.INPUT_BINS)}
        yield self._counters("fairlead_inputs", "Input rows by where a random projection puts them.", "bin", bins)
        results = dict(zip(at.FEEDBACK, totals[at.RIGHT_OR_WRONG :], strict=False))
        yield self._counters("fairlead_feedback", "Feedback on predictions, right or wrong.", "result", results)
        text = "Feedback on requests that were not answered here, or too long ago."
        yield self._counter("fairlead_feedback_unmatched", text, totals[at.UNMATCHED])

    def _route_families(self, totals: list[float]) -> Iterator[Metric]:
        if self._metrics.falls_back:
            text = "Of the successful requests, those that the fallback answered."
            yield self._counter("fairlead_fallback", text, totals[at.FALLBACKS])
        if self._metrics.has_routes:
            outcomes = dict(zip(at.ROUTE_OUTCOMES, totals[at.ROUTES :], strict=False))
            text = "Requests to the model's own routes, by class of status."
            yield self._counters("fairlead_route_requests", text, "code", outcomes)
            text = "Seconds from a whole request to one of these routes to the end of its answer."
            yield self._histogram("fairlead_route_duration_seconds", text, totals[at.ROUTE_SECONDS :], at.SECONDS_EDGES)

    def _model_families(self) -> Iterator[Metric]:
        if self._metrics.info is not None:
            info = GaugeMetricFamily("fairlead_model_info", "What is loaded.", labels=[*_IDENTITY, "digest", "format"])
            info.add_metric([*self._identity, *self._metrics.info], 1)
            yield info
        text = "Seconds it took to fetch and load the model, 0 until it is loaded; of several workers, the longest."
        yield self._gauge("fairlead_model_load_duration_seconds", text, max(self._board.column(at.LOAD_SECONDS)))
        processes = self._board.column(at.PROCESS)
        yield self._gauge("fairlead_workers", "Worker processes that are running.", sum(map(bool, processes)))
        starts = sum(max(0.0, count - 1) for count in self._board.column(at.STARTS))
        yield self._counter("fairlead_worker_restarts", "Worker processes that died and were replaced.", starts)
        text = "Of these, the ones that were ended because their event loop stood still."
        yield self._counter("fairlead_worker_hangs", text, sum(self._board.column(at.HANGS)))

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=_IDENTITY)
        family.add_metric(self._identity, value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=_IDENTITY)
        family.add_metric(self._identity, value)
        return family

    def _counters(self, name: str, text: str, label: str, values: dict[str, float]) -> Metric:
        family = CounterMetricFamily(name, text, labels=[*_IDENTITY, label])
        for value, count in values.items():
            family.add_metric([*self._identity, value], count)
        return family

    def _histogram(self, name: str, text: str, numbers: Sequence[float], edges: Sequence[float]) -> Metric:
        """Make cumulative buckets of one number a bucket; the sum stands behind them."""
        family = HistogramMetricFamily(name, text, labels=_IDENTITY)
        running, cumulative = 0.0, []
        for edge, count in zip([*map(str, edges), "+Inf"], numbers, strict=False):
            running += count
            cumulative.append((edge, running))
        family.add_metric(self._identity, cumulative, sum_value=numbers[len(edges) + 1])
        if edges[0] < 0:
            # The library leaves these out where a sum may go down.
            labels = dict(zip(_IDENTITY, self._identity, strict=True))
            family.add_sample(f"{name}_count", labels, running)
            family.add_sample(f"{name}_sum", labels, numbers[len(edges) + 1])
        return family
