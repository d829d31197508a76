"""Does a live object hold all that a manifest asks for? PURE.

The API server adds defaults and drops empty values, so a live object is never equal to its manifest.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

_NOTHING: Final[tuple[Any, ...]] = (None, {}, [])
_QUANTITIES: Final = frozenset({"requests", "limits", "averageValue", "sizeLimit", "divisor"})
"""Fields that hold quantities, or maps of quantities. Elsewhere "1" and "1.0" are different strings."""

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def covers(live: Any, desired: Any, *, quantity: bool = False) -> bool:
    """True when every field of `desired` is in `live` with the same value; lists must agree one by one.

    Absent, null and empty are the same. Quantities are compared by amount: "0.5" is "500m".
    """
    if desired in _NOTHING:
        return live in _NOTHING or (desired == {} and isinstance(live, dict))
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            covers(live.get(key), value, quantity=quantity or key in _QUANTITIES) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(covers(one, other, quantity=quantity) for one, other in zip(live, desired, strict=True))
        )
    if quantity and (amount := parse_quantity(desired)) is not None:
        return amount == parse_quantity(live)
    return type(live) is type(desired) and bool(live == desired)


def project(live: Any, desired: Any) -> Any:
    """What `live` says about the fields that `desired` names, and nothing else."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {key: project(live[key], value) for key, value in desired.items() if key in live}
    if isinstance(desired, list) and isinstance(live, list) and len(live) == len(desired):
        return [project(one, other) for one, other in zip(live, desired, strict=True)]
    return live


def parse_quantity(value: Any) -> Decimal | None:
    """The amount that a Kubernetes quantity stands for; None for what is no quantity."""
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        return None
    number, exponent, suffix = Decimal(match[1]), match[2], match[3] or ""
    if exponent:
        return number.scaleb(int(exponent))
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    return number.scaleb(_DECIMAL[suffix])
