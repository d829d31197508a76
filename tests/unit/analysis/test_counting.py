"""From counts to tests: which edges are judged, and what of an interval each test looks at."""

from __future__ import annotations

import pytest

from fairlead.analysis import counting, witness
from fairlead.analysis.counting import boundary, coarser, shift
from fairlead.analysis.evidence import Counts
from fairlead.analysis.intervals import WHOLE, ZERO_BUCKET, MetricCounts
from fairlead.analysis.state import NO_REQUESTS, Metric, Window
from fairlead.api.plan import PlanMargin
from tests.unit.analysis.support import EDGES, metric

LATENCY = metric("latency")
NATIVE = metric(
    "latency",
    native_rollback=PlanMargin(ratio=1.0, absolute=0.0, slowdown=2**0.25),
    native_promotion=PlanMargin(ratio=1.0, absolute=0.002, slowdown=2**0.5),
)


def histogram(
    stable: tuple[float, ...], canary: tuple[float, ...] | None = None, edges: tuple[float, ...] = EDGES
) -> MetricCounts:
    return MetricCounts({"c": canary} if canary else {}, {"s": stable}, "histogram", edges)


def native(stable: dict[int, float], canary: dict[int, float] | None = None, schema: int = 3) -> MetricCounts:
    return MetricCounts({"c": canary} if canary else {}, {"s": stable}, "native", schema=schema)


def prepared(*counts: MetricCounts, pooled: bool = False) -> Metric:
    found = Metric()
    for one in counts:
        counting.prepare(found, one, pooled=pooled)
    return found


@pytest.mark.parametrize(
    ("tails", "want"),
    [
        ((1000, 400, 12, 0), (0.01, 0.1, 1.0)),
        ((1000, 500, 500, 500), (0.01,)),
        ((1000, 1000, 1000, 1000), (0.01,)),
        ((1000, 0, 0, 0), (0.01,)),
        ((1000, 999, 990, 1), (0.1, 1.0)),
    ],
    ids=[".5, .99, .999", "one tail for all", "all slow", "none slow", "nothing near the median"],
)
def test_edges_are_the_ones_nearest_to_the_quantiles(tails: tuple[float, ...], want: tuple[float, ...]) -> None:
    assert prepared(histogram(tails)).cuts == want


def test_at_most_six_edges_are_judged() -> None:
    edges = tuple(0.001 * 1.3**i for i in range(40))
    tails = tuple(1000 * 0.8**i for i in range(40))
    found = prepared(histogram((1000.0, *tails), edges=edges))
    assert len(found.cuts) == len(found.processes) == 6
    shares = [dict(zip(edges, tails, strict=True))[cut] / 1000 for cut in found.cuts]
    assert shares == pytest.approx([0.5, 0.25, 0.1, 0.05, 0.01, 0.001], rel=0.15)


def test_the_choice_waits_for_a_hundred_requests_and_is_kept() -> None:
    few = histogram((60, 30, 0, 0))
    assert not prepared(few).processes
    found = prepared(few, few)
    assert found.processes
    assert found.sketch == {}
    cuts = found.cuts
    counting.prepare(found, histogram((6000, 6000, 6000, 6000)), pooled=True)
    assert found.cuts == cuts


def test_before_a_rollout_the_canary_has_no_say_in_the_edges() -> None:
    both = histogram((60, 30, 0, 0), (60, 60, 60, 60))
    assert not prepared(both).processes
    assert prepared(both, pooled=True).processes


def test_other_buckets_begin_the_choice_anew() -> None:
    found = prepared(histogram((60, 30, 0, 0)), histogram((60, 30, 0), edges=(0.1, 1.0)))
    assert not found.processes
    counting.prepare(found, histogram((60, 30, 0), edges=(0.1, 1.0)), pooled=False)
    assert set(found.cuts) <= {0.1, 1.0}


@pytest.mark.parametrize("kind", ["ratio", "categorical"])
def test_ratios_and_distributions_have_one_test(kind: str) -> None:
    counts = MetricCounts({}, {}, kind)  # type: ignore[arg-type]
    assert len(prepared(counts).processes) == 1


def test_native_cuts_are_the_buckets_whose_tails_are_nearest_to_the_quantiles() -> None:
    found = prepared(native({-24: 500.0, -20: 400.0, -10: 90.0, 0: 9.0, 8: 1.0}))
    assert found.cuts == (-24.0, -20.0, -10.0, 0.0)
    assert [boundary(cut, 3) for cut in found.cuts] == pytest.approx([0.125, 0.1768, 0.4204, 1.0], rel=1e-3)


