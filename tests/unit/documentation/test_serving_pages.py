"""docs/serving names every variable that the server reads, every flag and every metric, and no others."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Final

from fairlead_serving import settings
from fairlead_serving.flags import parser
from fairlead_serving.metrics import exposition

PAGES: Final = Path(__file__).parents[3] / "docs" / "serving"
# Read where the log is opened, so that it is in no list of arguments and in no settings that are shown.
ELSEWHERE: Final = {"FAIRLEAD_LOG_SINK_TOKEN"}


class Asked(dict[str, str]):
    """An environment that knows what it was asked for."""

    def __init__(self, **variables: str) -> None:
        super().__init__(variables)
        self.names: set[str] = set()

    def get(self, name: str, otherwise: str | None = None) -> str | None:  # type: ignore[override]  # names suffice
        self.names.add(name)
        return super().get(name, otherwise)


def named(page: str, pattern: str) -> set[str]:
    """Return what the first two columns of a page's tables name."""
    rows = (line for line in (PAGES / page).read_text(encoding="utf-8").splitlines() if line.startswith("|"))
    return {name for row in rows for cell in row.split("|")[1:3] for name in re.findall(pattern, cell)}


def test_variables() -> None:
    environment = Asked(FAIRLEAD_STORAGE_URI="/models/fraud")
    settings.read([], environment)
    read = {name for name in environment.names if name.startswith("FAIRLEAD_")}
    assert named("settings.md", r"`(FAIRLEAD_\w+)`") == read | ELSEWHERE


def test_flags() -> None:
    flags = {name for action in parser()._actions for name in action.option_strings if name.startswith("--")}
    assert named("settings.md", r"`(--[a-z-]+)`") == flags - {"--help"}


def test_metrics() -> None:
    # A counter's name gets its `_total` as it is written.
    written = set(re.findall(r'"(fairlead_\w+)"', inspect.getsource(exposition)))
    found = {name.removesuffix("_total") for name in named("observability.md", r"`(fairlead_\w+)[{`]")}
    assert found == written
