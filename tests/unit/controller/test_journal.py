"""What is remembered: through status, and through the snapshots where status is lost."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.status import CanaryStatus, ModelDeploymentStatus, Rejected, StableStatus
from fairlead.controller import journal
from fairlead.controller.journal import Memory
from fairlead.desired import history
from fairlead.rollout.state import (
    Attempt,
    Bootstrap,
    Commands,
    Observation,
    Promote,
    Revision,
    Rollback,
    Start,
    Supersede,
)

V1, V2 = Revision("aaa", "1"), Revision("bbb", "2")
AT = "2026-01-01T00:00:00Z"
EPOCH = 1767225600.0
SEEN = Observation(now=EPOCH, target=V2, replicas=1, stable=V1, retry_token="t")
ATTEMPT = Attempt("m-bbb-1", V2, 0, EPOCH, EPOCH)
BAD = Rejected(revision="bbb", version="2", reason="Regression", message="worse", metric="latency", at=AT)


def snapshot(revision: str, *, stable: bool = False, rejection: Rejected | None = None) -> dict[str, Any]:
    bare = {
        "metadata": {"name": f"my-model-{revision}", "namespace": "n", "labels": {}, "ownerReferences": []},
        "revision": 1,
        "data": {"version": "1", "template": {}},
    }
    return history.remembering(bare, stable=stable, rejection=rejection.to_record() if rejection else None)


def test_status_is_read_back_as_it_was_written() -> None:
    status = ModelDeploymentStatus(
        stable=StableStatus(revision="aaa", version="1"),
        canary=CanaryStatus(
            revision="bbb",
            version="2",
            rollout="m-bbb-1",
            step_index=3,
            started_at=AT,
            step_started_at=AT,
            held_since=AT,
        ),
        rejected=[BAD],
    )

    memory = journal.recall(ModelDeploymentStatus.model_validate(status.to_record()), [])

    assert memory == Memory(V1, Attempt("m-bbb-1", V2, 3, EPOCH, EPOCH, held_since=EPOCH), (BAD,))


def test_a_lost_status_is_recovered_from_the_snapshots() -> None:
    memory = journal.recall(
        ModelDeploymentStatus(), [snapshot("aaa", stable=True), snapshot("bbb", rejection=BAD), snapshot("ccc")]
    )

    assert memory == Memory(V1, None, (BAD,))


@pytest.mark.parametrize(
    ("before", "action", "expected"),
    [
        (Memory(), Bootstrap(done=False), Memory()),
        (Memory(), Bootstrap(done=True), Memory(V2)),
        (Memory(V1, ATTEMPT), Supersede("Reverted", ""), Memory(V1)),
        (Memory(V1, ATTEMPT, (BAD,)), Promote("Promoted", ""), Memory(V2)),
        (Memory(V1), Start(), Memory(V1, Attempt("m-bbb-1", V2, 0, EPOCH, EPOCH, unready_since=EPOCH))),
    ],
)
def test_what_an_action_changes(before: Memory, action: Any, expected: Memory) -> None:
    assert journal.after(before, action, SEEN, "m-bbb-1") == expected


def test_a_second_rejection_replaces_the_first() -> None:
    memory = journal.after(Memory(V1, ATTEMPT, (BAD,)), Rollback("Regression", "worse still"), SEEN, "")

    assert [(item.message, item.retry_token) for item in memory.rejected] == [("worse still", "t")]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, Commands()),
        ({"fairlead.dev/promote": "m-bbb-1/2"}, Commands(promote_step=1)),
        ({"fairlead.dev/promote": "m-bbb-1/full"}, Commands(promote_full=True)),
        ({"fairlead.dev/promote": "m-bbb-2/full"}, Commands()),
        ({"fairlead.dev/promote": "full"}, Commands()),
        ({"fairlead.dev/abort": "m-bbb-1", "fairlead.dev/pause": " m-bbb-1 "}, Commands(abort=True, pause=True)),
        ({"fairlead.dev/abort": "m-aaa-1"}, Commands()),
    ],
)
def test_annotations_mean_only_the_rollout_that_they_name(annotations: dict[str, str], expected: Commands) -> None:
    assert journal.commands(annotations, ATTEMPT) == expected
    assert journal.commands(annotations, None) == Commands()


@pytest.mark.parametrize(
    ("value", "told"),
    [("full", True), ("2", True), ("m-bbb-1/", True), ("m-bbb-1/full", False), ("m-aaa-1/3", False)],
)
def test_a_malformed_annotation_is_told(value: str, told: bool) -> None:  # noqa: FBT001  # a table's column
    sentence = journal.misread({"fairlead.dev/promote": value}, ATTEMPT)

    assert ("write m-bbb-1/1 or m-bbb-1/full" in sentence) == told
