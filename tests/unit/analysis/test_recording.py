"""Recordings: what a line means, and what is wrong with one that cannot be read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from fairlead.analysis.intervals import WHOLE, ZERO_BUCKET, Kind, MetricCounts
from fairlead.analysis.recording import Header, Instant, Reader, RecordError, header

Line = Mapping[str, Any]
ARM = {"n": 100, "k": 3}
RATIO: Line = {"t": 60, "metric": "error-rate", "kind": "ratio", "canary": ARM, "stable": {"n": 900, "k": 9}}
EDGED: Line = {"t": 60, "metric": "latency", "kind": "histogram", "edges": [0.1, 1.0]}
SLOW: Line = {**EDGED, "canary": {"counts": [5, 3, 2]}, "stable": {"counts": [50, 30, 20]}}
NATIVE: Line = {
    "t": 60,
    "metric": "latency",
    "kind": "histogram",
    "canary": {"schema": 3, "zero": 1, "buckets": {"-24": 5, "3": 2}},
    "stable": None,
}
CLASSES: Line = {
    "t": 60,
    "metric": "prediction-distribution",
    "kind": "categorical",
    "canary": {"counts": {"a": 2}},
    "stable": {"counts": {"a": 3, "b": 1}},
}


def read(*lines: Line, warm_up: float = 60.0, **head: Any) -> list[Instant]:
    reader = Reader(Header(**head), warm_up, lambda _name, _kind, _line: True)
    return list(reader.instants(enumerate(lines, start=1)))


def only(line: Line, **head: Any) -> MetricCounts:
    (instant,) = read(line, **head)
    (counts,) = instant.metrics.values()
    return counts


def test_an_empty_recording_has_no_instants() -> None:
    assert read() == []


@pytest.mark.parametrize(
    ("line", "canary", "stable", "kind"),
    [
        (RATIO, {WHOLE: (100, 3)}, {WHOLE: (900, 9)}, "ratio"),
        (SLOW, {WHOLE: (10, 5, 2)}, {WHOLE: (100, 50, 20)}, "histogram"),
        (NATIVE, {WHOLE: {ZERO_BUCKET: 1, -24: 5, 3: 2}}, {}, "native"),
        (CLASSES, {WHOLE: {"a": 2}}, {WHOLE: {"a": 3, "b": 1}}, "categorical"),
    ],
)
def test_each_kind_of_line(line: Line, canary: Any, stable: Any, kind: Kind) -> None:
    counts = only(line)
    assert (counts.canary, counts.stable, counts.kind) == (canary, stable, kind)


def test_lines_of_one_time_are_one_instant() -> None:
    found = read(RATIO, SLOW, {**RATIO, "t": 75}, {**RATIO, "t": 75.5})
    assert [(one.t, sorted(one.metrics), one.line) for one in found] == [
        (60, ["error-rate", "latency"], 1),
        (75, ["error-rate"], 3),
        (75.5, ["error-rate"], 4),
    ]


@pytest.mark.parametrize("line", [RATIO, SLOW, NATIVE, CLASSES])
def test_an_arm_without_data_is_empty_and_two_are_no_data(line: Line) -> None:
    assert only({**line, "stable": None}).stable == {}
    (nothing,) = read({key: value for key, value in line.items() if key not in ("canary", "stable")})
    assert nothing.metrics == {}


@pytest.mark.parametrize("line", [SLOW, NATIVE])
def test_a_metric_may_begin_without_data(line: Line) -> None:
    nothing = {"t": 15, "metric": "latency", "kind": "histogram", "canary": None, "stable": None}
    assert [sorted(one.metrics) for one in read(nothing, line)] == [[], ["latency"]]


def test_what_is_not_counts() -> None:
    (found,) = read(
        {"t": 60, "metric": "latency", "error": "timeout"},
        {**RATIO, "weight": 25, "canary": {**ARM, "connections": 4}, "stable": {**ARM, "connections": 12}},
    )
    assert found.errors == {"latency": "timeout"}
    assert (found.weight, found.opened) == (25, {"canary": 4, "stable": 12})
    (bare,) = read(RATIO)
    assert (bare.weight, bare.opened) == (None, {})


def test_connections_that_each_metrics_line_repeats_count_once() -> None:
    repeated = [{**RATIO, "metric": name, "canary": {**ARM, "connections": 4}} for name in ("error-rate", "mine")]
    assert read(*repeated)[0].opened == {"canary": 4}


def test_late_truth_is_kept_until_it_is_known() -> None:
    (found,) = read({**RATIO, "metric": "accuracy", "labelled_at": 900}, {**RATIO, "metric": "mine", "labelled_at": 10})
    assert [(known, name) for known, name, _ in found.late] == [(900, "accuracy"), (60, "mine")]
    assert found.metrics == {}


def test_metrics_that_nobody_wants_are_left_out() -> None:
    asked: list[tuple[str, Kind, int]] = []
    reader = Reader(Header(), 60.0, lambda *what: bool(asked.append(what)))  # type: ignore[func-returns-value]
    assert [one.metrics for one in reader.instants([(7, NATIVE)])] == [{}]
    assert asked == [("latency", "native", 7)]


def test_pods_are_told_apart() -> None:
    counts = only({**RATIO, "stable": {"pods": {"a": {"n": 10, "k": 1}, "b": {"n": 20, "k": 2}}}})
    assert counts.stable == {"a": (10, 1), "b": (20, 2)}


@pytest.mark.parametrize(("age", "there"), [(74, False), (75, True), (None, True), (0, False)])
def test_a_pod_counts_when_it_was_warm_before_the_interval_began(age: float | None, *, there: bool) -> None:
    own = {"n": 10, "k": 1, "age": age}
    (found,) = read({**RATIO, "stable": {"pods": {"a": own}}}, warm_up=60.0, interval=15.0)
    assert (found.metrics["error-rate"].stable != {}) == there
    assert list(found.acted) == ([] if there else ["warm-up"])


def grown(line: Line, *arms: Any) -> list[Any]:
    """What the canary's values, one for each instant, come to."""
    found = read(*({**line, "t": 15 * i, "canary": arm} for i, arm in enumerate(arms)), cumulative=True)
    return [one.metrics[line["metric"]].canary if line["metric"] in one.metrics else None for one in found]


