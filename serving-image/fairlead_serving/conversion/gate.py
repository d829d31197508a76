"""The parity gate: a converted model must answer as its native engine does, and faster, or it does not serve."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.report import Parity
from fairlead_serving.models.converted import ConvertedEngine, Rules
from fairlead_serving.models.tabularmodel import PREDICT, PROBABILITIES

if TYPE_CHECKING:
    from pathlib import Path

    from fairlead_serving.models.tabularmodel import Engine
    from fairlead_serving.tensors import Array

ATOL: Final = 1e-6
RTOL: Final = 1e-5
_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_LARGEST: Final = float(np.finfo(np.float64).max)
_PROBED: Final = 40
_RUNS: Final = 20
_SHOWN: Final = 200


def judge(native: Engine, path: Path, rules: Rules, table: Array) -> tuple[Rules, Parity]:
    """Compare the file at `path`, read by some rules, with `native` on all rows of a table.

    Returns the rules with what is to be refused. Raises UnconvertibleError with the reason why the native engine has
    to serve.
    """
    expected = answers_of(native, table)
    predicted = expected[PREDICT]
    rules = msgspec.structs.replace(
        rules, tail=list(predicted.shape[1:]), predicts=predicted.dtype.str if native.labels is None else None
    )
    difference = _compared(expected, path, rules, table)
    if isinstance(difference, str):
        raise UnconvertibleError(difference)
    guarded = _guarded(native, path, rules, table)
    seconds = _seconds(native, table), _seconds(ConvertedEngine(path, guarded), table)
    if seconds[1] > seconds[0]:
        message = f"ONNX Runtime takes {seconds[1] * 1e6:.0f} µs for a row, the native engine {seconds[0] * 1e6:.0f} µs"
        raise UnconvertibleError(message)
    return guarded, Parity(len(table), difference, *seconds)


def answers_of(native: Engine, table: Array) -> dict[str, Array]:
    """Return what the native engine answers. Raises UnconvertibleError where it refuses the rows."""
    try:
        return _answers(native, table)
    except MemoryError:
        raise
    except Exception as error:
        message = f"it refuses the inputs to compare on ({type(error).__name__}: {_short(error)})"
        raise UnconvertibleError(message) from error


def _compared(expected: dict[str, Array], path: Path, rules: Rules, table: Array) -> float | str:
    """Return the largest difference of the file's answers, or the reason why they are not the same."""
    try:
        return _difference(expected, _answers(ConvertedEngine(path, rules), table))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a runtime that cannot answer is no better than a wrong answer
        return f"ONNX Runtime fails: {type(error).__name__}: {_short(error)}"


def _wanted(engine: Engine) -> list[str]:
    return [PREDICT, PROBABILITIES] if engine.labels is not None and engine.has_probabilities else [PREDICT]


def _answers(engine: Engine, table: Array) -> dict[str, Array]:
    wanted = _wanted(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(zip(wanted, map(np.asarray, engine.compute(table, wanted)), strict=True))


def _difference(expected: dict[str, Array], actual: dict[str, Array]) -> float | str:
    """Return the largest difference of a number, or the reason why the answers are not the same."""
    largest = 0.0
    for name, want in expected.items():
        have = actual[name]
        if want.shape != have.shape:
            return f"{name} has the shape {list(have.shape)} instead of {list(want.shape)}"
        if want.dtype.kind == "f" and have.dtype.kind == "f":
            wrong = ~np.isclose(have, want, rtol=RTOL, atol=ATOL, equal_nan=True)
            finite = np.isfinite(want) & np.isfinite(have)
            largest = max(largest, float(np.abs(want - have, where=finite, out=np.zeros(want.shape)).max(initial=0)))
        else:
            wrong = have != want
        count = int(np.count_nonzero(wrong))
        if count:
            at = np.unravel_index(int(np.argmax(wrong)), want.shape)
            return (
                f"ONNX Runtime differs in {count} of {want.size} values of {name}, "
                f"the first is {have[at].item()!r} instead of {want[at].item()!r}"
            )
    return largest


def _guarded(native: Engine, path: Path, rules: Rules, table: Array) -> Rules:
    """Find out which values the native engine refuses; what it takes must give the same answers."""
    rows = np.resize(table, (_PROBED, table.shape[1]))
    taken = {}
    for name, value in (("nan", np.nan), ("huge", 1e300), ("infinite", np.inf)):
        probe = rows.copy()
        probe[np.arange(_PROBED), np.arange(_PROBED) % table.shape[1]] = np.where(np.arange(_PROBED) % 2, value, -value)
        try:
            expected = _answers(native, probe)
        except Exception:  # noqa: BLE001  whatever it is, these values are not taken
            taken[name] = False
            continue
        taken[name] = True
        difference = _compared(expected, path, _open(rules), probe)
        if isinstance(difference, str):
            message = f"with {name} values {difference}"
            raise UnconvertibleError(message)
    limit = _LARGEST_FLOAT32 if not taken["huge"] else None if taken["infinite"] else _LARGEST
    return msgspec.structs.replace(rules, nan=taken["nan"], limit=limit)


def _open(rules: Rules) -> Rules:
    return msgspec.structs.replace(rules, nan=True, limit=None)


def _seconds(engine: Engine, table: Array) -> float:
    """Return the seconds that one row takes."""
    best = float("inf")
    wanted = _wanted(engine)
    for _ in range(_RUNS):
        began = time.perf_counter()
        engine.compute(table[:1], wanted)
        best = min(best, time.perf_counter() - began)
    return best


def _short(error: Any) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
