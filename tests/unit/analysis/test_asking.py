"""Users' ratios and thresholds beside the built-in counters: asked at their instants, and never blinding the judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fairlead.analysis.analyst import Analyst
from fairlead.analysis.request import Judgement
from fairlead.analysis.source import Instant, MetricError, ProviderError, QueryError, RestingError, Sample
from fairlead.api.plan import AnalysisPlan, PlanMetric
from fairlead.api.verdict import Outcome, Reason
from fairlead.rollout.metrics import PROMOTION, ROLLBACK
from tests.unit.analysis.support import START, Steady, every_tick, four_pods, plan, request

Answers = Mapping[str, Callable[[float], list[Sample]]]


@dataclass
class Store(Steady):
    """The steady pods, and users' series by the query that selects them; a function may raise."""

    answers: Answers = field(default_factory=dict)
    log: list[tuple[str, float]] = field(default_factory=list)

    async def instant(self, query: str, at: float) -> list[Sample]:
        if query.startswith("{__name__"):
            return await super().instant(query, at)
        self.log.append((query, at - START))
        return self.answers[query](at)

    async def window(self, query: str, start: float, end: float, step: float) -> list[Instant]:
        if query not in self.answers:
            return await super().window(query, start, end, step)
        count = round((end - start) / step)
        return [(start + i * step, self.answers[query](start + i * step)) for i in range(count + 1)]


def per_pod(rate: float, canary: float | None = None) -> Callable[[float], list[Sample]]:
    """A counter that grows on every pod by so much a second, on the canary by another rate."""

    def answer(at: float) -> list[Sample]:
        pods = {f"s{i}": ("stable", START - 300.0, rate) for i in range(3)}
        pods["c"] = ("canary", START + 10.0, rate if canary is None else canary)
        return [
            Sample({"pod": pod, "revision": revision}, round((at - begin) * speed))
            for pod, (revision, begin, speed) in pods.items()
            if at >= begin
        ]

    return answer


def failing(error: MetricError) -> Callable[[float], list[Sample]]:
    def answer(_at: float) -> list[Sample]:
        raise error

    return answer


def number(value: float) -> Callable[[float], list[Sample]]:
    return lambda _at: [Sample({}, value)]


def with_metric(**fields: Any) -> AnalysisPlan:
    base = {"weight": 0.5, "rollback": ROLLBACK, "promotion": PROMOTION}
    judged = plan()
    return judged.model_copy(update={"metrics": [*judged.metrics, PlanMetric.model_validate(base | fields)]})


RATIO = with_metric(
    name="checkout", ratio={"bad": "bad{model={{ model | text }}}", "total": "all[{{ interval }}]"}, kind="ratio"
)
BAD, ALL = 'bad{model="m"}', "all[5s]"


async def judged(store: Store, how: AnalysisPlan, until: float = 160.0) -> list[Judgement]:
    return await every_tick(Analyst(store).judge, until, how)


async def test_a_users_ratio_rolls_back_on_evidence() -> None:
    store = Store(four_pods(), answers={BAD: per_pod(0.0, canary=10.0), ALL: per_pod(50.0)})
    answers = await judged(store, RATIO)
    verdict = answers[-1].verdict
    assert (verdict.outcome, verdict.culprit) == (Outcome.ROLLBACK, "checkout")
    assert answers[-1].queries["checkout (bad)"] == BAD
    asked = {t for query, t in store.log if query == BAD}
    assert asked == {t for query, t in store.log if query == ALL} <= {5.0 * tick for tick in range(40)}


