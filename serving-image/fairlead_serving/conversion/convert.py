"""One model from its file to ONNX, through the gate."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving.conversion import samples
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.gate import judge
from fairlead_serving.conversion.report import MODEL, Parity, Report
from fairlead_serving.models.converted import Rules
from fairlead_serving.models.loader import load_choice
from fairlead_serving.models.tabularmodel import TabularModel

if TYPE_CHECKING:
    from pathlib import Path

    from fairlead_serving.models.formats import Choice
    from fairlead_serving.models.tabularmodel import Engine

_SHOWN: Final = 200


def convert(folder: Path, choice: Choice, target: Path) -> Report:
    """Convert the model in a folder and write it below `target`. Raises LoadError when it cannot even be loaded."""
    model = load_choice(folder, choice)
    if not isinstance(model, TabularModel):
        message = f"{choice.format} models are not converted"
        raise TypeError(message)
    report = Report(model.format, model.platform, _name(model.engine))
    try:
        report.rules, report.parity = _through_the_gate(model, folder, target / MODEL)
    except UnconvertibleError as error:
        report.reason = str(error)
    return report


def _through_the_gate(model: TabularModel, folder: Path, path: Path) -> tuple[Rules, Parity]:
    columns = model.engine.columns
    if columns.text or columns.documents or not columns.count:
        message = "it takes text" if columns.count else "it does not tell how many columns it takes"
        raise UnconvertibleError(message)
    reason: UnconvertibleError | None = None
    for precision in (np.float64, np.float32):
        try:
            content, estimator = _converted(model.engine, precision)
            path.write_bytes(content)
            anchors = samples.anchors_of(content, estimator, columns.count)
            table = np.concatenate([samples.own(model, folder), samples.made_up(anchors)])
            return judge(model.engine, path, _choices(model.engine, path), table)
        except UnconvertibleError as error:
            # Most operators exist for float64; with float32, the reason given is that of the better attempt.
            reason = reason or error
        if model.format != "sklearn":
            break
    raise reason or UnconvertibleError("")


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


def _choices(engine: Engine, path: Path) -> list[Rules]:
    """Return the ways in which the outputs of a graph may become those of the engine, the best first."""
    import onnx  # noqa: PLC0415  the server does not have it

    nodes = onnx.load(path, load_external_data=False).graph.output
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
        targets=engine.targets,
        has_probabilities=engine.has_probabilities,
        nan=True,
    )
    if labels is None:
        return [rules]
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
