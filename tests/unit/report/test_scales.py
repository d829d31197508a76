"""Where values lie and which ones an axis names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fairlead.report import scales
from fairlead.report.scales import Log, Scale, Time

POSITIVE = some.floats(1e-12, 1e12)


def labels(scale: Scale) -> list[str]:
    return [tick.label.replace("\u00a0", " ") for tick in scale.ticks()]


@pytest.mark.parametrize(
    ("length", "found"),
    [
        (41.0, ["0", "10 s", "20 s", "30 s", "40 s"]),
        (85.0, ["0", "0:15", "0:30", "0:45", "1:00", "1:15"]),
        (1500.0, ["0", "5 min", "10 min", "15 min", "20 min", "25 min"]),
        (5400.0, ["0", "15 min", "30 min", "45 min", "1 h", "1 h 15 min", "1 h 30 min"]),
        (604800.0, ["0", "2 d", "4 d", "6 d"]),
    ],
)
def test_time_is_named_at_round_numbers(length: float, found: list[str]) -> None:
    assert labels(Time(length, most=6)) == found


@pytest.mark.parametrize(
    ("values", "least", "unit", "found"),
    [
        ([25.0, 100.0], 10.0, 1.0, ["0 %", "25 %", "50 %", "75 %", "100 %"]),
        ([0.07], 0.01, 100.0, ["0 %", "2 %", "4 %", "6 %", "8 %"]),
        ([], 0.01, 100.0, ["0 %", "0.25 %", "0.5 %", "0.75 %", "1 %"]),
    ],
)
def test_shares_are_named_in_per_cent(values: list[float], least: float, unit: float, found: list[str]) -> None:
    assert labels(scales.linear(values, least, unit)) == found


@pytest.mark.parametrize(
    ("scale", "found"),
    [
        (Log(0.1, 100.0), ["0.1", "1", "10", "100"]),
        (Log(0.01, 1e9), ["0.01", "1", "100", "10⁴", "10⁶", "10⁸"]),
        (Log(0.5, 5.0), ["0.5", "1", "2", "5"]),
        (Log(0.05, 10.0), ["0.1", "1", "10"]),
    ],
)
def test_powers_are_named_and_one_is_among_them(scale: Log, found: list[str]) -> None:
    assert labels(scale) == found


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([], 0.5, 2.0), ([0.96, 1.05], 0.5, 2.0), ([0.3, 4.0], 0.2, 5.0), ([1e-9, 1e9], 0.001, 1000)],
)
def test_ratios_lie_around_one(values: list[float], low: float, high: float) -> None:
    assert scales.around_one(values) == Log(low, high)


@given(some.lists(POSITIVE, max_size=8))
def test_every_value_has_a_place_in_order(values: list[float]) -> None:
    for scale in (scales.log(values, -1, 2, limit=12), scales.around_one(values)):
        places = [scale.place(value) for value in sorted(values)]
        assert places == sorted(places)
        assert all(0 <= place <= 1 for place in places)
        assert scale.place(0.0) == 0
        assert [scale.low <= tick.value <= scale.high * 1.001 for tick in scale.ticks()]


@given(some.lists(some.floats(0, 1), max_size=8))
def test_a_share_fits_its_axis(values: list[float]) -> None:
    scale = scales.linear(values, 0.01, unit=100.0)
    assert max(values, default=0) <= scale.top * (1 + 1e-9)
    assert scale.top <= 1
    assert 2 <= len(scale.ticks()) <= 6


@given(some.floats(1, 1e7), some.integers(3, 10))
def test_times_are_neither_few_nor_many(length: float, most: int) -> None:
    found = Time(length, most).ticks()
    assert len(found) <= most + 1
    assert len({tick.label for tick in found}) == len(found)
    assert math.isclose(Time(length).place(length), 1)
