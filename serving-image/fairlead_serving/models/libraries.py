"""Whether this image has the libraries that a format needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from fairlead_serving.models.formats import Choice


class _Need(NamedTuple):
    """A library by the name of its module and its own, and the extra of fairlead-serving that has it."""

    module: str
    name: str
    extra: str


_NEEDS: Final = {
    "sklearn": (_Need("sklearn", "scikit-learn", "full"), _Need("joblib", "joblib", "full")),
    "xgboost": (_Need("xgboost", "XGBoost", "full"),),
    "lightgbm": (_Need("lightgbm", "LightGBM", "full"),),
    "litert": (_Need("ai_edge_litert", "LiteRT (ai-edge-litert)", "litert"),),
    "pytorch": (_Need("torch", "PyTorch", "torch"),),
}
_SKOPS: Final = _Need("skops", "skops", "full")


def check(choice: Choice) -> None:
    """Raise LoadError, in one sentence, where a model needs a library that is not here."""
    needs = _NEEDS.get(choice.format, ())
    if choice.format == "sklearn" and not choice.pickled:
        needs = (*needs, _SKOPS)
    lacking = [need for need in needs if find_spec(need.module) is None]
    if lacking:
        names = ", ".join(need.name for need in lacking)
        message = f"{choice.file} needs {names}, which this image does not have: {remedy(lacking[0].extra)}"
        raise LoadError(message)


def remedy(extra: str) -> str:
    """Say where the libraries of an extra are."""
    image = "the full image" if extra == "full" else f"the image variant {extra}"
    return f"serve it with {image}, or pip install 'fairlead-serving[{extra}]'"
