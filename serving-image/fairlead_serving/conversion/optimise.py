"""Smaller numbers in an ONNX model: float16, or whole numbers of eight bits, behind a gate of its own."""

from __future__ import annotations

import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fairlead_serving import golden
from fairlead_serving.conversion.agreement import compare
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.feeds import rows_of
from fairlead_serving.conversion.report import Optimised
from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from fairlead_serving.conversion.agreement import Agreement
    from fairlead_serving.models.base import Model
    from fairlead_serving.optimisation import Wish

_LESS: Final = 0.95
_RUNS: Final = 15
_TIMED_SECONDS: Final = 3.0
_SHOWN: Final = 200
# Convolutions of whole numbers whose scales are found as they run are slower than those of fractions.
_QUANTISED: Final = ["MatMul", "Gather", "LSTM", "Attention", "EmbedLayerNormalization"]


class Case(NamedTuple):
    """A model that serves unless an optimised one may: its file, the file to optimise, and how both are used.

    `opened` makes a model of a file, `tries` gives what to compare on, anew each time. Golden requests in `folder` have
    to be answered within the tolerances that they declare.
    """

    folder: Path

    served: Path
    source: Path
    opened: Callable[[Path], Model]
    tries: Callable[[Model], Iterable[Sequence[Any]]]


def optimise(case: Case, folder: Path, wish: Wish) -> Optimised:
    """Write an optimised model into a folder and tell of it.

    Raises UnconvertibleError with the reason why the model has to serve as it is.
    """
    found = []
    reasons = []
    for mode in ("int8", "float16") if wish.mode == "auto" else (wish.mode,):
        try:
            found.append(_judged(case, folder / f"{mode}.onnx", mode, wish))
        except UnconvertibleError as error:
            reasons.append(f"{mode}: {error}")
    if not found:
        raise UnconvertibleError("; ".join(reasons))
    return min(found, key=lambda each: each.seconds_after)


def _judged(case: Case, path: Path, mode: str, wish: Wish) -> Optimised:
    _write(case.source, path, mode)
    before = case.opened(case.served)
    try:
        after = case.opened(path)
        if (case.folder / golden.FILE).is_file():
            golden.check(after, case.folder / golden.FILE)
        agreement = compare(before, after, case.tries(before))
        rows, seconds = _seconds(before, after)
    except (UnconvertibleError, MemoryError):
        raise
    except LoadError as error:
        raise UnconvertibleError(str(error)) from error
    except Exception as error:
        # A model that cannot run any more is no better than one that is wrong.
        raise UnconvertibleError(_short(error)) from error
    sizes = case.served.stat().st_size, path.stat().st_size
    reason = _too_far(agreement, wish) or _no_gain(sizes, seconds, only_speed=wish.mode == "auto")
    if reason:
        raise UnconvertibleError(reason)
    return Optimised(mode, path.name, *sizes, rows, *seconds, agreement.rows, agreement.labels, agreement.difference)


def _too_far(agreement: Agreement, wish: Wish) -> str:
    if agreement.labels < wish.labels:
        return f"only {agreement.labels:.2%} of labels stay the same, at least {wish.labels:.2%} should"
    if agreement.relative > wish.difference:
        return f"numbers are off by up to {agreement.relative:.2%} of the largest, at most {wish.difference:.2%} may be"
    return ""


def _no_gain(sizes: tuple[int, int], seconds: tuple[float, float], *, only_speed: bool) -> str:
    if seconds[1] <= _LESS * seconds[0] or (sizes[1] <= _LESS * sizes[0] and not only_speed):
        return ""
    times = f"{seconds[1] * 1e6:,.0f} µs instead of {seconds[0] * 1e6:,.0f} µs"
    return f"it is not faster ({times})" if only_speed else f"it is neither smaller nor faster ({times})"


def _write(source: Path, path: Path, mode: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (_float16 if mode == "float16" else _int8)(source, path)
    except (UnconvertibleError, MemoryError):
        raise
    except Exception as error:
        # The converters raise whatever they stumble over.
        raise UnconvertibleError(_short(error)) from error


def _float16(source: Path, path: Path) -> None:
    import onnx  # noqa: PLC0415  the server does not have it
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415  as above

    # Clients go on sending what the model takes, and get what it gives.
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), path)


def _int8(source: Path, path: Path) -> None:
    import onnx  # noqa: PLC0415  the server does not have it
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  it takes onnx

    before = _kinds(onnx.load(source, load_external_data=False))
    if before.isdisjoint((*_QUANTISED, "Gemm")):
        message = "it multiplies no matrices, which is what could be quantised"
        raise UnconvertibleError(message)
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            source,
            path,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            # Seven bits, since processors without VNNI overflow with eight.
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        quiet.setLevel(level)
    if _kinds(onnx.load(path, load_external_data=False)) <= before:
        message = "it has no weights of float32 that could be quantised"
        raise UnconvertibleError(message)


def _kinds(model: Any) -> set[str]:
    return {node.op_type for node in model.graph.node}


def _seconds(before: Model, after: Model) -> tuple[int, tuple[float, float]]:
    """Return how many rows were timed, and the seconds that each model takes for them, in turns."""
    rows, feed = rows_of(before)
    best = [float("inf"), float("inf")]
    ends = time.perf_counter() + _TIMED_SECONDS
    for _ in range(_RUNS):
        if time.perf_counter() > ends and best[1] < float("inf"):
            break
        for place, model in enumerate((before, after)):
            names = [spec.name for spec in model.outputs]
            began = time.perf_counter()
            model.run(feed, names)
            best[place] = min(best[place], time.perf_counter() - began)
    return rows, (best[0], best[1])


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_SHOWN]}"
