"""The judge as the controller sees it: instants, interruptions, and a metric store that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fairlead.analysis.analyst import CATCH_UP, Analyst
from fairlead.analysis.request import Judgement, Stage
from fairlead.analysis.source import MetricError, ProviderError, QueryError, Sample
from fairlead.analysis.state import load
from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.unit.analysis.support import START, Steady, every_tick, four_pods, plan, request

AWAY = ProviderError("Prometheus at http://p cannot be asked: connection refused")


def outcomes(answers: list[Judgement]) -> list[Outcome]:
    return [answer.verdict.outcome for answer in answers]


async def test_a_failing_canary_is_rolled_back_and_a_good_one_advances() -> None:
    bad = await every_tick(Analyst(Steady(four_pods(canary_errors=5.0))).judge, 60)
    assert Outcome.ROLLBACK in outcomes(bad)
    verdict = next(a.verdict for a in bad if a.verdict.outcome == Outcome.ROLLBACK)
    assert verdict.culprit == "error-rate"
    assert "on 6" in verdict.message
    good = await every_tick(Analyst(Steady(four_pods())).judge, 90)
    assert outcomes(good)[-1] == Outcome.ADVANCE
    assert Outcome.ROLLBACK not in outcomes(good)


async def test_instants_lie_on_the_grid_and_each_is_judged_once() -> None:
    source = Steady(four_pods())
    answers = await every_tick(Analyst(source).judge, 31)
    assert [p.t - START for a in answers for p in a.points] == [0, 5, 10, 15, 20, 25, 30]
    live = [at - START for at in source.asked if at >= START]
    assert live == [0, 0, 5, 10, 15, 20, 25, 30], "one question an instant (the first ends the history too)"
    again = await Analyst(source).judge(request(31, answers[-1].state))
    assert again.points == ()
    assert again.verdict == answers[-1].verdict
    assert again.state == answers[-1].state
    assert again.next_at == START + 36


async def test_asking_at_next_at_always_finds_something_due() -> None:
    analyst, state, now = Analyst(Steady(four_pods())), "", 1.0
    for start in (0.1, 1 / 3, 0.7):
        now += start
        for _ in range(20):
            answer = await analyst.judge(request(now, state, started_at=START + start))
            state, now = answer.state, answer.next_at - START
            assert answer.points
        state, now = "", 1.0


async def test_an_interruption_at_any_moment_changes_no_verdict() -> None:
    """A new judge with the stored state, after every tick, and after missing some."""
    source = Steady(four_pods(canary_errors=0.15))
    steady = await every_tick(Analyst(source).judge, 120)
    want = {p.t: p.verdict for a in steady for p in a.points}
    assert len(want) == 24
    for pause in (5, 15, 40):
        state, now = "", 1.0
        got: dict[float, Verdict] = {}
        while now <= 120:
            answer = await Analyst(source).judge(request(now, state))
            got |= {p.t: p.verdict for p in answer.points if p.t >= START + 40}
            state, now = answer.state, now + pause
        assert len(got) > 2
        assert got == {t: want[t] for t in got}


async def test_a_verdict_that_nobody_acted_on_stands() -> None:
    """The state is stored first; whoever stored it may be killed before acting on it."""
    source = Steady(four_pods(canary_errors=5.0))
    answers = await every_tick(Analyst(source).judge, 41)
    rolled_back = next(a for a in answers if a.verdict.outcome == Outcome.ROLLBACK)
    source.pods = four_pods()
    source.broken = lambda _at: AWAY
    again = await Analyst(source).judge(request(300, rolled_back.state))
    assert (again.verdict, again.state) == (rolled_back.verdict, rolled_back.state)


async def test_catching_up_is_bounded_and_stops_at_the_first_decision() -> None:
    source = Steady(four_pods())
    answer = await Analyst(source).judge(request(11, ""))
    source.asked.clear()
    late = await Analyst(source).judge(request(1001, answer.state))
    assert len(source.asked) <= CATCH_UP + 1
    assert min(source.asked) >= START + 1000 - 5 * CATCH_UP
    assert late.verdict.outcome == Outcome.ADVANCE
    assert late.next_at < START + 1001, "there is more to judge"


async def test_warm_up_and_settling_keep_early_answers_out() -> None:
    """All of the canary's first 15 s fail; none of them is judged."""
    pods = four_pods()

    class ColdStart(Steady):
        async def instant(self, query: str, at: float) -> list[Sample]:
            warm = {**pods, "c": ("canary", START + 10.0, 50.0, 50.0 if at <= START + 25 else 750 / (at - START - 10))}
            self.pods = warm
            return await super().instant(query, at)

    answers = await every_tick(Analyst(ColdStart(pods)).judge, 90)
    assert Outcome.ROLLBACK not in outcomes(answers)
    first = next(a for a in answers if a.verdict.readings and a.verdict.readings[0].canary_n)
    assert first.points[0].t - START == 35, "10 + 6 + 5 s after the share, from 25 s on; the window after it ends at 35"


