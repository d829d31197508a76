"""What is asked of the metric store for one rollout: the built-in counters and users' own ratios, side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fairlead.analysis import counters, queries
from fairlead.analysis.arms import BAD, TOTAL
from fairlead.analysis.counters import Seen, Snapshot
from fairlead.analysis.source import (
    AmbiguousError,
    Instant,
    MetricError,
    MetricSource,
    QueryError,
    RestingError,
    Sample,
)
from fairlead.analysis.thresholds import Answer, assess
from fairlead.api.plan import AnalysisPlan, PlanMetric, PlanQuery

T = TypeVar("T")


class Questions:
    """The questions of one rollout. `variables` are those of users' templates; `QuerySpec` has the list."""

    def __init__(self, source: MetricSource, plan: AnalysisPlan, variables: Mapping[str, str]) -> None:
        self._source, self._plan, self._variables = source, plan, variables
        self._ratios = [metric for metric in plan.metrics if metric.ratio is not None]
        self._built_in = queries.raw_counters(
            variables["namespace"],
            variables["model"],
            variables["canary"],
            variables["stable"],
            [metric.name for metric in plan.metrics],
        )

    @property
    def texts(self) -> dict[str, str]:
        """The questions in PromQL, by what they are asked for; what cannot be rendered is left out."""
        out = {"built-in": self._built_in}
        for metric in self._plan.metrics:
            with contextlib.suppress(MetricError):
                if metric.ratio is not None:
                    out[f"{metric.name} (bad)"], out[f"{metric.name} (total)"] = _ratio(
                        metric, self._plan, self._variables
                    )
                elif metric.query is not None:
                    out[metric.name] = rendered(metric.query, self._variables, self._variables["canary"])
        return out

    async def at(self, t: float) -> Seen:
        """All counters at an instant.

        Raises:
            MetricError: the built-in counters cannot be had. Of a user's ratio that is a complaint only, so that one
                wrong query does not blind the judge.
        """
        built_in = _tried(self._source.instant(self._built_in, t))
        asked = [self._ratio_at(metric, t) for metric in self._ratios]
        samples, ratios = await asyncio.gather(built_in, asyncio.gather(*asked))
        if isinstance(samples, MetricError):
            raise samples
        return self._seen(samples, ratios)

    async def window(self, start: float, end: float, step: float) -> list[tuple[float, Seen]]:
        """All counters at each instant of a window, in order of time. Raises MetricError as `at` does."""
        built_in = _tried(self._source.window(self._built_in, start, end, step))
        asked = [self._ratio_window(metric, start, end, step) for metric in self._ratios]
        instants, ratios = await asyncio.gather(built_in, asyncio.gather(*asked))
        if isinstance(instants, MetricError):
            raise instants
        # With a hundred pods this takes a second, which the event loop has not got.
        return await asyncio.to_thread(self._sorted, instants, ratios)

    def _sorted(
        self, instants: Sequence[Instant], ratios: Sequence[Mapping[float, list[Sample]]]
    ) -> list[tuple[float, Seen]]:
        return [(t, self._seen(samples, [found.get(t, []) for found in ratios])) for t, samples in instants]

    async def thresholds(self, instants: Iterable[tuple[PlanMetric, int, float]]) -> list[tuple[str, int, Answer]]:
        """The answers about users' thresholds: each a metric, the number of its instant, and that instant.

        What was not even asked, because Prometheus is given a rest, is left out: it is asked later.
        """
        listed = list(instants)
        answers = await asyncio.gather(*(self._threshold(metric, t) for metric, _, t in listed))
        return [
            (metric.name, instant, answer)
            for (metric, instant, _), answer in zip(listed, answers, strict=True)
            if answer is not None
        ]

    async def _threshold(self, metric: PlanMetric, t: float) -> Answer | None:
        query = metric.query
        if query is None:
            raise ValueError(metric.name)
        revisions = ["canary", "stable"] if query.compare_to_stable else ["canary"]
        found = await asyncio.gather(*(self._number(query, self._variables[arm], t) for arm in revisions))
        if any(isinstance(answer, RestingError) for answer in found):
            return None
        return assess(metric.name, query, *found)

    async def _number(self, query: PlanQuery, revision: str, t: float) -> Sequence[Sample] | MetricError:
        try:
            return await self._source.instant(rendered(query, self._variables, revision), t)
        except MetricError as error:
            return error

    def _seen(self, samples: Iterable[Sample], ratios: Sequence[list[Sample] | MetricError]) -> Seen:
        complaints: list[str] = []
        pods: Snapshot = {}
        try:
            pods = counters.snapshot(samples)
        except AmbiguousError as error:
            complaints.append(str(error))
        own: dict[str, Snapshot] = {}
        for metric, found in zip(self._ratios, ratios, strict=True):
            try:
                own[metric.name] = _of_ratio(found)
            except MetricError as error:
                if not metric.dry_run:
                    complaints.append(f"metric {metric.name}: {error}")
        return Seen(pods, own, tuple(complaints))

    async def _ratio_at(self, metric: PlanMetric, t: float) -> list[Sample] | MetricError:
        try:
            asked = [_tried(self._source.instant(query, t)) for query in _ratio(metric, self._plan, self._variables)]
        except MetricError as error:
            return error
        bad, total = await asyncio.gather(*asked)
        if isinstance(bad, MetricError):
            return bad
        return total if isinstance(total, MetricError) else _named(bad, total)

    async def _ratio_window(
        self, metric: PlanMetric, start: float, end: float, step: float
    ) -> Mapping[float, list[Sample]]:
        """What a ratio was before the rollout. Where it cannot be had it is found out on the way."""
        try:
            asked = [
                _tried(self._source.window(query, start, end, step))
                for query in _ratio(metric, self._plan, self._variables)
            ]
        except MetricError:
            return {}
        bad, total = await asyncio.gather(*asked)
        if isinstance(bad, MetricError) or isinstance(total, MetricError):
            return {}
        failed = dict(bad)
        return {t: _named(failed.get(t, []), samples) for t, samples in total}


