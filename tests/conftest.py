"""What holds for every test: its kind and its time limit follow from the folder it lies in."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Seconds, for what will never end. A unit test that needs two of them alone is not one, but it may share the machine
# with a whole cluster; the others wait for real processes, several times a test, each time with a deadline of its own.
LIMITS = {"unit": 60.0, "component": 300.0, "serving": 300.0, "e2e": 900.0}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder; a limit that the test itself names stands."""
    for item in items:
        kind = item.path.relative_to(HERE).parts[0]
        if kind not in LIMITS:
            continue
        item.add_marker(kind)
        if item.get_closest_marker("timeout") is None:
            # Fixtures that start a server for a whole session do not count against the first test.
            item.add_marker(pytest.mark.timeout(LIMITS[kind], func_only=kind == "unit"))
