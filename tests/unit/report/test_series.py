"""What the charts show, from the record's points."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from fairlead.api.modelrollout import EvidencePoint, MetricPoint
from fairlead.report import series, story
from tests.unit.report import records
from tests.unit.report.records import arm, at, decision, ended, rollout, status


def desired(said: Any) -> list[tuple[float, float]]:
    return series.desired(story.read(rollout(said)))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (status(), [(0, 10), (150, 50)]),
        (ended(400, "RolledBack", "Regression"), [(0, 10), (150, 50), (400, 0)]),
        (ended(400, "Superseded", "Reverted"), [(0, 10), (150, 50), (400, 0)]),
        (status(decisions=[], history=[]), [(0, 10)]),
        (
            status(decisions=[*records.DECISIONS, decision(800, 3, "StepAdvanced", "PauseOver")]),
            [(0, 10), (150, 50), (800, 100)],
        ),
        (
            status(0, decisions=[decision(9, 0, "StepAdvanced", "PromotedByUser"), decision(20, 4, "Promoted", "x")]),
            [(0, 10), (9, 100)],
        ),
    ],
)
def test_the_share_asked_for_follows_the_decisions(said: Any, found: list[tuple[float, float]]) -> None:
    assert desired(said) == found


def windows(*told: tuple[float, int, float, float, str | None]) -> list[tuple[float, float, float, float]]:
    history = [
        EvidencePoint(
            at=at(time),
            window=15.0,
            step=step,
            weight=10,
            outcome="Continue",
            evidence=1,
            metrics=[
                MetricPoint(name="latency", canary=arm(total, bad), stable=arm(9 * total, bad), evidence=1, detail=what)
            ],
        )
        for time, step, total, bad, what in told
    ]
    found = series.windows(story.read(rollout(status(0, history=history, finished_at=at(60), metrics=[]))), "latency")
    return [(window.begin, window.end, window.canary.total, window.canary.bad) for window in found]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([(15, 1, 100, 1, None), (30, 1, 250, 5, None)], [(0, 15, 100, 1), (15, 30, 150, 4)]),
        # A new stage counts anew, and a pause of the same stage does not.
        (
            [(15, 1, 100, 1, None), (30, 2, 40, 0, None), (45, 3, 90, 2, None)],
            [(0, 15, 100, 1), (15, 30, 40, 0), (30, 45, 50, 2)],
        ),
        # Where a latency was shown at another edge in between, its counts are those of another question.
        (
            [(15, 1, 100, 9, ">5 ms"), (30, 1, 200, 60, ">1 ms"), (45, 1, 300, 19, ">5 ms")],
            [(0, 15, 100, 9), (15, 45, 200, 10)],
        ),
        ([(15, 1, 0, 0, "no edges"), (30, 1, 200, 6, ">1 ms")], [(15, 30, 200, 6)]),
        # Evidence that was lost and begun anew.
        ([(15, 1, 100, 9, None), (30, 1, 20, 1, None), (45, 1, 50, 1, None)], [(0, 15, 100, 9), (30, 45, 30, 0)]),
        ([(15, 1, 0, 0, None)], []),
        ([], []),
    ],
)
def test_windows_are_what_came_between_two_points(told: Any, found: list[Any]) -> None:
    assert windows(*told) == found


def test_many_points_are_shown_in_few_windows_and_nothing_is_lost() -> None:
    read = story.read(rollout(status(240)))
    found = series.windows(read, "latency")
    assert len(found) <= series.SLOTS * 2
    assert sum(window.canary.total for window in found) == 100 * 10 + 100 * 230
    assert all(one.end <= other.begin for one, other in itertools.pairwise(found))
