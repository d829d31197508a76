"""Metrics as Prometheus scrapes native histograms: length-delimited io.prometheus.client.MetricFamily messages."""

from __future__ import annotations

import struct
from collections.abc import Mapping

COUNTER, HISTOGRAM = 0, 4
_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def counter(name: str, series: Mapping[tuple[tuple[str, str], ...], float]) -> bytes:
    """A family of counters by their labels."""
    metrics = b"".join(
        _sub(4, _labels(labels) + _sub(3, _field(1, _DOUBLE) + struct.pack("<d", value)))
        for labels, value in series.items()
    )
    return _family(name, COUNTER, metrics)


def histogram(name: str, labels: tuple[tuple[str, str], ...], schema: int, buckets: Mapping[int, int]) -> bytes:
    """A native histogram with these counts by bucket index."""
    body = _field(1, _VARINT) + _varint(sum(buckets.values()))
    body += _field(2, _DOUBLE) + struct.pack("<d", 0.0)
    body += _field(5, _VARINT) + _signed(schema)
    body += _field(6, _DOUBLE) + struct.pack("<d", 2.0**-128)
    body += _field(7, _VARINT) + _varint(0)
    before, last = 0, 0
    for position, (index, count) in enumerate(sorted(buckets.items())):
        offset = index if position == 0 else index - before - 1
        body += _sub(12, _field(1, _VARINT) + _signed(offset) + _field(2, _VARINT) + _varint(1))
        before = index
        body += _field(13, _VARINT) + _signed(count - last)
        last = count
    return _family(name, HISTOGRAM, _sub(4, _labels(labels) + _sub(7, body)))


def _family(name: str, kind: int, metrics: bytes) -> bytes:
    message = _sub(1, name.encode()) + _field(3, _VARINT) + _varint(kind) + metrics
    return _varint(len(message)) + message


def _labels(labels: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(_sub(1, _sub(1, name.encode()) + _sub(2, value.encode())) for name, value in labels)


def _sub(number: int, message: bytes) -> bytes:
    return _field(number, _BYTES) + _varint(len(message)) + message


def _field(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _signed(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
