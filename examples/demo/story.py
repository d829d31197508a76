"""The three acts: version 1 serves, version 2 is promoted on evidence, version 3 is rolled back on evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from examples.demo import environment
from examples.demo.frame import frame
from examples.demo.kubectl import DemoError, Kubectl
from examples.demo.load import LoadReader, Sum
from examples.demo.promise import Act, status_of
from examples.demo.view import View
from examples.demo.watch import Snapshot, Watcher

LOOK_SECONDS = 0.5
RECENT_SECONDS = 5.0
FIRST_VERSION_SECONDS = 120.0
# Before the first rollout the noise of the stable pods is learnt for a while.
BASELINE_SECONDS = 30.0
PROMOTION_SECONDS = 420.0
ROLLBACK_SECONDS = 180.0
AFTERMATH_SECONDS = 12.0
FINISHED = ("Promoted", "RolledBack", "Aborted", "Superseded")

Condition = Callable[[Snapshot], bool]


@dataclass(slots=True)
class Stage:
    """The cluster, the eyes on it and the mouth: what every act needs."""

    kubectl: Kubectl
    watcher: Watcher
    view: View
    load: LoadReader | None = None
    told: set[tuple[str, int]] = field(default_factory=set)

    def until(self, condition: Condition, seconds: float, what: str) -> Snapshot:
        """Show what happens until the condition holds. Raises DemoError when that takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.look()
            if condition(seen):
                return seen
            if self.load is not None and self.load.ended:
                message = f"{what}: the load has ended, or the cluster has; `kubectl logs pod/load` may say why"
                raise DemoError(message)
            if time.monotonic() > deadline:
                message = f"{what}: not within {seconds:.0f} s; phase {seen.phase}: {seen.status.get('message', '')}"
                raise DemoError(message)

    def hold(self, seconds: float) -> Snapshot:
        """Show what happens for some time."""
        deadline = time.monotonic() + seconds
        return self.until(lambda _: time.monotonic() >= deadline, seconds + 1, "waiting")

    def look(self) -> Snapshot:
        """One look, shown."""
        seen = self.watcher.snapshot(wait=LOOK_SECONDS)
        self._tell_decisions(seen)
        now = time.time()
        if self.load is None:
            self.view.show(frame(seen, Sum(), Sum(), 0.0, []))
        else:
            rate, latency = self.load.recent()
            recent = self.load.between(now - RECENT_SECONDS)
            self.view.show(frame(seen, self.load.between(), recent, rate, latency))
        return seen

    def apply(self, version: str, **spec: Any) -> None:
        """Apply the model with a version, as a person would from a file."""
        self.view.note(f"kubectl apply: version {version}", style="bold")
        self.kubectl.apply(environment.model_deployment(version, **spec))

    def _tell_decisions(self, seen: Snapshot) -> None:
        for name, rollout in sorted(seen.rollouts.items()):
            for number, decision in enumerate(status_of(rollout).get("decisions", [])):
                if (name, number) in self.told:
                    continue
                self.told.add((name, number))
                version = rollout["spec"]["version"]
                bad = decision["action"] in {"RolledBack", "Aborted"}
                text = f"version {version}: {decision['action']} ({decision['reason']}): {decision['message']}"
                self.view.note(text, style="red" if bad else "cyan")


def serve_first(stage: Stage, version: str = "1") -> None:
    """Version 1 comes up."""
    stage.apply(version)

    def serving(seen: Snapshot) -> bool:
        return seen.phase == "Healthy" and seen.stable_version == version

    stage.until(serving, FIRST_VERSION_SECONDS, f"version {version} serves")


def roll_out(stage: Stage, version: str, seconds: float, title: str) -> Act:
    """Apply a version and wait for the end of its rollout, whichever it is."""
    act = Act(title, time.time())
    stage.apply(version)

    def finished(seen: Snapshot) -> bool:
        if seen.phase not in {"Healthy", "Degraded"}:
            return False
        phase = status_of(seen.rollout(version)).get("phase")
        # The last pods of a canary that was sent away still answer what was sent to them.
        return phase == "Promoted" or (phase in FINISHED and not seen.pods_left(version))

    stage.until(finished, seconds, title)
    return close(stage, act)


def watch_on(stage: Stage, seconds: float, title: str) -> Act:
    """Let time pass under load."""
    act = Act(title, time.time())
    stage.hold(seconds)
    return close(stage, act)


def close(stage: Stage, act: Act) -> Act:
    """End an act, and count what the callers met in it."""
    act.ended = time.time()
    if stage.load is not None:
        # The line about the last second comes a moment after it.
        stage.hold(1.5)
        act.load = stage.load.between(act.began, act.ended)
    return act
