"""PURE: what of a growing history is kept, so that its newest part stays whole and the past grows coarser."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api.modelrollout import Decision, EvidencePoint, MetricPoint
from fairlead.controller import times

MOST_BYTES = 320 * 1024
"""JSON of all points together; with 16 metrics a point takes some 3 KiB."""
MOST_POINTS = 240
MOST_DECISIONS = 96
RECENT = 1200.0
"""Seconds that are kept at full rate, as far as half the room suffices for them."""
FINEST = 1 / 8
"""Older points are at least so far apart, as a share of how long ago they were."""
LAST_OF_STEP = 8.0
"""How much rather the last point of a step is kept: its counts are those of the whole step."""


def thinned(points: Sequence[EvidencePoint]) -> list[EvidencePoint]:
    """The points that are kept, oldest first. The first and the last one always are."""
    kept = list(points)
    when = [times.from_wire(point.at) for point in kept]
    sizes = [len(point.model_dump_json(by_alias=True, exclude_none=True)) for point in kept]
    recent = _recent(when, sizes)
    while len(kept) > 2:  # noqa: PLR2004 - the first and the last one
        place, cost = min(
            ((place, _cost(when, place, recent)) for place in range(1, len(kept) - 1)),
            key=lambda found: found[1] * (LAST_OF_STEP if kept[found[0]].step != kept[found[0] + 1].step else 1.0),
        )
        if cost >= FINEST and len(kept) <= MOST_POINTS and sum(sizes) <= MOST_BYTES:
            break
        kept[place : place + 2] = [_merged(kept[place], kept[place + 1])]
        del when[place], sizes[place]
    return kept


def bounded(decisions: Sequence[Decision]) -> list[Decision]:
    """At most `MOST_DECISIONS`: what was decided stays, what was merely waited for goes, oldest most."""
    kept = list(decisions)
    when = [times.from_wire(decision.at) for decision in kept] if len(kept) > MOST_DECISIONS else []
    while len(kept) > MOST_DECISIONS:
        waits = [place for place in range(1, len(kept) - 1) if kept[place].action == "Held"]
        if not waits:
            break
        place = min(waits, key=lambda place: _cost(when, place, 0.0))
        del kept[place], when[place]
    return kept


def _recent(when: Sequence[float], sizes: Sequence[int]) -> float:
    """How far back, in seconds, every point is kept."""
    room, span = MOST_BYTES / 2, 0.0
    for number, (at, size) in enumerate(zip(reversed(when), reversed(sizes), strict=True), start=1):
        room -= size
        if room < 0 or number > MOST_POINTS / 2 or when[-1] - at > RECENT:
            break
        span = when[-1] - at
    return span


def _cost(when: Sequence[float], place: int, recent: float) -> float:
    """The gap that would be left, as a share of the age beyond which points are thinned."""
    return (when[place + 1] - when[place - 1]) / max(when[-1] - when[place] - recent, 1.0)


def _merged(older: EvidencePoint, newer: EvidencePoint) -> EvidencePoint:
    """The newer point for both: counts and evidence are cumulative, so no number is lost."""
    acted = {metric.name: metric.acted for metric in older.metrics}
    return newer.model_copy(
        update={
            "window": _sum(older.window, newer.window),
            "acted": _union(older.acted, newer.acted),
            "metrics": [_with_acted(metric, acted.get(metric.name)) for metric in newer.metrics],
        }
    )


def _with_acted(metric: MetricPoint, older: list[str] | None) -> MetricPoint:
    return metric.model_copy(update={"acted": _union(older, metric.acted)}) if older else metric


def _union(one: list[str] | None, other: list[str] | None) -> list[str] | None:
    return list(dict.fromkeys([*(one or []), *(other or [])])) or None


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None or other is None else one + other
