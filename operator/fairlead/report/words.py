"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

SPACE = "\u00a0"
"""Keeps a number and its unit on one line."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_BILLION, _TEN_THOUSAND, _TEN, _THOUSANDTH = 1e9, 1e4, 10.0, 1e-3


def epoch(text: str | None) -> float | None:
    """An API time as epoch seconds."""
    return datetime.fromisoformat(text).timestamp() if text else None


def span(seconds: float) -> str:
    """A length of time in its two largest units, with spaces that do not break: `41 s`, `1 min 25 s`, `2 d 3 h`."""
    whole = round(max(0.0, seconds))
    for place, (unit, size) in enumerate(_UNITS):
        if whole < size and size > 1:
            continue
        rest = whole % size
        finer, finer_size = _UNITS[min(place + 1, len(_UNITS) - 1)]
        more = f" {rest // finer_size}{SPACE}{finer}" if size > 1 and rest >= finer_size else ""
        return f"{whole // size}{SPACE}{unit}{more}"
    raise AssertionError  # pragma: no cover - the last unit always fits


def clock(when: float) -> str:
    """`11:07:21`, in UTC."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S")


def day(when: float) -> str:
    """`18 Nov 2026`, in UTC."""
    return datetime.fromtimestamp(when, UTC).strftime("%-d %b %Y")


def moment(when: float) -> str:
    """`18 Nov 2026, 11:07:21 UTC`."""
    return f"{day(when)}, {clock(when)} UTC"


def count(number: float) -> str:
    """A number of requests: `1,671`; classes and scores count in fractions."""
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def percent(share: float | None) -> str:
    """A share between 0 and 1: `7.0 %`, `0.05 %` with two figures where it is small, a dash for none."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.1f}{SPACE}%" if value >= 1 else f"{figures(value, 2)}{SPACE}%"


def weight(value: float) -> str:
    """A share in per cent already: `25 %`, `31.2 %`."""
    return f"{value:g}{SPACE}%"


def figures(value: float, digits: int = 3) -> str:
    """A number with so many figures and no exponent while it is within reason: `10.5`, `0.036`, `1,234`."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size < 6:  # noqa: PLR2004 - beyond that zeros are hard to count
        return f"{value / 10**size:.1f}×{power(size)}"
    decimals = max(0, digits - 1 - size)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def evalue(value: float) -> str:
    """An e-value, which runs over many orders of magnitude: `0.023`, `14`, `34,284`, `1.1×10⁶`."""
    if value >= _BILLION:
        return f"over {power(9)}"
    if value >= _TEN:
        return figures(value, 1)
    return figures(value, 2)


def power(exponent: int) -> str:
    """A power of ten."""
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def decade(exponent: int) -> str:
    """A power of ten as an axis has it: plain near one, with an exponent far away."""
    if -2 <= exponent <= 3:  # noqa: PLR2004 - at most four digits
        return f"{10**exponent:,}" if exponent >= 0 else f"{10**exponent:g}"
    return power(exponent)


def interval(low: float | None, high: float | None) -> str:
    """`3.24 to 31.4`; an end that is missing has no bound yet, and a dash stands for no bounds at all."""
    if not low and high is None:
        return "–"
    return f"{figures(low or 0.0)} to {'∞' if high is None else figures(high)}"


def step_name(kind: str, share: int, duration: float | None) -> str:
    """A step of the plan, as the manifest calls it."""
    match kind:
        case "SetWeight":
            return f"setWeight {weight(share)}"
        case "Analysis":
            return "analysis"
        case "Pause":
            return "pause for a person" if duration is None else f"pause {span(duration)}"
        case "Promote":
            return f"promotion, {weight(100)}"
    return kind
