"""What Fairlead makes of a chunk of simulated rollouts."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from fairlead.analysis.replay import replay
from tests.bench.analysis.cells import Cell
from tests.bench.analysis.generate import traffic
from tests.bench.analysis.records import records, rollout


def fairlead(cell: Cell, runs: int, seed: int) -> dict[str, Any]:
    """Fairlead's own verdicts, through the replay that users have."""
    drawn, how = traffic(cell, runs, seed), rollout(cell)
    rolled, promoted, ends = [], [], Counter[str]()
    for run in range(runs):
        (last,) = deque(replay(records(cell, drawn, run), how, intervals=False), maxlen=1)
        ends[last["verdict"]] += 1
        interval = round(last["t"] / cell.tick)
        if last["verdict"] == "Rollback":
            rolled.append(interval)
        elif last["verdict"] == "Promote":
            promoted.append(interval)
    return {"runs": runs, "rolled": rolled, "promoted": promoted, "ends": ends}
