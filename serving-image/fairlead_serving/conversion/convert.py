"""One model from its file to ONNX, through the gate."""

from __future__ import annotations

import warnings
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving.conversion import samples
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.feeds import golden_of, made_up
from fairlead_serving.conversion.gate import judge
from fairlead_serving.conversion.optimise import Case, optimise
from fairlead_serving.conversion.pruning import pruned
from fairlead_serving.conversion.report import MODEL, Parity, Report
from fairlead_serving.errors import LoadError
from fairlead_serving.models.converted import ConvertedEngine, Rules
from fairlead_serving.models.loader import load_choice
from fairlead_serving.models.onnx import OnnxModel
from fairlead_serving.models.tabularmodel import TabularModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fairlead_serving.models.formats import Choice
    from fairlead_serving.models.tabularmodel import Engine
    from fairlead_serving.optimisation import Wish
    from fairlead_serving.tensors import Array

_SHOWN: Final = 200
_ROWS: Final = 256


def _forget(_: Report) -> None:
    """Take no note."""


def convert(
    folder: Path,
    choice: Choice,
    target: Path,
    wish: Wish | None = None,
    note: Callable[[Report], None] = _forget,
    more: Sequence[Any] = (),
) -> Report:
    """Convert the model in a folder and write it below `target`, optimised as well where that is wished for.

    `note` gets what is known before the optimisation, which may take too long. `more` is what to compare on beside the
    model's own samples. Raises LoadError when the model cannot even be loaded.
    """
    model = load_choice(folder, choice)
    if choice.format == "onnx":
        report = Report(model.format, model.platform, model.parameters["engine"])
        if isinstance(model, TabularModel):
            report.not_optimised = "it was converted before: optimise it as it is converted"
            return report
        file = folder / choice.file
        case = Case(
            folder, file, file, OnnxModel, lambda each: chain([golden_of(each, folder), more], made_up(each.inputs))
        )
        return _optimised(report, case, target, wish, note)
    if not isinstance(model, TabularModel):
        message = f"{choice.format} models are not converted"
        raise TypeError(message)
    report = Report(model.format, model.platform, _name(model.engine))
    path = target / MODEL
    try:
        report.rules, report.parity, table = _through_the_gate(model, [samples.own(model, folder), *more], path)
    except UnconvertibleError as error:
        report.reason = str(error)
        return report
    if wish is None:
        return report
    rules = report.rules
    # Rows from anywhere are for what must be exact: nobody sends them.
    table = table[: -samples.ROWS]
    case = Case(
        folder,
        path,
        _narrow(model.engine, rules, path),
        lambda file: TabularModel(model.format, model.platform, ConvertedEngine(file, rules)),
        lambda _: [[table[start : start + _ROWS] for start in range(0, len(table), _ROWS)]],
    )
    return _optimised(report, case, target, wish, note)


def _optimised(report: Report, case: Case, target: Path, wish: Wish | None, note: Callable[[Report], None]) -> Report:
    if wish is None:
        return report
    report.not_optimised = "it took too long, or more memory than there is"
    note(report)
    try:
        report.optimised = optimise(case, target, wish)
        report.not_optimised = ""
    except UnconvertibleError as error:
        report.not_optimised = str(error)
    return report


def _narrow(engine: Any, rules: Rules, path: Path) -> Path:
    """Return the file to optimise: one of float32 where there can be one, since only such can be made smaller."""
    if engine.name != "scikit-learn":
        return path
    try:
        content, _ = _converted(engine, np.float32)
        narrow = path.with_name("float32.onnx")
        narrow.write_bytes(pruned(content, _needed(rules)))
        ConvertedEngine(narrow, rules)
    except (UnconvertibleError, LoadError):
        return path
    return narrow


