"""What pods tell about themselves, row by row: the kubelet's own objects in, one sentence out."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.controller.pods import fleet, terminating, view

CREATED = "2026-01-01T00:00:00Z"


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "m-aaa-x", "labels": {"fairlead.dev/revision": "aaa"}, "creationTimestamp": CREATED},
        "status": {"podIP": "10.0.0.1", **status},
    }


def container(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "model", "state": state, "lastState": last or {}}]}


ENDED = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:01:00Z"}}
SAID = {"terminated": {**ENDED["terminated"], "message": "model.skops: not found\n"}}
KILLED = {"terminated": {**ENDED["terminated"], "exitCode": 137, "reason": "OOMKilled"}}
BACKOFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}


@pytest.mark.parametrize(
    ("status", "reason", "part"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
                ]
            },
            "Unschedulable",
            "0/1 nodes: cpu",
        ),
        (
            container({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            "ImagePullBackOff",
            "no such image",
        ),
        (
            container({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}),
            "CreateContainerConfigError",
            'secret "s3" not found',
        ),
        (container(BACKOFF, SAID), "ModelLoadFailed", "model.skops: not found"),
        (container(SAID), "ModelLoadFailed", "model.skops: not found"),
        (container(BACKOFF, KILLED), "CrashLoopBackOff", "OOMKilled, exit code 137"),
        (container(ENDED), "Error", "exit code 1"),
    ],
)
def test_why_a_pod_is_not_ready(status: dict[str, Any], reason: str, part: str) -> None:
    trouble = view(pod(**status)).trouble

    assert trouble is not None
    assert trouble.reason == reason
    assert part in trouble.message


@pytest.mark.parametrize(
    "status",
    [
        {},
        container({"waiting": {"reason": "ContainerCreating"}}),
        container({"running": {}}),
        {
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": CREATED}],
            **container(BACKOFF, ENDED),
        },
    ],
)
def test_a_pod_on_its_way_or_ready_is_no_trouble(status: dict[str, Any]) -> None:
    assert view(pod(**status)).trouble is None


def test_a_fleet_counts_its_pods_and_remembers_the_last_crash() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": CREATED}]}
    deployment = {"metadata": {"creationTimestamp": CREATED}, "spec": {"replicas": 3}}
    pods = [view(pod(**ready)), view(pod(**container({"running": {}}, ENDED)))]

    found = fleet(deployment, pods, {"m-aaa-x": "storage unreachable, attempt 4"})

    assert (found.wanted, found.pods, found.ready) == (3, 2, 1)
    assert found.last_crash == found.created + 60 if found.created else False
    assert found.trouble is not None
    assert found.trouble.message == "storage unreachable, attempt 4"


def test_pods_that_are_not_let_in_show_on_the_deployment() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    deployment = {
        "metadata": {"creationTimestamp": CREATED},
        "spec": {"replicas": 1},
        "status": {"conditions": [failure]},
    }

    trouble = fleet(deployment, [], {}).trouble

    assert trouble is not None
    assert trouble.message == "exceeded quota"


def test_a_pod_on_its_way_out_counts_no_more() -> None:
    assert terminating({"metadata": {"deletionTimestamp": CREATED}})
    assert terminating({"metadata": {}, "status": {"phase": "Failed"}})
    assert not terminating(pod())
