"""The protobuf format of the metrics, read back by Google's library."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from fairlead_serving.exposition import Exposition
from fairlead_serving.metrics import Metrics
from fairlead_serving.protobufmetrics import CONTENT_TYPE

ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
)
# What we use of io.prometheus.client: message → field → (number, type or message, repeated).
MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "LabelPair": {"name": (1, "string", False), "value": (2, "string", False)},
    "Gauge": {"value": (1, "double", False)},
    "Counter": {"value": (1, "double", False)},
    "Summary": {"sample_count": (1, "uint64", False), "sample_sum": (2, "double", False)},
    "Bucket": {"cumulative_count": (1, "uint64", False), "upper_bound": (2, "double", False)},
    "BucketSpan": {"offset": (1, "sint32", False), "length": (2, "uint32", False)},
    "Histogram": {
        "sample_count": (1, "uint64", False),
        "sample_sum": (2, "double", False),
        "bucket": (3, "Bucket", True),
        "schema": (5, "sint32", False),
        "zero_threshold": (6, "double", False),
        "zero_count": (7, "uint64", False),
        "positive_span": (12, "BucketSpan", True),
        "positive_delta": (13, "sint64", True),
    },
    "Metric": {
        "label": (1, "LabelPair", True),
        "gauge": (2, "Gauge", False),
        "counter": (3, "Counter", False),
        "summary": (4, "Summary", False),
        "histogram": (7, "Histogram", False),
    },
    "MetricFamily": {
        "name": (1, "string", False),
        "help": (2, "string", False),
        "type": (3, "int32", False),
        "metric": (4, "Metric", True),
    },
}


def family_class() -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto3")
    for message, described in MESSAGES.items():
        kind = file.message_type.add(name=message)
        for name, (number, wanted, repeated) in described.items():
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            field = kind.field.add(name=name, number=number, label=label)
            if wanted in MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".io.prometheus.client.{wanted}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{wanted.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.prometheus.client.MetricFamily"))


def read(body: bytes) -> dict[str, Any]:
    """Return the families by name."""
    kind, families, at = family_class(), {}, 0
    while at < len(body):
        size = shift = 0
        while True:
            byte, at = body[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        family = kind.FromString(body[at : at + size])
        at += size
        assert family.name not in families
        families[family.name] = family
    return families


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
