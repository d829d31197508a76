"""From raw counters to increments: resets, absent series, absent pods, and answers that cannot be."""

from __future__ import annotations

import pytest

from fairlead.analysis import counters
from fairlead.analysis.counters import BUCKETS, CONNECTIONS, REQUESTS, Snapshot
from fairlead.analysis.source import AmbiguousError, Sample
from tests.unit.analysis.support import Counters, pod_samples

OK, BAD, REFUSED = ("success", ""), ("server_error", ""), ("client_error", "")


def grown(before: Counters | None, now: Counters | None) -> dict[str, Snapshot]:
    snapshots = [counters.snapshot(pod_samples("p", "r", values) if values else []) for values in (before, now)]
    return {"pods": counters.increments(*snapshots)}


@pytest.mark.parametrize(
    ("before", "now", "want"),
    [
        ({OK: 10, BAD: 1}, {OK: 15, BAD: 3}, {"success": 5, "server_error": 2}),
        ({OK: 10, BAD: 1}, {OK: 10, BAD: 1}, {"success": 0, "server_error": 0}),
        ({OK: 10}, {OK: 15, BAD: 3}, {"success": 5, "server_error": 3}),
        ({OK: 10, BAD: 1}, {OK: 4, BAD: 0}, {"success": 4, "server_error": 0}),
        ({OK: 10, BAD: 1}, {OK: 4, BAD: 2}, {"success": 4, "server_error": 2}),
        ({OK: 10, BAD: 1}, {OK: 40, BAD: 0}, {"success": 40, "server_error": 0}),
        ({OK: 10, BAD: 1}, {OK: 12}, {"success": 2}),
        (None, {OK: 40}, None),
        ({OK: 40}, None, None),
    ],
    ids=[
        "plain",
        "no traffic",
        "a series that appears began at 0",
        "restart",
        "restart told by one series",
        "restart told by the errors",
        "series gone",
        "pod new",
        "pod gone",
    ],
)
def test_increments(before: Counters | None, now: Counters | None, want: dict[str, float] | None) -> None:
    pods = grown(before, now)["pods"]
    assert ({key[1]: value for key, value in pods["p"].values.items()} if pods else None) == want


def test_counts_of_each_metric() -> None:
    values: Counters = {OK: 90, BAD: 6, REFUSED: 4, ("le", "0.1"): 70, ("le", "1.0"): 99, ("le", "+Inf"): 100}
    snapshot = counters.snapshot(pod_samples("p", "r", values))
    counts = counters.counted(snapshot, lambda _pod, _own: True, lambda _pod, _own: False)
    assert counts["error-rate"].canary == {"p": (96, 6)}
    assert counts["client-error-rate"].canary == {"p": (100, 4)}
    assert counts["latency"].canary == {"p": (100, 30, 1)}
    assert counts["latency"].edges == (0.1, 1.0)
    assert counts["error-rate"].stable == {}


def test_only_edges_that_all_pods_have_are_compared() -> None:
    a = pod_samples("a", "x", {("le", "0.1"): 1, ("le", "0.2"): 2, ("le", "+Inf"): 3})
    b = pod_samples("b", "y", {("le", "0.10"): 1, ("le", "0.5"): 2, ("le", "+Inf"): 3})
    snapshot = counters.snapshot([*a, *b])
    counts = counters.counted(snapshot, lambda _p, own: own.revision == "x", lambda _p, own: own.revision == "y")
    assert counts["latency"].edges == (0.1,)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_values_that_no_counter_has_are_no_data(value: float) -> None:
    assert counters.snapshot(pod_samples("p", "r", {OK: value})) == {}


def test_two_series_for_one_counter_are_an_error() -> None:
    twice = [*pod_samples("p", "r", {OK: 1}), *pod_samples("p", "r", {OK: 2})]
    with pytest.raises(AmbiguousError, match="two series of fairlead_requests_total for pod p"):
        counters.snapshot(twice)


def test_one_pod_with_two_revisions_is_an_error() -> None:
    with pytest.raises(AmbiguousError, match="two series"):
        counters.snapshot([*pod_samples("p", "r", {OK: 1}), *pod_samples("p", "q", {BAD: 2})])


def test_series_without_a_pod_are_an_error() -> None:
    with pytest.raises(AmbiguousError, match="no pod label"):
        counters.snapshot([Sample({"__name__": REQUESTS, "revision": "r", "outcome": "success"}, 1.0)])


def test_a_bucket_edge_that_is_no_number_is_an_error() -> None:
    with pytest.raises(AmbiguousError, match="not a number"):
        counters.snapshot([Sample({"__name__": BUCKETS, "pod": "p", "le": "fast"}, 1.0)])


def test_connections_are_read() -> None:
    snapshot = counters.snapshot(pod_samples("p", "r", {("connections", ""): 7}))
    assert snapshot["p"].get(CONNECTIONS) == 7
