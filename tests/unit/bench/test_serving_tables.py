"""Results, their medians and the tables made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.serving import document, tables
from tests.bench.serving.cells import Block, Cell, blocks
from tests.bench.serving.lineup import ALL
from tests.bench.serving.store import Result, Store

OURS, THEIRS = "http/lr/fairlead/32", "http/lr/kserve/32"


def put(store: Store, prefix: str, *rates: float, **more: object) -> None:
    for run, rate in enumerate(rates):
        result: Result = {"rate": rate, "p50": 0.5, "p99": 12.0, **more}
        store.put(f"{prefix}/{run}", result)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "2s.json")


def test_results_outlive_the_run(store: Store) -> None:
    put(store, OURS, 10.0)
    assert f"{OURS}/0" in Store(store.path)
    assert f"{OURS}/1" not in Store(store.path)


def test_what_failed_is_tried_again(store: Store) -> None:
    store.put(f"{OURS}/0", {"failed": "it ended"})
    assert f"{OURS}/0" not in store


def test_medians(store: Store) -> None:
    assert store.median(OURS, "rate") is None
    put(store, OURS, 10.0, 400.0, 20.0)
    put(store, "http/lr/fairlead/3", 1.0)
    assert store.median(OURS, "rate") == 20.0
    store.put(f"{OURS}/1", {"failed": "it ended"})
    assert store.median(OURS, "rate") is None


def test_a_cell(store: Store) -> None:
    def shown() -> str:
        return tables.rate(store, "http", "lr", "fairlead", 32)

    assert shown() == "–"
    put(store, OURS, 61_234.4)
    assert shown() == "61,234"
    put(store, OURS, 61_234.4, disturbed=True)
    assert shown() == "61,234*"
    store.put(f"{OURS}/0", {"failed": "it ended"})
    assert shown() == "failed"


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [(3500.0, "| KServe | – | 4 | – | 35.0 | 35 | yes |"), (3400.0, "| KServe | – | 4 | – | 34.0 | 35 | **no** |")],
)
def test_ratios_are_said_plainly(store: Store, ours: float, verdict: str) -> None:
    put(store, OURS, ours)
    put(store, THEIRS, 100.0)
    assert verdict in tables.goals(store, ALL)


def test_bars(store: Store) -> None:
    put(store, OURS, 46.0)
    put(store, "http/lr/echo/32", 100.0)
    put(store, "http/lr/fairlead-lean/32", 1.0, rss=91.0)
    put(store, "cold/lr/fairlead-onnx", 0, seconds=0.31)
    shown = tables.bars(store)
    assert "| 46 | ≥ 45 | yes |" in shown
    assert "| 0.31 | ≤ 0.5 | yes |" in shown
    assert "| 91 | ≤ 90 | **no** |" in shown
    assert "two cores, times | – | ≥ 1.8 | – |" in shown


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.123, "0.12"), (1.26, "1.3"), (43.4, "43")])
def test_latencies(value: float | None, text: str) -> None:
    assert tables.latency(value) == text


def test_each_round_has_every_cell_in_another_order() -> None:
    cells = tuple(Cell("http", "lr", "fairlead", count) for count in range(20))
    rounds = Block(cells, 1).rounds(3)
    turns = [[cell for cell, run in rounds if run == number] for number in range(3)]
    assert all(set(turn) == set(cells) for turn in turns)
    assert turns[0] != turns[1] != turns[2]
    assert Block(cells, 1).rounds(3) == rounds


def test_what_matters_most_comes_first() -> None:
    first, *others = blocks("lr", ALL, 2, quick=False)
    assert {cell.connections for cell in first.cells} == {1, 32}
    assert {cell.server for cell in first.cells} == {*ALL}
    assert {cell.kind for block in others for cell in block.cells} == {"http", "grpc", "steady"}
    assert len(blocks("lr", ALL, 2, quick=True)) == 3


def test_the_document(tmp_path: Path) -> None:
    (tmp_path / document.NAME).write_text("a\n<!-- goals -->old<!-- /goals -->\nz\n")
    document.replace(tmp_path, {"goals": r"new \1"})
    assert (tmp_path / document.NAME).read_text() == "a\n<!-- goals -->\n\nnew \\1\n\n<!-- /goals -->\nz\n"
    with pytest.raises(ValueError, match="no mark <!-- bars -->"):
        document.replace(tmp_path, {"bars": "x"})
