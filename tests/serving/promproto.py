"""Prometheus' protobuf format, read by Google's library."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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