@pytest.mark.parametrize(
    ("buckets", "schema", "wanted", "want"),
    [
        ({3: 1.0, 4: 2.0, 5: 4.0}, 3, 3, {3: 1.0, 4: 2.0, 5: 4.0}),
        ({3: 1.0, 4: 2.0, 5: 4.0}, 3, 2, {2: 3.0, 3: 4.0}),
        ({-3: 1.0, -4: 2.0, 0: 4.0, 1: 8.0}, 1, 0, {-1: 1.0, -2: 2.0, 0: 4.0, 1: 8.0}),
        ({1: 1.0, 8: 2.0, 9: 4.0, ZERO_BUCKET: 7.0}, 3, 0, {1: 3.0, 2: 4.0, ZERO_BUCKET: 7.0}),
        ({5: 1.0}, 0, 3, {5: 1.0}),
    ],
)
def test_neighbouring_buckets_are_joined(
    buckets: dict[int, float], schema: int, wanted: int, want: dict[int, float]
) -> None:
    assert coarser(buckets, schema, wanted) == want
    if schema > wanted:
        for index in buckets:
            if index != ZERO_BUCKET:
                joined = next(iter(coarser({index: 1.0}, schema, wanted)))
                assert boundary(joined - 1, wanted) < boundary(index, schema) <= boundary(joined, wanted)


@pytest.mark.parametrize(
    ("slowdown", "schema", "want"), [(1.0, 3, 0), (2**0.25, 3, 2), (2**0.5, 3, 4), (2**0.25, 0, 1), (2.0, 5, 32)]
)
def test_a_slowdown_is_a_number_of_buckets(slowdown: float, schema: int, want: int) -> None:
    assert shift(slowdown, schema) == want


def test_the_canarys_native_cuts_are_shifted_by_what_is_still_alike() -> None:
    stable = dict.fromkeys(range(-5, 6), 100.0)
    found = prepared(native(stable))
    assert found.cuts[0] == -1
    assert counting.stable_cells(found, native(stable))["s"][:2] == [1100, 600]
    window = counting.canary_window(found, native(stable, stable), NATIVE)
    assert (window.n, window.bad[0], window.lenient[0]) == (1100, 400, 200)


def test_a_pod_that_counts_coarser_makes_all_be_judged_coarser() -> None:
    fine, coarse = dict.fromkeys(range(-7, 9), 50.0), dict.fromkeys(range(-3, 5), 100.0)
    found = prepared(native(fine))
    cuts = found.cuts
    counting.prepare(found, native(coarse, schema=2), pooled=True)
    assert found.schema == 2
    assert found.cuts == tuple(-(-cut // 2) for cut in cuts)
    at_fine, at_coarse = (counting.stable_cells(found, one)["s"] for one in (native(fine), native(coarse, schema=2)))
    assert at_fine == at_coarse


@pytest.mark.parametrize(
    ("counts", "fits"),
    [
        (histogram((9, 1, 1, 1)), True),
        (histogram((9, 2, 1, 1, 1), edges=(0.005, *EDGES)), True),
        (histogram((9, 1, 1), edges=(0.1, 1.0)), False),
        (native({0: 9.0}), False),
        (MetricCounts({}, {"s": (9, 1)}), False),
    ],
    ids=["the same", "more edges", "one edge fewer", "native", "ratio"],
)
def test_what_cannot_be_compared_does_not_fit(counts: MetricCounts, *, fits: bool) -> None:
    found = prepared(histogram((1000, 400, 12, 0)))
    assert counting.fits(found, counts) == fits


def test_more_edges_are_looked_up_by_their_value() -> None:
    found = prepared(histogram((1000, 400, 12, 0)))
    assert counting.stable_cells(found, histogram((9, 5, 3, 2, 1), edges=(0.005, *EDGES))) == {"s": [9, 3, 2, 1]}


def test_windows_are_sums_over_pods() -> None:
    pods = [[100.0, 3.0, 1.0], [50.0, 2.0, 0.0]]
    assert counting.total(pods) == Window(150.0, (5.0, 1.0))
    assert counting.total(pods[:1]) == Window(100.0, (3.0, 1.0))
    assert counting.total([]) == NO_REQUESTS
    assert (
        counting.canary_window(prepared(MetricCounts({}, {})), MetricCounts({}, {"s": (5, 1)}), LATENCY) == NO_REQUESTS
    )


def test_a_column_holds_the_pods_that_are_told_apart() -> None:
    rows = {"a": [10.0, 1.0, 2.0], WHOLE: [99.0, 9.0, 9.0], "b": [20.0, 3.0, 4.0]}
    assert counting.column(rows, 1) == [Counts(10, 2), Counts(20, 4)]


def test_classes_are_counted_by_the_witness() -> None:
    counts = MetricCounts({"c": {"a": 3.0, "b": 1.0}}, {"s": {"a": 5.0, "b": 5.0}}, "categorical")
    found = prepared(counts)
    events = frozenset({witness.checksum("a")})
    assert counting.stable_cells(found, counts, events) == {"s": [10.0, 5.0]}
    assert counting.canary_window(found, counts, metric("prediction-distribution"), events) == Window(4.0, (3.0,))