def _through_the_gate(model: TabularModel, own: Sequence[Array], path: Path) -> tuple[Rules, Parity, Array]:
    """Write the converted model; return its rules, what was compared, and on which rows. Raises UnconvertibleError."""
    columns = model.engine.columns
    if columns.text or columns.documents or not columns.count:
        message = "it takes text" if columns.count else "it does not tell how many columns it takes"
        raise UnconvertibleError(message)
    if model.engine.labels is None and model.outputs[0].datatype == "BYTES":
        message = "its labels are of several targets"
        raise UnconvertibleError(message)
    reason: UnconvertibleError | None = None
    for precision in (np.float64, np.float32):
        try:
            content, estimator = _converted(model.engine, precision)
            anchors = samples.anchors_of(content, estimator, columns.count)
            table = np.concatenate([*own, samples.made_up(anchors)])
            return *_judged(model.engine, content, path, table), table
        except UnconvertibleError as error:
            # Most operators exist for float64; with float32, the reason given is that of the better attempt.
            reason = reason or error
        if model.format != "sklearn":
            break
    raise reason or UnconvertibleError("")


def _judged(engine: Engine, content: bytes, path: Path, table: Array) -> tuple[Rules, Parity]:
    """Write the smallest graph whose answers are the engine's. Raises UnconvertibleError where none is."""
    reason: UnconvertibleError | None = None
    for rules in _choices(engine, content):
        path.write_bytes(pruned(content, _needed(rules)))
        try:
            return judge(engine, path, rules, table)
        except UnconvertibleError as error:
            reason = reason or error
    raise reason or UnconvertibleError("there is nothing to compare")


def _needed(rules: Rules) -> set[str]:
    """Return the outputs that the rules look at: a label that follows from the scores need not be computed as well."""
    named = (rules.scores, rules.graph if rules.label in ("graph", "place") else None)
    return {name for name in named if name}


def _converted(engine: Any, precision: type[np.floating[Any]]) -> tuple[bytes, Any]:
    """Return an ONNX file and the estimator it was made from, if any."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = engine.name.split()[0]
            if library in ("xgboost", "lightgbm"):
                from fairlead_serving.conversion import boosters  # noqa: PLC0415  one library at a time

                parts = boosters.from_xgboost(engine) if library == "xgboost" else boosters.from_lightgbm(engine)
                return parts.file(engine.columns.count), None
            from fairlead_serving.conversion.estimators import from_estimator  # noqa: PLC0415  as above

            return from_estimator(engine.estimator, precision), engine.estimator
    except (UnconvertibleError, MemoryError):
        raise
    except Exception as error:
        # The converters raise whatever they stumble over.
        text = " ".join(str(error).split())
        message = f"it cannot be converted: {type(error).__name__}: {text[:_SHOWN]}"
        raise UnconvertibleError(message) from error


def _choices(engine: Engine, content: bytes) -> list[Rules]:
    """Return the ways in which the outputs of a graph may become those of the engine, the best first."""
    import onnx  # noqa: PLC0415  the server does not have it

    nodes = onnx.load_from_string(content).graph.output
    outputs = [node.name for node in nodes]
    flat = len(nodes[-1].type.tensor_type.shape.dim) == 1
    labels = engine.labels
    rules = Rules(
        label="none",
        scores=outputs[-1],
        graph=outputs[0] if len(outputs) > 1 else None,
        tail=[],
        labels=None if labels is None else labels.tolist(),
        labels_type="O" if labels is None else labels.dtype.str,
        count=engine.columns.count or 0,
        names=None if engine.columns.names is None else list(engine.columns.names),
        has_probabilities=engine.has_probabilities,
        nan=True,
    )
    if labels is None:
        # Numbers for clusters and outliers stand before the distances that they follow from.
        whole = engine.predicts is not None and engine.predicts.kind in "iub"
        return [msgspec.structs.replace(rules, scores=outputs[0])] if whole else [rules]
    # One number for two classes is the probability of the second.
    kinds = [("half" if flat else "argmax")] if engine.has_probabilities else []
    kinds += ["place", "graph"] if rules.graph else []
    return [msgspec.structs.replace(rules, label=kind) for kind in kinds]


def _name(engine: Any) -> str:
    estimator = getattr(engine, "estimator", None)
    if estimator is None:
        return str(engine.name)
    steps = getattr(estimator, "steps", None)
    inner = f" of {', '.join(type(step).__name__ for _, step in steps)}" if steps else ""
    return f"{engine.name} {type(estimator).__name__}{inner}"