def test_cumulative_ratios_are_differences() -> None:
    values = [{"n": 100, "k": 3}, {"n": 150, "k": 3}, {"n": 40, "k": 2}, {"n": 41, "k": 2}]
    assert grown(RATIO, *values) == [{}, {WHOLE: (50, 0)}, {WHOLE: (40, 2)}, {WHOLE: (1, 0)}]


def test_cumulative_histograms_are_differences() -> None:
    values = [{"counts": [5, 3, 2]}, {"counts": [9, 3, 3]}, {"counts": [1, 0, 0]}]
    assert grown(SLOW, *values) == [{}, {WHOLE: (5, 1, 1)}, {WHOLE: (1, 0, 0)}]


def test_cumulative_classes_are_differences_and_new_ones_began_at_nothing() -> None:
    values = [{"counts": {"a": 5}}, {"counts": {"a": 7, "b": 1}}, {"counts": {"b": 3}}]
    assert grown(CLASSES, *values) == [{}, {WHOLE: {"a": 2, "b": 1}}, {WHOLE: {"b": 3}}]


def test_cumulative_pods_reset_one_by_one() -> None:
    values = [{"pods": {"a": ARM, "b": ARM}}, {"pods": {"a": {"n": 120, "k": 3}, "b": {"n": 5, "k": 0}, "c": ARM}}]
    lines = [{**RATIO, "t": 15 * i, "canary": arm} for i, arm in enumerate(values)]
    found = read(*lines, cumulative=True)
    assert found[1].metrics["error-rate"].canary == {"a": (20, 0), "b": (5, 0)}
    assert [list(one.acted) for one in found] == [[], ["counter-reset"]]


def test_what_was_missing_at_an_instant_gives_nothing_for_the_next() -> None:
    """As in a cluster: a difference over two intervals would stand beside one over one."""
    assert grown(RATIO, ARM, None, {"n": 150, "k": 3}, {"n": 160, "k": 3}) == [{}, {}, {}, {WHOLE: (10, 0)}]


