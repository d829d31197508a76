"""From raw counters to increments: resets, absent series, absent pods, and answers that cannot be."""

from __future__ import annotations

import pytest

from fairlead.analysis import counters
from fairlead.analysis.counters import BUCKETS, CONNECTIONS, DURATION, REQUESTS, PodCounters
from fairlead.analysis.source import AmbiguousError, Sample
from tests.unit.analysis.samples import Counters, native_sample, pod_samples

OK, BAD, REFUSED = ("success", ""), ("server_error", ""), ("client_error", "")


def grown(before: list[Sample], now: list[Sample]) -> PodCounters | None:
    return counters.increments(counters.snapshot(before), counters.snapshot(now)).get("p")


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
        ({}, {OK: 40}, None),
        ({OK: 40}, {}, None),
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
def test_increments(before: Counters, now: Counters, want: dict[str, float] | None) -> None:
    pod = grown(pod_samples("p", "r", before), pod_samples("p", "r", now))
    assert (pod.values[REQUESTS] if pod else None) == want


@pytest.mark.parametrize(("now", "restarted"), [({OK: 10}, False), ({OK: 9}, True)])
def test_a_restart_is_told(now: Counters, restarted: bool) -> None:  # noqa: FBT001 - a table
    pod = grown(pod_samples("p", "r", {OK: 10}), pod_samples("p", "r", now))
    assert pod is not None
    assert pod.restarted is restarted


def test_native_histograms_grow_with_the_rest() -> None:
    before = [*pod_samples("p", "r", {OK: 3}), native_sample("p", "r", 3, {0: 2, 8: 1})]
    now = [*pod_samples("p", "r", {OK: 10}), native_sample("p", "r", 3, {0: 6, 8: 4})]
    pod = grown(before, now)
    assert pod is not None
    assert pod.histograms[DURATION].buckets == {0: 4, 8: 3}


def test_a_restart_that_only_a_native_histogram_tells() -> None:
    before = [*pod_samples("p", "r", {OK: 3}), native_sample("p", "r", 3, {0: 2, 8: 1})]
    now = [*pod_samples("p", "r", {OK: 5}), native_sample("p", "r", 3, {0: 5})]
    pod = grown(before, now)
    assert pod is not None
    assert pod.restarted
    assert pod.get(REQUESTS, "success") == 5
    assert pod.histograms[DURATION].buckets == {0: 5}


def test_a_native_histogram_that_is_read_from_now_on_did_not_begin_at_0() -> None:
    now = [*pod_samples("p", "r", {OK: 5}), native_sample("p", "r", 3, {0: 900})]
    pod = grown(pod_samples("p", "r", {OK: 3}), now)
    assert pod is not None
    assert not pod.histograms


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_values_that_no_counter_has_are_no_data(value: float) -> None:
    assert counters.snapshot(pod_samples("p", "r", {OK: value})) == {}


def test_two_series_for_one_counter_are_an_error() -> None:
    twice = [*pod_samples("p", "r", {OK: 1}), *pod_samples("p", "r", {OK: 2})]
    with pytest.raises(AmbiguousError, match="two series of fairlead_requests_total for pod p"):
        counters.snapshot(twice)


def test_two_native_histograms_of_one_pod_are_an_error() -> None:
    with pytest.raises(AmbiguousError, match="two series of fairlead_request_duration_seconds for pod p"):
        counters.snapshot([native_sample("p", "r", 3, {0: 1}), native_sample("p", "r", 3, {0: 1})])


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
