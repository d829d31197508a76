"""Native histograms as the query API tells them: buckets with their bounds, empty ones and the schema left out.

The schema is found again from the bounds, exactly: bucket i of schema s is (2^((i−1)·2^−s), 2^(i·2^−s)].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.analysis.intervals import ZERO_BUCKET

COARSEST, FINEST = -4, 8
_CLOSED = 3
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket index; ZERO_BUCKET holds what is at most `zero`. `schema` is None while no bucket tells it."""

    schema: int | None = None
    zero: float = 0.0
    buckets: Mapping[int, float] = field(default_factory=dict)

    @property
    def count(self) -> float:
        """All observations."""
        return sum(self.buckets.values())


def parse(answer: Mapping[str, Any]) -> Histogram | None:
    """The histogram in an answer of the query API; None when its buckets are not exponential ones.

    Raises:
        KeyError, TypeError, ValueError: it is no histogram of the query API.
    """
    zero, below, positive = 0.0, 0.0, []
    for rule, low, high, number in answer.get("buckets") or ():
        left, right, count = float(low), float(high), float(number)
        if right <= 0:
            below += count
        elif left <= 0:
            if rule != _CLOSED or math.isinf(left):
                return None
            zero, below = right, below + count
        else:
            positive.append((left, right, count))
    schema = _schema([(left, right) for left, right, _ in positive], zero)
    if positive and schema is None:
        return None
    buckets = {_index(left, right, schema or 0): count for left, right, count in positive}
    return Histogram(schema, zero, buckets | ({ZERO_BUCKET: below} if below else {}))


def alike(histograms: Iterable[Histogram]) -> tuple[int | None, float]:
    """The finest resolution that all of them have: schema and width of the zero bucket."""
    listed = list(histograms)
    schemas = [one.schema for one in listed if one.schema is not None]
    return min(schemas, default=None), max((one.zero for one in listed), default=0.0)


def at(histogram: Histogram, schema: int | None, zero: float) -> Histogram:
    """The same counts at a resolution that is not finer: buckets are merged whole, so nothing is estimated."""
    if schema is None or histogram.schema is None:
        return Histogram(histogram.schema if schema is None else schema, zero, histogram.buckets)
    shift, top = histogram.schema - schema, _last_within(zero, schema)
    merged: dict[int, float] = {}
    for index, count in histogram.buckets.items():
        place = ZERO_BUCKET if index == ZERO_BUCKET else -(-index >> shift)
        place = ZERO_BUCKET if place <= top else place
        merged[place] = merged.get(place, 0.0) + count
    return Histogram(schema, zero, merged)


def grown(before: Histogram, now: Histogram) -> Histogram | None:
    """What was counted in between; None when counts went down, so that the counter began anew."""
    schema, zero = alike((before, now))
    old, new = at(before, schema, zero), at(now, schema, zero)
    if any(new.buckets.get(index, 0.0) < count for index, count in old.buckets.items()):
        return None
    left = {index: count - old.buckets.get(index, 0.0) for index, count in new.buckets.items()}
    return Histogram(schema, zero, {index: count for index, count in left.items() if count > 0})


def _schema(bounds: list[tuple[float, float]], zero: float) -> int | None:
    """The one schema whose buckets these are."""
    # The bucket beside a wide zero bucket is told with its left part cut off, and the last one with no end.
    whole = [(left, right) for left, right in bounds if left != zero and math.isfinite(right)] or bounds
    found: set[int | None] = {_schema_of(left, right) for left, right in whole}
    if len(found) != 1:
        return None
    schema = found.pop()
    return schema if schema is None or all(_on_grid(right, schema) for _, right in bounds) else None


def _schema_of(left: float, right: float) -> int | None:
    octaves = math.log2(right) - math.log2(left)
    if not 0 < octaves < math.inf:
        return None
    schema = round(-math.log2(octaves))
    fits = math.isclose(octaves * 2.0**schema, 1.0, rel_tol=_SLACK) and COARSEST <= schema <= FINEST
    return schema if fits and _on_grid(right, schema) else None


def _on_grid(bound: float, schema: int) -> bool:
    if math.isinf(bound):
        return True
    place = math.log2(bound) * 2.0**schema
    return abs(place - round(place)) < _SLACK


def _index(left: float, right: float, schema: int) -> int:
    if math.isinf(right):
        return round(math.log2(left) * 2.0**schema) + 1
    return round(math.log2(right) * 2.0**schema)


def _last_within(zero: float, schema: int) -> int:
    """The highest bucket that lies within the zero bucket whole."""
    return math.floor(math.log2(zero) * 2.0**schema + _SLACK) if zero > 0 else ZERO_BUCKET
