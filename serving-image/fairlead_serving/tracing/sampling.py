"""Which requests are traced: OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

_log = logging.getLogger(__name__)
_DEFAULT: Final = "parentbased_always_on"
_ROOTS: Final = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}
_BASED: Final = "parentbased_"
ID_BITS: Final = 64


class Sampling(NamedTuple):
    """The rule. A trace is taken if the lower 64 bits of its id are below `bound`, unless its parent decides."""

    bound: int
    by_parent: bool


def sampling(environment: Mapping[str, str]) -> Sampling:
    """Return the rule that the environment asks for. What it does not understand is logged, and the default holds."""
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower() or _DEFAULT
    if name.removeprefix(_BASED) not in _ROOTS:
        _log.warning("OTEL_TRACES_SAMPLER: %r is not known here, %s is used", name, _DEFAULT)
        name = _DEFAULT
    share = _ROOTS[name.removeprefix(_BASED)]
    if share is None:
        share = _ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip())
    return Sampling(round(share * (1 << ID_BITS)), name.startswith(_BASED))


def _ratio(text: str) -> float:
    try:
        ratio = float(text) if text else 1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        _log.warning("OTEL_TRACES_SAMPLER_ARG: %r is no number from 0 to 1, 1 is used", text)
        return 1.0
    return ratio
