"""The rules from evidence to verdict, one line each."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.analysis import decision, evidence, unmeasured
from fairlead.analysis.finding import Context
from fairlead.analysis.split import Split
from fairlead.analysis.state import Metric, Process, State
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.unit.analysis.support import START, interval, judged, latency, metric, plan

NONE, HUGE = [-1e9] * evidence.POINTS, [20.0] * evidence.POINTS
WILD = [1e10] * evidence.POINTS
Arm = tuple[float, float]


def counted(
    canary: Arm, stable: Arm, *, bad: bool = False, proven: bool = False, kind: str = "ratio", **changes: Any
) -> Metric:
    process = Process(
        bad=WILD if bad else [0.0] * evidence.POINTS,
        ok=HUGE if proven else NONE,
        canary=canary[1],
        stable=stable[1],
    )
    return Metric(kind=kind, processes=[process], canary=canary[0], stable=stable[0], **changes)


def state(*, bad: bool = False, proven: bool = False, canary: Arm, stable: Arm, **changes: Any) -> State:
    fields: dict[str, Any] = {
        "tick": 20,
        "last_data": 20,
        "connections": 50.0,
        "canary_seen": True,
        "metrics": {"error-rate": counted(canary, stable, bad=bad, proven=proven)},
    }
    return State(**fields | changes)


def verdict(one: State, age: float = 60.0, how: AnalysisPlan | None = None) -> Verdict:
    return decision.decide(one, Context(how or plan(), START + age, START, canary="7", stable="6"))


GOOD: dict[str, Any] = {"canary": (1000, 1), "stable": (3000, 3)}
FAILING: dict[str, Any] = {"canary": (557, 58), "stable": (1671, 0)}
SLIGHTLY_WORSE: dict[str, Any] = {"canary": (1000, 15), "stable": (3000, 3)}
BY_REQUEST = {"routing": "request"}


@pytest.mark.parametrize(
    ("one", "age", "how", "want"),
    [
        (state(bad=True, **FAILING), 20, {}, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
        (state(bad=True, proven=True, **FAILING), 20, {}, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
        (state(bad=True, **FAILING, connections=9.0), 20, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(bad=True, **FAILING, connections=None), 20, BY_REQUEST, (Outcome.ROLLBACK, Reason.REGRESSION, True)),
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
        (state(canary=(300, 0), stable=(0, 0)), 120, {}, (Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, True)),
        (state(canary=(200, 1), stable=(900, 0)), 120, {}, (Outcome.ADVANCE, Reason.NO_HARM_SEEN, True)),
        (state(**GOOD, last_data=None), 20, {}, (Outcome.CONTINUE, Reason.COLLECTING, False)),
        (state(**GOOD, last_data=None), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=17), 60, {}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
        (state(**GOOD, last_data=16), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(proven=True, **GOOD, last_data=16), 60, {}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=16), 60, {"on_no_data": "Pass"}, (Outcome.ADVANCE, Reason.NO_DATA, True)),
        (state(**GOOD, last_data=16), 29, {"on_no_data": "Pass"}, (Outcome.INCONCLUSIVE, Reason.NO_DATA, False)),
        (state(**GOOD, last_data=16), 60, {"on_no_data": "Fail"}, (Outcome.ROLLBACK, Reason.NO_DATA, False)),
        (state(**GOOD), 60, {"max_connection_age": 0.0}, (Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, False)),
        (state(**GOOD), 60, BY_REQUEST | {"max_connection_age": 0.0}, (Outcome.CONTINUE, Reason.COLLECTING, True)),
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
    one = state(canary=(812, 3), stable=(2400, 7))
    assert verdict(one).message == "errors 0.4 % against 0.3 % on 6 (812 requests), not enough to tell yet"


def test_weights_decide_how_much_a_metric_counts() -> None:
    how = plan("error-rate", "client-error-rate")
    one = state(bad=True, **FAILING)
    one.metrics["client-error-rate"] = counted((600, 0), (1800, 0))
    got = verdict(one, 20, how)
    errors, clients = got.readings
    assert got.evidence == pytest.approx(0.5 * errors.evidence + 0.5 * clients.evidence)
    assert (got.culprit, errors.weight) == ("error-rate", 0.5)


def test_the_culprit_is_the_metric_that_weighs_most() -> None:
    how = plan(metrics=[metric("error-rate", 0.1), metric("client-error-rate", 0.9)])
    one = state(bad=True, **FAILING)
    one.metrics["client-error-rate"] = counted((600, 200), (1800, 0), bad=True)
    assert verdict(one, 20, how).culprit == "client-error-rate"


def test_all_metrics_must_be_proven() -> None:
    how = plan("error-rate", "client-error-rate")
    one = state(proven=True, **GOOD)
    one.metrics["client-error-rate"] = counted(**GOOD)
    assert verdict(one, 60, how).outcome == Outcome.CONTINUE
    one.metrics["client-error-rate"].processes[0].ok = HUGE
    assert verdict(one, 60, how).outcome == Outcome.ADVANCE


def test_a_dry_run_has_no_say() -> None:
    how = plan(metrics=[metric("error-rate"), metric("client-error-rate", dry_run=True)])
    one = state(proven=True, **GOOD)
    one.metrics["client-error-rate"] = counted(bad=True, **FAILING)
    got = verdict(one, 60, how)
    assert got.outcome == Outcome.ADVANCE
    assert got.readings[1].evidence > 1e6


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("prediction-distribution", Reason.PREDICTIONS_DIFFER, "predictions differ from those of 6"),
        ("score-distribution", Reason.PREDICTIONS_DIFFER, "scores differ"),
        ("input-distribution", Reason.INPUTS_DIFFER, "the arms do not get the same requests"),
        ("accuracy", Reason.VETO, "which bars the promotion"),
    ],
)
def test_guards_hold_or_veto_but_never_roll_back(name: str, reason: str, said: str) -> None:
    how = plan("error-rate", name)
    kind = "ratio" if name == "accuracy" else "categorical"
    one = state(proven=True, **GOOD)
    one.metrics[name] = counted((800, 300), (2400, 400), bad=True, kind=kind)
    got = verdict(one, 60, how)
    assert (got.outcome, got.reason, got.culprit) == (Outcome.INCONCLUSIVE, reason, name)
    assert said in got.message
    assert got.reason in Reason.HOLDS
    one.metrics[name].processes[0].bad = [0.0] * evidence.POINTS
    assert verdict(one, 60, how).outcome == Outcome.ADVANCE


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("input-distribution", Outcome.INCONCLUSIVE),
        ("prediction-distribution", Outcome.ROLLBACK),
        ("accuracy", Outcome.ROLLBACK),
    ],
)
def test_only_unlike_inputs_stand_before_a_rollback(name: str, want: Outcome) -> None:
    """If the arms do not get the same requests, nothing that is seen can be laid to the model."""
    one = state(bad=True, **FAILING)
    one.metrics[name] = counted((800, 300), (2400, 400), bad=True, kind="categorical")
    assert verdict(one, 60, plan("error-rate", name)).outcome == want


def test_a_share_that_is_not_the_one_asked_for_stands_before_all_else() -> None:
    got = verdict(state(bad=True, **FAILING, split=Split([1e6] * 8, 50.0, 1000.0, 200.0)), 60)
    assert (got.outcome, got.reason, got.acted) == (Outcome.INCONCLUSIVE, Reason.SPLIT, ("split",))
    assert got.message.startswith("7 got 5.0 % of 1,000 connections where 20.0 % were to come")


UNLIKE = {"s0": [5000.0, 400.0], "s1": [5000.0, 5.0], "s2": [5000.0, 5.0]}


def test_where_stable_pods_differ_as_much_it_is_not_laid_to_the_canary() -> None:
    one = state(bad=True, canary=(5000, 400), stable=(15000, 410))
    one.metrics["error-rate"].whole = UNLIKE
    got = verdict(one)
    assert (got.outcome, got.reason, got.acted) == (Outcome.INCONCLUSIVE, Reason.PLACEBO, ("placebo",))
    one.metrics["error-rate"].whole = {name: [5000.0, 150.0] for name in UNLIKE}
    assert verdict(one).outcome == Outcome.ROLLBACK


@pytest.mark.parametrize(("pods", "want"), [(3, Reason.POD_NOISE), (8, Reason.NO_HARM_SEEN), (0, Reason.NO_HARM_SEEN)])
def test_what_only_the_noise_floor_holds_back_is_nobodys_fault_and_nobodys_proof(pods: int, want: str) -> None:
    one = state(canary=(20_000, 320), stable=(60_000, 600), stable_pods=pods)
    one.metrics["error-rate"].processes[0].floor = 1.8
    got = verdict(one, 120)
    assert got.reason == want
    assert got.culprit == ("error-rate" if want == Reason.POD_NOISE else None)


def test_a_latency_tail_five_times_as_heavy_is_never_proven_good() -> None:
    """Promotion takes the least over the edges: eight good edges must not outvote the bad one."""
    how = plan("latency")
    got = verdict(judged((latency(t, (500, 200, 45, 0), (1500, 600, 15, 0)) for t in range(40)), how), 60, how)
    assert got.outcome == Outcome.ROLLBACK
    assert got.message.startswith("requests slower than 100 ms 9.0 % against 1.0 % on 6")
    assert got.readings[0].evidence_ok < 1


def test_an_equal_latency_is_proven_in_time() -> None:
    how = plan("latency")
    got = verdict(judged((latency(t, (500, 200, 5, 0), (1500, 600, 15, 0)) for t in range(40)), how), 60, how)
    assert got.outcome == Outcome.ADVANCE, got.message


def test_latency_without_a_histogram_says_so_at_the_end() -> None:
    how = plan("error-rate", "latency")
    got = verdict(judged((interval(t) for t in range(30)), how), 120, how)
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
    got = unmeasured.provider_error(verdict(state(**GOOD)), "Prometheus is away", how, lasted=lasted)
    assert (got.outcome, got.reason, got.measurable, got.culprit) == (want, Reason.PROVIDER_ERROR, False, None)
    assert got.readings


def test_a_refused_question_is_a_persons_to_mend() -> None:
    got = unmeasured.bad_query(verdict(state(bad=True, **FAILING)), "parse error")
    assert (got.outcome, got.reason, got.measurable, got.culprit) == (
        Outcome.INCONCLUSIVE,
        Reason.BAD_QUERY,
        False,
        None,
    )


def test_what_acted_is_told_once_for_the_evidence_and_the_rules() -> None:
    got = verdict(state(proven=True, **GOOD, acted=("alignment",)), 20)
    assert got.acted == ("alignment", "min-step")
    assert verdict(state(**GOOD), 120).acted == ("max-step",)
