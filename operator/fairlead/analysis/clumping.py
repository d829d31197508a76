"""What the stable pods show of dispersion and noise floor, kept up from interval to interval."""

from __future__ import annotations

import math

from fairlead.analysis import counting, dispersion
from fairlead.analysis.counting import Cells
from fairlead.analysis.dispersion import ALIKE, Unlikeness
from fairlead.analysis.evidence import Counts
from fairlead.analysis.intervals import WHOLE
from fairlead.analysis.state import COMPARED_PODS, Metric, Process, State
from fairlead.analysis.weighing import CATEGORICAL
from fairlead.api.plan import AnalysisPlan

BLOCK = 60.0
"""Seconds that a block of the dispersion lasts at least."""


def block_ticks(plan: AnalysisPlan) -> int:
    """Length of a block: long enough that connections have come and gone within it."""
    lasting = 2 * plan.max_connection_age if plan.routing == "connection" else 0.0
    return max(1, math.ceil(max(BLOCK, lasting) / plan.interval))


def memory_ticks(plan: AnalysisPlan) -> int:
    """Ticks until no connection is open any more that was open in one: 0 where single requests are balanced."""
    return math.ceil(1.2 * plan.max_connection_age / plan.interval) if plan.routing == "connection" else 0


def weaken_waiting(state: State, metric: Metric, pods: int) -> None:
    """Fix the dispersion and the noise floor that the waiting interval is judged with."""
    for place, process in enumerate(metric.processes):
        process.phi = process.spread.phi()
        process.floor = dispersion.noise_floor(
            _unlike(metric, process, place).sigma if metric.kind != CATEGORICAL else 0.0, state.canary_pods, pods
        )
    largest = max((process.floor for process in metric.processes), default=1.0)
    for process in metric.processes:
        # The pods of a latency's edges are the same. At the last ones slow requests are too few to show how unlike.
        if process.floor <= 1.0:
            process.floor = largest


def disperse(metric: Metric, cells: Cells, *, history: bool) -> None:
    """Update the dispersion with stable's counts by pod."""
    if WHOLE in cells:
        if history:
            _disperse_in_time(metric, cells[WHOLE])
        return
    for place, process in enumerate(metric.processes):
        usual = _usual(metric, process, place, list(cells))
        process.spread.add_tick([Counts(row[0], row[place + 1]) for row in cells.values()], usual)
    for sums in (metric.block, metric.whole):
        _add_up(sums, cells)


def end_block(state: State, plan: AnalysisPlan, tick: int) -> None:
    """Take in the block that ends with this tick, if one does."""
    if state.block is None:
        state.block = tick
    if tick + 1 - state.block < block_ticks(plan):
        return
    for metric in state.metrics.values():
        if len(metric.block) > 1:
            for place, process in enumerate(metric.processes):
                cells = counting.column(metric.block, place)
                process.spread.add_block(cells, _usual(metric, process, place, list(metric.block)))
        metric.block = {}
    state.block = None


def _unlike(metric: Metric, process: Process, place: int) -> Unlikeness:
    pods = counting.column(metric.whole, place)
    return dispersion.unlikeness(pods, process.spread.phi()) if len(pods) > 1 else ALIKE


def _usual(metric: Metric, process: Process, place: int, pods: list[str]) -> list[float] | None:
    found = _unlike(metric, process, place).usual if metric.kind != CATEGORICAL else None
    if found is None:
        return None
    rates = dict(zip(metric.whole, found, strict=True))
    return [rates.get(pod, 1.0) for pod in pods]


def _disperse_in_time(metric: Metric, row: list[float]) -> None:
    """Where an arm is counted as a whole, its history still shows how unlike neighbouring intervals are."""
    if metric.last:
        for place, process in enumerate(metric.processes):
            pair = [Counts(cells[0], cells[place + 1]) for cells in (metric.last, row)]
            process.spread.add_tick(pair)
    metric.last = row


def _add_up(sums: Cells, cells: Cells) -> None:
    """Add the pods' counts; a pod beyond the number that is kept takes the place of one that is gone."""
    for pod in sorted(cells):
        if pod not in sums and len(sums) >= COMPARED_PODS:
            gone = next((old for old in sums if old not in cells), None)
            if gone is None:
                continue
            del sums[gone]
        old = sums.get(pod)
        sums[pod] = list(cells[pod]) if old is None else [a + b for a, b in zip(old, cells[pod], strict=True)]
