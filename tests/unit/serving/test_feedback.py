"""Feedback joined to answers by id, in bounded memory that workers share."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.feedback import Feedback, UnmatchedError
from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.board import ENTRY_BYTES, Board
from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.tensors import tensor_of


def desk(board: Board | None = None, worker: int = 0, classes: tuple[str, ...] | None = ("a", "b")) -> Feedback:
    board = board or Board(1, 1024 * ENTRY_BYTES)
    metrics = Metrics("m", "1", "r", board, worker)
    metrics.loaded("sha256:x", "onnx", classes, 0.1)
    return Feedback(board, worker, metrics, tolerance=0.1)


def say(feedback: Feedback, **content: Any) -> tuple[int, int]:
    answer = feedback.receive(json.dumps(content).encode())
    return answer["right"], answer["wrong"]  # type: ignore[return-value]


def counted(feedback: Feedback) -> list[float]:
    """Return the counts of right, wrong and unmatched."""
    return feedback._metrics.board.totals()[at.RIGHT_OR_WRONG : at.UNMATCHED + 1]


@pytest.mark.parametrize(
    ("predicted", "truth", "right"),
    [
        (["a"], "a", 1),
        (["a"], "b", 0),
        ([1], 1, 1),
        ([1], "1", 1),
        ([1], 1.0, 1),
        ([1.0], 1, 1),
        ([True], True, 1),
        (["1"], 1, 1),
        ([2, 3, 4], [2, 3, 5], 2),
    ],
)
def test_the_truth_is_compared_with_the_predicted_class(predicted: list[Any], truth: Any, right: int) -> None:
    feedback = desk()
    feedback.remember("42", tensor_of("y", np.array(predicted)))
    assert say(feedback, id="42", truth=truth) == (right, len(predicted) - right)
    assert counted(feedback) == [right, len(predicted) - right, 0]


@pytest.mark.parametrize(("truth", "right"), [(100, 1), (91.5, 1), (90, 0), (112, 0), (-100, 0)])
def test_a_number_is_right_when_it_is_near_the_truth(truth: float, right: int) -> None:
    feedback = desk(classes=None)
    feedback.remember("42", tensor_of("y", np.array([[100.0]])))
    assert say(feedback, id="42", truth=[truth]) == (right, 1 - right)


def test_a_reward_above_zero_is_right() -> None:
    feedback = desk()
    for name, reward in (("a", 1), ("b", 0), ("c", -0.5)):
        feedback.remember(name, tensor_of("y", np.array([1, 2])))
        assert say(feedback, id=name, reward=reward) == (int(reward > 0), int(reward <= 0))
    assert counted(feedback) == [1, 2, 0]


def test_feedback_counts_once_and_only_for_what_is_remembered() -> None:
    feedback = desk()
    feedback.remember("42", tensor_of("y", np.array([1, 2])))
    say(feedback, id="42", truth=[1, 2])
    for name in ("42", "43", ""):
        with pytest.raises(UnmatchedError, match=r"no answer to a request '.*' is remembered"):
            say(feedback, id=name, truth=[1, 2])
    assert counted(feedback) == [2, 0, 3]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"id": "42", "truth": [1]}, "truth: has 1 values where the answer had 2 predictions"),
        ({"id": "42", "truth": [1, 2, 3]}, "truth: has 3 values"),
        ({"id": "42"}, "body: should have either truth or reward"),
        ({"id": "42", "truth": 1, "reward": 1}, "body: should have either"),
        ({"truth": 1}, "id: is missing"),
        ({"id": 42, "truth": 1}, "id: Expected str"),
        ({"id": "42", "truth": {}}, "truth: Expected"),
        ({"id": "42", "truth": 1, "more": 1}, "more: is not a field of the protocol"),
        ([], "body: Expected object"),
        ({"id": "42", "truth": 10**400}, "truth: "),
    ],
)
def test_what_is_not_feedback_is_refused_and_may_be_put_right(content: Any, problem: str) -> None:
    feedback = desk()
    feedback.remember("42", tensor_of("y", np.array([1, 2])))
    with pytest.raises(InvalidRequestError, match=problem):
        feedback.receive(json.dumps(content).encode())
    assert say(feedback, id="42", truth=[1, 2]) == (2, 0)


def test_text_as_the_truth_of_a_number_is_refused() -> None:
    feedback = desk(classes=None)
    feedback.remember("42", tensor_of("y", np.array([1.0])))
    with pytest.raises(InvalidRequestError, match=r"truth\[0\]: should be a number"):
        say(feedback, id="42", truth="1")


def test_the_memory_is_bounded_and_the_latest_are_in_it() -> None:
    feedback = desk(Board(1, 1000 * ENTRY_BYTES))
    for number in range(10_000):
        feedback.remember(str(number), tensor_of("y", np.array([number])))
    kept = [number for number in range(10_000) if any(feedback._find(str(number)))]
    assert 900 < len(kept) <= 1024
    assert len([number for number in kept if number >= 9_000]) > 500


def test_an_id_that_comes_again_stands_for_the_latest_answer() -> None:
    feedback = desk()
    feedback.remember("1", tensor_of("y", np.array([5])))
    feedback.remember("1", tensor_of("y", np.array([6])))
    assert say(feedback, id="1", truth=6) == (1, 0)


@pytest.mark.parametrize("predictions", [np.zeros((3, 2)), np.zeros(65), np.zeros((2, 2, 2))])
def test_answers_without_one_value_a_row_or_with_very_many_are_not_remembered(predictions: Any) -> None:
    feedback = desk()
    feedback.remember("42", tensor_of("y", predictions))
    with pytest.raises(UnmatchedError):
        say(feedback, id="42", reward=1)


def test_without_room_nothing_is_remembered() -> None:
    feedback = desk(Board(1, 0))
    feedback.remember("42", tensor_of("y", np.array([1])))
    with pytest.raises(UnmatchedError):
        say(feedback, id="42", reward=1)


def test_feedback_may_reach_another_worker_than_its_request() -> None:
    board = Board(2, 1024 * ENTRY_BYTES)
    pid = os.fork()
    if not pid:
        desk(board, 1).remember("42", tensor_of("y", np.array(["b"], dtype=object)))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert say(desk(board, 0), id="42", truth="b") == (1, 0)
