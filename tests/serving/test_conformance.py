"""Other people's clients against our server: every check of tests/conformance holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import environment, ours
from tests.conformance.__main__ import CLIENTS, check


@pytest.fixture(scope="module")
def python() -> Path:
    return environment.python()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("clients", CLIENTS)
def test_every_check_holds(clients: str, tmp_path: Path) -> None:
    found = check(ours.serving(tmp_path), [clients])

    failed = [f"{entry['group']}: {entry['name']}: {entry['reason']}" for entry in found if entry["result"] == "failed"]
    assert not failed, "\n".join(failed)
    assert sum(entry["result"] == "passed" for entry in found) > 100
