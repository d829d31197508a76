"""Ground truth or a reward for an earlier answer, joined by the request's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fairlead_serving.errors import InvalidRequestError, RequestError, readable
from fairlead_serving.protocol.v2 import explain

if TYPE_CHECKING:
    from fairlead_serving.metrics.board import Board
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.tensors import Tensor

# A key has four places; where all are taken, the next prediction drives one of the four out in turn.
_WAYS: Final = 4
_MAX_ROWS: Final = 64
_Value = bool | int | float | str


class UnmatchedError(RequestError):
    """No answer is remembered under the id."""

    status = 404


class _Feedback(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    truth: _Value | list[_Value] | None = None
    reward: float | None = None


class _Place(NamedTuple):
    table: memoryview[int]
    at: int


_decoder: Final = msgspec.json.Decoder(_Feedback)


class Feedback:
    """Remembers the predictions of requests that carried an id, and counts what is said of them later.

    Each worker has a table of its own in shared memory, of a fixed size, and looks into those of all: feedback may come
    over another connection than its request. Predictions are kept as 8 bytes each: a hash of the class, or the number.
    """

    def __init__(self, board: Board, worker: int, metrics: Metrics, tolerance: float) -> None:
        """Use a board's areas. `tolerance` is how far a number may be from the truth, relative to it, to be right."""
        self._metrics = metrics
        self._tolerance = tolerance
        self._tables = [board.area(number).cast("q") for number in range(board.workers)]
        self._own = self._tables[worker]
        self._numbers = board.area(worker).cast("d")
        self._sets = len(self._own) // (2 * _WAYS)
        self._turn = 0

    def remember(self, request_id: str, first: Tensor) -> None:
        """Keep the predictions of an answer's first output, if that has one value a row and not more than 64 rows."""
        array = first.array
        if not self._sets or array.size > _MAX_ROWS or (array.ndim > 1 and array.size != len(array)):
            return
        classifies = self._metrics.classifies
        for row, value in enumerate(array.ravel().tolist()):
            key = _key(request_id, row)
            index = self._free(key)
            self._own[index] = 0
            if classifies:
                self._own[index + 1] = hash(_canonical(value))
            elif isinstance(value, str | bytes):
                return
            else:
                self._numbers[index + 1] = float(value)
            self._own[index] = key

    def receive(self, body: bytes) -> dict[str, object]:
        """Count feedback and return what it came to.

        Raises InvalidRequestError for what the client got wrong and UnmatchedError where the id is not known.
        """
        try:
            feedback = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise explain(error) from error
        if (feedback.truth is None) == (feedback.reward is None):
            raise InvalidRequestError(at="body", problem="should have either truth or reward")
        places = list(self._find(feedback.id))
        if not places:
            self._metrics.feedback("unmatched")
            message = (
                f"no answer to a request {readable(feedback.id)} is remembered: it was another server's, "
                f"too long ago, or has had its feedback"
            )
            raise UnmatchedError(message)
        if feedback.reward is not None:
            verdicts = [feedback.reward > 0]
        else:
            truths = feedback.truth if isinstance(feedback.truth, list) else [feedback.truth]
            verdicts = self._judge(places, truths)
        for place in places:
            place.table[place.at] = 0
        for right in verdicts:
            self._metrics.feedback("right" if right else "wrong")
        return {"id": feedback.id, "right": sum(verdicts), "wrong": len(verdicts) - sum(verdicts)}

    def _judge(self, places: Sequence[_Place], truths: Sequence[Any]) -> list[bool]:
        if len(truths) != len(places):
            problem = f"has {len(truths)} values where the answer had {len(places)} predictions"
            raise InvalidRequestError(at="truth", problem=problem)
        if self._metrics.classifies:
            return [
                place.table[place.at + 1] == hash(_canonical(truth))
                for place, truth in zip(places, truths, strict=True)
            ]
        return [self._near(place, truth, row) for row, (place, truth) in enumerate(zip(places, truths, strict=True))]

    def _near(self, place: _Place, truth: Any, position: int) -> bool:
        truth = None if isinstance(truth, str) else _canonical(truth)
        if not isinstance(truth, float):
            raise InvalidRequestError(at=f"truth[{position}]", problem="should be a number, as the prediction is one")
        prediction = float(place.table.cast("B").cast("d")[place.at + 1])
        return abs(prediction - truth) <= self._tolerance * abs(truth)

    def _find(self, request_id: str) -> Iterator[_Place]:
        """Yield the places of an id's rows, as far as they are remembered without a gap."""
        for row in range(_MAX_ROWS if self._sets else 0):
            key = _key(request_id, row)
            start = self._start(key)
            place = next(
                (_Place(table, at) for table in self._tables for at in self._set(start) if table[at] == key), None
            )
            if place is None:
                return
            yield place

    def _free(self, key: int) -> int:
        """Return where to keep a key: its old place, an empty one, or one of those that are taken."""
        own, empty = self._own, None
        start = self._start(key)
        for index in self._set(start):
            if own[index] == key:
                return index
            if not own[index]:
                empty = index
        if empty is not None:
            return empty
        self._turn = (self._turn + 1) % _WAYS
        return start + 2 * self._turn

    def _start(self, key: int) -> int:
        return key % self._sets * 2 * _WAYS

    def _set(self, start: int) -> range:
        return range(start, start + 2 * _WAYS, 2)


def _key(request_id: str, row: int) -> int:
    # All workers are forked from one process, so that their hashes are the same. 0 stands for an empty place.
    return hash((request_id, row)) or 1


def _canonical(value: Any) -> float | str:
    """Return a class in a form in which 1, 1.0, true and "1" are the same."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return str(value)