def test_increments_of_native_histograms_begin_anew_when_the_schema_changes() -> None:
    values = [
        {"schema": 3, "buckets": {"4": 10}},
        {"schema": 3, "buckets": {"4": 12}},
        {"schema": 2, "buckets": {"2": 13}},
    ]
    found = grown(NATIVE, *values)
    assert found == [{}, {WHOLE: {ZERO_BUCKET: 0, 4: 2}}, {}]


@pytest.mark.parametrize(
    "stable",
    [
        {"schema": 2, "buckets": {"2": 8}},
        {"pods": {"a": {"schema": 2, "buckets": {"2": 8}}}},
        {"schema": 2, "pods": {"a": {"buckets": {"2": 8}}}},
    ],
    ids=["arm", "pod", "pods of an arm"],
)
def test_the_finer_native_histogram_is_merged_down_to_the_coarser_one(stable: Line) -> None:
    counts = only({**NATIVE, "canary": {"schema": 3, "buckets": {"3": 1, "4": 2, "5": 4}}, "stable": stable})
    assert counts.schema == 2
    assert counts.canary == {WHOLE: {ZERO_BUCKET: 0, 2: 3, 3: 4}}
    assert list(counts.stable.values()) == [{ZERO_BUCKET: 0, 2: 8}]


def test_the_records_schema_holds_for_the_arm_without_one_of_its_own() -> None:
    counts = only(
        {**NATIVE, "schema": 3, "canary": {"buckets": {"3": 1, "4": 2}}, "stable": {"schema": 2, "buckets": {"2": 8}}}
    )
    assert (counts.schema, counts.canary) == (2, {WHOLE: {ZERO_BUCKET: 0, 2: 3}})


