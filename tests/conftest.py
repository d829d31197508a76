"""What holds for every test: its kind, its time limit and who it shares a process with follow from where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Seconds. A unit test that needs two of them alone is not one, but it may share the machine with a whole cluster; the
# others wait for real processes.
LIMITS = {"unit": 15.0, "component": 120.0, "serving": 120.0, "e2e": 900.0}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark each test by its folder; a limit that the test itself names stands.

    With several processes a file stays in one, and all that is on the cluster in another, which begins at once: it
    mostly waits, while the others compute. So the groups are there before xdist reads them, and the order is set
    after the shuffle.
    """
    for item in items:
        path = item.path.relative_to(HERE)
        kind = path.parts[0]
        if kind not in LIMITS:
            continue
        item.add_marker(kind)
        item.add_marker(pytest.mark.xdist_group(kind if kind == "e2e" else path.as_posix()))
        if item.get_closest_marker("timeout") is None:
            # Fixtures that start a server for a whole session do not count against the first test.
            item.add_marker(pytest.mark.timeout(LIMITS[kind], func_only=kind == "unit"))
    yield
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
