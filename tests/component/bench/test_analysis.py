"""The benchmark of the judge in small: some cells of each table, held to the same gates with chance allowed for."""

from __future__ import annotations

import pytest

from tests.bench.analysis import cells, gates, judge, summary
from tests.bench.analysis.cells import Cell

QUIET = (
    "errors A/A: 1 % @100",
    "errors A/A: 5 % @1000",
    "latency A/A: classic @100",
    "latency A/A: native @10",
    "predictions A/A: A/A τ=0 @100",
    "stress A/A: common shocks @1000",
    "stress A/A: at the margin 1 % @1000",
    "stress A/A: bursts, φ=5 @100",
    "stress A/A: scraped 5 s apart @1000",
    "stress A/A: 16 connections, tolerant @100",
)
FOUND = (
    "errors regressions: 0.1 % ×5 @100",
    "errors regressions: 5 % ×1.2 @1000",
    "latency regressions: classic ×1.5 @100",
    "latency regressions: native ×1.2 @1000",
    "predictions regressions: PSI 0.25 τ=0 @100",
)
HARMFUL = ("promotion, harmful: errors 1 % ×2 @100", "promotion, harmful: 5× tail above p99, histogram @1000")
CELLS = {f"{cell.table}: {cell.name}": cell for cell in cells.every()}
RUNS = {"quiet": 60, "detect": 25, "unproven": 25}


@pytest.mark.parametrize("name", [*QUIET, *FOUND, *HARMFUL])
def test_cell_is_as_it_must_be(name: str) -> None:
    cell = CELLS[name]
    result = judge.fairlead(cell, RUNS[cell.goal], 1)
    found = summary.summaries({name: {"cell": cell, "rules": {"fairlead": result}}})
    assert gates.failures(found) == []
    if cell.goal == "detect":
        assert found[0]["fairlead"].share == 1


def test_every_cell_has_its_own_name() -> None:
    assert len(CELLS) == len(cells.every())


def test_every_expectation_has_its_cell() -> None:
    names = {cell.name for cell in CELLS.values() if cell.goal == "detect" and cell.tick == 60}
    assert set(gates.EXPECTED) <= names


def test_a_gate_fails_where_it_should() -> None:
    quiet = CELLS["errors A/A: 1 % @100"]
    late = CELLS["errors regressions: 1 % ×2 @100"]
    told = [*failed(quiet, 10_000, [5] * 101), *failed(late, 2000, [8] * 2000), *failed(late, 2000, [6] * 1900)]
    assert told == [
        "errors A/A: 1 % @100: 101 of 10000 rolled back, that is more than 1 %",
        "errors regressions: 1 % ×2 @100: found after 8.0 intervals (median), 6 expected",
        "errors regressions: 1 % ×2 @100: 95.0 % found, 100 % expected",
    ]
    assert failed(quiet, 10_000, [5] * 100) == failed(late, 2000, [7] * 1960) == []


def failed(cell: Cell, runs: int, rolled: list[int]) -> list[str]:
    outcome = summary.Outcome(runs, tuple(rolled))
    return gates.failures([summary.Summary(cell, {"fairlead": outcome})])
