"""Reading what kubectl and the callers print, and the picture made of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from examples.demo.frame import frame, progress
from examples.demo.kubectl import documents
from examples.demo.load import Sum, pace, parse, total
from examples.demo.view import bar, one_line, panel
from examples.demo.watch import Snapshot

LINE = {
    "at": 12.5,
    "sent": 200,
    "failed": 2,
    "failures": {"status 500": 2},
    "versions": {"1": {"answered": 150, "right": 120}, "2": {"answered": 48, "right": 48}},
    "latency_ms": [1.2, 3.4],
}


def model(status: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "ModelDeployment", "metadata": {"name": "digits"}, "status": status}


def rollout(name: str, version: str, attempt: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "kind": "ModelRollout",
        "metadata": {"name": name},
        "spec": {"version": version, "attempt": attempt, "plan": {"analysis": {"alpha": 0.01, "beta": 0.05}}},
        "status": status,
    }


def pod(uid: str, *, restarts: int = 0, deleted: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": f"pod-{uid}",
        "uid": uid,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"fairlead.dev/revision": "abc"},
    }
    if deleted:
        meta["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    return {"kind": "Pod", "metadata": meta, "status": {"containerStatuses": [{"restartCount": restarts}]}}


def snapshot(*events: tuple[str, dict[str, Any]]) -> Snapshot:
    seen = Snapshot()
    for kind, item in events:
        seen.apply({"type": kind, "object": item})
    return seen


def test_documents_come_one_by_one() -> None:
    first, second = {"a": {"b": 1}}, {"c": ["}"]}
    text = json.dumps(first) + "\n" + json.dumps(second) + "\n"
    assert list(documents(io.StringIO(text))) == [first, second]


def test_a_document_cut_short_is_dropped() -> None:
    assert list(documents(io.StringIO('{"a": 1'))) == []


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "[]", '{"other": 1}', ""])
def test_other_lines_of_the_log_are_ignored(text: str) -> None:
    assert parse(text) is None


def test_lines_add_up() -> None:
    result = total([LINE, LINE])
    assert (result.sent, result.failed) == (400, 4)
    assert result.accuracy("1") == 0.8
    assert result.accuracy("3") is None


def test_pace_is_that_of_the_newest_lines_and_nothing_after_a_silence() -> None:
    lines = [LINE, LINE | {"at": 13.5, "sent": 100, "latency_ms": [2.0, 5.0]}]
    assert pace(lines, since=10.0) == (150.0, [2.0, 5.0])
    assert pace(lines, since=13.0) == (100.0, [2.0, 5.0])
    assert pace(lines, since=14.0) == (0.0, [])


def test_a_pod_is_remembered_after_its_end() -> None:
    seen = snapshot(("ADDED", pod("u1")), ("MODIFIED", pod("u1", restarts=2)), ("DELETED", pod("u1", restarts=2)))
    assert (seen.pods["u1"].restarts, seen.pods["u1"].gone) == (2, True)
    assert snapshot(("ADDED", pod("u2", deleted=True))).pods["u2"].gone


def test_newest_attempt_of_a_version_counts() -> None:
    seen = snapshot(("ADDED", rollout("r-2", "3", 2)), ("ADDED", rollout("r-1", "3", 1)), ("ADDED", rollout("q", "2")))
    found = seen.rollout("3")
    assert found is not None
    assert found["metadata"]["name"] == "r-2"
    assert seen.rollout("4") is None


@pytest.mark.parametrize(
    ("evidence", "expected"), [(0.0, 0.0), (1.0, 0.0), (10.0, 0.5), (100.0, 1.0), (1e9, 1.0), (float("nan"), 0.0)]
)
def test_progress_is_even_in_the_logarithm(evidence: float, expected: float) -> None:
    assert progress(evidence, 100.0) == pytest.approx(expected)


def test_bar_keeps_its_width() -> None:
    assert [bar(share, 4) for share in (-1.0, 0.0, 0.5, 1.0, 2.0)] == ["····", "····", "██··", "████", "████"]


def test_picture_fits_eighty_columns_and_says_what_matters() -> None:
    record = {
        "name": "error-rate",
        "canary": {"total": 500, "bad": 50},
        "stable": {"total": 1500, "bad": 0},
        "weight": 0.5,
        "evidence": 20.0,
        "evidenceOk": 0.1,
    }
    status = {
        "phase": "Progressing",
        "message": "errors 10.0 % against 0.0 % on 1 (50 of 500 requests against 0 of 1,500): evidence 10",
        "stable": {"version": "1", "replicas": 3, "readyReplicas": 3},
        "canary": {"version": "2", "replicas": 1, "readyReplicas": 1, "step": "2/5", "rollout": "r-1"},
    }
    seen = snapshot(("ADDED", model(status)), ("ADDED", rollout("r-1", "2", metrics=[record])))
    load = total([LINE])
    look = frame(seen, load, load, 200.0, [1.2, 3.4])
    assert look.evidence[0].against == pytest.approx(0.5)
    assert look.arms[1].share == pytest.approx(48 / 198)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(panel(look, "1:23"))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for told in ("step 2/5", "version 2", "canary 10.0%", "200 requests", "2 failed"):
        assert told in text
    assert "version 2 24%" in one_line(look)


def test_nothing_there_yet_is_shown_too() -> None:
    look = frame(Snapshot(), Sum(), Sum(), 0.0, [])
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(panel(look, "0:00"))
    assert "no load yet" in console.export_text()
