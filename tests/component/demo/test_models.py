"""The demo's models are what the demo says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import skops.io

from examples.demo import models
from examples.demo.models import FILE, Trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return {model.version: model for model in models.train_all(tmp_path_factory.mktemp("models"))}


def test_version_2_reads_better_and_errs_as_little(trained: dict[str, Trained]) -> None:
    assert trained["2"].right > trained["1"].right + 0.05
    assert trained["1"].errors == trained["2"].errors == 0.0


def test_version_3_fails_on_about_one_scan_in_ten(trained: dict[str, Trained]) -> None:
    assert 0.07 <= trained["3"].errors <= 0.13


def test_nothing_in_the_files_needs_to_be_trusted(trained: dict[str, Trained]) -> None:
    for model in trained.values():
        assert skops.io.get_untrusted_types(file=model.folder / FILE) == []


def test_an_equal_version_is_as_good_as_version_2(trained: dict[str, Trained], tmp_path: Path) -> None:
    equal = models.train_equal(tmp_path, "2-1", seed=1)
    assert equal.errors == 0.0
    assert abs(equal.right - trained["2"].right) < 0.02


def test_requests_are_scans_that_no_version_has_seen() -> None:
    scans = models.Scans.load()
    seen = {tuple(scan) for scan in scans.train}
    requests = scans.requests()
    assert len(requests) == 300
    assert sum(tuple(request["scan"]) in seen for request in requests) == 0