POD: Line = {"pods": {"p": {"n": 1, "k": 2}}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (7, "7 is no JSON object"),
        ({"v": 1}, "the header must be the first line"),
        ({"metric": "x"}, "t is missing: the interval's end in seconds"),
        ({**RATIO, "t": "soon"}, "t is 'soon'; write a number"),
        ({**RATIO, "t": None}, "t is missing; write a number"),
        ({**RATIO, "t": math.nan}, "t is nan; it must be a number to 1e+15"),
        ({**RATIO, "t": 45}, "t is 45 after 50: lines must come in the order of their time"),
        ({**RATIO, "t": 50}, "error-rate stands twice at t 50"),
        ({**RATIO, "metric": ""}, "metric is missing; write its name, as error-rate"),
        ({**RATIO, "metric": 3}, "metric is missing; write its name, as error-rate"),
        ({**RATIO, "kind": "gauge"}, "kind is 'gauge'; write ratio, histogram or categorical"),
        ({**RATIO, "kind": None}, "kind is None; write ratio, histogram or categorical"),
        ({**RATIO, "weight": 101}, "weight is 101; it is a share in per cent, at most 100"),
        ({**RATIO, "weight": True}, "weight is True; write a number"),
        ({**RATIO, "labelled_at": "x"}, "labelled_at is 'x'; write a number"),
        ({**RATIO, "canary": 5}, "canary is 5; write an object, or null for no data"),
        ({**RATIO, "canary": {"k": 1}}, "canary.n is missing; write a number"),
        ({**RATIO, "canary": {"n": 1, "k": 2}}, "canary: 2 of 1 cannot be"),
        ({**RATIO, "stable": {"n": -1, "k": 0}}, "stable.n is -1; it must be a number from 0 to 1e+15"),
        ({**RATIO, "stable": {"n": math.inf, "k": 0}}, "stable.n is inf; it must be a number from 0 to 1e+15"),
        ({**RATIO, "stable": {"n": 10**400, "k": 0}}, "stable.n is 10000000000000000000; it must be a number from 0"),
        ({**RATIO, "canary": {**ARM, "connections": -1}}, "canary.connections is -1; it must be a number from 0"),
        ({**RATIO, "canary": {"pods": 3}}, "canary.pods is 3; write an object with one entry a pod"),
        ({**RATIO, "canary": {"pods": {"p": 3}}}, "canary.pods.p is 3; write an object"),
        ({**RATIO, "canary": POD}, "canary.pods.p: 2 of 1 cannot be"),
        ({**RATIO, "canary": {"pods": {"p": {**ARM, "age": "1m"}}}}, "canary.pods.p.age is '1m'; write a number"),
        ({**SLOW, "metric": "error-rate"}, "error-rate was recorded with another kind or other edges before"),
        ({**SLOW, "edges": 1}, "edges must be a list of seconds"),
        ({**SLOW, "edges": []}, "edges must be a list of seconds"),
        ({**SLOW, "edges": [1.0, 0.1]}, "edges must ascend"),
        ({**SLOW, "edges": [0.1, 0.1]}, "edges must ascend"),
        ({**SLOW, "edges": [0.1, "Inf"]}, "edges is 'Inf'; write a number"),
        (
            {**EDGED, "canary": {"counts": [1, 2]}},
            "canary.counts must be a list of 3 counts: one a bucket, the last above",
        ),
        ({**EDGED, "canary": {}}, "canary.counts must be a list of 3 counts"),
        ({**EDGED, "canary": {"counts": [1, 2, -3]}}, "canary.counts is -3; it must be a number from 0"),
        ({**EDGED, "canary": {"counts": [1, 2, "x"]}}, "canary.counts is 'x'; write a number"),
        ({**NATIVE, "canary": {"buckets": {}}}, "a histogram needs edges and counts, or schema, zero and buckets"),
        ({**NATIVE, "schema": 9}, "schema is 9; write a whole number from -4 to 8"),
        ({**NATIVE, "stable": {"pods": {"p": {"schema": "3"}}}}, "schema is '3'; write a whole number from -4 to 8"),
        ({**NATIVE, "stable": {"schema": 3}}, "stable.buckets must be an object with a count for each"),
        (
            {**NATIVE, "stable": {"schema": 3, "buckets": dict.fromkeys(map(str, range(1001)), 1)}},
            "at most 1000 buckets",
        ),
        (
            {**NATIVE, "stable": {"schema": 3, "buckets": {"a": 1}}},
            "stable.buckets has the index 'a'; write a whole number",
        ),
        ({**NATIVE, "stable": {"schema": 3, "buckets": {"1": "b"}}}, "stable.buckets.1 is 'b'; write a number"),
        (
            {**NATIVE, "stable": {"schema": 3, "zero": -1, "buckets": {}}},
            "stable.zero is -1; it must be a number from 0",
        ),
        ({**CLASSES, "canary": {"counts": [1]}}, "canary.counts is [1]; write an object with one count a class"),
        ({**CLASSES, "canary": {"counts": {"a": None}}}, "canary.counts.a is missing; write a number"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_what_is_wrong(line: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        read({**RATIO, "t": 50}, line)
    assert caught.value.line == 2
    assert caught.value.reason.startswith(reason) or reason in caught.value.reason
    assert str(caught.value) == f"line 2: {caught.value.reason}"


@pytest.mark.parametrize("other", [{**SLOW, "t": 75, "edges": [0.1, 2.0]}, {**NATIVE, "t": 75}])
def test_a_metric_keeps_its_buckets(other: Line) -> None:
    with pytest.raises(RecordError, match="line 2: latency was recorded with another kind or other edges before"):
        read(SLOW, other)


def test_a_header_is_told_from_a_line() -> None:
    assert header(RATIO) is None
    assert header("no object") is None
    assert header({"v": 1}) == Header()
    full = {
        "v": 1,
        "interval": 5,
        "source": "router",
        "routing": "connection",
        "maxConnectionAge": 0,
        "cumulative": True,
    }
    assert header(full) == Header(5.0, "router", "connection", 0.0, cumulative=True)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"v": 2}, "the header's v is 2; this release reads v 1"),
        ({"v": 1, "intervall": 5}, "the header has an unknown field 'intervall'; known: cumulative, interval"),
        ({"v": 1, "source": "gateway"}, "source is 'gateway'; write pod or router"),
        ({"v": 1, "routing": "sticky"}, "routing is 'sticky'; write request or connection"),
        ({"v": 1, "cumulative": 1}, "cumulative is 1; write true or false"),
        ({"v": 1, "interval": 0}, "interval is 0; it must be a number"),
        ({"v": 1, "interval": "15s"}, "interval is '15s'; write a number"),
        ({"v": 1, "maxConnectionAge": -1}, "maxConnectionAge is -1; it must be a number from 0"),
    ],
)
def test_a_wrong_header_says_what_is_wrong(record: Line, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        header(record, 3)
    assert caught.value.line == 3
    assert caught.value.reason.startswith(reason)
