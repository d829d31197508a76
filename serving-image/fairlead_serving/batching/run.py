"""One run of the model for one request or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fairlead_serving.batching.feeds import join
from fairlead_serving.errors import ModelFailureError, RequestError
from fairlead_serving.outputs import Outputs, Part, split

if TYPE_CHECKING:
    from fairlead_serving.batching.queue import Job
    from fairlead_serving.tensors import Tensor

    Run = Callable[[Any, Sequence[str]], list[Tensor]]
    Result = Part | RequestError


class BatchRun:
    """What came of a batch, made where the run should happen.

    `results` holds its part of the outputs or an error for each job. `joint` are the outputs of all rows together, None
    where there are none. `seconds` is how long the model took, None when it failed. `misfit` is true when the outputs
    did not have a row for each row of the inputs.
    """

    __slots__ = ("batch", "began", "joint", "misfit", "results", "rows", "seconds")

    def __init__(self, run: Run, batch: list[Job]) -> None:
        self.batch = batch
        self.rows = sum([job.rows for job in batch])
        self.joint: Outputs | None = None
        self.seconds: float | None = None
        self.misfit = False
        self.results: Sequence[Result]
        self.began = time.perf_counter()
        outcome = _attempt(run, batch)
        if isinstance(outcome, RequestError):
            self.results = [outcome] if len(batch) == 1 else _halved(run, batch)
            return
        self.seconds = time.perf_counter() - self.began
        parts = split(outcome, [job.rows for job in batch])
        if parts is None:
            self.misfit = True
            self.results = [_alone(run, job) for job in batch]
        else:
            self.results, self.joint = parts, parts[0].outputs


def _halved(run: Run, batch: list[Job]) -> list[Result]:
    """Find the requests that the model cannot answer, by halves: they must not cost the others their answers."""
    results: list[Result] = []
    middle = len(batch) // 2
    for half in (batch[:middle], batch[middle:]):
        outcome = _attempt(run, half)
        if not isinstance(outcome, RequestError):
            results += split(outcome, [job.rows for job in half]) or [_alone(run, job) for job in half]
        elif len(half) == 1:
            results.append(outcome)
        else:
            results += _halved(run, half)
    return results


def _alone(run: Run, job: Job) -> Result:
    outcome = _attempt(run, [job])
    return outcome if isinstance(outcome, RequestError) else Part(Outputs(outcome))


def _attempt(run: Run, batch: list[Job]) -> list[Tensor] | RequestError:
    try:
        return run(join([job.feed for job in batch]), batch[0].wanted)
    except RequestError as error:
        return error
    except Exception as error:  # noqa: BLE001  a bug of ours must cost these requests, not the server
        return ModelFailureError(f"internal error: {type(error).__name__}")
