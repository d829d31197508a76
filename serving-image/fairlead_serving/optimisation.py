"""What an operator of a server may ask for: a smaller or faster model that answers a little differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.errors import SettingsError

if TYPE_CHECKING:
    import argparse

MODES: Final = ("float16", "int8", "auto")
_OFF: Final = ("", "off")
LABELS: Final = 0.99
DIFFERENCE: Final = 0.02


class Wish(NamedTuple):
    """An optimisation and what it may cost.

    At least the share `labels` of the labels must stay the same. A number may be off by `difference` times the largest
    one of its output, or times 1 where all are smaller.
    """

    mode: str
    labels: float = LABELS
    difference: float = DIFFERENCE


def add_flags(flags: argparse._ActionsContainer) -> None:
    """Add the flags to the command line."""
    flags.add_argument("--optimise", metavar="HOW", help="float16, int8, auto (what is fastest) or off; default off")
    flags.add_argument(
        "--optimise-labels", metavar="SHARE", help=f"share of labels that has to stay the same; default {LABELS}"
    )
    flags.add_argument(
        "--optimise-difference",
        metavar="SHARE",
        help=f"how far off numbers may be, by the largest one; default {DIFFERENCE}",
    )


def wish(mode: str, labels: float, difference: float) -> Wish | None:
    """Return what was asked for, None for nothing. Raises SettingsError for an unknown mode."""
    if mode in _OFF:
        return None
    if mode not in MODES:
        message = f"FAIRLEAD_OPTIMISE (--optimise) should be {', '.join(MODES)} or off, not {mode!r}"
        raise SettingsError(message)
    if labels > 1:
        message = f"FAIRLEAD_OPTIMISE_LABELS (--optimise-labels) should be from 0 to 1, not {labels:g}"
        raise SettingsError(message)
    return Wish(mode, labels, difference)
