"""Prometheus metrics: plain numbers on the hot path, turned into samples only when scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from fairlead_serving.tensors import Tensor

OUTCOMES: Final = ("success", "client_error", "server_error")
EDGES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MAX_CLASSES: Final = 64
_OTHER: Final = "other"
_IDENTITY: Final = ("model", "version", "revision")


class Metrics(Collector):
    """All counters of one server process. Only the event loop's thread may change them."""

    def __init__(self, model: str, version: str, revision: str) -> None:
        """Start every series that can be known beforehand at 0, so that no first increment is missed."""
        self._identity = [model, version, revision]
        self.requests = dict.fromkeys(OUTCOMES, 0)
        self.in_flight = 0
        self.connections_opened = 0
        self.connections_closed = 0
        self.load_seconds = 0.0
        self._buckets = [0] * (len(EDGES) + 1)
        self._duration_sum = 0.0
        self._value_sum = 0.0
        self._value_count = 0
        self._classes: dict[str, int] | None = None
        self._info: tuple[str, str] | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def loaded(self, digest: str, model_format: str, classes: Sequence[str] | None, seconds: float) -> None:
        """Note what has been loaded and how many seconds that took; `classes` is None unless it is a classifier."""
        self._info = (digest, model_format)
        self.load_seconds = seconds
        if classes is not None:
            self._classes = {**dict.fromkeys(classes[:_MAX_CLASSES], 0), _OTHER: 0}

    def finished(self, outcome: str, seconds: float) -> None:
        """Count one inference request, whatever became of it."""
        self.requests[outcome] += 1
        self._buckets[bisect_left(EDGES, seconds)] += 1
        self._duration_sum += seconds

    def predicted(self, first: Tensor) -> None:
        """Count the predictions of one answer: its first output, by class or by value."""
        values = first.array.ravel().tolist()
        if self._classes is not None:
            self._count_classes(values, self._classes)
        if first.datatype != "BYTES":
            total = sum(values)
            if not isfinite(total):
                values = [value for value in values if isfinite(value)]
                total = sum(values)
            self._value_sum += total
            self._value_count += len(values)

    def _count_classes(self, values: Sequence[object], classes: dict[str, int]) -> None:
        for value in values:
            label = str(value)
            if label not in classes and len(classes) > _MAX_CLASSES:
                label = _OTHER
            classes[label] = classes.get(label, 0) + 1

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics as text, with its content type, in the format a scraper's Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        """Yield all families; called by prometheus_client."""
        yield from self._request_families()
        yield from self._connection_families()
        yield from self._model_families()

    def _request_families(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "fairlead_requests", "Inference requests by outcome.", labels=[*_IDENTITY, "outcome"]
        )
        for outcome, count in self.requests.items():
            requests.add_metric([*self._identity, outcome], count)
        yield requests
        duration = HistogramMetricFamily(
            "fairlead_request_duration_seconds",
            "Seconds from a whole inference request to its answer.",
            labels=_IDENTITY,
        )
        running, buckets = 0, []
        for edge, count in zip([*map(str, EDGES), "+Inf"], self._buckets, strict=True):
            running += count
            buckets.append((edge, running))
        duration.add_metric(self._identity, buckets, sum_value=self._duration_sum)
        yield duration
        yield self._gauge("fairlead_requests_in_flight", "Inference requests being answered.", self.in_flight)

    def _connection_families(self) -> Iterator[Metric]:
        yield self._counter(
            "fairlead_connections_opened", "Connections that brought an inference request.", self.connections_opened
        )
        yield self._counter("fairlead_connections_closed", "Of these, the ones that ended.", self.connections_closed)

    def _model_families(self) -> Iterator[Metric]:
        values = SummaryMetricFamily(
            "fairlead_prediction_value", "Values of the first output, where it is a number.", labels=_IDENTITY
        )
        values.add_metric(self._identity, count_value=self._value_count, sum_value=self._value_sum)
        yield values
        if self._classes is not None:
            predictions = CounterMetricFamily(
                "fairlead_predictions", "Predictions by class.", labels=[*_IDENTITY, "class"]
            )
            for label, count in self._classes.items():
                predictions.add_metric([*self._identity, label], count)
            yield predictions
        if self._info is not None:
            info = GaugeMetricFamily("fairlead_model_info", "What is loaded.", labels=[*_IDENTITY, "digest", "format"])
            info.add_metric([*self._identity, *self._info], 1)
            yield info
        text = "Seconds it took to fetch and load the model, 0 until it is loaded."
        yield self._gauge("fairlead_model_load_duration_seconds", text, self.load_seconds)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=_IDENTITY)
        family.add_metric(self._identity, value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=_IDENTITY)
        family.add_metric(self._identity, value)
        return family
