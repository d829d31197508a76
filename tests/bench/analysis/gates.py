"""What the benchmark must show, or it fails."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.bench.analysis.cells import Cell
from tests.bench.analysis.summary import Summary, most

ALPHA, BETA = 0.01, 0.05
FULL = 2000
"""From so many rollouts on a share is held against its bound as it is; chance is allowed for below that."""
SLACK_POINTS, SLACK_INTERVALS = 0.02, 1

EXPECTED = {
    "0.1 % ×5 @10": (0.47, 16),
    "0.1 % ×5 @100": (1.0, 6),
    "0.1 % ×5 @1000": (1.0, 1),
    "1 % ×2 @10": (0.51, 16),
    "1 % ×2 @100": (1.0, 6),
    "1 % ×2 @1000": (1.0, 1),
    "5 % ×1.2 @10": (0.05, 16),
    "5 % ×1.2 @100": (0.97, 14),
    "5 % ×1.2 @1000": (1.0, 3),
    "classic ×1.2 @10": (0.14, 17),
    "classic ×1.2 @100": (1.0, 10),
    "classic ×1.2 @1000": (1.0, 2),
    "native ×1.2 @10": (0.31, 16),
    "native ×1.2 @100": (1.0, 7),
    "native ×1.2 @1000": (1.0, 1),
    "classic ×1.5 @10": (0.98, 13),
    "classic ×1.5 @100": (1.0, 3),
    "classic ×1.5 @1000": (1.0, 1),
    "native ×1.5 @10": (1.0, 11),
    "native ×1.5 @100": (1.0, 2),
    "native ×1.5 @1000": (1.0, 1),
    "PSI 0.1 τ=0 @10": (1.0, 9),
    "PSI 0.1 τ=0 @100": (1.0, 2),
    "PSI 0.1 τ=0 @1000": (1.0, 2),
    "PSI 0.25 τ=0 @10": (1.0, 5),
    "PSI 0.25 τ=0 @100": (1.0, 2),
    "PSI 0.25 τ=0 @1000": (1.0, 2),
    "PSI 0.1 τ=0.05 @10": (0.92, 15),
    "PSI 0.1 τ=0.05 @100": (1.0, 4),
    "PSI 0.1 τ=0.05 @1000": (1.0, 2),
    "PSI 0.25 τ=0.05 @10": (1.0, 7),
    "PSI 0.25 τ=0.05 @100": (1.0, 2),
    "PSI 0.25 τ=0.05 @1000": (1.0, 2),
}
"""What the bare method found in the simulation it was designed with: share found in 20 minutes, median minute."""
IN_SECONDS = {"0.1 % ×5 @100": 330, "0.1 % ×5 @1000": 45, "1 % ×2 @100": 330, "1 % ×2 @1000": 45}
"""The same with ticks of 15 s: median seconds."""


def failures(found: Iterable[Summary]) -> list[str]:
    """One sentence for each cell that is not as it must be."""
    return [sentence for summary in found for sentence in _failures(summary)]


def _failures(summary: Summary) -> list[str]:
    cell, ours = summary.cell, summary.get("fairlead")
    if ours is None:
        return []
    if cell.goal == "quiet":
        return _bound(cell, len(ours.rolled), ours.runs, ALPHA, "rolled back")
    if cell.goal == "unproven":
        return _bound(cell, len(ours.promoted), ours.runs, BETA, "proven")
    if cell.tick != 60.0 and cell.name in IN_SECONDS and cell.aligned:
        return _late(cell, ours.median, IN_SECONDS[cell.name] / cell.tick)
    if cell.name not in EXPECTED or cell.table == "stress regressions":
        return []
    share, usual = EXPECTED[cell.name]
    out = _late(cell, ours.median, usual) if share > 0.1 else []
    chance = 3 * math.sqrt(share * (1 - share) / ours.runs) if ours.runs < FULL else 0.0
    if ours.share < share - SLACK_POINTS - chance:
        out.append(f"{_name(cell)}: {100 * ours.share:.1f} % found, {100 * share:g} % expected")
    return out


def _late(cell: Cell, found: float | None, usual: float) -> list[str]:
    if found is not None and found <= usual + SLACK_INTERVALS:
        return []
    return [f"{_name(cell)}: found after {found} intervals (median), {usual:g} expected"]


def _bound(cell: Cell, events: int, runs: int, share: float, what: str) -> list[str]:
    allowed = int(share * runs) if runs >= FULL else most(runs, share)
    if events <= allowed:
        return []
    return [f"{_name(cell)}: {events} of {runs} {what}, that is more than {100 * share:g} %"]


def _name(cell: Cell) -> str:
    return f"{cell.table}: {cell.name}"
