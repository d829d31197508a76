"""Native histograms from the query API's answers: the schema found again, merging, growing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairlead.analysis import native
from fairlead.analysis.intervals import ZERO_BUCKET
from fairlead.analysis.native import Histogram


def answer(*buckets: tuple[int, float, float, float]) -> dict[str, Any]:
    """As the query API tells it, numbers as text."""
    listed = [[rule, repr(left), repr(right), repr(count)] for rule, left, right, count in buckets]
    return {"count": "0", "sum": "0", "buckets": listed}


def exponential(schema: int, index: int, count: float) -> tuple[int, float, float, float]:
    width = 2.0**-schema
    return 0, 2.0 ** ((index - 1) * width), 2.0 ** (index * width), count


@pytest.mark.parametrize("schema", range(native.COARSEST, native.FINEST + 1))
@pytest.mark.parametrize("place", [-900, -61, -60, 0, 1, 7, 500])
def test_the_schema_is_found_again_exactly(schema: int, place: int) -> None:
    index = place if schema >= 0 else place >> 8
    found = native.parse(answer(exponential(schema, index, 5), exponential(schema, index + 3, 2)))
    assert found == Histogram(schema, 0.0, {index: 5, index + 3: 2})


def test_the_zero_bucket_and_negative_ones_lie_below_all() -> None:
    buckets = (1, -2.0, -1.0, 1.0), (3, -0.001, 0.001, 4.0), exponential(3, 5, 2.0)
    assert native.parse(answer(*buckets)) == Histogram(3, 0.001, {ZERO_BUCKET: 5, 5: 2})


def test_a_bucket_beside_a_wide_zero_bucket_is_cut_off() -> None:
    left, right = 0.26, 2.0**-1.75
    whole = exponential(2, -3, 1.0)
    assert native.parse(answer((3, -left, left, 1.0), (0, left, right, 2.0), whole)) == Histogram(
        2, left, {ZERO_BUCKET: 1, -7: 2, -3: 1}
    )


@pytest.mark.parametrize(
    "buckets",
    [
        [(0, 0.1, 0.25, 1.0)],
        [(0, 0.25, 0.5, 1.0), (0, 0.5, 0.6, 1.0)],
        [(3, -math.inf, 0.1, 1.0)],
        [(0, 0.0, 0.1, 1.0)],
    ],
    ids=["not a power", "two widths", "from -Inf", "from 0"],
)
def test_other_buckets_are_not_exponential(buckets: list[tuple[int, float, float, float]]) -> None:
    assert native.parse(answer(*buckets)) is None


def test_nothing_counted_yet_has_no_schema() -> None:
    assert native.parse({"count": "0", "sum": "0"}) == Histogram()
    assert native.parse(answer((3, -0.1, 0.1, 2.0))) == Histogram(None, 0.1, {ZERO_BUCKET: 2})


def test_merging_keeps_every_count_in_the_bucket_around_it() -> None:
    fine = Histogram(3, 0.0, dict.fromkeys(range(-20, 21), 1.0))
    coarse = native.at(fine, 1, 0.0)
    assert coarse.count == fine.count
    for index in range(-20, 21):
        bound = 2.0 ** (index / 8)
        around = next(i for i in sorted(coarse.buckets) if bound <= 2.0 ** (i / 2) * (1 + 1e-12))
        assert 2.0 ** ((around - 1) / 2) < bound * (1 + 1e-12)
        above = sum(count for i, count in fine.buckets.items() if i > 4 * around)
        assert above == sum(count for i, count in coarse.buckets.items() if i > around)


def test_a_wider_zero_bucket_takes_the_buckets_within_it() -> None:
    assert native.at(Histogram(0, 0.0, {-3: 1, -2: 1, -1: 1, 0: 1}), 0, 0.25).buckets == {ZERO_BUCKET: 2, -1: 1, 0: 1}


@pytest.mark.parametrize(
    ("before", "now", "want"),
    [
        (Histogram(3, 0.0, {8: 2}), Histogram(3, 0.0, {8: 5, 9: 1}), {8: 3, 9: 1}),
        (Histogram(3, 0.0, {7: 2, 8: 2}), Histogram(2, 0.0, {4: 7}), {4: 3}),
        (Histogram(), Histogram(3, 0.0, {8: 5}), {8: 5}),
        (Histogram(0, 0.1, {ZERO_BUCKET: 1, -3: 1}), Histogram(0, 0.125, {ZERO_BUCKET: 4}), {ZERO_BUCKET: 2}),
        (Histogram(3, 0.0, {8: 5}), Histogram(3, 0.0, {8: 4, 9: 9}), None),
        (Histogram(3, 0.0, {8: 5}), Histogram(), None),
    ],
    ids=["plain", "coarser now", "first", "wider zero", "a bucket went down", "emptied"],
)
def test_growth(before: Histogram, now: Histogram, want: dict[int, float] | None) -> None:
    grown = native.grown(before, now)
    assert (grown.buckets if grown else None) == want
