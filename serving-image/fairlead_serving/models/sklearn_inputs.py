"""What a fitted scikit-learn estimator can be fed, as far as it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

if TYPE_CHECKING:
    from collections.abc import Iterator


def takes_text(estimator: Any) -> bool:
    """Tell whether any part that meets the raw input knows what to do with strings."""
    return any(_takes_text(part) for part in _entrances(estimator))


def takes_documents(estimator: Any) -> bool:
    """Tell whether the input is a list of texts rather than a table, as for a text vectoriser."""
    if isinstance(estimator, ColumnTransformer):
        return False
    if isinstance(estimator, Pipeline):
        return bool(estimator.steps) and takes_documents(estimator.steps[0][1])
    return any(_tags(part).string and not _tags(part).two_d_array for part in _entrances(estimator))


def select_by_position(estimator: Any) -> None:
    """Let column transformers that were fitted on a data frame work on plain arrays.

    They remember their columns by name, and scikit-learn looks names up in data frames only. The fitted positions
    stand beside the names.
    """
    for part in _parts(estimator):
        if isinstance(part, ColumnTransformer) and hasattr(part, "feature_names_in_"):
            part.transformers_ = [
                (name, transformer, _positions(part, name, columns))
                for name, transformer, columns in part.transformers_
            ]


def stay_in_this_thread(estimator: Any) -> None:
    """Let no part start threads or processes of its own for a request: the server has one process a core already."""
    for part in _parts(estimator):
        if getattr(part, "n_jobs", None) not in (None, 1):
            part.n_jobs = 1


def _positions(part: ColumnTransformer, name: str, columns: Any) -> Any:
    found = part._transformer_to_input_indices.get(name)  # noqa: SLF001  the only place that has them
    if found is None:
        return columns
    return found[0] if np.isscalar(columns) else found


def _parts(estimator: Any) -> Iterator[Any]:
    yield estimator
    for child in _children(estimator):
        yield from _parts(child)


def _children(estimator: Any) -> list[Any]:
    if isinstance(estimator, Pipeline):
        return [step for _, step in estimator.steps]
    if isinstance(estimator, ColumnTransformer):
        return [transformer for _, transformer, _ in estimator.transformers_]
    if isinstance(estimator, FeatureUnion):
        return [transformer for _, transformer in estimator.transformer_list]
    return []


def _entrances(estimator: Any) -> Iterator[Any]:
    """Yield the innermost parts that meet the raw input."""
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        yield from _entrances(steps[0]) if steps else ()
    elif isinstance(estimator, (ColumnTransformer, FeatureUnion)):
        for child in _children(estimator):
            if not isinstance(child, str):
                yield from _entrances(child)
    else:
        yield estimator


def _takes_text(part: Any) -> bool:
    tags = _tags(part)
    return bool(tags.string or tags.categorical) or isinstance(part, (SimpleImputer, FunctionTransformer))


def _tags(part: Any) -> Any:
    return get_tags(part).input_tags
