"""The rules from evidence to verdict, one line each."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.analysis import decision, engine, evidence
from fairlead.analysis.decision import Context
from fairlead.analysis.evidence import Counts
from fairlead.analysis.state import Process, State
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.unit.analysis.support import START, interval, latency, plan

NONE, HUGE = (-1e9,) * evidence.POINTS, (20.0,) * evidence.POINTS


def state(*, bad: bool = False, proven: bool = False, canary: Counts, stable: Counts, **changes: Any) -> State:
    process = Process(bad=HUGE if bad else NONE, ok=HUGE if proven else NONE, canary=canary, stable=stable)
    fields: dict[str, Any] = {
        "tick": 20,
        "last_data": 20,
        "connections": 50.0,
        "canary_seen": True,
        "processes": {"error-rate": process},
    }
    return State(**fields | changes)


def verdict(one: State, age: float = 60.0, how: AnalysisPlan | None = None) -> Verdict:
    return decision.decide(one, Context(how or plan(), START + age, START, canary="7", stable="6"))


GOOD: dict[str, Any] = {"canary": Counts(1000, 1), "stable": Counts(3000, 3)}
FAILING: dict[str, Any] = {"canary": Counts(557, 58), "stable": Counts(1671, 0)}
SLIGHTLY_WORSE: dict[str, Any] = {"canary": Counts(1000, 15), "stable": Counts(3000, 3)}


@pytest.mark.parametrize(
    ("one", "age", "how", "want"),
    [
        (state(bad=True, **FAILING), 20, {}, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
        (state(bad=True, proven=True, **FAILING), 20, {}, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
        (state(bad=True, **FAILING, connections=9.0), 20, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(bad=True, **FAILING, last_data=None), 20, {}, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
        (state(**GOOD), 60, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(proven=True, **GOOD), 60, {}, (Outcome.ADVANCE, Reason.PROVEN, True)),
        (state(proven=True, **GOOD), 29, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(proven=True, **GOOD, connections=9.0), 60, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(**GOOD, connections=9.0), 120, {}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(**GOOD), 119, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(**GOOD), 120, {}, (Outcome.ADVANCE, Reason.NO_HARM_SEEN, True)),
        (state(**GOOD), 120, {"min_samples": 1001}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(**SLIGHTLY_WORSE), 120, {}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(**GOOD), 120, {"policy": "ProvenNonInferior"}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(proven=True, **GOOD), 120, {"policy": "ProvenNonInferior"}, (Outcome.ADVANCE, Reason.PROVEN, True)),
        (state(canary=Counts(300, 0), stable=Counts(0, 0)), 120, {}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(canary=Counts(200, 1), stable=Counts(900, 0)), 120, {}, (Outcome.ADVANCE, Reason.NO_HARM_SEEN, True)),
        (state(**GOOD, last_data=None), 20, {}, (Outcome.CONTINUE, Reason.COLLECTING, False)),
        (state(**GOOD, last_data=None), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=17), 60, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(**GOOD, last_data=16), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(proven=True, **GOOD, last_data=16), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=16), 60, {"on_no_data": "Pass"}, (Outcome.ADVANCE, Reason.NO_DATA, True)),
        (state(**GOOD, last_data=16), 29, {"on_no_data": "Pass"}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=16), 60, {"on_no_data": "Fail"}, (Outcome.ROLLBACK, Reason.NO_DATA, False)),
        (state(**GOOD), 60, {"max_connection_age": 0.0}, (Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, False)),
        (state(**GOOD, connections=None), 60, {}, (Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, True)),
        (state(**GOOD), 60, {"metrics": []}, (Outcome.INCONCLUSIVE, Reason.BAD_QUERY, False)),
    ],
)
def test_rules(one: State, age: float, how: dict[str, Any], want: tuple[Outcome, str, bool]) -> None:
    got = verdict(one, age, plan(**how))
    assert (got.outcome, got.reason, got.measurable) == want
    assert got.message[:1] != " "


def test_nothing_is_measurable_before_the_share_is_reached() -> None:
    got = decision.decide(state(**GOOD, last_data=None), Context(plan(), START + 999, None))
    assert (got.outcome, got.measurable) == (Outcome.CONTINUE, False)


def test_no_data_without_series_asks_about_the_scrape() -> None:
    seen = verdict(state(**GOOD, last_data=None)).message
    unseen = verdict(state(**GOOD, last_data=None, canary_seen=False)).message
    assert "no requests" in seen
    assert "are its pods scraped" in unseen
    assert "analysis.disabled" in seen
    assert "analysis.disabled" in unseen


def test_rollback_names_culprit_numbers_and_bar() -> None:
    got = verdict(state(bad=True, **FAILING), 20)
    assert got.culprit == "error-rate"
    numbers = "errors 10.4 % against 0.0 % on 6 (58 of 557 requests against 0 of 1,671)"
    assert got.message == f"{numbers}: evidence over a million, the bar is 100"
    assert got.bar == 100
    assert got.achieved_weight == 25.0


def test_waiting_says_what_is_known() -> None:
    one = state(canary=Counts(812, 3), stable=Counts(2400, 7))
    assert verdict(one).message == "errors 0.4 % against 0.3 % on 6 (812 requests), not enough to tell yet"


def test_weights_decide_how_much_a_metric_counts() -> None:
    how = plan("error-rate", "client-error-rate")
    one = state(bad=True, **FAILING)
    one.processes["client-error-rate"] = Process(canary=Counts(600, 0), stable=Counts(1800, 0))
    got = verdict(one, 20, how)
    errors, clients = got.readings
    assert got.evidence == pytest.approx(0.5 * errors.evidence + 0.5 * clients.evidence)
    assert (got.culprit, errors.weight) == ("error-rate", 0.5)


def test_all_metrics_must_be_proven() -> None:
    how = plan("error-rate", "client-error-rate")
    one = state(proven=True, **GOOD)
    one.processes["client-error-rate"] = Process(**GOOD)
    assert verdict(one, 60, how).outcome == Outcome.CONTINUE
    one.processes["client-error-rate"].ok = HUGE
    assert verdict(one, 60, how).outcome == Outcome.ADVANCE


def judged_latency(canary: tuple[float, ...], stable: tuple[float, ...], ticks: int) -> tuple[State, AnalysisPlan]:
    how, one = plan("latency"), State()
    for tick in range(ticks):
        engine.ingest(one, how, latency(tick, canary, stable))
    return one, how


def test_a_latency_tail_five_times_as_heavy_is_never_proven_good() -> None:
    """Promotion takes the least over the edges: eight good edges must not outvote the bad one."""
    one, how = judged_latency((500, 200, 45, 0), (1500, 600, 15, 0), 40)
    got = verdict(one, 60, how)
    assert got.outcome == Outcome.ROLLBACK
    assert got.message.startswith("requests slower than 100 ms 9.0 % against 1.0 % on 6")
    assert got.readings[0].evidence_ok < 1


def test_an_equal_latency_is_proven_in_time() -> None:
    one, how = judged_latency((500, 200, 5, 0), (1500, 600, 15, 0), 40)
    got = verdict(one, 60, how)
    assert got.outcome == Outcome.ADVANCE, got.message


def test_latency_without_a_histogram_says_so_at_the_end() -> None:
    how, one = plan("error-rate", "latency"), State()
    for tick in range(30):
        engine.ingest(one, how, interval(tick))
    got = verdict(one, 120, how)
    assert got.outcome == Outcome.INCONCLUSIVE
    assert "latency" in got.message


@pytest.mark.parametrize(("lasted", "policy", "want"), [
    (False, "Hold", Outcome.CONTINUE),
    (False, "Fail", Outcome.CONTINUE),
    (True, "Hold", Outcome.INCONCLUSIVE),
    (True, "Fail", Outcome.ROLLBACK),
])  # fmt: skip
def test_provider_errors(*, lasted: bool, policy: str, want: Outcome) -> None:
    how = plan(on_provider_error=policy)
    got = decision.provider_error(verdict(state(**GOOD)), "Prometheus is away", how, lasted=lasted)
    assert (got.outcome, got.reason, got.measurable, got.culprit) == (want, Reason.PROVIDER_ERROR, False, None)
    assert got.readings
