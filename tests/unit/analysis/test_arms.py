"""What each metric is counted from, of both arms."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.analysis import arms, counters
from fairlead.analysis.arms import BAD, TOTAL
from fairlead.analysis.counters import PodCounters, Seen, Snapshot
from fairlead.analysis.intervals import MetricCounts
from fairlead.analysis.source import Sample
from fairlead.api.metricspec import Metric
from fairlead.api.plan import PlanMetric
from fairlead.rollout.metrics import BUILT_IN, planned_metrics
from tests.unit.analysis.samples import Counters, native_sample, pod_samples

METRICS = planned_metrics(Metric(name=name) for name in BUILT_IN)
OK, BAD_ONE, REFUSED = ("success", ""), ("server_error", ""), ("client_error", "")


def counts(samples: Iterable[Sample]) -> dict[str, MetricCounts]:
    """Every metric's counts of pods of the revisions c and s, that began at 0."""
    now = counters.snapshot(samples)
    before = {pod: _empty(own) for pod, own in now.items()}
    found, complaints = arms.counted(METRICS, Seen(before), Seen(now), _is("c"), _is("s"))
    assert complaints == []
    return found


def _empty(own: PodCounters) -> PodCounters:
    return PodCounters(own.revision, {}, {name: type(one)() for name, one in own.histograms.items()})


def _is(revision: str) -> arms.Admits:
    return lambda _pod, own: own.revision == revision


def test_requests_by_outcome() -> None:
    values: Counters = {OK: 90, BAD_ONE: 6, REFUSED: 4}
    found = counts(pod_samples("p", "c", values))
    assert found == {
        "error-rate": MetricCounts({"p": (96, 6)}, {}),
        "client-error-rate": MetricCounts({"p": (100, 4)}, {}),
    }


def test_classic_buckets_become_tails() -> None:
    values: Counters = {("le", "0.1"): 70, ("le", "1.0"): 99, ("le", "+Inf"): 100}
    assert counts(pod_samples("p", "s", values)) == {
        "latency": MetricCounts({}, {"p": (100, 30, 1)}, "histogram", (0.1, 1.0))
    }


def test_only_edges_that_all_pods_have_are_compared() -> None:
    a = pod_samples("a", "c", {("le", "0.1"): 1, ("le", "0.2"): 2, ("le", "+Inf"): 3})
    b = pod_samples("b", "s", {("le", "0.10"): 1, ("le", "0.5"): 2, ("le", "+Inf"): 3})
    assert counts([*a, *b])["latency"].edges == (0.1,)


def test_native_buckets_are_merged_down_to_the_coarsest() -> None:
    found = counts([native_sample("a", "c", 3, {7: 1, 8: 2, 9: 4}), native_sample("b", "s", 2, {4: 5})])
    assert found["latency"] == MetricCounts({"a": {4: 3, 5: 4}}, {"b": {4: 5}}, "native", schema=2)


def test_native_buckets_win_where_all_pods_have_both() -> None:
    classic: Counters = {("le", "1.0"): 2, ("le", "+Inf"): 3}
    both = [*pod_samples("a", "c", classic), native_sample("a", "c", 3, {8: 3})]
    assert counts(both)["latency"].kind == "native"
    mixed = counts([*both, *pod_samples("b", "s", classic)])["latency"]
    assert mixed == MetricCounts({"a": (3, 1)}, {"b": (3, 1)}, "histogram", (1.0,))


def test_classes_and_bins() -> None:
    values: Counters = {("class", "cat"): 5, ("class", "dog"): 0, ("bin", "3"): 2, ("bin", "17"): 4}
    found = counts(pod_samples("p", "c", values))
    assert found["prediction-distribution"] == MetricCounts({"p": {"cat": 5}}, {}, "categorical")
    assert found["input-distribution"] == MetricCounts({"p": {"3": 2, "17": 4}}, {}, "categorical")


def test_scores_are_classes_by_bucket() -> None:
    a = pod_samples("a", "c", {("score", "0.5"): 4, ("score", "0.9"): 6, ("score", "+Inf"): 10})
    b = pod_samples("b", "s", {("score", "0.5"): 1, ("score", "0.7"): 2, ("score", "+Inf"): 2})
    found = counts([*a, *b])["score-distribution"]
    assert found == MetricCounts({"a": {"0.5": 4, "+Inf": 6}}, {"b": {"0.5": 1, "+Inf": 1}}, "categorical")


def test_accuracy_counts_wrong_of_all_that_is_known() -> None:
    found = counts(pod_samples("p", "c", {("result", "right"): 8, ("result", "wrong"): 2}))
    assert found["accuracy"] == MetricCounts({"p": (10, 2)}, {})


RATIO = PlanMetric.model_validate(
    {
        "name": "checkout",
        "weight": 1,
        "rollback": {"ratio": 1, "absolute": 0},
        "promotion": {"ratio": 1, "absolute": 0},
        "ratio": {"bad": "bad", "total": "total"},
    }
)


def own(pod: str, revision: str, total: float, bad: float | None = None) -> Snapshot:
    """A pod's two counters."""
    values: dict[str, dict[str | float, float]] = {TOTAL: {"": total}}
    if bad is not None:
        values[BAD] = {"": bad}
    return {pod: PodCounters(revision, values)}


def test_a_users_ratio() -> None:
    before = Seen(own={"checkout": {**own("a", "c", 10), **own("b", "s", 10, 1)}})
    now = Seen(own={"checkout": {**own("a", "c", 15, 2), **own("b", "s", 20, 1), **own("new", "s", 3)}})
    found, complaints = arms.counted([RATIO], before, now, _is("c"), _is("s"))
    assert found == {"checkout": MetricCounts({"a": (5, 2)}, {"b": (10, 0)})}
    assert complaints == []


def test_more_bad_than_there_was_is_told() -> None:
    before, now = Seen(own={"checkout": own("a", "c", 10, 0)}), Seen(own={"checkout": own("a", "c", 12, 5)})
    found, complaints = arms.counted([RATIO], before, now, _is("c"), _is("s"))
    assert found == {}
    assert complaints == ["metric checkout: pod a counted 5 bad of 2 in all"]
