"""What a metric store remembers of a rollout, as the instants of a replay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fairlead.analysis import arms, counters, history
from fairlead.analysis.asking import Questions
from fairlead.analysis.counters import PodCounters, Seen
from fairlead.analysis.recording import Instant
from fairlead.analysis.request import JudgeRequest
from fairlead.analysis.source import MetricSource

AT_ONCE = 1000
"""Instants that are asked for in one question."""


@dataclass(slots=True)
class Recall:
    """A past rollout: `request` says which, and `started_at` when its canary got traffic; `end` in epoch seconds."""

    source: MetricSource
    request: JudgeRequest
    end: float

    async def instants(self) -> AsyncIterator[Instant]:
        """All instants from some time before the start to the end. Raises MetricError."""
        request, plan = self.request, self.request.plan
        questions = Questions(self.source, plan, request.variables)
        start = request.started_at - history.ticks(plan) * plan.interval
        before: tuple[float, Seen] | None = None
        known: dict[str, float] = {}
        while start <= self.end:
            last = min(self.end, start + (AT_ONCE - 1) * plan.interval)
            for t, now in await questions.window(start, last, plan.interval):
                for pod in now.pods:
                    # One that was there when looking back began may be of any age.
                    known.setdefault(pod, t if before is not None else float("-inf"))
                if before is not None and now.pods:
                    yield self._instant(before, (t, now), known)
                before = t, now
            start = last + plan.interval

    def _instant(self, before: tuple[float, Seen], after: tuple[float, Seen], known: dict[str, float]) -> Instant:
        (begin, old), (t, now) = before, after
        request, plan = self.request, self.request.plan
        young = False

        def warm(pod: str) -> bool:
            nonlocal young
            aged = begin >= known[pod] + plan.warm_up
            young = young or not aged
            return aged

        def canary(pod: str, own: PodCounters) -> bool:
            return own.revision == request.canary and warm(pod)

        def stable(pod: str, own: PodCounters) -> bool:
            return own.revision == request.stable and warm(pod)

        usual = [metric for metric in plan.metrics if metric.name not in arms.LATE]
        truth = [metric for metric in plan.metrics if metric.name in arms.LATE]
        metrics, complaints = arms.counted(usual, old, now, canary, stable)
        late, _ = arms.counted(
            truth,
            old,
            now,
            lambda _pod, own: own.revision == request.canary,
            lambda _pod, own: own.revision == request.stable,
        )
        grown = counters.increments(old.pods, now.pods)
        opened, _ = counters.traffic(grown)
        to_canary, _ = counters.traffic({pod: own for pod, own in grown.items() if own.revision == request.canary})
        at = t - request.started_at
        found = Instant(at, 0, metrics, [(at, name, counts) for name, counts in late.items()])
        found.opened = {"canary": to_canary, "stable": opened - to_canary}
        if complaints or now.complaints:
            found.errors = {metric.name: complaint for metric in usual for complaint in (*now.complaints, *complaints)}
        if young:
            found.acted["warm-up"] = None
        return found