def check(plan: AnalysisPlan, variables: Mapping[str, str]) -> None:
    """Render every template of a plan once. Raises QueryError, with the metric's name, for the first that is wrong."""
    for metric in plan.metrics:
        try:
            if metric.ratio is not None:
                _ratio(metric, plan, variables)
            elif metric.query is not None:
                rendered(metric.query, variables, variables["canary"])
        except QueryError as error:
            message = f"metric {metric.name}: {error}"
            raise QueryError(message) from error


def _ratio(metric: PlanMetric, plan: AnalysisPlan, variables: Mapping[str, str]) -> tuple[str, str]:
    """The queries of a user's ratio. Raises QueryError."""
    if metric.ratio is None:
        raise ValueError(metric.name)
    known = {**variables, "interval": queries.duration(plan.interval), "args": {}}
    return queries.render(metric.ratio.bad, known), queries.render(metric.ratio.total, known)


def rendered(query: PlanQuery, variables: Mapping[str, str], revision: str) -> str:
    """The PromQL of a threshold for one revision. Raises QueryError."""
    interval = queries.duration(query.interval)
    return queries.render(
        query.query, {**variables, "revision": revision, "interval": interval, "args": query.arguments}
    )


def _named(bad: Iterable[Sample], total: Iterable[Sample]) -> list[Sample]:
    """The series under the names that judging knows them by."""
    return [
        Sample({**sample.labels, "__name__": name}, sample.value, sample.histogram)
        for name, samples in ((BAD, bad), (TOTAL, total))
        for sample in samples
    ]


def _of_ratio(found: list[Sample] | MetricError) -> Snapshot:
    if isinstance(found, MetricError):
        raise found
    if any("revision" not in sample.labels for sample in found):
        message = "a series has no revision label: the answer needs one series a pod, with the labels pod and revision"
        raise AmbiguousError(message)
    return counters.snapshot(found)


async def _tried(asked: Coroutine[Any, Any, T]) -> T | MetricError:
    """The answer, or why there is none, so that what is asked beside it is waited for too."""
    try:
        return await asked
    except MetricError as error:
        return error
