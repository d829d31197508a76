"""What counts as a promise kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from examples.demo import promise
from examples.demo.load import Sum
from examples.demo.promise import Act
from examples.demo.watch import PodRecord, epoch

ENDED = "2026-01-01T00:02:00Z"
NOON = epoch(ENDED) or 0.0
POD = PodRecord("digits-b-1", "b", NOON - 100, 0)


def act(sent: int = 20_000, failed: int = 0) -> Act:
    return Act("a", 0.0, 100.0, Sum(sent=sent, failures=Counter({"timeout": failed})))


def rollout(**status: Any) -> dict[str, Any]:
    return {"spec": {"revision": "b", "version": "2"}, "status": {"finishedAt": ENDED} | status}


def kept(checks: list[promise.Check]) -> list[bool]:
    return [check.kept for check in checks]


def test_a_clean_promotion_keeps_every_promise() -> None:
    other = PodRecord("digits-a-1", "a", 0.0, 7, gone=True)
    assert kept(promise.promotion(act(), rollout(phase="Promoted"), [POD, other])) == [True, True, True]


@pytest.mark.parametrize(
    ("sent", "failed"),
    [(20_000, 1), (9_999, 0)],
    ids=["one request failed", "too few requests to say"],
)
def test_promotion_under_load_is_broken(sent: int, failed: int) -> None:
    checks = promise.promotion(act(sent, failed), rollout(phase="Promoted"), [POD])
    assert kept(checks) == [True, False, True]


@pytest.mark.parametrize(
    "pod",
    [replace(POD, restarts=1), replace(POD, gone=True), replace(POD, created=NOON + 1), replace(POD, revision="a")],
    ids=["restarted", "gone", "made after the promotion", "no pod at all"],
)
def test_pods_of_the_promoted_revision_are_left_alone(pod: PodRecord) -> None:
    assert kept(promise.promotion(act(), rollout(phase="Promoted"), [pod])) == [True, True, False]


def test_rollback_names_the_culprit_and_is_quick() -> None:
    good = rollout(phase="RolledBack", culprit="error-rate", firstRequestAt="2026-01-01T00:01:20Z")
    assert kept(promise.rollback(good, "2")) == [True, True, True]


@pytest.mark.parametrize(
    ("status", "stable", "expected"),
    [
        ({"phase": "RolledBack", "firstRequestAt": "2026-01-01T00:01:20Z"}, "2", [False, True, True]),
        ({"phase": "RolledBack", "culprit": "latency"}, "2", [True, False, True]),
        ({"phase": "RolledBack", "culprit": "x", "firstRequestAt": "2026-01-01T00:00:59Z"}, "2", [True, False, True]),
        ({"phase": "Promoted", "firstRequestAt": "2026-01-01T00:01:20Z"}, "3", [False, True, False]),
    ],
    ids=["no evidence", "no request", "too slow", "promoted"],
)
def test_rollback_is_broken(status: dict[str, Any], stable: str, expected: list[bool]) -> None:
    assert kept(promise.rollback(rollout(**status), stable)) == expected


def test_what_never_happened_breaks_everything() -> None:
    assert kept(promise.promotion(act(0), None, [])) == [False, False, False]
    assert kept(promise.rollback(None, None)) == [False, False, False]
