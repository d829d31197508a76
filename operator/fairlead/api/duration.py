"""Go-style durations (`90s`, `10m`, `1h30m`), as Kubernetes users write them."""

from __future__ import annotations

import re

# Six digits: far more than anyone waits, and still a date that a calendar has.
PATTERN = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h|d))+$"
_FULL = re.compile(PATTERN)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse(text: str) -> float:
    """The duration in seconds; raises ValueError with a sentence when `text` is not one."""
    if not _FULL.match(text):
        message = f"{text!r} is not a duration; write for example 90s, 10m or 1h30m"
        raise ValueError(message)
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def render(seconds: float) -> str:
    """The shortest whole-unit text for people: 90 → `90 s`, 600 → `10 min`, 7200 → `2 h`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
    return f"{seconds:.0f} s"
