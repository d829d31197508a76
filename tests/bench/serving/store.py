"""Results, kept after each measurement, so that a run can go on where it stopped."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.cache import REPOSITORY, cache_dir, digest_of

Result = dict[str, Any]
_CODE = (
    "serving-image/fairlead_serving",
    "serving-image/setup.py",
    "requirements/build.txt",
    "requirements/serving.txt",
    "requirements/serving-lean.txt",
    "requirements/peers",
    "tests/compiled.py",
    "tests/peers",
    "tests/bench/serving/cells.py",
    "tests/bench/serving/clients.py",
    "tests/bench/serving/echo.c",
    "tests/bench/serving/measure.py",
)
"""What makes earlier results worthless when it changes."""


class Store:
    """Results by the keys of their cells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}

    @classmethod
    def of_code(cls, seconds: float) -> Store:
        """The results of this code with measurements of this length."""
        code = digest_of(*(REPOSITORY / path for path in _CODE))
        return cls(cache_dir() / "bench-serving" / code / f"{seconds:g}s.json")

    def __contains__(self, key: str) -> bool:
        """What failed is tried again by the next run."""
        return key in self.results and "failed" not in self.results[key]

    def put(self, key: str, result: Result) -> None:
        """Keep one result, on the disk too."""
        self.results[key] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(self.results, indent=1))
        partial.replace(self.path)

    def of(self, prefix: str) -> list[Result]:
        """All results whose keys begin so."""
        return [result for key, result in self.results.items() if key.startswith(f"{prefix}/")]

    def median(self, prefix: str, field: str) -> float | None:
        """The median of a field over runs; None where there is none, or one failed."""
        return median(self.of(prefix), lambda result: result.get(field))

    def busy(self, prefix: str) -> bool:
        """Tell whether a run stayed disturbed by other load."""
        return any(result.get("disturbed") for result in self.of(prefix))


def median(results: list[Result], field: Callable[[Result], float | None]) -> float | None:
    """The median of what `field` finds; None where it finds nothing, or a run failed."""
    found = [value for result in results if (value := field(result)) is not None]
    if not found or any("failed" in result for result in results):
        return None
    return statistics.median(found)
