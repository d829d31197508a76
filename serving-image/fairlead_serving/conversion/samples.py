"""Inputs to compare two engines on: the model's own samples, and rows around what its trees and scalers know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving import golden
from fairlead_serving.errors import LoadError, RequestError
from fairlead_serving.tensors import NUMPY_TYPES, Tensor, datatype_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fairlead_serving.models.base import Model
    from fairlead_serving.models.tabularmodel import TabularModel
    from fairlead_serving.tensors import Array

ROWS: Final = 1000
_EXAMPLE: Final = "input_example.json"
_WIDTH: Final = 2
# Larger thresholds stand for infinities.
_SENSIBLE: Final = 1e30
_PIECE: Final = 256


def given(path: Path, model: Model) -> list[Any]:
    """Return the rows of a `.npy` or `.npz` file as a model takes them. Raises LoadError where it does not."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"": loaded}
        specs = {spec.name: spec for spec in model.inputs}
        only = next(iter(specs.values())) if len(specs) == 1 else None
        tensors = []
        for name, values in arrays.items():
            spec = specs.get(name, only)
            datatype = datatype_of(values.dtype) if spec is None or spec.datatype == "BYTES" else spec.datatype
            tensors.append(Tensor(name, datatype, values.astype(NUMPY_TYPES[datatype])))
        count = min(len(tensor.array) for tensor in tensors)
        pieces = range(0, count, _PIECE)
        return [
            model.bind([Tensor(item.name, item.datatype, item.array[start : start + _PIECE]) for item in tensors])
            for start in pieces
        ]
    except (OSError, ValueError, TypeError, RequestError) as error:
        message = f"{path.name} is no .npy or .npz file with rows of the model's inputs: {error}"
        raise LoadError(message) from error


def own(model: TabularModel, folder: Path) -> Array:
    """Return the rows of golden requests and of MLflow's input example; none where there are none."""
    tables = []
    if (folder / golden.FILE).is_file():
        try:
            tables += [model.bind(inputs) for inputs in golden.inputs(folder / golden.FILE)]
        except (LoadError, RequestError):
            # A golden request that is wrong is told of when it is checked.
            tables = []
    example = folder / _EXAMPLE
    count = model.engine.columns.count or 0
    if example.is_file():
        tables.append(_example(example))
    fitting = [table for table in tables if table.ndim == _WIDTH and table.shape[1] == count]
    return np.concatenate(fitting) if fitting else np.zeros((0, count))


def made_up(anchors: Sequence[Array]) -> Array:
    """Return rows around each column's anchors: thresholds on the dot and one step beside, their range, and beyond.

    The same anchors give the same rows.
    """
    chance = np.random.default_rng(20240607)
    return np.concatenate(
        [
            np.column_stack([_near(chance, values) for values in anchors]),
            np.column_stack([_among(chance, values) for values in anchors]),
            _anywhere(chance, len(anchors)),
        ]
    )


def _near(chance: np.random.Generator, anchors: Array) -> Array:
    picked = chance.choice(anchors, ROWS)
    narrow = picked.astype(np.float32)
    infinity = np.float32(np.inf)
    choices = [
        picked,
        np.nextafter(picked, np.inf),
        np.nextafter(picked, -np.inf),
        np.nextafter(narrow, infinity).astype(np.float64),
        np.nextafter(narrow, -infinity).astype(np.float64),
    ]
    return np.choose(chance.integers(0, len(choices), ROWS), choices)


def _among(chance: np.random.Generator, anchors: Array) -> Array:
    low, high = anchors.min(), anchors.max()
    margin = 0.2 * (high - low) or max(1.0, abs(low))
    return chance.uniform(low - margin, high + margin, ROWS)


def _anywhere(chance: np.random.Generator, count: int) -> Array:
    rows = chance.standard_normal((ROWS, count)) * 10.0 ** chance.integers(-3, 5, (ROWS, 1))
    whole = chance.integers(-3, 12, (ROWS, count))
    rows[::2] = whole[::2]
    rows[:3] = [[0.0], [1.0], [-1.0]]
    return rows


def anchors_of(content: bytes, estimator: Any, count: int) -> list[Array]:
    """Return values that matter for each column: thresholds in the converted model, what a first scaler has learnt."""
    found: list[list[Array]] = [[] for _ in range(count)]
    for values, columns in _thresholds(content):
        for column in range(count):
            found[column].append(values[columns == column])
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    for low, high in _ranges(first):
        for column, bounds in enumerate(zip(low, high, strict=True)):
            found[column].append(np.array(bounds, np.float64))
    anchors = [np.concatenate([*parts, np.zeros(0)]) for parts in found]
    sensible = [values[np.abs(values) < _SENSIBLE] for values in anchors]
    return [values if len(values) else np.array([-1.0, 0.0, 1.0]) for values in sensible]


def _thresholds(content: bytes) -> list[tuple[Array, Array]]:
    """Return the thresholds and columns of trees that take the model's input as it is, cast at most."""
    import onnx  # noqa: PLC0415  the server does not have it

    graph = onnx.load_from_string(content).graph
    raw = {graph.input[0].name}
    found = []
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in raw:
            raw.add(node.output[0])
        elif node.op_type.startswith("TreeEnsemble") and node.input[0] in raw:
            fields = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            values = fields.get("nodes_values")
            if values is None:
                values = onnx.numpy_helper.to_array(fields["nodes_values_as_tensor"])
            inner = np.array([mode != b"LEAF" for mode in fields["nodes_modes"]])
            columns = np.array(fields["nodes_featureids"])[inner]
            found.append((np.asarray(values, np.float64)[inner], columns))
    return found


def _ranges(part: Any) -> list[tuple[Array, Array]]:
    """Return what scalers have seen of each column, as lower and upper bounds."""
    ranges = []
    for middle, spread in (("mean_", "scale_"), ("center_", "scale_")):
        centre, scale = getattr(part, middle, None), getattr(part, spread, None)
        if isinstance(centre, np.ndarray) and isinstance(scale, np.ndarray):
            ranges.append((centre - 3 * scale, centre + 3 * scale))
    low, high = getattr(part, "data_min_", None), getattr(part, "data_max_", None)
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray):
        ranges.append((low, high))
    return ranges


def _example(path: Path) -> Array:
    """Return MLflow's example: a data frame split into columns and data, or a tensor."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = next((document[key] for key in ("data", "inputs", "instances") if key in document), document)
        return np.atleast_2d(np.array(rows, np.float64))
    except (OSError, ValueError, TypeError):
        return np.zeros((0, 0))
