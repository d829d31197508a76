"""Which types a skops file may hold beside those that skops itself trusts."""

from __future__ import annotations

import importlib
import inspect
from typing import Final

# Their state is a model in the library's own format, read as from a file of it.
_BOOSTERS: Final = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRanker",
        "lightgbm.sklearn.LGBMRegressor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRanker",
        "xgboost.sklearn.XGBRegressor",
    }
)


def trusted(name: str) -> bool:
    """Trust scikit-learn's own classes that skops does not list yet, but no function: functions can do anything."""
    if name in _BOOSTERS:
        return True
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] != "sklearn":
        return False
    try:
        return inspect.isclass(getattr(importlib.import_module(module), attribute, None))
    except ImportError:
        return False
