"""What a recorded interval is compared with, and each rule that acts on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from fairlead.analysis.replay import replay
from tests.unit.analysis.recordings import (
    POD,
    ROUTER,
    alike,
    classes,
    equal,
    lines,
    pods,
    ratio,
    rollout,
    run,
    shares,
    verdicts,
)

Line = Mapping[str, Any]


def test_where_pods_count_an_interval_is_judged_with_the_one_after_it() -> None:
    """And where a router counts, at once: what comes later does not change what was said."""
    outage = [ratio(15.0, (300, 90), (1200, 12)), ratio(30.0, (300, 3), (1200, 360))]
    same = [ratio(15.0, (300, 90), (1200, 12)), ratio(30.0, (300, 3), (1200, 12))]
    first = {
        name: [run([head, *records], rollout())[0] for records in (outage, same)]
        for name, head in (("pod", POD), ("router", ROUTER))
    }
    assert [one["verdict"] for one in first["pod"]] == ["Continue", "Rollback"]
    assert first["pod"][0]["acted"] == ["alignment"]
    assert first["router"][0] == first["router"][1]


@pytest.mark.parametrize(("head", "needed"), [(POD, [45, 45, 45]), (ROUTER, [30, 45, 45])], ids=["pod", "router"])
def test_a_router_is_judged_when_its_instant_is_complete_and_pods_with_the_next_one(
    head: Line, needed: list[float]
) -> None:
    read: list[float] = []

    def source() -> Iterator[Line]:
        yield head
        for line in lines(3, *alike(2)):
            read.append(line["t"])
            yield line

    found = replay(source(), rollout())
    assert [(next(found)["t"], read[-1]) for _ in range(3)] == list(zip((15, 30, 45), needed, strict=True))
    assert next(found, None) is None


def test_what_lies_beyond_a_gap_is_no_neighbour() -> None:
    """The canary fails for one interval; the outage that stable shows is an hour away."""
    apart = [
        ratio(15.0, (300, 3), (1200, 12)),
        ratio(30.0, (300, 90), (1200, 12)),
        ratio(3600.0, (300, 3), (1200, 360)),
    ]
    assert run([POD, *apart], rollout())[1]["verdict"] == "Rollback"
    beside = [*apart[:2], {**apart[2], "t": 45.0}]
    assert run([POD, *beside], rollout())[1]["verdict"] == "Continue"
    alone = [{**apart[2], "t": 15.0}, {**apart[1], "t": 3600.0}]
    assert run([POD, *alone], rollout())[1]["verdict"] == "Rollback"


def test_history_tells_how_unlike_pods_are() -> None:
    def past(clump: int) -> list[Line]:
        random = np.random.default_rng(1)
        bad = clump * random.poisson(6 / clump, (20, 3))
        return [ratio(15.0 * (i - 19), None, pods([(400, int(k)) for k in row])) for i, row in enumerate(bad)]

    first = ratio(15.0, (300, 3), pods([(400, 6)] * 3))
    quiet, wild = (
        run([ROUTER, *past(clump), first], rollout())[0]["metrics"]["error-rate"]["phi"] for clump in (1, 12)
    )
    assert quiet < 2
    assert wild > 8
    assert run([ROUTER, first], rollout())[0]["metrics"]["error-rate"]["phi"] == pytest.approx(2.06, abs=0.01)


def test_history_of_whole_arms_counts_when_it_is_plainly_unlike_itself() -> None:
    def phi(bad: tuple[int, int]) -> float:
        past = [ratio(15.0 * (i - 19), None, (1200, bad[i % 2])) for i in range(20)]
        found = run([ROUTER, *past, ratio(15.0, (300, 3), (1200, 12))], rollout())
        return float(found[0]["metrics"]["error-rate"]["phi"])

    assert phi((12, 12)) == 1
    assert phi((0, 80)) > 20


def test_history_counts_connections_for_a_lone_stable_pod() -> None:
    """It shows nothing of how requests fall on pods, so all requests of a connection are taken as one."""
    head = {**ROUTER, "routing": "connection", "maxConnectionAge": 5}
    past = [ratio(15.0 * (i - 3), None, {**pods([(1200, 12)]), "connections": 40}) for i in range(4)]
    one = ratio(15.0, {"n": 300, "k": 3}, pods([(1200, 12)]))
    assert run([head, *past, one], rollout())[0]["metrics"]["error-rate"]["phi"] == 30


def test_ground_truth_that_comes_late_bars_the_promotion() -> None:
    how = rollout(metrics=[{"name": "error-rate"}, {"name": "accuracy"}], minStep="2m")
    truth = [
        {**ratio(15.0 * i, (300, 90), (1200, 120)), "metric": "accuracy", "labelled_at": 15.0 * i + 60}
        for i in range(1, 12)
    ]
    records = sorted([*lines(12, *equal(30_000)), *truth], key=lambda line: float(line["t"]))
    found = run([ROUTER, *records], how)
    assert verdicts(found) == ["Continue"] * 4 + ["Inconclusive"] * 8
    assert (found[4]["acted"], found[4]["culprit"]) == (["veto"], "accuracy")
    assert "accuracy" not in found[3]["metrics"]


def test_ground_truth_counts_once() -> None:
    how = rollout(metrics=[{"name": "error-rate"}, {"name": "accuracy"}], minStep="2m")
    truth = {**ratio(15.0, (30, 9), (120, 12)), "metric": "accuracy", "labelled_at": 40}
    found = run([ROUTER, ratio(15.0, *alike(2)), truth, *lines(5, *alike(2), start=2)], how)
    seen = [one["metrics"].get("accuracy", {}).get("evidence") for one in found]
    assert seen[:2] == [None, None]
    assert seen[2] > 1
    assert seen[2:] == [seen[2]] * 4


CONNECTIONS: Line = {**POD, "routing": "connection", "maxConnectionAge": 10}
OUTAGE = ([ratio(15.0 * i, (300, 90 if i == 3 else 3), (1200, 360 if i == 4 else 12)) for i in range(1, 7)], "Continue")
UNLIKE = pods([(4000, 40), (4000, 80), (4000, 120)])
CLUMPED = [ratio(15.0 * i, (300, 3), pods([(400, 12 * (i % 3 == j)) for j in range(3)])) for i in range(1, 9)]
MISROUTED = [ratio(15.0 * i, (150, 1), (1350, 13)) for i in range(1, 9)]
SILENT = [ratio(15.0 * i, None, (1200, 12)) for i in range(1, 12)]
YOUNG = [ratio(15.0 * i, pods([(300, 3)], age=15.0 * i), pods([(400, 4)] * 3, age=9000.0)) for i in range(1, 8)]
RESET = [ratio(15.0 * i, {"n": 300 * (i % 4 + 1), "k": 3}, {"n": 1200 * i, "k": 12 * i}) for i in range(1, 8)]
FEW = [
    ratio(15.0 * i, {"n": 300, "k": 30, "connections": 1}, {"n": 1200, "k": 12, "connections": 4}) for i in range(1, 9)
]
BROKEN = [{"t": 15.0 * i, "metric": "error-rate", "error": "503"} for i in range(1, 5)]
GUARDED = [{"name": "error-rate"}, {"name": "input-distribution"}, {"name": "accuracy"}]
INPUTS = [
    line
    for i in range(1, 9)
    for line in (ratio(15.0 * i, *alike(2)), classes(15.0 * i, {"a": 200, "b": 100}, {"a": 600, "b": 600}))
]
WRONG = [
    line
    for i in range(1, 9)
    for line in (
        ratio(15.0 * i, *alike(2)),
        {**ratio(15.0 * i, (300, 90), (1200, 120)), "metric": "accuracy", "labelled_at": 15.0 * i},
    )
]
OUTLIER = pods([(1000, 200)] + [(1000, 1)] * 7)


@pytest.mark.parametrize(
    ("rule", "head", "records", "how", "last"),
    [
        ("alignment", POD, OUTAGE[0], {}, "Continue"),
        ("dispersion", ROUTER, CLUMPED, {}, "Continue"),
        ("noise-floor", ROUTER, [ratio(15.0 * i, (3000, 80), UNLIKE) for i in range(1, 20)], {}, "Inconclusive"),
        ("placebo", ROUTER, [ratio(15.0, (1000, 200), OUTLIER, weight=11)], {}, "Inconclusive"),
        ("settling", POD, shares((3, 20), (3, 40)), {}, "Continue"),
        ("settling", CONNECTIONS, FEW[:1], {}, "Continue"),
        ("warm-up", POD, YOUNG, {}, "Continue"),
        ("counter-reset", {**ROUTER, "cumulative": True}, RESET, {}, "Promote"),
        ("connections", CONNECTIONS, FEW, {}, "Continue"),
        ("split", ROUTER, MISROUTED, {}, "Inconclusive"),
        ("inputs", ROUTER, INPUTS, {"metrics": GUARDED}, "Inconclusive"),
        ("veto", ROUTER, WRONG, {"metrics": GUARDED}, "Inconclusive"),
        ("min-step", ROUTER, lines(3, *equal(30_000)), {}, "Continue"),
        ("max-step", ROUTER, lines(8, *alike(3)), {"maxStep": "2m"}, "Promote"),
        ("no-data", ROUTER, SILENT, {}, "Inconclusive"),
        ("provider-error", ROUTER, BROKEN, {}, "Inconclusive"),
    ],
)
def test_each_rule_is_named_when_it_acts(rule: str, head: Line, records: Iterable[Line], how: Line, last: str) -> None:
    found = run([head, *records], rollout(**how))
    assert rule in {name for one in found for name in one["acted"]}
    assert found[-1]["verdict"] == last


def test_no_rule_acts_on_plain_data() -> None:
    assert {name for one in run([ROUTER, *lines(5, *alike(3))], rollout()) for name in one["acted"]} == set()
