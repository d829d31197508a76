"""Metrics in Prometheus' protobuf format, which alone can carry native histograms.

Messages are those of io.prometheus.client, each family with its length before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from prometheus_client.core import Metric

CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_TYPES: Final = {"counter": 0, "gauge": 1, "summary": 2, "histogram": 4}
# The field of a Metric that carries each type's value.
_VALUES: Final = {"counter": 3, "gauge": 2, "summary": 4, "histogram": 7}
_MORE: Final = 0x80


class Native(NamedTuple):
    """A native histogram: counts by bucket, the first of which has the index `first`."""

    name: str
    help: str
    labels: dict[str, str]
    schema: int
    first: int
    counts: Sequence[int]
    sum: float


def accepted(header: str) -> bool:
    """Whether a scraper's Accept header asks for this format before any other."""
    return header.lstrip().startswith("application/vnd.google.protobuf")


def encode(families: Iterable[Metric], natives: Iterable[Native]) -> bytes:
    """Return all families as one body."""
    messages = [_family(family) for family in families]
    messages += [_head(each.name, each.help, "histogram") + _native(each) for each in natives]
    return b"".join(_varint(len(message)) + message for message in messages)


def _family(family: Metric) -> bytes:
    name = family.name + ("_total" if family.type == "counter" else "")
    if family.type in ("histogram", "summary"):
        return _head(name, family.documentation, family.type) + _composed(family)
    metrics = [
        _field(4, _labels(sample.labels) + _field(_VALUES[family.type], _double(1, sample.value)))
        for sample in family.samples
    ]
    return _head(name, family.documentation, family.type) + b"".join(metrics)


def _head(name: str, text: str, kind: str) -> bytes:
    return _field(1, name.encode()) + _field(2, text.encode()) + _number(3, _TYPES[kind])


def _composed(family: Metric) -> bytes:
    """Return the one metric of a family whose samples are its buckets, its count and its sum."""
    count = total = 0.0
    buckets, labels = b"", {}
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            buckets += _field(3, _number(1, int(sample.value)) + _double(2, float(sample.labels["le"])))
        elif sample.name.endswith("_sum"):
            total, labels = sample.value, sample.labels
        else:
            count = sample.value
    value = _number(1, int(count)) + _double(2, total) + buckets
    return _field(4, _labels(labels) + _field(_VALUES[family.type], value))


def _native(histogram: Native) -> bytes:
    value = _number(1, sum(histogram.counts)) + _double(2, histogram.sum)
    value += _number(5, _zigzag(histogram.schema)) + _double(6, 2.0**-128) + _number(7, 0)
    filled = [index for index, count in enumerate(histogram.counts) if count]
    if filled:
        # One span from the first bucket that holds anything to the last: they are few, and most of them do.
        first, last = filled[0], filled[-1]
        span = _number(1, _zigzag(histogram.first + first)) + _number(2, last - first + 1)
        deltas = [after - before for before, after in pairwise([0, *histogram.counts[first : last + 1]])]
        value += _field(12, span) + _field(13, b"".join(_varint(_zigzag(delta)) for delta in deltas))
    else:
        # An empty span tells a native histogram without observations from a classic one.
        value += _field(12, _number(1, 0) + _number(2, 0))
    return _field(4, _labels(histogram.labels) + _field(_VALUES["histogram"], value))


def _labels(labels: dict[str, str]) -> bytes:
    pairs = sorted(labels.items())
    return b"".join(_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in pairs)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value >= _MORE:
        octets.append(value & 0x7F | _MORE)
        value >>= 7
    octets.append(value)
    return bytes(octets)
