"""Every metric's counts, read from a real Prometheus: classic and native histograms, classes, users' own."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.analysis import arms
from fairlead.analysis.asking import Questions
from fairlead.analysis.counters import Seen
from fairlead.analysis.intervals import MetricCounts
from fairlead.analysis.prometheus import PrometheusSource
from fairlead.api.metricspec import Metric
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason
from fairlead.rollout.metrics import BUILT_IN, planned_metrics
from tests.component.analysis.conftest import LATENCY_BUCKET, Exporter, Prometheus, configure, one_release
from tests.component.analysis.test_prometheus import FAST, Rollout
from tests.component.patience import PATIENCE, until
from tests.unit.analysis.support import plan

VARIABLES = {"namespace": "ns", "model": "m", "name": "m", "canary": "canary", "stable": "stable"}
VARIABLES |= {"revision": "canary", "version": "2", "stableVersion": "1"}
OWN = {
    "name": "checkout",
    "ratio": {
        "bad": "checkout_failed_total{model={{ model | text }}, revision=~{{ [canary, stable] | any_of }}}",
        "total": "sum by (pod, revision) (checkout_total{namespace={{ namespace | text }}})",
    },
}


def judged_by(*metrics: dict[str, Any]) -> AnalysisPlan:
    """Short times, and these metrics beside the errors."""
    errors = {"name": "error-rate", "promotionMargin": {"ratio": 1.5, "absolute": 0.01}}
    listed = [Metric.model_validate(metric) for metric in (errors, *metrics)]
    return plan(**FAST).model_copy(update={"metrics": planned_metrics(listed)})


ALL = judged_by(*({"name": name} for name in BUILT_IN if name != "error-rate"), OWN)


@pytest.fixture
async def source(prometheus: Prometheus) -> AsyncIterator[PrometheusSource]:
    """The Prometheus, once it has scraped every pod twice."""
    source = PrometheusSource(prometheus.url, timeout=PATIENCE)

    async def scraped() -> bool:
        found = await source.instant("min by (pod) (sum_over_time(up[10m]))", time.time())
        return len(found) == 4 and min(sample.value for sample in found) >= 2

    await until(scraped)
    yield source
    source.close()


async def counted(source: PrometheusSource, how: AnalysisPlan = ALL) -> dict[str, MetricCounts]:
    """What came in within a moment, by metric."""
    questions = Questions(source, how, VARIABLES)
    before = now = Seen()

    async def begun() -> bool:
        nonlocal before
        before = await questions.at(time.time())
        return all_seen(before)

    async def grown() -> bool:
        nonlocal now
        now = await questions.at(time.time())
        return all_seen(now) and all(now.pods[pod] != own for pod, own in before.pods.items())

    def all_seen(seen: Seen) -> bool:
        """A scrape that is late (more than 1 s) hides its pod for a while."""
        return {len(pods) for pods in (seen.pods, *seen.own.values())} == {4}

    await until(begun)
    await until(grown)
    found, complaints = arms.counted(
        how.metrics, before, now, lambda _p, own: own.revision == "canary", lambda _p, own: own.revision == "stable"
    )
    assert [*before.complaints, *now.complaints, *complaints] == []
    return found


async def test_every_metric_has_counts_of_every_pod(source: PrometheusSource) -> None:
    found = await counted(source)
    assert set(found) == {metric.name for metric in ALL.metrics}
    for name, counts in found.items():
        assert (set(counts.canary), set(counts.stable)) == ({"c"}, {"s0", "s1", "s2"}), name
    assert found["latency"].kind == "histogram"
    assert found["latency"].edges == (0.01, 0.1, 1.0)
    assert {name for name, counts in found.items() if counts.kind == "categorical"} == {
        "prediction-distribution",
        "score-distribution",
        "input-distribution",
    }
    classes = found["prediction-distribution"].canary["c"]
    assert isinstance(classes, dict)
    assert classes["cat"] == pytest.approx(classes["dog"], abs=2)
    checkout = found["checkout"].canary["c"]
    assert isinstance(checkout, tuple)
    assert checkout[0] > 0 == checkout[1]


@pytest.fixture
def native(exporter: Exporter) -> Exporter:
    """The pods' latency as native histograms."""
    for pod in exporter.pods.values():
        pod.native = True
    return exporter