async def test_a_pod_that_becomes_ready_again_is_not_warmed_up_again() -> None:
    analyst, state = Analyst(Steady(four_pods(canary_errors=5.0))), ""
    for now in range(1, 60, 5):
        asked = request(now, state)
        if now > 10:
            pods = {**asked.pods, "c": ("canary", START + now - 2)}
            asked = replace(asked, pods=pods)
        answer = await analyst.judge(asked)
        state = answer.state
        if answer.verdict.outcome == Outcome.ROLLBACK:
            return
    pytest.fail("a crash loop escaped")


async def test_pods_that_were_never_ready_are_not_judged() -> None:
    analyst, state = Analyst(Steady(four_pods(canary_errors=5.0))), ""
    for now in range(1, 61, 5):
        asked = request(now, state, pods={f"s{i}": ("stable", START - 300) for i in range(3)})
        answer = await analyst.judge(asked)
        state = answer.state
    assert (answer.verdict.outcome, answer.verdict.reason) == (Outcome.INCONCLUSIVE, Reason.NO_DATA)


async def test_first_request_is_dated_at_the_earliest_it_can_have_been() -> None:
    answers = await every_tick(Analyst(Steady(four_pods())).judge, 31)
    dates = [a.first_request_at for a in answers]
    assert dates[0] is None
    assert dates[-1] == START + 10


async def test_achieved_weight_is_counted_from_requests() -> None:
    answers = await every_tick(Analyst(Steady(four_pods())).judge, 61)
    assert answers[-1].points[-1].verdict.achieved_weight == 25.0