async def test_a_users_ratio_that_is_alike_advances() -> None:
    store = Store(four_pods(), answers={BAD: per_pod(0.5), ALL: per_pod(50.0)})
    answers = await judged(store, RATIO)
    assert Outcome.ROLLBACK not in {answer.verdict.outcome for answer in answers}
    assert Outcome.ADVANCE in {answer.verdict.outcome for answer in answers}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (failing(QueryError("Prometheus refused the question: parse error")), "metric checkout: Prometheus refused"),
        (failing(ProviderError("no answer within 5 s")), "metric checkout: no answer within 5 s"),
        (lambda _at: [Sample({"pod": "c"}, 1.0)], "metric checkout: a series has no revision label"),
        (lambda _at: [Sample({"revision": "canary"}, 1.0)], "metric checkout: bad has no pod label"),
        (lambda _at: [Sample({"pod": "c", "revision": "canary"}, 1.0)] * 2, "two series of bad for pod c"),
        (per_pod(70.0), "bad of"),
    ],
    ids=["syntax", "timeout", "no revision", "no pod", "twice", "more bad than all"],
)
async def test_a_wrong_ratio_holds_and_says_so(wrong: Callable[[float], list[Sample]], text: str) -> None:
    store = Store(four_pods(), answers={BAD: wrong, ALL: per_pod(50.0)})
    answer = (await judged(store, RATIO, 100))[-1]
    assert (answer.verdict.outcome, answer.verdict.reason) == (Outcome.INCONCLUSIVE, Reason.BAD_QUERY)
    assert text in answer.verdict.message


async def test_a_wrong_ratio_does_not_keep_errors_from_being_seen() -> None:
    store = Store(four_pods(canary_errors=25.0), answers={BAD: failing(QueryError("no")), ALL: per_pod(50.0)})
    verdict = (await judged(store, RATIO))[-1].verdict
    assert (verdict.outcome, verdict.culprit) == (Outcome.ROLLBACK, "error-rate")


COST = with_metric(
    name="cost",
    kind="query",
    weight=0,
    query={"query": "cost{r={{ revision | text }}}", "interval": 20, "maximum": 2, "failureLimit": 1},
)
COST_QUERY = 'cost{r="canary"}'


async def test_a_threshold_is_asked_on_its_own_grid() -> None:
    store = Store(four_pods(), answers={COST_QUERY: number(1.0)})
    answers = await judged(store, COST, 100)
    assert [t for _, t in store.log] == [20.0, 40.0, 60.0, 80.0]
    assert Outcome.ADVANCE in {answer.verdict.outcome for answer in answers}
    assert answers[-1].queries["cost"] == COST_QUERY


async def test_a_failed_threshold_rolls_back_beyond_its_limit() -> None:
    store = Store(four_pods(), answers={COST_QUERY: number(5.0)})
    answers = await judged(store, COST, 120)
    first = next(answer for answer in answers if answer.verdict.outcome is Outcome.ROLLBACK)
    assert [t for _, t in store.log] == [20.0, 40.0], "nothing is asked any more"
    assert (first.verdict.reason, first.verdict.culprit) == (Reason.THRESHOLD, "cost")
    assert first.verdict.message == "cost is 5, above the maximum of 2: 2 of 2 answers failed, 1 tolerated"
    assert answers[-1].verdict.message == first.verdict.message


async def test_a_restart_asks_the_same_and_says_the_same() -> None:
    def answers_of(at: float) -> list[Sample]:
        return [Sample({}, 5.0 if at - START in {20.0, 100.0} else 1.0)]

    straight, broken = (Store(four_pods(), answers={COST_QUERY: answers_of}) for _ in range(2))
    expected = (await judged(straight, COST, 130))[-1]

    async def anew(asked: Any) -> Judgement:
        return await Analyst(broken).judge(asked)

    answer = (await every_tick(anew, 130, COST))[-1]
    assert answer.verdict == expected.verdict
    assert answer.state == expected.state
    assert broken.log == straight.log


async def test_a_store_at_rest_is_asked_later() -> None:
    down = {40.0}

    def rests(at: float) -> list[Sample]:
        if at - START in down:
            down.discard(at - START)
            message = "at rest"
            raise RestingError(message)
        return [Sample({}, 1.0)]

    store = Store(four_pods(), answers={COST_QUERY: rests})
    await judged(store, COST, 100)
    assert [t for _, t in store.log] == [20.0, 40.0, 40.0, 60.0, 80.0]