@pytest.mark.usefixtures("native")
async def test_native_histograms_come_with_their_schema(source: PrometheusSource) -> None:
    latency = (await counted(source))["latency"]
    assert (latency.kind, latency.schema) == ("native", 3)
    buckets = latency.stable["s0"]
    assert isinstance(buckets, dict)
    assert set(buckets) == {LATENCY_BUCKET, LATENCY_BUCKET + 5}
    assert buckets[LATENCY_BUCKET] == pytest.approx(3 * buckets[LATENCY_BUCKET + 5], abs=4)
    questions = Questions(source, ALL, VARIABLES)

    async def looked_back() -> bool:
        end = time.time()
        window = [seen for _, seen in await questions.window(end - 5, end, 1.0)]
        return any("c" in seen.pods and seen.pods["c"].histograms and seen.own["checkout"] for seen in window)

    await until(looked_back)


async def test_a_canary_twice_as_slow_is_rolled_back_by_native_buckets(
    native: Exporter, source: PrometheusSource
) -> None:
    native.pods["c"].shift = 8
    rollout = Rollout(source, judged_by({"name": "latency"}))
    answer = await rollout.judge_until(Outcome.ROLLBACK, Reason.REGRESSION)
    assert answer.verdict.culprit == "latency"


@one_release
async def test_custom_buckets_are_not_taken_for_exponential_ones(
    prometheus: Prometheus, exporter: Exporter, source: PrometheusSource
) -> None:
    prometheus.stop()
    shutil.rmtree(prometheus.folder / "data")
    configure(prometheus, exporter, convert_classic_histograms_to_nhcb=True)
    await prometheus.start()
    await until(lambda: _is_custom(source))
    found = await counted(source)
    assert set(found) == {metric.name for metric in ALL.metrics} - {"latency", "score-distribution"}


async def _is_custom(source: PrometheusSource) -> bool:
    classic = await source.instant("fairlead_request_duration_seconds_bucket", time.time())
    return not classic and bool(await source.instant("fairlead_request_duration_seconds", time.time()))


@one_release
async def test_a_users_own_ratio_is_judged_on_evidence(exporter: Exporter, source: PrometheusSource) -> None:
    exporter.pods["c"].errors = 40.0
    how = judged_by(OWN)
    rollout = Rollout(source, how.model_copy(update={"metrics": how.metrics[1:]}))
    answer = await rollout.judge_until(Outcome.ROLLBACK, Reason.REGRESSION)
    assert answer.verdict.culprit == "checkout"


@one_release
async def test_thresholds_are_asked_of_a_real_prometheus(source: PrometheusSource) -> None:
    rate = "sum(rate(checkout_total{revision={{ revision | text }}}[10s]))"
    good = {"name": "per-pod", "query": rate, "interval": "2s", "compareTo": "stable", "maxIncrease": 0.1}
    rollout = Rollout(source, judged_by(good))
    answer = await rollout.judge_until(Outcome.ADVANCE, Reason.PROVEN)
    reading = next(reading for reading in answer.verdict.readings if reading.name == "per-pod")
    assert reading.ratio == pytest.approx(1 / 3, rel=0.5)
    floor = {"name": "floor", "query": f"scalar({rate})", "interval": "2s", "thresholdRange": {"min": 1e6}}
    rollout = Rollout(source, judged_by(floor))
    answer = await rollout.judge_until(Outcome.ROLLBACK, Reason.THRESHOLD)
    assert "below the minimum of 1e+06" in answer.verdict.message


@one_release
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sum(", "parse error"),
        ("checkout_total", "has 4 series, and one number is needed"),
        ("fairlead_requests_total[10s]", "answered with"),
    ],
)
async def test_a_query_that_cannot_be_answered_holds(source: PrometheusSource, query: str, text: str) -> None:
    wrong = {"name": "wrong", "query": query, "interval": "1s", "thresholdRange": {"min": 0}}
    rollout = Rollout(source, judged_by(wrong | {"consecutiveErrorLimit": 1}))
    answer = await rollout.judge_until(Outcome.INCONCLUSIVE, Reason.BAD_QUERY)
    assert text in answer.verdict.message
    assert Outcome.ROLLBACK not in {answer.verdict.outcome for answer in rollout.answers}


@one_release
async def test_a_prometheus_that_lost_its_history_goes_on(prometheus: Prometheus, source: PrometheusSource) -> None:
    rollout = Rollout(source)
    for _ in range(3):
        await rollout.judge()
    prometheus.stop()
    shutil.rmtree(prometheus.folder / "data")
    await prometheus.start()
    await rollout.judge_until(Outcome.ADVANCE, Reason.PROVEN)
    assert Outcome.ROLLBACK not in {answer.verdict.outcome for answer in rollout.answers}
