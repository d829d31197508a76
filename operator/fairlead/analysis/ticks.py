"""From what was seen at two instants of a rollout's grid to the interval between them."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.analysis import arms, counters, engine
from fairlead.analysis.counters import PodCounters, Seen, Snapshot
from fairlead.analysis.intervals import Interval, MetricCounts
from fairlead.analysis.request import JudgeRequest
from fairlead.analysis.state import State

Counts = Mapping[str, MetricCounts]


class Ticks:
    """The intervals of one rollout. `state` remembers when its pods were Ready first."""

    def __init__(self, request: JudgeRequest, state: State) -> None:
        self._request, self._state = request, state

    def at(self, tick: int) -> float:
        """The instant number `tick` (epoch seconds)."""
        return self._request.started_at + tick * self._request.plan.interval

    def interval(self, before: Seen, now: Seen, tick: int) -> tuple[Interval, str]:
        """The interval that ends at `tick`, and what is wrong with the counters in it (empty: nothing)."""
        request, stage, begin = self._request, self._request.stage, self.at(tick - 1)
        canary = [own for own in now.pods.values() if own.revision == request.canary]
        opened = [own.get(counters.CONNECTIONS) for own in canary if own.has(counters.CONNECTIONS)]
        grown = counters.increments(before.pods, now.pods)
        connections, carried = counters.traffic(grown)
        to_canary, _ = counters.traffic({pod: own for pod, own in grown.items() if own.revision == request.canary})
        metrics, complaints = self._counts(before, now, begin)
        made = Interval(
            tick=tick,
            t=self.at(tick),
            stage=stage.index,
            settled=stage.started_at is not None and begin >= stage.started_at + engine.settle_time(request.plan),
            metrics=metrics,
            late=self._late(before, now),
            connections=sum(opened) if opened else None,
            share=self._share(),
            opened=connections,
            opened_canary=to_canary if opened else None,
            carried=carried,
            canary_seen=bool(canary),
            acted=self._acted(grown, begin),
        )
        return made, "; ".join((*now.complaints, *complaints))

    def admits_stable(self, pod: str, own: PodCounters, begin: float) -> bool:
        """Whether a pod counts for stable in an interval that begins at a time."""
        return own.revision == self._request.stable and self._warm(pod, begin)

    def note_first_request(self, now: Seen, tick: int) -> None:
        """Note the earliest moment at which the first canary request can have come."""
        state = self._state
        if state.first_request_at is not None:
            return
        mine = (pod for pod, own in now.pods.items() if own.revision == self._request.canary)
        canary = [pod for pod in mine if counters.requests(now.pods[pod]) > 0]
        if not canary:
            return
        ready = [since for pod in canary if (since := state.first_ready(pod)) is not None]
        state.first_request_at = max(self.at(tick - 2), min(ready, default=0.0))

    def _share(self) -> float | None:
        """The canary's due share of the connections: each pod's is the same."""
        revisions = [revision for revision, _ in self._request.pods.values()]
        canary, stable = (revisions.count(arm) for arm in (self._request.canary, self._request.stable))
        return canary / (canary + stable) if canary and stable else None

    def _counts(self, before: Seen, now: Seen, begin: float) -> tuple[Counts, list[str]]:
        return arms.counted(
            [metric for metric in self._request.plan.metrics if metric.name not in arms.LATE],
            before,
            now,
            lambda pod, own: own.revision == self._request.canary and self._warm(pod, begin),
            lambda pod, own: self.admits_stable(pod, own, begin),
        )

    def _late(self, before: Seen, now: Seen) -> Counts:
        """Truth that comes long after the request: no pod is too young for it."""
        counts, _ = arms.counted(
            [metric for metric in self._request.plan.metrics if metric.name in arms.LATE],
            before,
            now,
            lambda _pod, own: own.revision == self._request.canary,
            lambda _pod, own: own.revision == self._request.stable,
        )
        return counts

    def _acted(self, grown: Snapshot, begin: float) -> tuple[str, ...]:
        """The rules that kept counts of this interval out, or read them anew."""
        ours = {self._request.canary, self._request.stable}
        young = any(own.revision in ours and not self._warm(pod, begin) for pod, own in grown.items())
        restarted = any(own.restarted for own in grown.values())
        return tuple(name for name, acts in (("warm-up", young), ("counter-reset", restarted)) if acts)

    def _warm(self, pod: str, begin: float) -> bool:
        """Warm-up counts from the first Ready, not from each restart, or a crash loop would never leave it."""
        ready = self._state.first_ready(pod)
        return ready is not None and begin >= ready + self._request.plan.warm_up
