"""The simulated traffic is what the benchmark's document says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bench.analysis import cells, generate, records, svg, tables
from tests.bench.analysis.cells import Cell
from tests.bench.analysis.generate import CLASSIC, HISTORY, NATIVE
from tests.bench.analysis.rules import limits
from tests.bench.analysis.summary import Outcome, Summary

PLAIN = Cell("plain", "test", "quiet")


def test_requests_and_errors_have_the_shares_of_the_cell() -> None:
    canary, stable = generate.traffic(replace(PLAIN, worse=2.0), 200, 1).judged
    assert (canary + stable)[..., 0].min() == 6000
    for place, share in ((2, 0.05), (7, 0.1), (12, 0.2), (17, 0.5)):
        assert canary[:, place, 0].mean() / 6000 == pytest.approx(share, rel=0.02)
    assert canary[..., 1].sum() / canary[..., 0].sum() == pytest.approx(0.02, rel=0.02)
    assert stable[..., 1].sum() / stable[..., 0].sum() == pytest.approx(0.01, rel=0.02)


def test_a_late_regression_begins_when_it_should() -> None:
    canary, _ = generate.traffic(replace(PLAIN, worse=5.0, onset=10), 300, 1).judged
    share = canary[..., 1].sum(axis=0) / canary[..., 0].sum(axis=0)
    assert share[:10].max() < 0.015
    assert share[10:].min() > 0.04


@pytest.mark.parametrize(("kind", "edges"), [("histogram", CLASSIC), ("native", NATIVE)])
def test_latency_has_the_quantiles_it_should(kind: cells.Kind, edges: np.ndarray) -> None:
    stable, _, worse = generate.cell_shares(replace(PLAIN, kind=kind, worse=1.5))
    many = np.round(np.stack([stable, worse]) * 1e9).astype(np.int64)
    native = kind == "native"
    p99 = limits.histogram_quantile(0.99, many, edges, exponential=native)
    assert p99[0] == pytest.approx(0.4, rel=0.02 if native else 0.2)
    if native:
        assert p99[1] == pytest.approx(0.6, rel=0.02)
        assert limits.histogram_quantile(0.5, many, edges, exponential=True).tolist() == pytest.approx(
            [0.08] * 2, rel=0.02
        )


@pytest.mark.parametrize("index", [0.1, 0.25])
def test_predictions_are_as_far_apart_as_asked(index: float) -> None:
    shifted = generate.shifted_deciles(index)
    assert shifted.sum() == pytest.approx(1)
    assert ((shifted - 0.1) * np.log(shifted / 0.1)).sum() == pytest.approx(index, rel=1e-6)


@pytest.mark.parametrize(("mean", "phi"), [(1.0, 1.0), (3.0, 5.0), (10.0, 19.0)])
def test_bursts_have_the_dispersion_of_their_name(mean: float, phi: float) -> None:
    drawn = generate.traffic(replace(PLAIN, burst=mean, pods=3), 400, 1)
    cells_of_pods = drawn.stable.pods[:, :HISTORY]
    n, k = cells_of_pods[..., 0].mean(), cells_of_pods[..., 1]
    assert k.var() / (n * 0.01 * 0.99) == pytest.approx(phi, rel=0.1)


def test_arms_that_are_scraped_apart_show_an_outage_at_different_times() -> None:
    late = replace(PLAIN, offset=10.0, tick=15.0, pods=3, shocks=True, rate=1000.0)
    canary, stable = generate.traffic(late, 100, 1).judged
    share = [arm[..., 1] / np.maximum(1, arm[..., 0]) for arm in (canary, stable)]
    begins = [np.argmax(own > 3 * np.median(own, axis=1, keepdims=True), axis=1) for own in share]
    later = np.isin(begins[1] - begins[0], (0, 1))
    assert later.mean() > 0.95
    assert 0.3 < (begins[1] - begins[0])[later].mean() < 0.9


def test_connections_stay_on_their_pod_and_reach_the_canary_only_when_it_is_there() -> None:
    wired = replace(PLAIN, clients=16, pods=3, tick=15.0)
    drawn = generate.traffic(wired, 40, 1)
    assert drawn.canary.pods[:, :HISTORY].sum() == 0
    canary, stable = drawn.judged
    per_tick = (canary + stable)[..., 0]
    assert per_tick.mean() == pytest.approx(1500, rel=0.02)
    assert canary[..., 0].sum() / per_tick.sum() == pytest.approx(0.25, rel=0.03)
    assert canary[..., 0].std() > 5 * np.sqrt(1500 * 0.25 * 0.75), "whole connections move, not requests"


def test_records_hold_what_was_drawn() -> None:
    cell = replace(PLAIN, pods=3, offset=5.0, tick=15.0)
    drawn = generate.traffic(cell, 2, 1)
    head, *lines = records.records(cell, drawn, 1)
    assert (head["source"], head["interval"]) == ("pod", 15.0)
    assert [line["t"] for line in lines] == [15.0 * i for i in range(1 - HISTORY, 81)]
    assert all(("canary" in line) == (line["t"] > 0) for line in lines)
    n = sum(pod["n"] for pod in lines[30]["stable"]["pods"].values())
    assert n == lines[30]["stable"]["n"] == drawn.stable.total[1, 30, 0]


def test_the_same_seed_gives_the_same_traffic() -> None:
    first, again, other = (generate.traffic(PLAIN, 3, seed).stable.pods for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_tables_and_plots_show_shares_and_times() -> None:
    found = Summary(PLAIN, {"fairlead": Outcome(1000, (3, 5, 9)), "kayenta": Outcome(200, ())})
    assert "| plain | 0 | **0.3 %, 5 min** |" in tables.table([found], tables.detected)
    drawn = svg.dots("a & b", [("plain", {"fairlead": 0.003})], 0.01)
    assert "a &amp; b" in drawn
    assert "fairlead: 0.3 %" in drawn
