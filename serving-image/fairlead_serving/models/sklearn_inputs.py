"""What a fitted scikit-learn estimator can be fed, as far as it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import BaseDecisionTree
from sklearn.utils import get_tags

if TYPE_CHECKING:
    from collections.abc import Iterator


def takes_text(estimator: Any) -> bool:
    """Tell whether any part that meets the raw input knows what to do with strings."""
    entrances = list(_entrances(estimator))
    if any(_takes_text(part) for part in entrances):
        return True
    # What a part hands on as it is, a later one may know.
    return any(map(_hands_on, entrances)) and any(_takes_text(part) for part in _parts(estimator))


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
    return _within(estimator)


def _within(estimator: Any) -> list[Any]:
    """Return the fitted estimators that one of the wrappers hands its raw input to."""
    found = [getattr(estimator, name, None) for name in ("estimator_", "regressor_")]
    for name in ("estimators_", "calibrated_classifiers_"):
        several = getattr(estimator, name, None)
        # Trees of a forest, which are many, are all alike and take numbers.
        if isinstance(several, list) and several and not isinstance(several[0], BaseDecisionTree):
            found += [getattr(each, "estimator", each) if name != "estimators_" else each for each in several]
    return [each for each in found if isinstance(each, BaseEstimator)]


def _entrances(estimator: Any) -> Iterator[Any]:
    """Yield the innermost parts that meet the raw input."""
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        yield from _entrances(steps[0]) if steps else ()
    elif isinstance(estimator, (ColumnTransformer, FeatureUnion)):
        for child in _children(estimator):
            if not isinstance(child, str):
                yield from _entrances(child)
    elif inner := _within(estimator):
        for child in inner:
            yield from _entrances(child)
    else:
        yield estimator


def _takes_text(part: Any) -> bool:
    if not isinstance(part, BaseEstimator) or _hands_on(part):
        return False
    if isinstance(part, SimpleImputer):
        # It takes what it was fitted on.
        return getattr(part, "_fit_dtype", np.dtype("O")).kind not in "fiub"
    tags = _tags(part)
    return bool(tags.string or tags.categorical) or isinstance(part, FunctionTransformer)


def _hands_on(part: Any) -> bool:
    return isinstance(part, FunctionTransformer) and part.func is None


def _tags(part: Any) -> Any:
    return get_tags(part).input_tags