class TestFailures:
    """What goes wrong while asking is an outcome of its own, never a rollback unless asked for."""

    async def answers(
        self, broken: Callable[[float], MetricError | None], until: float = 61, **how: str
    ) -> list[Judgement]:
        source = Steady(four_pods(), broken=broken)
        return await every_tick(Analyst(source).judge, until, plan(**how))

    async def test_unreachable_is_patience_then_inconclusive(self) -> None:
        answers = await self.answers(lambda at: AWAY if at >= START + 20 else None)
        got = [(a.verdict.outcome, a.verdict.reason) for a in answers[4:]]
        assert got[0] == (Outcome.CONTINUE, Reason.PROVIDER_ERROR)
        assert got[-1] == (Outcome.INCONCLUSIVE, Reason.PROVIDER_ERROR)
        assert not any(a.verdict.measurable for a in answers[4:])
        assert "cannot be asked: connection refused" in answers[-1].verdict.message

    async def test_unreachable_from_the_start(self) -> None:
        answers = await self.answers(lambda _at: AWAY)
        assert answers[-1].verdict.reason == Reason.PROVIDER_ERROR
        assert Outcome.ROLLBACK not in outcomes(answers)

    async def test_fail_rolls_back_only_when_it_lasts(self) -> None:
        brief = await self.answers(lambda at: AWAY if at == START + 20 else None, 26, on_provider_error="Fail")
        assert Outcome.ROLLBACK not in outcomes(brief)
        long = await self.answers(lambda at: AWAY if at >= START + 20 else None, on_provider_error="Fail")
        assert long[-1].verdict.outcome == Outcome.ROLLBACK
        assert long[-1].verdict.culprit is None

    async def test_when_it_is_back_the_missed_instants_are_judged(self) -> None:
        source = Steady(four_pods())
        analyst = Analyst(source)
        whole = await every_tick(Analyst(Steady(four_pods())).judge, 61)
        state = ""
        for now in range(1, 62, 5):
            source.broken = (lambda _at: AWAY) if 15 < now < 50 else (lambda _at: None)
            answer = await analyst.judge(request(now, state))
            state = answer.state
        assert answer.verdict == whole[-1].verdict

    async def test_a_refused_question_is_a_configuration_error(self) -> None:
        answers = await self.answers(lambda _at: QueryError("Prometheus at http://p refused the question: HTTP 401"))
        assert {(a.verdict.outcome, a.verdict.reason) for a in answers} == {(Outcome.INCONCLUSIVE, Reason.BAD_QUERY)}
        assert "401" in answers[-1].verdict.message

    async def test_a_pod_scraped_twice_is_a_configuration_error(self) -> None:
        class Twice(Steady):
            async def instant(self, query: str, at: float) -> list[Sample]:
                return 2 * await super().instant(query, at)

        answers = await every_tick(Analyst(Twice(four_pods())).judge, 31)
        assert answers[-1].verdict.reason == Reason.BAD_QUERY
        assert "scraped by two jobs" in answers[-1].verdict.message

    async def test_contradicting_series_hold_up_nothing_once_they_are_gone(self) -> None:
        class TwiceAtFirst(Steady):
            async def instant(self, query: str, at: float) -> list[Sample]:
                samples = await super().instant(query, at)
                return 2 * samples if START + 30 <= at <= START + 40 else samples

        answers = await every_tick(Analyst(TwiceAtFirst(four_pods())).judge, 111)
        reasons = [a.verdict.reason for a in answers]
        assert [i for i, reason in enumerate(reasons) if reason == Reason.BAD_QUERY] == [6, 7, 8]
        assert answers[-1].verdict.outcome == Outcome.ADVANCE

    async def test_no_series_at_all_is_no_data(self) -> None:
        answers = await every_tick(Analyst(Steady({})).judge, 61)
        assert outcomes(answers)[:5] == [Outcome.CONTINUE] * 5
        assert answers[-1].verdict.reason == Reason.NO_DATA
        assert "are its pods scraped" in answers[-1].verdict.message

    @pytest.mark.parametrize(("policy", "want"), [("Pass", Outcome.ADVANCE), ("Fail", Outcome.ROLLBACK)])
    async def test_no_data_does_what_the_user_wrote(self, policy: str, want: Outcome) -> None:
        answers = await every_tick(Analyst(Steady({})).judge, 61, plan(on_no_data=policy))
        assert answers[-1].verdict.outcome == want
        assert answers[5].verdict.outcome == Outcome.CONTINUE, "not before data can be expected"

    async def test_a_canary_without_requests_is_no_data(self) -> None:
        pods = four_pods() | {"c": ("canary", START + 10, 0.0, 0.0)}
        answers = await every_tick(Analyst(Steady(pods)).judge, 61)
        assert answers[-1].verdict.reason == Reason.NO_DATA
        assert "7 has had no requests" in answers[-1].verdict.message

    async def test_one_missing_scrape_loses_one_tick_and_nothing_else(self) -> None:
        class Gap(Steady):
            async def instant(self, query: str, at: float) -> list[Sample]:
                samples = await super().instant(query, at)
                return [s for s in samples if not (at == START + 40 and s.labels["pod"] == "c")]

        answers = await every_tick(Analyst(Gap(four_pods())).judge, 51)
        assert Outcome.ROLLBACK not in outcomes(answers)
        assert answers[-1].verdict.readings[0].canary_n == 250 * 2, "judged: 25 to 30 and 30 to 35; lost: 35 to 45"

    async def test_a_prometheus_that_lost_its_history_goes_on_from_there(self) -> None:
        class Forgetful(Steady):
            async def instant(self, query: str, at: float) -> list[Sample]:
                return [] if START + 30 <= at <= START + 50 else await super().instant(query, at)

        answers = await every_tick(Analyst(Forgetful(four_pods())).judge, 130)
        assert Outcome.ROLLBACK not in outcomes(answers)
        assert Reason.NO_DATA in {a.verdict.reason for a in answers}
        assert answers[-1].verdict.outcome == Outcome.ADVANCE

    async def test_a_clock_that_goes_back_changes_nothing(self) -> None:
        analyst = Analyst(Steady(four_pods()))
        answers = await every_tick(analyst.judge, 41)
        back = await analyst.judge(request(12, answers[-1].state, pods=request(41).pods, stage=request(41).stage))
        assert back.points == ()
        assert back.state == answers[-1].state
        before = await analyst.judge(request(-100, ""))
        assert before.verdict.outcome == Outcome.CONTINUE
        assert not before.verdict.measurable

    @pytest.mark.parametrize("state", ["garbage", "1.00000000.{}", "\x00", "1.deadbeef." + "[" * 2000])
    async def test_a_damaged_state_starts_over_and_says_so(self, state: str) -> None:
        answer = await Analyst(Steady(four_pods(canary_errors=5.0))).judge(request(61, state))
        assert "judging has started over" in answer.verdict.message
        assert answer.verdict.outcome == Outcome.ROLLBACK, "what Prometheus still knows is judged again"

    async def test_no_prometheus_at_all_names_the_two_ways_on(self) -> None:
        answer = await Analyst(None).judge(request(61))
        assert (answer.verdict.outcome, answer.verdict.reason) == (Outcome.INCONCLUSIVE, Reason.NOT_CONFIGURED)
        assert not answer.verdict.measurable
        assert "Prometheus address" in answer.verdict.message
        assert "analysis.disabled" in answer.verdict.message


async def test_a_new_stage_is_measured_anew() -> None:
    analyst = Analyst(Steady(four_pods()))
    answers = await every_tick(analyst.judge, 81)
    assert answers[-1].verdict.outcome == Outcome.ADVANCE
    waiting = await analyst.judge(request(82, answers[-1].state, stage=Stage(2, None)))
    assert (waiting.verdict.outcome, waiting.verdict.measurable) == (Outcome.CONTINUE, False)
    assert waiting.verdict.readings[0].canary_n == 0
    assert load(waiting.state).stage == 2
    begun = await analyst.judge(request(86, waiting.state, stage=Stage(2, START + 83)))
    assert (begun.verdict.outcome, begun.verdict.measurable) == (Outcome.CONTINUE, False)


async def test_an_interval_of_nothing_is_taken_as_a_second() -> None:
    answer = await Analyst(Steady(four_pods())).judge(request(11, how=plan(interval=0.0)))
    assert answer.points
    assert answer.next_at == START + 12


async def test_rollouts_do_not_share_what_is_remembered() -> None:
    source = Steady(four_pods())
    analyst = Analyst(source)
    first = await analyst.judge(request(11, "", namespace="a"))
    second = await analyst.judge(request(11, "", namespace="b"))
    assert (first.verdict, first.state, first.points) == (second.verdict, second.state, second.points)
