"""Numbers and times as people read them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairlead.report import words


@pytest.mark.parametrize(
    ("function", "given", "text"),
    [
        (words.span, 0, "0 s"),
        (words.span, 40.6, "41 s"),
        (words.span, 59.7, "1 min"),
        (words.span, 85, "1 min 25 s"),
        (words.span, 3600, "1 h"),
        (words.span, 3659, "1 h"),
        (words.span, 9 * 3600 + 59 * 60, "9 h 59 min"),
        (words.span, 7 * 86400 + 3600, "7 d 1 h"),
        (words.span, -3, "0 s"),
        (words.clock, 1767225600, "00:00:00"),
        (words.moment, 1767225600, "1 Jan 2026, 00:00:00 UTC"),
        (words.count, 1671.0, "1,671"),
        (words.count, 0.25, "0.2"),
        (words.percent, None, "–"),
        (words.percent, 0.0, "0 %"),
        (words.percent, 0.07, "7.0 %"),
        (words.percent, 0.0005, "0.05 %"),
        (words.percent, 1 / 7527, "0.013 %"),
        (words.weight, 25, "25 %"),
        (words.weight, 31.2, "31.2 %"),
        (words.figures, 10.5235, "10.5"),
        (words.figures, 0.0359, "0.0359"),
        (words.figures, 100.0, "100"),
        (words.figures, 1234.5, "1,234"),
        (words.figures, 1.1e7, "1.1×10⁷"),
        (words.figures, 0.000012, "1.2×10⁻⁵"),
        (words.figures, math.inf, "∞"),
        (words.figures, math.nan, "–"),
        (words.evalue, 0.023317, "0.023"),
        (words.evalue, 34283.5, "34,284"),
        (words.evalue, 1e9, "over 10⁹"),
        (words.decade, 2, "100"),
        (words.decade, -2, "0.01"),
        (words.decade, -3, "10⁻³"),
        (words.epoch, None, None),
        (words.epoch, "2026-01-01T00:00:00Z", 1767225600.0),
    ],
)
def test_numbers_read_well(function: Any, given: Any, text: str | float | None) -> None:
    found = function(given)
    assert (found.replace(words.SPACE, " ") if isinstance(found, str) else found) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(None, None, "–"), (0.0, None, "–"), (0.5, 2.25, "0.5 to 2.25"), (1.5, None, "1.5 to ∞"), (None, 2.0, "0 to 2")],
)
def test_an_interval_without_an_end_says_so(low: float | None, high: float | None, text: str) -> None:
    assert words.interval(low, high) == text