async def test_a_comparison_asks_for_both_revisions() -> None:
    compared = {"maximum": None, "compareToStable": True, "maxIncrease": 0.5, "failureLimit": 0}
    spec = {"query": "cost{r={{ revision | text }}}", "interval": 20} | compared
    how = with_metric(name="cost", kind="query", weight=0, query=spec)
    store = Store(four_pods(), answers={COST_QUERY: number(3.0), 'cost{r="stable"}': number(1.0)})
    verdict = (await judged(store, how, 60))[-1].verdict
    assert verdict.outcome is Outcome.ROLLBACK
    assert "cost is 3 against 1 on stable, 200 % more: at most 50 % more is allowed" in verdict.message
    reading = next(reading for reading in verdict.readings if reading.name == "cost")
    assert reading.ratio == 3.0


async def test_a_failed_threshold_stands_while_the_store_is_away() -> None:
    store = Store(four_pods(), answers={COST_QUERY: number(5.0)})
    analyst = Analyst(store)
    state = ""
    for now in (11.0, 31.0, 51.0):
        store.broken = lambda at: ProviderError("away") if at > START + 25 else None
        answer = await analyst.judge(request(now, state, COST))
        state = answer.state
    assert (answer.verdict.outcome, answer.verdict.reason) == (Outcome.ROLLBACK, Reason.THRESHOLD)


@pytest.mark.parametrize(("gone", "held"), [(25.0, True), (40.0, False)], ids=["before it was judged", "later"])
async def test_a_ratio_that_vanishes_in_mid_rollout_is_no_regression(gone: float, held: bool) -> None:  # noqa: FBT001 - a table
    def until_then(answer: Callable[[float], list[Sample]]) -> Callable[[float], list[Sample]]:
        return lambda at: answer(at) if at < START + gone else []

    store = Store(four_pods(), answers={BAD: until_then(per_pod(0.5)), ALL: until_then(per_pod(50.0))})
    answers = await judged(store, RATIO, 160)
    assert Outcome.ROLLBACK not in {answer.verdict.outcome for answer in answers}
    if held:
        assert answers[-1].verdict.outcome is Outcome.INCONCLUSIVE
        assert "checkout cannot be judged: no such counts of both revisions" in answers[-1].verdict.message


@pytest.mark.parametrize(
    "odd",
    [
        lambda _at: [Sample({"pod": "c", "revision": "canary"}, float("nan"))],
        lambda _at: [Sample({"pod": "c", "revision": "nobody"}, 5.0)],
        lambda _at: [Sample({"pod": "c", "revision": "canary"}, -1.0)],
    ],
    ids=["NaN", "another revision", "negative"],
)
async def test_what_is_no_counter_is_no_data(odd: Callable[[float], list[Sample]]) -> None:
    store = Store(four_pods(), answers={BAD: odd, ALL: odd})
    answers = await judged(store, RATIO, 160)
    assert {answer.verdict.outcome for answer in answers} == {Outcome.CONTINUE, Outcome.INCONCLUSIVE}
    assert "checkout" in answers[-1].verdict.message


async def test_thresholds_alone_lead_through_a_step() -> None:
    how = COST.model_copy(update={"metrics": COST.metrics[1:]})
    store = Store(four_pods(), answers={COST_QUERY: number(1.0)})
    answers = await judged(store, how, 60)
    first = next(answer for answer in answers if answer.verdict.outcome is Outcome.ADVANCE)
    assert len(store.log) >= 2
    assert first.verdict.message == "no threshold failed; there is no metric judged on evidence"
    assert {answer.verdict.outcome for answer in answers} == {Outcome.CONTINUE, Outcome.ADVANCE}
