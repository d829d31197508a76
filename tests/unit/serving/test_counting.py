"""Counting by several workers in shared memory, and what a scrape makes of it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fairlead_serving.batching.queue import Job
from fairlead_serving.batching.run import BatchRun
from fairlead_serving.call import Call
from fairlead_serving.errors import RequestError
from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.board import Board
from fairlead_serving.metrics.counters import HOLD_SECONDS, Metrics
from fairlead_serving.metrics.exposition import Exposition
from fairlead_serving.metrics.histograms import Sizes, Times
from fairlead_serving.metrics.predictions import PROBABILITY_EDGES, VALUE_EDGES
from fairlead_serving.metrics.summary import input_bin
from fairlead_serving.outputs import Outputs, Part
from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.tensors import Tensor, tensor_of
from fairlead_serving.workers.cores import allowed_cores, allowed_memory

NOW = 1000.0


def samples(metrics: Metrics) -> dict[str, float]:
    """Return what a scrape says, without the labels of the identity."""
    found = {}
    for line in Exposition(metrics).text("")[0].decode().splitlines():
        if line.startswith("fairlead_"):
            series, value = line.rsplit(" ", 1)
            series = re.sub(r'(?:model|version|revision)="[^"]*",?', "", series).replace("{}", "").replace(",}", "}")
            found[series] = float(value)
    return found


def in_a_worker(work: Callable[[], None]) -> None:
    """Do something in a forked process, as a worker does."""
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def predicted(metrics: Metrics, outputs: Outputs) -> None:
    """Count the outputs of a run."""
    metrics.predictions.hold(outputs)
    metrics.predictions.count_scores(outputs)
    metrics.predictions.settle()


class Answered(Call):
    """A request that was answered: of it, only when it came is asked for."""

    def decode(self) -> InferRequest:
        raise NotImplementedError

    def encode(self, request: InferRequest, outputs: Part) -> object:
        raise NotImplementedError

    def refuse(self, error: RequestError) -> object:
        raise NotImplementedError

    def answer(self, response: object) -> None:
        raise NotImplementedError


def calls(*seconds: float) -> list[Call]:
    """Return calls that had taken so long at NOW."""
    return [Answered(NOW - each, 100, None) for each in seconds]


def test_classes_are_bounded_and_the_rest_is_other() -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", (), 0.1)
    predicted(metrics, Outputs([tensor_of("label", np.arange(100))]))
    counts = samples(metrics)
    assert counts['fairlead_predictions_total{class="63"}'] == 1
    assert 'fairlead_predictions_total{class="64"}' not in counts
    assert counts['fairlead_predictions_total{class="other"}'] == 36


def test_values_that_are_not_numbers_do_not_spoil_the_sum() -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", None, 0.1)
    predicted(metrics, Outputs([tensor_of("y", np.array([1.0, np.nan]))]))
    predicted(metrics, Outputs([tensor_of("y", np.array([2.0, 3.0]))]))
    predicted(metrics, Outputs([tensor_of("y", np.array([np.inf] * 20))]))
    counts = samples(metrics)
    assert counts["fairlead_prediction_value_sum"] == 6
    assert counts["fairlead_prediction_value_count"] == 3
    assert counts["fairlead_prediction_score_count"] == 3


@pytest.mark.parametrize("rows", [3, 300])
@pytest.mark.parametrize(
    ("table", "score"),
    [
        (np.array([[0.7, 0.3]]), 0.3),
        (np.array([[0.1, 0.7, 0.2]]), 0.7),
        (np.array([0.95]), 0.95),
    ],
)
def test_the_score_is_the_probability_of_the_second_of_two_classes_else_the_largest(
    table: np.ndarray[tuple[int, ...], np.dtype[np.float64]], score: float, rows: int
) -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", ("0", "1"), 0.1)
    outputs = [tensor_of("label", np.zeros(rows, dtype=int)), tensor_of("p", np.repeat(table, rows, axis=0))]
    predicted(metrics, Outputs(outputs))
    counts = samples(metrics)
    for edge in PROBABILITY_EDGES:
        assert counts[f'fairlead_prediction_score_bucket{{le="{edge}"}}'] == (rows if edge >= score else 0)
    assert counts["fairlead_prediction_score_sum"] == pytest.approx(rows * score)
    predicted(metrics, Outputs(outputs[:1]))
    assert samples(metrics)["fairlead_prediction_score_count"] == rows


def test_other_models_values_are_scores() -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", None, 0.1)
    predicted(metrics, Outputs([tensor_of("y", np.array([-5.0, 0.5, 2e6]))]))
    counts = samples(metrics)
    buckets = [counts[f'fairlead_prediction_score_bucket{{le="{edge}"}}'] for edge in (*VALUE_EDGES, "+Inf")]
    assert buckets == [0] * 4 + [1] * 5 + [2] * 10 + [3]


def test_workers_are_added_up_and_what_a_dead_one_left_is_kept_and_settled() -> None:
    board = Board(2)
    first = Metrics("m", "1", "r", board, 0)

    def serve() -> None:
        own = Metrics("m", "1", "r", board, 1)
        own.begun()
        own.loaded("sha256:x", "onnx", (), 3)
        for _ in range(3):
            own.in_flight += 1
            own.connection_opened()
        own.publish()
        own.ended("success", 0.004)
        own.connection_closed()
        predicted(own, Outputs([tensor_of("y", np.array(["b", "a"], dtype=object))]))

    first.begun()
    first.loaded("sha256:x", "onnx", ("a",), 1)
    predicted(first, Outputs([tensor_of("y", np.array(["a", "c"], dtype=object))]))
    first.finished("success", 0.1)
    first.finished("rejected", 0.0)
    first.connection_opened()
    in_a_worker(serve)
    before = samples(first)
    assert before['fairlead_requests_total{outcome="success"}'] == 2
    assert before['fairlead_requests_total{outcome="rejected"}'] == 1
    assert before["fairlead_request_duration_seconds_count"] == 2
    assert before["fairlead_requests_in_flight"] == 2
    assert {name: before[f'fairlead_predictions_total{{class="{name}"}}'] for name in "abc"} == {"a": 2, "b": 1, "c": 1}
    assert before["fairlead_model_load_duration_seconds"] == 3
    assert before["fairlead_workers"] == 2
    board.bury(1)
    after = samples(first)
    assert after['fairlead_requests_total{outcome="server_error"}'] == 2
    assert (after["fairlead_requests_in_flight"], after["fairlead_workers"]) == (0, 1)
    assert (after["fairlead_connections_opened_total"], after["fairlead_connections_closed_total"]) == (4, 3)
    in_a_worker(serve)
    again = samples(first)
    assert again["fairlead_worker_restarts_total"] == 1
    assert again['fairlead_requests_total{outcome="success"}'] == 3
    assert all(again[name] >= value for name, value in after.items() if name.endswith("_total"))


def test_classes_that_workers_meet_at_the_same_time_share_one_table() -> None:
    board = Board(3)
    children = []
    for worker in range(3):
        pid = os.fork()
        if not pid:
            own = Metrics("m", "1", "r", board, worker)
            own.loaded("sha256:x", "onnx", (), 1)
            for number in range(80):
                predicted(own, Outputs([tensor_of("y", np.array([(number * 7 + worker * 31) % 80]))]))
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    metrics = Metrics("m", "1", "r", board)
    metrics.loaded("sha256:x", "onnx", (), 1)
    counts = {name: value for name, value in samples(metrics).items() if name.startswith("fairlead_predictions_total")}
    assert len(counts) == at.MAX_CLASSES + 1
    assert counts.pop('fairlead_predictions_total{class="other"}') == 3 * 16
    assert set(counts.values()) == {3}


def test_long_labels_lose_their_end() -> None:
    board = Board()
    assert board.label("é" * 500) == board.label("é" * 500 + "x") == at.CLASSES
    assert list(board.labels()) == ["é" * 60 + "…"]


def test_a_run_counts_its_rows_its_waits_and_its_first_input() -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", None, 0.1)

    def model(feed: np.ndarray[tuple[int, ...], np.dtype[np.float64]], _: object) -> list[Tensor]:
        return [tensor_of("y", feed[:, 0])]

    batch = [Job(), Job()]
    for rows, job in enumerate(batch, 1):
        job.feed, job.rows = np.ones((rows, 2)), rows
    run = BatchRun(model, batch)
    for job, wait in zip(batch, (0.002, 0.2), strict=True):
        job.queued = run.began - wait
    metrics.ran(run)
    counts = samples(metrics)
    assert counts['fairlead_batch_rows_bucket{le="2.0"}'] == 0
    assert counts['fairlead_batch_rows_bucket{le="4.0"}'] == counts["fairlead_batch_rows_count"] == 1
    assert counts["fairlead_batch_rows_sum"] == 3
    assert counts['fairlead_queue_seconds_bucket{le="0.005"}'] == 1
    assert counts["fairlead_queue_seconds_sum"] == pytest.approx(0.202)
    assert counts["fairlead_prediction_value_count"] == 3
    assert sum(value for name, value in counts.items() if name.startswith("fairlead_inputs_total")) == 1


def test_what_came_right_after_something_else_is_counted_with_the_next_or_when_somebody_looks() -> None:
    metrics = Metrics("m", "1", "r")
    slot = metrics.board.slot(0)

    def counted() -> tuple[float, float, float]:
        return slot[at.REQUESTS], sum(slot[at.DURATION : at.ROWS - 1]), round(slot[at.ROWS - 1], 6)

    metrics.in_flight = 5
    metrics.succeeded(calls(0.001, 0.002), NOW)
    metrics.settle(10.0)
    assert counted() == (2, 2, 0.003)
    assert metrics.due == pytest.approx(10.0 + HOLD_SECONDS)
    # How many requests there were is told at once: of a worker that dies, what is in flight has failed.
    metrics.succeeded(calls(0.1, 7.0), NOW)
    assert counted() == (4, 2, 0.003)
    assert slot[at.IN_FLIGHT] == 1
    metrics.succeeded(calls(0.2), NOW)
    assert samples(metrics)["fairlead_request_duration_seconds_count"] == 5
    assert counted() == (5, 5, 7.303)
    metrics.settle(20.0)
    assert counted() == (5, 5, 7.303)


def test_texts_and_numbers_of_one_model_are_counted_together() -> None:
    """A client may ask for the probabilities first, or alone."""
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", ("a", "b"), 0.1)
    metrics.predictions.hold(Outputs([tensor_of("label", np.array(["a", "b", "b"], dtype=object))]))
    metrics.predictions.hold(Outputs([tensor_of("p", np.array([0.25, 0.5]))]))
    metrics.predictions.hold(Outputs([tensor_of("label", np.array([], dtype=object))]))
    counts = samples(metrics)
    assert counts['fairlead_predictions_total{class="b"}'] == 2
    assert counts["fairlead_prediction_value_sum"] == 0.75
    assert counts["fairlead_prediction_value_count"] == 2


NATIVE_EDGES = [2 ** ((at.NATIVE_FIRST + step) / (1 << at.NATIVE_SCHEMA)) for step in range(at.NATIVE_BUCKETS - 1)]
EDGES = [*at.SECONDS_EDGES, *NATIVE_EDGES]


@pytest.mark.parametrize(
    "seconds",
    [
        [0.0],
        [1e-9, 1e9, 1e-9],
        EDGES,
        EDGES[::-1],
        [math.nextafter(edge, 0) for edge in EDGES],
        [math.nextafter(edge, math.inf) for edge in EDGES],
        np.random.default_rng(1).lognormal(-6, 3, 5000).tolist(),
        sorted(np.random.default_rng(2).lognormal(-8, 1, 5000).tolist(), reverse=True),
    ],
)
def test_times_are_in_the_buckets_that_their_edges_say(seconds: list[float]) -> None:
    slot = Board().slot(0)
    durations, waits = Times(slot, at.DURATION, at.NATIVE), Times(slot, at.QUEUE)
    for number, each in enumerate(seconds):
        durations.add(each)
        waits.add(each)
        if not number % 1000:
            durations.settle()
            waits.settle()
    for times in (durations, waits, durations):
        times.settle()
    for first, edges in (
        (at.DURATION, at.SECONDS_EDGES),
        (at.QUEUE, at.SECONDS_EDGES),
        (at.NATIVE, NATIVE_EDGES),
    ):
        wanted = np.bincount(np.searchsorted(edges, seconds), minlength=len(edges) + 1)
        assert slot[first : first + len(edges) + 1].tolist() == wanted.tolist()
        if first != at.NATIVE:
            assert slot[first + len(edges) + 1] == pytest.approx(sum(seconds))


def test_sizes_are_in_the_buckets_that_their_edges_say() -> None:
    slot = Board().slot(0)
    sizes = Sizes(slot, at.ROWS)
    rows = [1, 2, 3, 256, 257, 5000, *range(1, 300)]
    for each in rows:
        sizes.add(each)
    sizes.settle()
    sizes.settle()
    wanted = np.bincount(np.searchsorted(at.ROWS_EDGES, rows), minlength=len(at.ROWS_EDGES) + 1)
    assert slot[at.ROWS : at.ROWS + len(wanted)].tolist() == wanted.tolist()
    assert slot[at.ROWS + len(wanted)] == sum(rows)


@pytest.mark.parametrize(("runs", "looks"), [(50, (50, 50)), (400, (80, 100)), (4000, (9, 11))])
def test_of_many_runs_a_second_some_are_looked_at(runs: int, looks: tuple[int, int]) -> None:
    metrics = Metrics("m", "1", "r")
    metrics.loaded("sha256:x", "onnx", None, 0.1)
    for number in range(10 * runs):
        job = Job()
        job.feed = np.ones((1, 2))
        run = BatchRun(lambda feed, _: [tensor_of("y", feed[:, 0])], [job])
        run.began = job.queued = 100 + number / runs
        metrics.ran(run)
    seen = sum(value for name, value in samples(metrics).items() if name.startswith("fairlead_inputs_total"))
    assert looks[0] <= seen / 10 <= looks[1]


def test_the_bin_of_an_input_is_the_same_everywhere_and_tells_other_inputs_apart() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 6))
    bins = [input_bin(row[None]) for row in rows]
    assert bins == [input_bin({"x": row[None].astype(np.float32)}) for row in rows]
    assert bins == [input_bin(row[None].astype(object)) for row in rows]
    shifted = [input_bin(row[None]) for row in rows + np.array([0, 0, 3, 0, 0, 0])]
    apart = sum(abs(bins.count(number) - shifted.count(number)) for number in range(at.INPUT_BINS))
    assert apart > 200
    other = [input_bin(row[None]) for row in np.random.default_rng(2).normal(size=(500, 6))]
    assert sum(abs(bins.count(number) - other.count(number)) for number in range(at.INPUT_BINS)) < 150
    assert input_bin({"a": rows[:1], "b": rows[1:2]}) == input_bin({"b": rows[1:2], "a": rows[:1]})


def test_any_input_has_a_bin_or_none() -> None:
    wide = np.full((1, 100), np.nan)
    for feed in (
        wide,
        np.array([["text", None, 1.0]], dtype=object),
        np.array(["a"], dtype=object),
        np.ones((1, 2, 2)),
    ):
        found = input_bin(feed)
        assert found is not None
        assert 0 <= found < at.INPUT_BINS
    assert [input_bin(feed) for feed in (None, {"a": 1}, np.ones((1, 0)))] == [None, None, None]


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, None, None),
        ({"cpu.max": "150000 100000", "memory.max": "1048576"}, 1, 1 << 20),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        ({"cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 1, None),
        ({"a/b/cpu.max": "20000 100000", "a/b/memory.max": "4096"}, 1, 4096),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1, None),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1", "memory/memory.limit_in_bytes": "9223372036854771712"}, None, None),
        ({"memory/a/memory.limit_in_bytes": "8192"}, None, 8192),
    ],
)
def test_a_containers_limits_are_kept(
    tmp_path: Path, files: dict[str, str], cores: int | None, memory: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    own = tmp_path / "own"
    own.write_text("5:memory:/a\n4:cpu,cpuacct:/\n0::/a/b\n")
    assert allowed_cores(tmp_path, own) == (cores or len(os.sched_getaffinity(0)))
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert allowed_memory(tmp_path, own) == (memory or whole)
