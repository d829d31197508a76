"""The judge against a real Prometheus."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from fairlead.analysis import counters, queries
from fairlead.analysis.analyst import Analyst
from fairlead.analysis.counters import Snapshot
from fairlead.analysis.prometheus import PrometheusSource
from fairlead.analysis.request import Judgement, JudgeRequest, Stage
from fairlead.analysis.source import Instant, QueryError
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason
from tests.component.analysis.conftest import Exporter, Prometheus, configure, one_release
from tests.component.patience import PATIENCE, until
from tests.unit.analysis.support import plan

QUERY = queries.raw_counters("ns", "m", "canary", "stable")
FAST = {"interval": 1.0, "warm_up": 1.0, "min_step": 3.0, "max_step": 60.0, "max_connection_age": 1.0}


@dataclass
class Rollout:
    """A rollout that is judged in real time, as the controller does it."""

    source: PrometheusSource
    how: AnalysisPlan = field(default_factory=lambda: plan(**FAST))
    began: float = field(default_factory=time.time)
    state: str = ""
    answers: list[Judgement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.analyst = Analyst(self.source)

    async def judge(self) -> Judgement:
        """Ask once, now."""
        pods = {f"s{i}": ("stable", self.began - 60) for i in range(3)} | {"c": ("canary", self.began)}
        answer = await self.analyst.judge(
            JudgeRequest(
                namespace="ns",
                model="m",
                canary="canary",
                stable="stable",
                plan=self.how,
                started_at=self.began,
                stage=Stage(1, self.began),
                pods=pods,
                state=self.state,
                now=time.time(),
            )
        )
        self.state = answer.state
        self.answers.append(answer)
        return answer

    async def judge_until(self, outcome: Outcome, reason: str) -> Judgement:
        """Ask whenever something is due until this is the answer."""
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self.judge()
                if (answer.verdict.outcome, answer.verdict.reason) == (outcome, reason):
                    return answer
                await asyncio.sleep(max(0.05, answer.next_at - time.time()))


async def scraped(source: PrometheusSource) -> Snapshot:
    """The counters once all pods have been scraped; a scrape that is late (more than 1 s) hides its pod for a while."""
    found: Snapshot = {}

    async def all_there() -> bool:
        nonlocal found
        found = counters.snapshot(await source.instant(QUERY, time.time()))
        return len(found) == 4

    await until(all_there)
    return found


@pytest.fixture
async def rollout(prometheus: Prometheus) -> Rollout:
    """A rollout that begins when all pods have been scraped."""
    source = PrometheusSource(prometheus.url, timeout=PATIENCE)
    await scraped(source)
    return Rollout(source)


async def test_raw_counters_are_read_per_pod(rollout: Rollout, exporter: Exporter) -> None:
    snapshot = await scraped(rollout.source)
    assert set(snapshot) == set(exporter.pods)
    assert {own.revision for own in snapshot.values()} == {"stable", "canary"}
    own = snapshot["s0"]
    assert own.get(counters.BUCKETS, counters.INF) == own.get(counters.REQUESTS, "success")
    end, window = 0.0, list[Instant]()

    async def looked_back() -> bool:
        """What was scraped first just now is seen from the next whole second on."""
        nonlocal end, window
        end = time.time()
        window = list(await rollout.source.window(QUERY, end - 5, end, 1.0))
        return bool(window)

    await until(looked_back)
    assert all(end - 6 < t < end + 1 for t, _ in window), "its ends are rounded to whole seconds"
    assert [t for t, _ in window] == sorted(t for t, _ in window)
    assert set(counters.snapshot(window[-1][1])) <= set(exporter.pods)


async def test_a_failing_canary_is_rolled_back(rollout: Rollout, exporter: Exporter) -> None:
    exporter.pods["c"].errors = 40.0
    answer = await rollout.judge_until(Outcome.ROLLBACK, Reason.REGRESSION)
    assert answer.verdict.culprit == "error-rate"
    assert answer.first_request_at is not None


@one_release
async def test_a_good_canary_advances(rollout: Rollout) -> None:
    answer = await rollout.judge_until(Outcome.ADVANCE, Reason.PROVEN)
    assert Outcome.ROLLBACK not in {a.verdict.outcome for a in rollout.answers}
    assert answer.verdict.achieved_weight == pytest.approx(25, abs=3)


@one_release
async def test_a_stopped_prometheus_is_waited_for(rollout: Rollout, prometheus: Prometheus) -> None:
    await rollout.judge()
    prometheus.stop()
    answer = await rollout.judge_until(Outcome.INCONCLUSIVE, Reason.PROVIDER_ERROR)
    assert "connection refused" in answer.verdict.message
    assert not answer.verdict.measurable
    await prometheus.start()
    await rollout.judge_until(Outcome.ADVANCE, Reason.PROVEN)
    assert Outcome.ROLLBACK not in {a.verdict.outcome for a in rollout.answers}


@one_release
async def test_canary_that_is_not_scraped_is_no_data(rollout: Rollout, exporter: Exporter) -> None:
    exporter.pods["c"].up = False
    answer = await rollout.judge_until(Outcome.INCONCLUSIVE, Reason.NO_DATA)
    assert not answer.verdict.measurable


@one_release
async def test_pods_scraped_by_two_jobs_are_a_configuration_error(
    rollout: Rollout, prometheus: Prometheus, exporter: Exporter
) -> None:
    prometheus.stop()
    configure(prometheus, exporter, jobs=2)
    await prometheus.start()
    answer = await rollout.judge_until(Outcome.INCONCLUSIVE, Reason.BAD_QUERY)
    assert "scraped by two jobs" in answer.verdict.message


async def test_a_wrong_query_is_refused_with_prometheus_own_words(prometheus: Prometheus) -> None:
    source = PrometheusSource(prometheus.url, timeout=PATIENCE)
    with pytest.raises(QueryError, match="parse error"):
        await source.instant("sum(", time.time())
    source.close()


async def test_any_label_value_is_matched_as_it_is(prometheus: Prometheus) -> None:
    """Prometheus's own parser reads what our quoting wrote."""
    source = PrometheusSource(prometheus.url, timeout=PATIENCE)
    nasty = 'a"b\\c\nd.*|{}'
    assert await source.instant(queries.raw_counters(nasty, nasty, nasty, nasty), time.time()) == []
    source.close()
