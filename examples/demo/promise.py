"""What the demo must show, checked on what was seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from examples.demo.load import Sum
from examples.demo.watch import PodRecord, epoch

LEAST_REQUESTS = 10_000
LONGEST_EXPOSURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and whether it was kept."""

    kept: bool
    text: str


@dataclass(slots=True)
class Act:
    """A part of the demo: its times in epoch seconds and what the callers met in it."""

    title: str
    began: float
    ended: float = 0.0
    load: Sum = field(default_factory=Sum)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


def promotion(act: Act, rollout: dict[str, Any] | None, pods: Iterable[PodRecord]) -> list[Check]:
    """Version 2 was promoted, nobody noticed, and no pod of it was started anew."""
    phase = status_of(rollout).get("phase", "never started")
    checks = [Check(phase == "Promoted", f"version 2 promoted on evidence ({phase})")]
    load = act.load
    enough = "" if load.sent >= LEAST_REQUESTS else f", which are fewer than {LEAST_REQUESTS:,}"
    text = f"{load.failed} failed of {load.sent:,} requests meanwhile{enough}"
    checks.append(Check(load.failed == 0 and load.sent >= LEAST_REQUESTS, text))
    revision = (rollout or {}).get("spec", {}).get("revision")
    promoted_at = epoch(status_of(rollout).get("finishedAt")) or 0.0
    own = [pod for pod in pods if pod.revision == revision]
    restarted = sum(pod.restarts for pod in own)
    recreated = sum(1 for pod in own if pod.gone or pod.created > promoted_at)
    text = f"{len(own)} pods of version 2: {restarted} restarted, {recreated} recreated by the promotion or since"
    return [*checks, Check(bool(own) and restarted == recreated == 0, text)]


def rollback(rollout: dict[str, Any] | None, stable: str | None) -> list[Check]:
    """Version 3 was rolled back by its own errors, in time, and version 2 serves."""
    status = status_of(rollout)
    phase, culprit = status.get("phase", "never started"), status.get("culprit")
    first, last = epoch(status.get("firstRequestAt")), epoch(status.get("finishedAt"))
    exposure = last - first if first is not None and last is not None else None
    text = f"version 3 rolled back on evidence ({phase}, culprit {culprit or 'none'})"
    checks = [Check(phase == "RolledBack" and culprit is not None, text)]
    told = "unknown" if exposure is None else f"{exposure:.0f} s"
    within = exposure is not None and exposure <= LONGEST_EXPOSURE_SECONDS
    checks.append(Check(within, f"{told} from its first request (at most {LONGEST_EXPOSURE_SECONDS:.0f} s)"))
    return [*checks, Check(stable == "2", f"version {stable} serves")]


def quiet(act: Act) -> Check:
    """After the rollback nothing fails any more."""
    return Check(act.load.failed == 0, f"{act.load.failed} failed of {act.load.sent:,} requests after the rollback")


def status_of(rollout: dict[str, Any] | None) -> dict[str, Any]:
    """Status of a rollout; empty where there is none."""
    status: dict[str, Any] = (rollout or {}).get("status") or {}
    return status
