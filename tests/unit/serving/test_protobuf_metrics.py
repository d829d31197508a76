"""The protobuf format of the metrics, read back by Google's library."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.metrics.exposition import Exposition
from fairlead_serving.metrics.protobuf import CONTENT_TYPE
from tests.serving.promproto import ACCEPT, read


def scraped(metrics: Metrics) -> dict[str, Any]:
    body, content_type = Exposition(metrics).text(ACCEPT)
    assert content_type == CONTENT_TYPE
    return read(body)


def test_all_families_are_those_of_the_text_format() -> None:
    metrics = Metrics("m", "1", "r")
    metrics.begun()
    metrics.loaded("sha256:x", "onnx", ("é",), 0.5)
    for seconds in (0.0007, 0.3, 100.0):
        metrics.finished("success", seconds)
    families = scraped(metrics)
    text = Exposition(metrics).text("text/plain")[0].decode()
    typed = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    numbers = {0: "counter", 1: "gauge", 2: "summary", 4: "histogram"}
    native = families.pop("fairlead_request_latency_seconds")
    assert native.metric[0].histogram.sample_count == 3
    assert {name: numbers[family.type] for name, family in families.items()} == typed
    requests = families["fairlead_requests_total"].metric
    assert {metric.label[1].value: metric.counter.value for metric in requests}["success"] == 3
    assert [(pair.name, pair.value) for pair in requests[0].label] == [
        ("model", "m"),
        ("outcome", "success"),
        ("revision", "r"),
        ("version", "1"),
    ]
    (duration,) = families["fairlead_request_duration_seconds"].metric
    assert (duration.histogram.sample_count, duration.histogram.sample_sum) == (3, pytest.approx(100.3007))
    assert [(each.upper_bound, each.cumulative_count) for each in duration.histogram.bucket][-2:] == [
        (10, 2),
        (math.inf, 3),
    ]
    assert families["fairlead_model_load_duration_seconds"].metric[0].gauge.value == 0.5
    assert families["fairlead_prediction_value"].metric[0].summary.sample_count == 0
    assert families["process_cpu_seconds_total"].metric[0].counter.value >= 0


@pytest.mark.parametrize(
    "durations",
    [[], [0.001], [0.0, 1e-9, 3e-6, 0.25, 0.25, 0.2500001, 1.0, 64.0, 1e6], [2.0**power for power in range(-19, 7)]],
)
def test_the_native_histogram_puts_each_duration_into_its_bucket(durations: list[float]) -> None:
    metrics = Metrics("m", "1", "r")
    for seconds in durations:
        metrics.finished("success", seconds)
    (metric,) = scraped(metrics)["fairlead_request_latency_seconds"].metric
    histogram = metric.histogram
    assert (histogram.schema, histogram.sample_count) == (3, len(durations))
    assert histogram.sample_sum == pytest.approx(sum(durations))
    (span,) = histogram.positive_span
    counts, count = {}, 0
    assert len(histogram.positive_delta) == span.length
    for position, delta in enumerate(histogram.positive_delta):
        count += delta
        counts[span.offset + position] = count
    wanted: dict[int, int] = {}
    for seconds in durations:
        index = min(max(math.ceil(math.log2(max(seconds, 1e-12)) * 8), -160), 56)
        wanted[index] = wanted.get(index, 0) + 1
    assert {index: count for index, count in counts.items() if count} == wanted
